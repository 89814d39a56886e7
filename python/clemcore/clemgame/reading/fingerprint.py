"""Hashes of the files of a game that determine results: its code, its resources and its instances.

Results, documentation, logs and caches in a game's folder do not count. It does not know what the files mean.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from clemcore.clemgame.reading.spec import GameSpec
from clemcore.errors import GameError

_SKIPPED_FOLDERS = frozenset({"in", "__pycache__", "docs", "venv", "node_modules"})
_SKIPPED_ENDINGS = (".pyc", ".log", ".md")
# Fields of a specification that describe a game for readers, or say where it or its instances are found; instances
# have a hash of their own.
_DESCRIPTIVE = frozenset(
    {"description", "main_game", "benchmark", "regression", "languages", "image", "game_path", "lookup_source"}
    | {"instances", "score_ranges"}
)
# A folder with one of these is a run.
_OF_RUNS = ("run.json", "store.sqlite3")


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of bytes, as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def code_folders(game_path: Path) -> list[Path]:
    """Return the folders that are put on the path for a game: its own, and its parent if their names match.

    The names match if the game's name starts with the parent's, as ``mm_mapworld/mm_mapworld_graphs``.
    """
    folder = Path(os.path.abspath(game_path))  # noqa: PTH100 - a link keeps its own parent
    parent = folder.parent
    return [folder, parent] if parent.name and folder.name.startswith(parent.name) else [folder]


def fingerprint_of(spec: GameSpec) -> dict[str, str]:
    """Return the hashes of a game: ``code`` (Python files), ``resources`` (other files) and ``instances``.

    Raises:
        GameError: a file of the game cannot be read.
    """
    name = str(spec.get("instances") or "instances").removesuffix(".json")
    folder = code_folders(Path(spec.game_path))[0]
    try:
        instances = _of_file(folder / "in" / f"{name}.json")
    except OSError as fault:
        raise _unreadable(spec, fault) from fault
    return {**_code_and_resources(spec), "instances": instances}


def code_of(spec: GameSpec) -> str:
    """Return one hash of the code and the resources of a game, without its instances.

    Raises:
        GameError: a file of the game cannot be read.
    """
    return sha256_of("".join(_code_and_resources(spec).values()).encode())


def newer_files(spec: GameSpec, since: float) -> list[str]:
    """Return the files of a game's code and resources that were written after a time, the newest first.

    Args:
        spec: the game.
        since: seconds since the epoch.

    Raises:
        GameError: a file of the game cannot be read.
    """
    try:
        times = [(each.stat().st_mtime, str(each)) for files in _code_and_resource_files(spec) for each in files]
    except OSError as fault:
        raise _unreadable(spec, fault) from fault
    return [path for time, path in sorted(times, reverse=True) if time > since]


def _code_and_resource_files(spec: GameSpec) -> tuple[list[Path], list[Path]]:
    folder, *parents = code_folders(Path(spec.game_path))
    files = sorted(_files(folder))
    code = [file for file in files if file.suffix == ".py"]
    for parent in parents:
        code += sorted(file for file in _files(parent, is_parent=True) if file.suffix == ".py")
    return code, [file for file in files if file.suffix != ".py" and file.name != "clemgame.json"]


def _code_and_resources(spec: GameSpec) -> dict[str, str]:
    folder = code_folders(Path(spec.game_path))[0]
    try:
        code, resources = _code_and_resource_files(spec)
        fields = {key: value for key, value in spec.__dict__.items() if key not in _DESCRIPTIVE}
        described = json.dumps(fields, sort_keys=True, default=repr).encode("utf-8")
        return {"code": _hash(folder, code), "resources": _hash(folder, resources, described)}
    except OSError as fault:
        raise _unreadable(spec, fault) from fault


def _unreadable(spec: GameSpec, fault: OSError) -> GameError:
    return GameError(f"the game '{spec.game_name}' cannot be read: {fault.filename}: {fault.strerror}")


def _hash(folder: Path, files: Iterable[Path], *more: bytes) -> str:
    """Hash names and contents, so that a moved file counts as a change and a moved folder does not."""
    whole = hashlib.sha256()
    for data in more:
        whole.update(sha256_of(data).encode())
    for file in files:
        name = os.path.relpath(file, folder).replace(os.sep, "/")
        whole.update(f"{name}\0{_of_file(file)}\n".encode())
    return whole.hexdigest()


def _of_file(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(1 << 16):
            digest.update(block)
    return digest.hexdigest()


def _files(folder: Path, *, is_parent: bool = False) -> Iterator[Path]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = folder / entry.name
        if entry.is_dir():
            is_game = is_parent and (path / "clemgame.json").exists()
            if entry.name not in _SKIPPED_FOLDERS and not is_game and not _holds_runs(path):
                yield from _files(path, is_parent=is_parent)
        elif not entry.name.endswith(_SKIPPED_ENDINGS) and entry.is_file():
            yield path


def _holds_runs(folder: Path) -> bool:
    """Tell whether a folder is a run, or the folder of results in which runs lie."""
    if any((folder / name).exists() for name in _OF_RUNS):
        return True
    with os.scandir(folder) as found:
        return any((folder / each.name / name).exists() for each in found if each.is_dir() for name in _OF_RUNS)
