"""The instances of a game: reading, checking and selecting them, and generating their file.

It does not know what games do with the fields of an instance; only its ``game_id`` has a meaning here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from clemcore.clemgame.checked_json import Finding, read_checked
from clemcore.clemgame.spec import GameSpec
from clemcore.errors import GameError
from clemcore.spelling import misspelling_of

DEFAULT_FILE = "instances"
GENERATOR = "instancegenerator.py"

Row = dict[str, Any]


def to_instance_filter(dataset: Iterable[Mapping[str, Any]]) -> Callable[[Row], bool]:
    """Return a condition for :meth:`GameInstances.filter` that keeps the listed instances.

    Args:
        dataset: rows with the fields ``game``, ``experiment`` and ``task_id``.
    """
    listed = {(row["game"], row["experiment"], int(row["task_id"])) for row in dataset}

    def is_listed(row: Row) -> bool:
        return (row["game_name"], row["experiment"]["name"], row["game_instance"]["game_id"]) in listed

    return is_listed


def to_rows(game_name: str, instances: Mapping[str, Any]) -> list[Row]:
    """Turn the content of an instance file into one row per instance.

    A row has ``game_name``, ``experiment`` (its fields without ``game_instances``) and ``game_instance``.

    Raises:
        GameError: there is no list of experiments, or it is empty (a ValueError).
    """
    experiments = instances.get("experiments")
    if not isinstance(experiments, list) or not experiments:
        raise GameError("instances must have the key 'experiments' with a non-empty list")
    return [
        {
            "game_name": game_name,
            "experiment": {key: value for key, value in experiment.items() if key != "game_instances"},
            "game_instance": instance,
        }
        for experiment in experiments
        for instance in experiment["game_instances"]
    ]


class GameInstances:
    """The instances of one game, as rows (see :func:`to_rows`)."""

    def __init__(self, game_name: str, rows: list[Row]) -> None:
        self._game_name = game_name
        self._rows = rows

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __str__(self) -> str:
        return f"GameInstances({self._game_name}, {len(self.experiment_names)} experiments, {len(self)} rows)"

    @property
    def experiment_names(self) -> list[str]:
        """The names of the experiments, in the order of the file."""
        return list(dict.fromkeys(row["experiment"]["name"] for row in self._rows))

    def describe(self) -> str:
        """Describe the rows and their experiments in one line."""
        names = self.experiment_names
        return f"{self._game_name}: {len(self)} rows from {len(names)} experiments: {names}"

    def filter(self, condition: Callable[[Row], bool] | None) -> GameInstances:
        """Return the instances whose row passes a condition; all of them if there is none."""
        if condition is None:
            return self
        return GameInstances(self._game_name, [row for row in self._rows if condition(row)])

    def find_by_game_id(self, game_id: int | str) -> Row:
        """Return the first row of a ``game_id``.

        Raises:
            GameError: there is none, or the ID is not an integer (a ValueError).
        """
        try:
            wanted = int(game_id)
        except (TypeError, ValueError):
            raise GameError(f"a game_id must be an integer, not {game_id!r}") from None
        for row in self._rows:
            if row["game_instance"]["game_id"] == wanted:
                return row
        raise GameError(f"the game '{self._game_name}' has no instance with the game_id {wanted}")

    @classmethod
    def from_game_spec(cls, game_spec: GameSpec) -> GameInstances:
        """Read the instance file of a game: ``in/instances.json``, or the one that its specification names.

        Raises:
            GameError: the file is missing or has faults; all of them are in the error.
        """
        return cls.from_file(game_spec.game_name, str(Path(game_spec.game_path) / "in"), file_name(game_spec))

    @classmethod
    def from_file(
        cls, game_name: str, instance_dir_path: str, instance_file_name: str = DEFAULT_FILE
    ) -> GameInstances:
        """Read an instance file; the ending ``.json`` may be left out.

        Raises:
            GameError: the file is missing or has faults; all of them are in the error.
        """
        path = Path(instance_dir_path) / _with_ending(instance_file_name)
        if not path.exists():
            raise GameError(_missing(game_name, path))
        return cls(game_name, to_rows(game_name, read_checked(path, lambda value: list(check_instances(value)))))


def file_name(game_spec: GameSpec) -> str:
    """Return the name of a game's instance file, without the folder."""
    return str(game_spec.get("instances") or DEFAULT_FILE)


def _with_ending(name: str) -> str:
    return name if name.endswith(".json") else f"{name}.json"


def _missing(game_name: str, path: Path) -> str:
    """Say that an instance file is missing, and how to get it."""
    message = f"the instance file {path} of the game '{game_name}' does not exist"
    there = sorted(file.stem for file in path.parent.glob("*.json"))
    near = misspelling_of(path.stem, there)
    if near is not None:
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


# -- checking --------------------------------------------------------------------------------------------------
def check_instances(value: Any) -> Iterator[Finding]:
    """Return what is wrong with the content of an instance file."""
    experiments = value.get("experiments") if isinstance(value, dict) else None
    if not isinstance(experiments, list) or not experiments:
        help_ = 'write {"experiments": [{"name": "…", "game_instances": [{"game_id": 0}]}]}'
        if isinstance(value, dict) and experiments is not None:
            message = "'experiments' must be a list with at least one experiment"
            yield Finding("G010", message, ("experiments",), help_)
            return
        yield Finding("G010", "an instance file must be an object with the key 'experiments'", (), help_)
        return
    places: dict[tuple[str, int], tuple[int, int]] = {}
    for index, experiment in enumerate(experiments):
        path = ("experiments", index)
        if not isinstance(experiment, dict):
            yield Finding(
                "G011", "an experiment must be an object", path, 'write {"name": "…", "game_instances": []}'
            )
            continue
        name = experiment.get("name")
        if not isinstance(name, str) or not name.strip():
            has = "name" in experiment
            message = (
                "the name of an experiment must be a non-empty text" if has else "this experiment has no 'name'"
            )
            yield Finding("G011", message, (*path, "name") if has else path, 'add "name": "…"')
        instances = experiment.get("game_instances")
        if not isinstance(instances, list):
            has = "game_instances" in experiment
            message = "'game_instances' must be a list" if has else "this experiment has no 'game_instances'"
            help_ = 'add "game_instances": [{"game_id": 0}]'
            yield Finding("G011", message, (*path, "game_instances") if has else path, help_)
            continue
        for number, instance in enumerate(instances):
            yield from _of_instance(instance, str(name), (index, number), places)


def _of_instance(
    instance: Any, name: str, place: tuple[int, int], places: dict[tuple[str, int], tuple[int, int]]
) -> Iterator[Finding]:
    path = _path(place)
    if not isinstance(instance, dict):
        yield Finding("G012", "an instance must be an object", path, 'write {"game_id": 0, …}')
        return
    if "game_id" not in instance:
        yield Finding("G013", "this instance has no 'game_id'", path, f'add "game_id": {place[1]}')
        return
    game_id = instance["game_id"]
    if not isinstance(game_id, int) or isinstance(game_id, bool):
        message = f"a 'game_id' must be an integer, not {game_id!r}"
        yield Finding("G013", message, (*path, "game_id"), f"write {place[1]}")
        return
    first = places.setdefault((name, game_id), place)
    if first != place:
        message = f"two instances of the experiment '{name}' have the game_id {game_id}"
        help_ = "give one of them another game_id, or rename one experiment; the other is at {place}"
        yield Finding("G014", message, (*path, "game_id"), help_, related=(*_path(first), "game_id"))


def _path(place: tuple[int, int]) -> tuple[str | int, ...]:
    return ("experiments", place[0], "game_instances", place[1])
