"""Names of folders: every name of a game, an experiment, a player or a model becomes one plain path component.

It does not know what is in the folders.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clemcore.clemgame.plan import EpisodeKey

# What no component may hold. A percent sign is encoded only where it could be read as an encoded character.
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f\ud800-\udfff]|%(?=[0-9A-Fa-f]{2})")
_LONGEST = 200
# What else is in the folder of a run, and hidden names, which nothing that reads results enters.
_RESERVED = re.compile(r"epoch_\d{5,}|run\.(json|toml|log)|.*\.sqlite3(-\w+)?|\..*|")
# What marks a run that was set aside: results leave it out.
_MARK = re.compile(r"\.(?=until_\d)")
_GROUP = 2
# The file of interactions of an episode that did not come to its end.
PARTIAL = "interactions.partial.json"
# What makes two entries of the same name different models; the rest may be changed in an entry.
_IDENTITY = ("backend", "model_id", "huggingface_id", "filename")


def component(name: str) -> str:
    """Return a name as one path component; a name that is one already stays as it is.

    Examples:
        >>> component("taboo"), component("a/b"), component(".."), component(".m"), component("100%")
        ('taboo', 'a%2Fb', '%2E.', '%2Em', '100%')
    """
    text = _UNSAFE.sub(lambda found: _percent(found[0]), name)
    text = _MARK.sub("%2E", text)
    if _RESERVED.fullmatch(text):
        text = _percent(text[0]) + text[1:] if text else "%"
    data = text.encode("utf-8")
    if len(data) > _LONGEST:  # file systems take 255 bytes
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        text = f"{data[: _LONGEST - 17].decode('utf-8', 'ignore')}-{digest}"
    return text


def name_of(folder: str) -> str:
    r"""Return the name of a folder as text that can be written; bytes that are not UTF-8 become escapes.

    Examples:
        >>> name_of("leicht"), name_of("sch\udcf6n")
        ('leicht', 'sch\\xf6n')
    """
    return folder if folder.isascii() else os.fsencode(folder).decode("utf-8", "backslashreplace")


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def episode_folder(run: Path, key: EpisodeKey, *, has_epochs: bool) -> Path:
    """Return the folder of an episode; epochs have folders only if a run has more than one."""
    return experiment_folder(run, key, has_epochs=has_epochs) / f"instance_{key.game_id:05d}"


def experiment_folder(run: Path, key: EpisodeKey, *, has_epochs: bool) -> Path:
    """Return the folder of an experiment."""
    base = run / f"epoch_{key.epoch:05d}" if has_epochs else run
    return base / component(key.game) / component(key.experiment)


def requests_file(player: str, *, is_partial: bool = False) -> str:
    """Return the name of the file with the calls of a player.

    Examples:
        >>> requests_file("Player 1"), requests_file("Player 2", is_partial=True)
        ('player_1.requests.json', 'player_2.partial.requests.json')
    """
    name = component("_".join(player.lower().strip().split(" ")))
    return f"{name}.partial.requests.json" if is_partial else f"{name}.requests.json"


def line_up_name(names: Sequence[str]) -> str:
    """Return the name of the folder of a line-up, as 3.7.2 gave it.

    Examples:
        >>> line_up_name(["a"]), line_up_name(["a", "b"]), line_up_name(["a", "b", "c"])
        ('a', 'a--b', 'group-3p-c1d9fae9')
    """
    joined = "--".join(names)
    if len(names) > _GROUP:
        return f"group-{len(names)}p-{hashlib.sha1(joined.encode()).hexdigest()[:8]}"  # noqa: S324 - a name
    return component(joined)


def line_up_folder(
    results: Path,
    specs: Sequence[Mapping[str, Any]],
    *,
    taken: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> Path:
    """Return the folder of a line-up of models. Different models of the same name get different folders.

    Args:
        results: the folder that holds the runs.
        specs: the specifications of the models, in the order of their roles.
        taken: the line-ups of the same command, by the names of their folders.
    """
    name = line_up_name([str(spec.get("model_name")) for spec in specs])
    known = (taken or {}).get(name) or _line_up_of(results / name)
    if known is not None and [_identity(spec) for spec in known] != [_identity(spec) for spec in specs]:
        digest = hashlib.sha256(json.dumps([_identity(spec) for spec in specs], default=repr).encode()).hexdigest()
        name = f"{name}-{digest[:8]}"
    return results / name


def _identity(spec: Mapping[str, Any]) -> list[Any]:
    return [spec.get("model_name"), *(spec.get(name) for name in _IDENTITY)]


def _line_up_of(run: Path) -> list[dict[str, Any]] | None:
    """Return the specifications of the models that a run was made with, or None if it does not say."""
    try:
        models = json.loads((run / "run.json").read_text(encoding="utf-8"))["player_models"]
        return [models[number]["model_spec"] for number in sorted(models, key=int)]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
