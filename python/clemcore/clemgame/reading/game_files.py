"""What a ``clemgame.json`` and a ``game_registry.json`` must say about games.

It reads and checks the two files. It does not look for them, and it does not know what games do with other fields.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clemcore.clemgame.reading.checked_json import Finding, read_checked
from clemcore.spelling import misspelling_of

SPEC_FILE = "clemgame.json"
REGISTRY_FILE = "game_registry.json"

# Games written for 1.x and 2.x say the number of players in words.
WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}

# Fields that clemcore reads. Games may have more. A description may be empty.
_TEXTS = ("game_name", "instances", "game_path", "benchmark_path")
_OTHERS = ("players", "roles", "concurrency", "benchmark", "description", "main_game")
_KNOWN = (*_TEXTS, *_OTHERS, "languages", "image", "regression", "score_ranges")

_EXAMPLE = '{"game_name": "…", "players": 2}'
_SHOWN = 40

Path_ = tuple[str | int, ...]


def read_games(folder: Path) -> list[dict[str, Any]]:
    """Read the games of a folder from its ``clemgame.json``: one object, or a list of objects.

    Raises:
        GameError: the file cannot be read or has faults; all of them are in the error.
    """
    games = read_checked(folder / SPEC_FILE, check_spec_file)
    return [with_player_count(game) for game in (games if isinstance(games, list) else [games])]


def with_player_count(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry with the number of players as a number; games for 1.x and 2.x say it in words."""
    players = entry.get("players")
    return {**entry, "players": WORDS[players.lower()]} if isinstance(players, str) else dict(entry)


def read_registry(path: Path) -> list[dict[str, Any]]:
    """Read a ``game_registry.json``: a list of games, and of folders of games (``benchmark_path``).

    Raises:
        GameError: the file cannot be read or has faults; all of them are in the error.
    """
    entries = read_checked(path, lambda value: _check(value, REGISTRY_FILE))
    return entries if isinstance(entries, list) else [entries]


def check_entry(entry: Any, file: str = REGISTRY_FILE) -> list[Finding]:
    """Return what is wrong with one entry."""
    return list(_of_entry(entry, (), file))


def check_spec_file(value: Any) -> Iterator[Finding]:
    """Return what is wrong with the content of a ``clemgame.json``."""
    return _check(value, SPEC_FILE)


def _check(value: Any, file: str) -> Iterator[Finding]:
    if isinstance(value, dict):
        yield from _of_entry(value, (), file)
        return
    if not isinstance(value, list):
        message = f"a file of games must hold an object or a list of objects, not {_kind(value)}"
        yield Finding("G001", (), message, f"write {_EXAMPLE}, or a list of such objects")
        return
    names: dict[str, int] = {}
    for index, entry in enumerate(value):
        yield from _of_entry(entry, (index,), file)
        name = entry.get("game_name") if isinstance(entry, dict) else None
        if isinstance(name, str) and names.setdefault(name, index) != index:
            message = f"two games of this file are named '{name}'"
            help_ = "rename one of them; the other is at {place}"
            yield Finding("G004", (index, "game_name"), message, help_, (names[name], "game_name"))


def _of_entry(entry: Any, path: Path_, file: str) -> Iterator[Finding]:
    if not isinstance(entry, dict):
        yield Finding("G001", path, f"a game must be an object, not {_kind(entry)}", f"write {_EXAMPLE}")
        return
    required = ["game_name", "players", *(["game_path"] if file == REGISTRY_FILE else [])]
    if file == REGISTRY_FILE and "benchmark_path" in entry:  # it stands for all games below that folder
        required = []
    for field in required:
        if field not in entry:
            near = next((key for key in entry if misspelling_of(key, [field])), None)
            help_ = f"is '{near}' meant to be '{field}'?" if near else f'add "{field}": {_example(field)}'
            yield Finding("G002", path, f"this game has no '{field}'", help_)
    yield from _of_texts(entry, path)
    yield from _of_numbers(entry, path)
    yield from _of_ranges(entry, path)
    for key in entry:
        near = misspelling_of(key, _KNOWN)
        if near is not None and near not in entry and near not in required:
            help_ = f"is it meant to be '{near}'? Otherwise choose a name that looks different"
            yield Finding("G005", (*path, key), f"clemcore does not read the field '{key}'", help_)


def _of_texts(entry: dict[str, Any], path: Path_) -> Iterator[Finding]:
    for field in _TEXTS:
        value = entry.get(field, "-")
        if not isinstance(value, str) or not value.strip():
            message = f"'{field}' must be a non-empty text, not {_kind(value)}"
            yield Finding("G003", (*path, field), message, f"write {_example(field)}")
    roles, benchmark = entry.get("roles", []), entry.get("benchmark", [])
    if not _are_texts(roles):
        yield Finding("G003", (*path, "roles"), "'roles' must be a list of texts", 'write ["Guesser", …]')
    if not isinstance(benchmark, str) and not _are_texts(benchmark):
        message = "'benchmark' must be a list of versions, each a text"
        yield Finding("G003", (*path, "benchmark"), message, 'write ["3.0"], or [] for none')


def _of_numbers(entry: dict[str, Any], path: Path_) -> Iterator[Finding]:
    players, concurrency = entry.get("players", 1), entry.get("concurrency", 1)
    if not _is_count(WORDS.get(players.lower()) if isinstance(players, str) else players):
        message = f"'players' must be the number of players (at least 1), not {_shown(players)}"
        yield Finding("G003", (*path, "players"), message, "write 1, 2, …")
    if not _is_count(concurrency):
        message = f"'concurrency' must be the most episodes at once (at least 1), not {_shown(concurrency)}"
        help_ = "write 1 for a game that keeps an episode's state in variables of a module or class"
        yield Finding("G003", (*path, "concurrency"), message, help_)


def _of_ranges(entry: dict[str, Any], path: Path_) -> Iterator[Finding]:
    ranges = entry.get("score_ranges", {})
    help_ = 'write {"Guesses": [0, 7]}: the lowest and the highest value of each score'
    if not isinstance(ranges, dict):
        message = f"'score_ranges' must be an object, not {_kind(ranges)}"
        yield Finding("G003", (*path, "score_ranges"), message, help_)
        return
    for name, pair in ranges.items():
        is_pair = isinstance(pair, list) and [type(each) in (int, float) for each in pair] == [True, True]
        if not is_pair or pair[0] > pair[1]:
            message = f"the range of the score '{name}' must be two numbers, the lower one first"
            yield Finding("G003", (*path, "score_ranges", name), message, help_)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _example(field: str) -> str:
    return {"players": "2", "instances": '"instances"', "game_name": '"my_game"'}.get(field, '"…"')


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else _kind(value)


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "a text" if value.strip() else "an empty text"
    names = {bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
