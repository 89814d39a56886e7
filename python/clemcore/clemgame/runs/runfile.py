"""Reads a run file: games, models and limits of a run as TOML, or as YAML with the extra ``yaml``.

Every problem is reported with file, line and column, all at once. It does not know what the settings do.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from clemcore.clemgame.runs.settings import checked
from clemcore.clemgame.runs.toml_places import Places, places_of
from clemcore.errors import RunError

YAML_SUFFIXES = (".yaml", ".yml")
SUFFIXES = (".toml", *YAML_SUFFIXES)


def read_run_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the settings that a run file gives, by the names of :class:`RunSettings`.

    Raises:
        RunError: the file cannot be read, or has errors; all of them at once.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise RunError(f"{path}: a run file is named *.toml or *.yaml; rename it")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise RunError(f"{path}: byte {fault.start} is not UTF-8: save the file as UTF-8") from None
    except OSError as fault:
        raise RunError(f"{path}: the run file cannot be read: {fault.strerror}") from None
    value, places = _parsed(path, text)
    if not isinstance(value, dict):
        raise RunError(f"{path}:1:1: a run file holds settings, such as 'games' and 'models', not {value!r}")
    settings, problems = checked({str(name): each for name, each in value.items()})
    if problems:
        raise RunError("\n".join(f"{path}:{_place(places, where)}: {text}" for where, text in problems))
    return settings


def place_of_setting(path: str | os.PathLike[str], where: tuple[str | int, ...]) -> str:
    """Return ``file:line:column`` of a setting, for what is found to be wrong with it later.

    Args:
        path: a run file that was read before.
        where: names of settings and indices of lists, such as ``("players", 0, "stop")``.
    """
    try:
        _, places = _parsed(Path(path), Path(path).read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RunError):  # it has changed meanwhile
        return str(path)
    return f"{path}:{_place(places, where)}"


def _parsed(path: Path, text: str) -> tuple[Any, Places]:
    return (_yaml if path.suffix in YAML_SUFFIXES else _toml)(path, text)


def _place(places: Places, path: tuple[str | int, ...]) -> str:
    """Return the place of a path, or of what is around it."""
    while path and path not in places:
        path = path[:-1]
    line, column = places.get(path, (1, 1))
    return f"{line}:{column}"


def _toml(path: Path, text: str) -> tuple[Any, Places]:
    tomllib = _toml_reader(path)
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        what, place = _toml_fault(str(fault), text)
        raise RunError(f"{path}:{place}: {what}") from None
    return value, places_of(text)


def _toml_reader(path: Path) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib
    try:
        import tomli
    except ModuleNotFoundError:
        raise RunError(
            f"{path}: Python 3.10 has no reader for TOML: pip install tomli, or use Python 3.11 or newer"
        ) from None
    return tomli


def _toml_fault(message: str, text: str) -> tuple[str, str]:
    found = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    if found is not None:
        return message[: found.start()], f"{found[1]}:{found[2]}"
    lines = text.rstrip("\n").split("\n")
    return message.removesuffix(" (at end of document)"), f"{len(lines)}:{len(lines[-1]) + 1}"


def _yaml(path: Path, text: str) -> tuple[Any, Places]:
    try:
        import yaml
    except ModuleNotFoundError:
        raise RunError(f"{path}: YAML needs the package PyYAML: pip install 'clemcore[yaml]'") from None
    loader = yaml.SafeLoader(text)
    places: Places = {}
    try:
        node = loader.get_single_node()
        twice = _note_places(node, (), places)
        value = {} if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        place = "1:1" if mark is None else f"{mark.line + 1}:{mark.column + 1}"
        raise RunError(f"{path}:{place}: {fault.problem or fault.context}") from None
    except yaml.YAMLError as fault:
        raise RunError(f"{path}:1:1: {fault}") from None
    finally:
        loader.dispose()
    if twice:
        raise RunError("\n".join(f"{path}:{place}: '{name}' is given twice" for place, name in twice))
    return value, places


def _note_places(node: Any, path: tuple[str | int, ...], places: Places) -> list[tuple[str, str]]:
    """Note the place of every key and item below a node of YAML; return the keys that are given twice."""
    twice: list[tuple[str, str]] = []
    inner: tuple[str | int, ...]
    kind = None if node is None else node.id
    if kind == "mapping":
        for key, value in node.value:
            place = (key.start_mark.line + 1, key.start_mark.column + 1)
            inner = (*path, str(key.value))
            if inner in places:
                twice.append((f"{place[0]}:{place[1]}", str(key.value)))
            places.setdefault(inner, place)
            twice += _note_places(value, inner, places)
    elif kind == "sequence":
        for number, item in enumerate(node.value):
            inner = (*path, number)
            places[inner] = (item.start_mark.line + 1, item.start_mark.column + 1)
            twice += _note_places(item, inner, places)
    return twice
