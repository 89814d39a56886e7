"""The order in which an environment plays the instances of a game, and the seed of each episode.

It does not know how they are played.
"""

from __future__ import annotations

import random
from typing import Any, SupportsIndex

from clemcore.clemgame.engine.seeds import derived_seed
from clemcore.clemgame.instances import GameInstances, Row
from clemcore.errors import EnvError, GameError
from clemcore.spelling import misspelling_of


class InstanceOrder:
    """Hands out instances: in the order of their file, or in one that a seed gives.

    Args:
        instances: the instances.
        single_pass: hand out each one once, in the order of the file.
        start: begin with this instance where there is no seed.
        stride: go on by so many where there is no seed, so that several streams share the instances.

    Examples:
        >>> rows = [{"experiment": {"name": "a"}, "game_instance": {"game_id": number}} for number in range(3)]
        >>> order = InstanceOrder(GameInstances("g", rows))
        >>> [order.next()[0]["game_instance"]["game_id"] for _ in range(4)]
        [0, 1, 2, 0]
        >>> order.next(7)[1] == order.next(7)[1] != order.next()[1]
        True
    """

    def __init__(
        self, instances: GameInstances, *, single_pass: bool = False, start: int = 0, stride: int = 1
    ) -> None:
        self._instances = instances
        self._rows = list(instances)
        self._place, self._stride = start, stride
        self._single_pass = single_pass
        self._seed: int | None = None
        self._count = 0
        self._queue: list[Row] = list(reversed(self._rows)) if single_pass else []
        self._passes = 0

    def next(self, seed: int | None = None, game_id: Any = None, experiment: Any = None) -> tuple[Row, int | None]:
        """Return the next instance, and the seed of its episode.

        Args:
            seed: begins a new order; a single pass keeps its order, and takes only the seeds of episodes from it.
            game_id: hand out this instance, out of order.
            experiment: the name of its experiment, or a dict with it. Several experiments can have the same IDs;
                without a name, the first one counts.

        Raises:
            StopIteration: a single pass is over.
            GameError: there is no such instance (a ValueError).
            EnvError: the seed is not an integer (a ValueError).
        """
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, SupportsIndex)):
            raise EnvError(f"a seed must be an integer, not {seed!r:.80}")
        chosen = None if game_id is None and experiment is None else self._find(game_id, experiment)
        if seed is not None:
            self._seed, self._count = seed, 0
            if not self._single_pass:
                self._passes, self._queue = 0, []
        row = self._next_row() if chosen is None else chosen
        number, self._count = self._count, self._count + 1
        return row, None if self._seed is None else derived_seed(self._seed, "episode", number)

    def _find(self, game_id: Any, experiment: Any) -> Row:
        if experiment is None:
            return self._instances.find_by_game_id(game_id)
        name = experiment.get("name") if isinstance(experiment, dict) else experiment
        known = self._instances.experiment_names
        if name not in known:
            near = misspelling_of(str(name), known)
            hint = "." if near is None else f"; did you mean '{near}'?"
            raise GameError(f"the game has no experiment {name!r:.80}{hint} Its experiments are {', '.join(known)}")
        if game_id is None:
            raise GameError(f"an instance of the experiment '{name}' is chosen by its game_id, which is missing")
        return self._instances.filter(lambda row: row["experiment"]["name"] == name).find_by_game_id(game_id)

    def _next_row(self) -> Row:
        if self._single_pass:
            if not self._queue:
                raise StopIteration
            return self._queue.pop()
        if self._seed is None:
            row = self._rows[self._place % len(self._rows)]
            self._place += self._stride
            return row
        if not self._queue:
            self._queue = list(reversed(self._rows))
            random.Random(derived_seed(self._seed, "order", self._passes)).shuffle(self._queue)  # noqa: S311
            self._passes += 1
        return self._queue.pop()
