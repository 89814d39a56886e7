"""``clem config``: what ``clem`` keeps between two commands; today the default model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from clemcore.cli.inputs import examples
from clemcore.cli.terminal import note, table
from clemcore.errors import SpecError

DEFAULT_MODEL = "model"
MODEL_VARIABLE = "CLEMCORE_MODEL"
_NAMES = (DEFAULT_MODEL,)


def config_path() -> Path:
    """Return the file that holds the settings; it need not exist."""
    return Path.home() / ".clemcore" / "config.json"


def default_model() -> tuple[str, str] | None:
    """Return the default model as it was written, and where that was; None where there is none."""
    written = os.environ.get(MODEL_VARIABLE, "").strip()
    if written:
        return written, f"${MODEL_VARIABLE}"
    path = config_path()
    kept = _read(path).get(DEFAULT_MODEL)
    return None if kept is None else (kept, str(path))


@click.command(
    epilog=examples(
        "clem config",
        "clem config model gpt-4o-mini",
        "clem config model --unset",
    )
)
@click.argument("name", required=False, type=click.Choice(_NAMES), metavar="[model]")
@click.argument("value", required=False, metavar="[VALUE]")
@click.option("--unset", is_flag=True, help="Remove the setting.")
def config(*, name: str | None, value: str | None, unset: bool) -> None:
    """Show or change what clem keeps in ~/.clemcore/config.json.

    'model' is the model that commands use without -m: a name, or a selector as JSON. $CLEMCORE_MODEL comes first.
    """
    if unset and (name is None or value is not None):
        raise click.UsageError("--unset removes one setting: clem config model --unset")
    path = config_path()
    if value is None and not unset:
        found = default_model()
        rows = [] if found is None else [[DEFAULT_MODEL, *found]]
        table(["SETTING", "VALUE", "FROM"], rows)
        if not rows:
            note(f"no {DEFAULT_MODEL} is kept: clem config {DEFAULT_MODEL} NAME")
        return
    if value is not None:
        _check_model(value)
    if not _change(path, str(name), value):
        note(f"'{name}' is not set in {path}: nothing was changed")
        return
    note(f"removed '{name}' from {path}" if value is None else f"wrote '{name}' into {path}")


def _check_model(text: str) -> None:
    """Refuse a model that cannot be found, with the nearest name."""
    from clemcore.registry.resolution import resolve
    from clemcore.registry.spec import ModelSpec

    resolve(ModelSpec.from_string(text))


def _change(path: Path, name: str, value: str | None) -> bool:
    """Set or remove a setting; tell whether the file changed."""
    from clemcore.files import locked, replace_file

    if value is None and name not in _read(path):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        settings = _read(path)
        settings.pop(name, None)
        if value is not None:
            settings[name] = value
        replace_file(path, (json.dumps(settings, indent=2, ensure_ascii=False) + "\n").encode())
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as fault:
        raise SpecError(f"{path}: byte {fault.start} is not UTF-8; correct or remove the file") from None
    try:
        settings = json.loads(text)
    except json.JSONDecodeError as fault:
        where = f"{path}:{fault.lineno}:{fault.colno}"
        raise SpecError(f"{where}: not valid JSON: {fault.msg}; correct or remove the file") from None
    if not isinstance(settings, dict) or not isinstance(settings.get(DEFAULT_MODEL, ""), str):
        raise SpecError(f'{path}: must be an object such as {{"model": "gpt-4o-mini"}}; correct or remove the file')
    return settings
