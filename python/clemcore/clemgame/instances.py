"""The instances of a game: reading and selecting them, and generating their file.

It does not know what games do with the fields of an instance; only its ``game_id`` has a meaning here.
"""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from clemcore.clemgame.legacy.passed_on import passed_on
from clemcore.clemgame.reading.checked_json import read_checked
from clemcore.clemgame.reading.instance_files import (
    DEFAULT_FILE,
    check_instances,
    explain_missing,
    file_name,
    with_ending,
)
from clemcore.clemgame.reading.instance_text import content_of
from clemcore.clemgame.reading.spec import GameSpec
from clemcore.clemgame.resources import GameResourceLocator
from clemcore.errors import GameError

if not TYPE_CHECKING:  # programs for 3.7.2 may import these names from here
    __getattr__ = passed_on(__name__, "load_json")

Row = dict[str, Any]

logger = logging.getLogger(__name__)


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


def instance_file(spec: GameSpec) -> Path:
    """Return the instance file of a game: ``in/instances.json``, or the one that its specification names."""
    return Path(spec.game_path) / "in" / with_ending(file_name(spec))


def read_instances(game_name: str, path: Path) -> dict[str, Any]:
    """Read and check an instance file. Each of its instances is made when it is asked for.

    Raises:
        GameError: the file is missing or has faults; all of them are in the error.
    """
    if not path.exists():
        raise GameError(explain_missing(game_name, path))
    content: dict[str, Any] = read_checked(path, check_instances, content_of)
    for experiment in content["experiments"]:
        if not experiment["game_instances"]:
            logger.warning("%s: the experiment '%s' has no instances", path, experiment["name"])
    return content


class GameInstances:
    """The instances of one game, as rows (see :func:`to_rows`).

    Raises:
        AssertionError: name or rows are None, as in 3.7.2.
    """

    def __init__(self, game_name: str, rows: list[Row]) -> None:
        if game_name is None or rows is None:
            raise AssertionError("GameInstances needs the name of a game and rows, not None")
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
        path = Path(instance_dir_path) / with_ending(instance_file_name)
        return cls(game_name, to_rows(game_name, read_instances(game_name, path)))


