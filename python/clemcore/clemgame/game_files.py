"""What a ``clemgame.json`` and a ``game_registry.json`` must say about games.

It reads and checks the two files. It does not look for them, and it does not know what games do with other fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clemcore.clemgame.checked_json import Finding, read_checked
from clemcore.spelling import misspelling_of

SPEC_FILE = "clemgame.json"
REGISTRY_FILE = "game_registry.json"

# Games written for 1.x and 2.x say the number of players in words.
WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}

# Fields that clemcore reads, and how each is described where it is wrong. Games may have more.
_TEXTS = ("game_name", "instances", "game_path", "benchmark_path", "description", "main_game")
_KNOWN = (*_TEXTS, "players", "roles", "concurrency", "benchmark", "languages", "image", "regression")


def read_games(folder: Path) -> list[dict[str, Any]]:
    """Read the games of a folder from its ``clemgame.json``: one object, or a list of objects.

    Raises:
        GameError: the file cannot be read or has faults; all of them are in the error.
    """
    games = read_checked(folder / SPEC_FILE, lambda value: list(_check(value, SPEC_FILE)))
    return games if isinstance(games, list) else [games]


def read_registry(path: Path) -> list[dict[str, Any]]:
    """Read a ``game_registry.json``: a list of games, and of folders of games (``benchmark_path``).

    Raises:
        GameError: the file cannot be read or has faults; all of them are in the error.
    """
    entries = read_checked(path, lambda value: list(_check(value, REGISTRY_FILE)))
    return entries if isinstance(entries, list) else [entries]


def check_entry(entry: Any, file: str = REGISTRY_FILE) -> list[Finding]:
    """Return what is wrong with one entry."""
    return list(_of_entry(entry, [], file))


def _check(value: Any, file: str) -> Iterator[Finding]:
    if isinstance(value, dict):
        yield from _of_entry(value, [], file)
        return
    if not isinstance(value, list):
        help_ = 'write {"game_name": "…", "players": 2}, or a list of such objects'
        yield Finding("G001", "a file of games must hold an object or a list of objects", (), help_)
        return
    names: dict[str, int] = {}
    for index, entry in enumerate(value):
        yield from _of_entry(entry, [index], file)
        name = entry.get("game_name") if isinstance(entry, dict) else None
        if isinstance(name, str) and names.setdefault(name, index) != index:
            message = f"two games of this file are named '{name}'"
            help_ = "rename one of them; the other is at {place}"
            yield Finding("G004", message, (index, "game_name"), help_, related=(names[name], "game_name"))


def _of_entry(entry: Any, path: list[str | int], file: str) -> Iterator[Finding]:
    if not isinstance(entry, dict):
        help_ = 'write {"game_name": "…", "players": 2}'
        yield Finding("G001", f"a game must be an object, not {_kind(entry)}", path, help_)
        return
    is_folder = file == REGISTRY_FILE and "benchmark_path" in entry
    required = ["game_name", "players", *(["game_path"] if file == REGISTRY_FILE else [])]
    for field in [] if is_folder else required:
        if field not in entry:
            near = next((key for key in entry if misspelling_of(key, [field])), None)
            help_ = f"is '{near}' meant to be '{field}'?" if near else f'add "{field}": {_example(field)}'
            yield Finding("G002", f"this game has no '{field}'", path, help_)
    for field in _TEXTS:
        if field in entry and (not isinstance(entry[field], str) or not entry[field].strip()):
            message = f"'{field}' must be a non-empty text, not {_kind(entry[field])}"
            if field in ("description", "main_game") and isinstance(entry[field], str):
                continue
            yield Finding("G003", message, [*path, field], f"write {_example(field)}")
    yield from _of_players(entry, path)
    for key in entry:
        near = misspelling_of(key, _KNOWN)
        if near is not None and near not in entry and near not in required:
            message = f"'{key}' is not a field that clemcore reads"
            yield Finding(
                "G005", message, [*path, key], f"is it meant to be '{near}'? Otherwise choose another name"
            )


def _of_players(entry: dict[str, Any], path: list[str | int]) -> Iterator[Finding]:
    players, roles, concurrency = entry.get("players", 1), entry.get("roles", []), entry.get("concurrency", 1)
    count = WORDS.get(players.lower()) if isinstance(players, str) else players
    if not _is_count(count):
        message = f"'players' must be the number of players (at least 1), not {players!r}"
        yield Finding("G003", message, [*path, "players"], "write 1, 2, …")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        yield Finding("G003", "'roles' must be a list of texts", [*path, "roles"], 'write ["Guesser", …]')
    if not _is_count(concurrency):
        message = f"'concurrency' must be the largest number of live episodes (at least 1), not {concurrency!r}"
        yield Finding("G003", message, [*path, "concurrency"], "write 1 for a game that shares variables")
    benchmark = entry.get("benchmark", [])
    versions = [benchmark] if isinstance(benchmark, str) else benchmark
    if not isinstance(versions, list) or not all(isinstance(version, str) for version in versions):
        message = "'benchmark' must be a list of versions, each a text"
        yield Finding("G003", message, [*path, "benchmark"], 'write ["3.0"], or [] for none')


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _example(field: str) -> str:
    return {"players": "2", "instances": '"instances"', "game_name": '"my_game"'}.get(field, '"…"')


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "an empty text" if not value.strip() else "a text"
    names = {bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
