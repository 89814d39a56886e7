"""What a file of instances must say, and what to do if there is none.

It does not know what games do with the fields of an instance; only its ``game_id`` has a meaning here.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clemcore.clemgame.reading.checked_json import Finding
from clemcore.clemgame.reading.instance_text import Instances
from clemcore.clemgame.reading.spec import GameSpec
from clemcore.spelling import misspelling_of

DEFAULT_FILE = "instances"
GENERATOR = "instancegenerator.py"

# The store keeps the IDs of instances in 64 bits.
_MOST_ID = 2**63
_BITS = 40

_LISTS = (list, Instances)

# Of an instance: the index of its experiment, and its index in it.
Place = tuple[int, int]
Path_ = tuple[str | int, ...]


def file_name(game_spec: GameSpec) -> str:
    """Return the name of a game's instance file, without the folder."""
    return str(game_spec.get("instances") or DEFAULT_FILE)


def with_ending(name: str) -> str:
    """Return the name of a file with its ending ``.json``."""
    return name if name.endswith(".json") else f"{name}.json"


def explain_missing(game_name: str, path: Path) -> str:
    """Say that an instance file is missing, and how to get it."""
    message = f"the instance file {path} of the game '{game_name}' does not exist"
    there = sorted(file.stem for file in path.parent.glob("*.json"))
    near = misspelling_of(path.stem, there)
    if near is not None and path.stem != DEFAULT_FILE:
        return f"{message}: did you mean '{near}'?"
    game_path = path.parent.parent if path.parent.name == "in" else path.parent
    steps = []
    if (game_path / GENERATOR).exists():
        steps.append(f"run 'python {GENERATOR}' in {game_path}")
    else:
        steps.append(f"{game_path} has no {GENERATOR} that could make it; ask the authors of the game")
    if there:
        steps.append(f"or choose one of the files there: {', '.join(there)}")
    return f"{message}: {'; '.join(steps)}"


def check_instances(value: Any) -> Iterator[Finding]:
    """Return what is wrong with the content of an instance file."""
    experiments = value.get("experiments") if isinstance(value, dict) else None
    if not isinstance(experiments, list) or not experiments:
        has = isinstance(value, dict) and "experiments" in value
        is_empty = experiments in ([], {}, "")
        message = f"'experiments' {'is empty; it ' if is_empty else ''}must be a list of at least one experiment"
        if not has:
            message = "a file of instances must be an object with the key 'experiments'"
        help_ = 'write {"experiments": [{"name": "…", "game_instances": [{"game_id": 0}]}]}'
        yield Finding("G010", ("experiments",) if has else (), message, help_)
        return
    seen: dict[str, _Seen] = {}
    for index, experiment in enumerate(experiments):
        path = ("experiments", index)
        if not isinstance(experiment, dict):
            help_ = 'write {"name": "…", "game_instances": [{"game_id": 0}]}'
            yield Finding("G011", path, "an experiment must be an object", help_)
            continue
        yield from _of_experiment(experiment, path)
        instances = experiment.get("game_instances")
        for number, instance in enumerate(instances if isinstance(instances, _LISTS) else ()):
            yield from _of_instance(instance, str(experiment.get("name")), (index, number), seen)


def _of_experiment(experiment: dict[str, Any], path: Path_) -> Iterator[Finding]:
    name, instances = experiment.get("name"), experiment.get("game_instances")
    if "name" not in experiment:
        yield Finding("G011", path, "this experiment has no 'name'", 'add "name": "…"')
    elif not isinstance(name, str) or not name.strip():
        yield Finding("G011", (*path, "name"), "'name' must be a non-empty text", 'write "…"')
    if "game_instances" not in experiment:
        help_ = 'add "game_instances": [{"game_id": 0}]'
        yield Finding("G011", path, "this experiment has no 'game_instances'", help_)
    elif not isinstance(instances, _LISTS):
        help_ = 'write [{"game_id": 0}]'
        yield Finding("G011", (*path, "game_instances"), "'game_instances' must be a list of objects", help_)


def _of_instance(instance: Any, name: str, place: Place, seen: dict[str, _Seen]) -> Iterator[Finding]:
    path = _path(place)
    if not isinstance(instance, dict):
        yield Finding("G012", path, "an instance must be an object", 'write {"game_id": 0, …}')
        return
    if "game_id" not in instance:
        yield Finding("G013", path, "this instance has no 'game_id'", f'add "game_id": {place[1]}')
        return
    game_id = instance["game_id"]
    if not isinstance(game_id, int) or isinstance(game_id, bool):
        yield Finding("G013", (*path, "game_id"), "'game_id' must be an integer", f"write {place[1]}")
        return
    if not -_MOST_ID <= game_id < _MOST_ID:
        yield Finding("G013", (*path, "game_id"), "'game_id' must fit into 64 bits", f"write {place[1]}")
        return
    first = _unpacked(seen.setdefault(name, _Seen()).first(game_id, _packed(place)))
    if first != place:
        message = f"two instances of the experiment '{name}' have the game_id {game_id}"
        help_ = "change one of the two, or rename one of two experiments; the other instance is at {place}"
        yield Finding("G014", (*path, "game_id"), message, help_, (*_path(first), "game_id"))


class _Seen:
    """Where each ID of an experiment was seen first. IDs that go up, as nearly all do, need no table."""

    def __init__(self) -> None:
        self._ids = array("q")
        self._places = array("Q")
        self._table: dict[int, int] | None = None

    def first(self, game_id: int, place: int) -> int:
        if self._table is None:
            if not self._ids or game_id > self._ids[-1]:
                self._ids.append(game_id)
                self._places.append(place)
                return place
            self._table = dict(zip(self._ids, self._places, strict=True))
        return self._table.setdefault(game_id, place)


def _packed(place: Place) -> int:
    return place[0] << _BITS | place[1]  # one number takes less memory, and there may be many


def _unpacked(place: int) -> Place:
    return place >> _BITS, place & ((1 << _BITS) - 1)


def _path(place: Place) -> Path_:
    return ("experiments", place[0], "game_instances", place[1])