class GameInstanceGenerator(GameResourceLocator):
    """Makes the instances of a game and writes their file; a game's ``instancegenerator.py`` defines a subclass.

    A subclass defines :meth:`on_generate`, and adds experiments and instances there.

    Args:
        path: the folder of the game.

    Attributes:
        instances: what will be written: ``{"experiments": […]}``.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path=path)
        self.instances: dict[str, Any] = {"experiments": []}

    @final
    def add_experiment(self, experiment_name: str) -> dict[str, Any]:
        """Add an experiment, and return it so that fields can be added."""
        experiment: dict[str, Any] = {"name": experiment_name, "game_instances": []}
        self.instances["experiments"].append(experiment)
        return experiment

    @final
    def add_game_instance(self, experiment: dict[str, Any], game_id: int) -> dict[str, Any]:
        """Add an instance to an experiment, and return it so that fields can be added."""
        instance: dict[str, Any] = {"game_id": game_id}
        experiment["game_instances"].append(instance)
        return instance

    def on_generate(self, seed: int | None, **kwargs: Any) -> Any:
        """Add the experiments and instances of the game.

        Args:
            seed: what :meth:`generate` got; ``random`` and NumPy are seeded with it already.
            **kwargs: what else :meth:`generate` got.
        """
        raise NotImplementedError(f"{type(self).__name__} must define on_generate(seed)")

    @final
    def generate(self, filename: str = "instances.json", seed: int | None = None, **kwargs: Any) -> str:
        """Make the instances and write them into a file of the game's folder ``in``.

        Args:
            filename: the name of the file.
            seed: seed of ``random``, and of NumPy where it is installed.
            **kwargs: handed to :meth:`on_generate`.

        Returns:
            The path of the file. What would keep the file from being played is logged as a warning.
        """
        random.seed(seed)
        _seed_numpy(seed)
        self.on_generate(seed, **kwargs)
        path = self.store_file(self.instances, filename, sub_dir="in")
        try:
            read_checked(Path(path), check_instances)
        except GameError as fault:
            logger.warning("%s was written, but it cannot be played:\n%s", path, fault)
        return path


def _seed_numpy(seed: int | None) -> None:
    try:
        import numpy as np
    except ImportError:
        return
    np.random.seed(seed)


class GameInstanceIterator:
    """Hands out the instances of a game one after another, as releases before 3.4 do.

    Args:
        game_name: the name of the game. In 2.x, the first argument is the content of the instance file.
        instances: the content of the instance file.
        do_shuffle: hand them out in random order (2.x).
        reset: fill the queue at once (2.x); 3.x fills it in :meth:`reset`.
        sub_selector: gets the names of game and experiment, and returns the ``game_id`` of the instances to hand
            out, or None for all of them.
    """

    def __init__(
        self,
        game_name: Any,
        instances: Any = None,
        do_shuffle: bool = False,
        reset: bool = True,
        *,
        sub_selector: Callable[[Any, str], list[int] | None] | None = None,
    ) -> None:
        is_of_2 = isinstance(game_name, Mapping)
        if is_of_2:  # in 2.x, the second position is do_shuffle
            game_name, instances, do_shuffle = None, game_name, bool(instances) or do_shuffle
        self._game_name = game_name
        self._instances: Mapping[str, Any] = instances
        self._do_shuffle = do_shuffle
        self._sub_selector = sub_selector
        self._has_index = is_of_2
        self._queue: list[tuple[dict[str, Any], dict[str, Any]]] = []
        if is_of_2 and reset:
            self.reset()

    def __iter__(self) -> GameInstanceIterator:
        return self

    def __next__(self) -> tuple[dict[str, Any], dict[str, Any]]:
        if not self._queue:
            raise StopIteration
        return self._queue.pop(0)

    def __len__(self) -> int:
        return len(self._queue)

    def clone(self) -> GameInstanceIterator:
        """Return an iterator that hands out the same as this one from now on."""
        other = copy.copy(self)
        other._queue = copy.deepcopy(self._queue)
        return other

    def reset(self, verbose: bool = False) -> GameInstanceIterator:  # noqa: ARG002 - nothing is logged anymore
        """Begin again with all instances."""
        self._queue = []
        for index, experiment in enumerate(self._instances["experiments"]):
            fields = {key: value for key, value in experiment.items() if key != "game_instances"}
            if self._has_index:
                fields["index"] = index
            wanted = None if self._sub_selector is None else self._sub_selector(self._game_name, experiment["name"])
            self._queue += [
                (fields, instance)
                for instance in experiment["game_instances"]
                if wanted is None or instance["game_id"] in wanted
            ]
        if self._do_shuffle:
            random.shuffle(self._queue)
        return self

    @classmethod
    def from_game_spec(
        cls, game_spec: GameSpec, *, sub_selector: Callable[[Any, str], list[int] | None] | None = None
    ) -> GameInstanceIterator:
        """Read the instance file of a game; :meth:`reset` fills the queue."""
        return cls.from_file(
            game_spec.game_name,
            str(Path(game_spec.game_path) / "in"),
            file_name(game_spec),
            sub_selector=sub_selector,
        )

    @classmethod
    def from_file(
        cls,
        game_name: str,
        instance_dir_path: str,
        instance_file_name: str = DEFAULT_FILE,
        *,
        sub_selector: Callable[[Any, str], list[int] | None] | None = None,
    ) -> GameInstanceIterator:
        """Read an instance file; :meth:`reset` fills the queue."""
        instances = read_instances(game_name, Path(instance_dir_path) / with_ending(instance_file_name))
        return cls(game_name, instances, sub_selector=sub_selector)
