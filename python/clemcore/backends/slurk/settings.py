"""Reads and checks what an entry says about a room: address, key, layout, names, and deadlines.

It reads the layout's file and the keys. It does not connect to a server.
"""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from clemcore.arguments.ledger import OnUnsupported
from clemcore.backends.service.endpoint import Endpoint, resolve_endpoint
from clemcore.backends.service.endpoint_rows import endpoint_rows
from clemcore.diagnosis import Row, examined
from clemcore.errors import SpecError
from clemcore.keys import KeyRegistry
from clemcore.registry.settings import check_settings, setting
from clemcore.registry.spec import ModelSpec

PACKAGED = "packaged"
# The defaults of 3.7.2.
DEFAULT_TIMEOUT = 300.0
DEFAULT_BOT_NAME = "Game Master"

OnClose = Literal["close", "delete", "keep"]


@dataclass(frozen=True)
class SlurkService:
    """What every slurk server has in common: only the names of the backend and its key."""

    backend: str = "slurk"
    key_name: str = "slurk"
    base_url: str | None = None


@dataclass(frozen=True)
class Settings:
    """What an entry says about a room.

    Attributes:
        endpoint: the server's address, and the key of its API.
        layout: the room's layout, in slurk's form.
        shows_images: whether the layout can show images.
        bot_name: the name of the game master in the room.
        join_timeout: seconds that a person has to enter the room.
        response_timeout: seconds that a person has for an answer.
        on_close: what happens to the room at the end. ``close``: nobody can write in it or enter it any more;
            ``delete``: the server deletes it with its log; ``keep``: it stays as it is.
        on_unsupported: what happens to generation arguments, because a person takes none.
    """

    endpoint: Endpoint
    layout: Mapping[str, Any] = field(repr=False)
    shows_images: bool
    bot_name: str
    join_timeout: float
    response_timeout: float
    on_close: OnClose
    on_unsupported: OnUnsupported


def resolve_settings(spec: ModelSpec) -> Settings:
    """Read and check everything that an entry says about a room.

    Raises:
        SpecError: a value is missing or invalid, or two values contradict each other.
        MissingKeyError: no key for the server's API was found.
    """
    check_settings(spec)
    layout = layout_of(spec)
    return Settings(
        endpoint=_endpoint(spec),
        layout=layout,
        shows_images=_shows_images(layout),
        bot_name=_text(spec, "bot_name", DEFAULT_BOT_NAME),
        join_timeout=_seconds(spec, "join_timeout"),
        response_timeout=_seconds(spec, "response_timeout"),
        on_close=setting(spec, "on_close", "close"),
        on_unsupported=setting(spec, "on_unsupported", "drop"),
    )


def layout_of(spec: ModelSpec) -> dict[str, Any]:
    """Return the room's layout: the packaged one, or the one in the entry's JSON file.

    Raises:
        SpecError: the file was not found or is not a layout. For invalid JSON, the message has line and column.
    """
    named = _text(spec, "room_layout_path", PACKAGED)
    if named == PACKAGED:
        return _packaged_layout()
    path = Path(named if named.endswith(".json") else f"{named}.json").expanduser()
    what = f"model '{spec['model_name']}': room_layout_path {path}"
    try:
        layout = json.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        reason = f"the file cannot be read (current folder: {Path.cwd()}): {fault.strerror}"
    except UnicodeDecodeError as fault:
        reason = f"byte {fault.start} is not UTF-8"
    except json.JSONDecodeError as fault:
        reason = f"{fault.msg} (line {fault.lineno}, column {fault.colno})"
    else:
        if isinstance(layout, dict) and isinstance(layout.get("scripts") or {}, dict):
            return layout
        reason = 'must hold a JSON object, {"title": …, "html": […], "css": {…}, "scripts": {…}}'
    raise SpecError(f"{what}: {reason}")


def _shows_images(layout: Mapping[str, Any]) -> bool:
    return bool((layout.get("scripts") or {}).get("incoming-image"))


def _packaged_layout() -> dict[str, Any]:
    """Return the packaged layout with its script inside, so that a room loads nothing from elsewhere."""
    folder = importlib.resources.files("clemcore.backends.slurk")
    layout: dict[str, Any] = json.loads(folder.joinpath("layout.json").read_text(encoding="utf-8"))
    script = folder.joinpath("room.js").read_text(encoding="utf-8")
    layout["html"] = [*layout["html"], {"layout-type": "script", "layout-content": script}]
    return layout


def examine(spec: ModelSpec) -> list[Row]:
    """Return the settings that a model of this entry would use, and the faults in them."""
    rows = examined("settings", lambda: _setting_rows(spec))
    rows += examined("room_layout", lambda: _layout_row(spec))
    return rows + examined("base_url", lambda: _endpoint_rows(spec))


def _setting_rows(spec: ModelSpec) -> list[Row]:
    check_settings(spec)
    values = {"bot_name": _text(spec, "bot_name", DEFAULT_BOT_NAME), "on_close": setting(spec, "on_close", "close")}
    return [Row("settings", {**values, **{name: _seconds(spec, name) for name in _DEADLINES}})]


def _layout_row(spec: ModelSpec) -> Row:
    named, layout = _text(spec, "room_layout_path", PACKAGED), layout_of(spec)
    if _shows_images(layout):
        return Row("room_layout", named)
    return Row("room_layout", named, "good", 'it cannot show images, because its scripts have no "incoming-image"')


def _endpoint_rows(spec: ModelSpec) -> list[Row]:
    endpoint = _endpoint(spec)
    return [Row("base_url", endpoint.base_url), *endpoint_rows(endpoint)]


_DEADLINES = ("join_timeout", "response_timeout")


def _endpoint(spec: ModelSpec) -> Endpoint:
    """Return the server's address and key; ``slurk_host`` is another name of ``base_url`` in both entry and key."""
    service, host = SlurkService(), _text(spec, "slurk_host", None)
    written = setting(spec, "base_url")
    if host is not None and written is not None and host.rstrip("/") != written.rstrip("/"):
        raise SpecError(f"model '{spec['model_name']}' has both slurk_host and base_url, and they differ; keep one")
    key_name = setting(spec, "key_name") or service.key_name
    key = KeyRegistry.from_json().get_key_for(key_name)
    address = host or written
    if address is None and not key.get("slurk_host") and not key.get("base_url"):
        raise SpecError(
            f"model '{spec['model_name']}': no address of the slurk server was found; add \"slurk_host\" (such as "
            f"\"http://127.0.0.1:5000\") to the key '{key_name}' or to the entry"
        )
    if host is not None:
        spec = ModelSpec.from_dict({**spec.to_dict(), "base_url": host})
    return resolve_endpoint(spec, service)


def _text(spec: ModelSpec, name: str, default: Any) -> Any:
    value = setting(spec, name, default)
    if value == "":
        raise SpecError(f"model '{spec['model_name']}': '{name}' must be a string that is not empty")
    return value


def _seconds(spec: ModelSpec, name: str) -> float:
    return float(setting(spec, name, DEFAULT_TIMEOUT))
