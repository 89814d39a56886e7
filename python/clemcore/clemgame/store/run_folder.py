"""The folder of a run: whether it is one, its ``run.json``, and moving it aside.

Nothing is written into a folder of another program. It does not know what ``run.json`` means.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from clemcore._core import json_indented
from clemcore.calls.encoding import to_json
from clemcore.clemgame.store.manifest import SECTION, VERSION, Json
from clemcore.clemgame.store.marks import MANIFEST, MARK, is_set_aside
from clemcore.errors import RunError
from clemcore.files import locked, replace_file
from clemcore.secrets import scrub_json

FILE = MANIFEST


def read(folder: Path) -> Json | None:
    """Return the manifest of a run, or None where the folder is missing or holds nothing yet.

    Raises:
        RunError: the folder belongs to another program, or to another version.
    """
    path = folder / FILE
    try:
        value = _content(path)
    except FileNotFoundError:
        has_store = any(folder.glob("store*.sqlite3"))  # whether it is ours is seen when it is read
        strangers = [] if has_store or not folder.exists() else _strangers(folder)
        if strangers:
            raise RunError(
                f"{folder}: this folder is not a run: it holds '{strangers[0]}' and no {FILE}. Nothing is written "
                "into folders of other programs; choose another folder for results with -r"
            ) from None
        return None
    except NotADirectoryError:
        raise RunError(
            f"{folder}: this is a file, not a folder; choose another folder for results with -r"
        ) from None
    section = value.get(SECTION) if isinstance(value, dict) else None
    if not isinstance(section, dict) or not isinstance(section.get("manifest_version"), int):
        made = value.get("clem_version") if isinstance(value, dict) else None
        by = f"clemcore {made}" if isinstance(made, str) else "another program"
        raise RunError(
            f"{folder}: {by} has written this folder, and its run cannot be continued. "
            "Choose another folder for results with -r"
        )
    if section["manifest_version"] > VERSION:
        raise RunError(f"{path}: a newer version of clemcore has written this run; continue it with that version")
    return dict(value)


def _content(path: Path) -> Any:
    """Read a manifest.

    Raises:
        RunError: it is there and cannot be read.
    """
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as fault:
        raise RunError(f"{path}: cannot be read: {fault.strerror}. Make it readable, and try again") from None
    except ValueError as fault:
        raise RunError(
            f"{path}: is not JSON ({fault}), and nothing else says what the run was played with. Put the file "
            "back, or move its folder away"
        ) from None


# Files that a run makes before its manifest; a kill may leave them behind.
_OWN = ("store.", "store-", ".store", ".run.json", "run.log", ".run.log", "watchdog")


def _strangers(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith(_OWN))
    except OSError as fault:
        raise RunError(f"{folder}: cannot be read: {fault.strerror}") from None


def hash_seed_of(folder: Path) -> str | None:
    """Return the hash seed of a run; None if it has none, or is none."""
    manifest = read(folder)
    seed = None if manifest is None else manifest[SECTION].get("hash_seed")
    return seed if isinstance(seed, str) else None


def write(folder: Path, manifest: Json) -> None:
    """Write ``run.json`` as a whole, without secrets."""
    data = json_indented(manifest)  # in a fraction of the memory
    if data is None:
        text = json.dumps(json.loads(to_json(manifest)), indent=2, ensure_ascii=False)
        data = text.encode("utf-8", "backslashreplace")
    replace_file(folder / FILE, scrub_json(data))


def add(folder: Path, text: bytes, extend: Callable[[Json], None]) -> Json:
    """Add something to ``run.json``, also while other shards do so, and return its content.

    Args:
        folder: the folder of the run.
        text: the content as JSON, should the file have gone.
        extend: adds to the content.
    """
    with locked(folder / FILE):
        current = read(folder) or json.loads(text)
        extend(current)
        write(folder, current)
    return current


def move_aside(folder: Path) -> Path:
    """Move a run to a dated name beside it, and mark it, so that later commands over all runs leave it out."""
    stamp = datetime.now().strftime("%Y-%m-%d_%H%M%S")
    target = folder.with_name(f"{folder.name}{MARK}{stamp}")
    number = 1
    while target.exists():
        number += 1
        target = folder.with_name(f"{folder.name}{MARK}{stamp}_{number}")
    folder.rename(target)
    manifest = read(target)
    if manifest is not None:
        manifest[SECTION]["moved_aside"] = datetime.now().astimezone().isoformat()
        write(target, manifest)
    return target


def runs_in(path: Path) -> list[Path]:
    """Return the runs that a path stands for: itself, or those in it, without those that were set aside.

    Raises:
        RunError: there is none.
    """
    if _is_run(path):
        return [path]
    try:
        inner = sorted(each for each in path.iterdir() if each.is_dir() and not is_set_aside(each.name))
    except OSError as fault:
        raise RunError(f"{path}: {fault.strerror}: name the folder of a run, or one that holds runs") from None
    found = [each for each in inner if _is_run(each)]
    if not found:
        for each in (path, *inner):
            if (each / FILE).is_file():
                _content(each / FILE)  # a run that cannot be read says so itself
        raise RunError(f"{path}: holds no run: name a folder that 'clem run' has written, or one that holds some")
    return found


def _is_run(path: Path) -> bool:
    try:
        return read(path) is not None
    except RunError:
        return False
