"""Which episodes and players become training data, what each filter left over, and which split an instance is in.

It does not know what rows are made of them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clemcore.clemgame.layout.episodes import Episode, read_episodes
from clemcore.clemgame.training.scores import BENCH_SCORE, OUTCOMES, outcome_of, reward_of
from clemcore.clemgame.training.views import View, views_of
from clemcore.errors import StoreError
from clemcore.spelling import misspelling_of

TRAIN, TEST = "train", "test"
_SHOWN = 6


@dataclass(frozen=True)
class Filters:
    """Which players' views to export. An empty field lets everything pass.

    Attributes:
        games: names of games.
        outcomes: "success", "lose", "aborted" or "unknown".
        min_score: the lowest value of the reward metric; an episode without a number does not pass.
        max_score: the highest one.
        roles: roles in the game, or names such as "Player 1".
        models: names of models.
    """

    games: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    min_score: float | None = None
    max_score: float | None = None
    roles: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse unknown outcomes, and scores that no episode can have."""
        for outcome in self.outcomes:
            if outcome not in OUTCOMES:
                near = misspelling_of(outcome, OUTCOMES)
                meant = f"Did you mean {near!r}?" if near else f"Use one of {', '.join(OUTCOMES)}"
                raise StoreError(f"{outcome!r} is not an outcome. {meant}")
        low, high = self.min_score, self.max_score
        for name, limit in (("min_score", low), ("max_score", high)):
            if limit is not None and math.isnan(limit):
                raise StoreError(f"{name} must be a number, not NaN: no score compares with it")
        if low is not None and high is not None and low > high:
            raise StoreError(f"no score can pass: min_score is {low:g} and max_score is {high:g}")


@dataclass(frozen=True)
class Selected:
    """The view of one player, with its episode.

    Attributes:
        episode: the episode.
        view: what the player saw.
        scores: the content of ``scores.json``, or None.
        outcome: "success", "lose", "aborted" or "unknown".
        split: "train" or "test".
    """

    episode: Episode
    view: View
    scores: dict[str, Any] | None
    outcome: str
    split: str


@dataclass
class _Stage:
    name: str
    unit: str
    came: int = 0
    passed: int = 0
    seen: Counter[str] = field(default_factory=Counter)

    def let(self, is_passed: bool, value: object) -> bool:
        self.came += 1
        self.passed += is_passed
        if not is_passed:
            self.seen[str(value)] += 1
        return is_passed

    def told(self) -> str:
        most = ", ".join(f"{value}: {count}" for value, count in self.seen.most_common(_SHOWN))
        more = ", …" if len(self.seen) > _SHOWN else ""
        return f"{self.passed} of {self.came} {self.unit}{f' (left out: {most}{more})' if most else ''}"


class Selection:
    """Reads results and gives the views that pass all filters."""

    def __init__(self, path: Path, filters: Filters, *, metric: str = BENCH_SCORE) -> None:
        """Keep what to read.

        Args:
            path: a run, or a folder that holds some.
            filters: what to export.
            metric: the metric that ``min_score`` and ``max_score`` mean.
        """
        self._path, self._filters, self._metric = path, filters, metric
        self._stages: dict[str, _Stage] = {}

    def _let(self, name: str, unit: str, is_passed: bool, value: object) -> bool:
        return self._stages.setdefault(name, _Stage(name, unit)).let(is_passed, value)

    def read(self, splits: dict[str, str] | None = None) -> Iterator[Selected]:
        """Give the views that pass.

        Args:
            splits: the split of each instance, by :func:`instance_of`; without them all is "train".

        Raises:
            StoreError: nothing passes; the message names the filter.
        """
        for episode in read_episodes(self._path):
            scores = episode.scores
            outcome = outcome_of(scores)
            if not self._passes(episode, scores, outcome):
                continue
            split = TRAIN if splits is None else splits[instance_of(episode)]
            for view in views_of(episode):
                if self._passes_view(view):
                    yield Selected(episode, view, scores, outcome, split)
        self._demand()

    def _passes(self, episode: Episode, scores: dict[str, Any] | None, outcome: str) -> bool:
        of = self._filters
        if not self._let("played to the end", "episodes", episode.state == "played", episode.state):
            return False
        if of.games and not self._let("game", "episodes", episode.key.game in of.games, episode.key.game):
            return False
        if of.outcomes and not self._let("outcome", "episodes", outcome in of.outcomes, outcome):
            return False
        if of.min_score is None and of.max_score is None:
            return True
        value, why = reward_of(scores, self._metric)
        is_within = value is not None and (
            (of.min_score is None or value >= of.min_score) and (of.max_score is None or value <= of.max_score)
        )
        return self._let("score", "episodes", is_within, why if value is None else f"{self._metric} {value:g}")

    def _passes_view(self, view: View) -> bool:
        of = self._filters
        if of.roles and not self._let(
            "role", "views", view.role in of.roles or view.player in of.roles, f"{view.role} ({view.player})"
        ):
            return False
        return not of.models or self._let("model", "views", view.model in of.models, view.model)

    def _demand(self) -> None:
        for stage in self._stages.values():
            if stage.came and not stage.passed:
                raise StoreError(f"{self._path}: the filter {stage.name!r} leaves nothing: {stage.told()}")

    def told(self) -> list[str]:
        """Return a line for each filter: how much passed, and what it left out."""
        return [f"{stage.name}: {stage.told()}" for stage in self._stages.values()]


def instance_of(episode: Episode) -> str:
    """Return a name for the instance: equal content of one game is one instance, whatever its number is."""
    content = {key: value for key, value in episode.instance.items() if key != "game_id"}
    if not content:  # old results do not have it
        content = {"experiment": episode.key.experiment, "game_id": episode.key.game_id}
    text = json.dumps([episode.key.game, content], sort_keys=True, default=repr)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def splits_of(episodes: Iterable[Episode], share: float, seed: int) -> dict[str, str]:
    """Put each instance into one of two splits. It depends on the instances and the seed only, not on filters.

    Args:
        episodes: all episodes of the results.
        share: the share of the instances that goes into "train", between 0 and 1.
        seed: another seed gives another split.

    Raises:
        StoreError: the share is not between 0 and 1, or there are fewer than two instances.
    """
    if not 0 < share < 1:
        raise StoreError(f"the split {share:g} is invalid: it is the share of instances for training, such as 0.9")
    instances = {instance_of(episode) for episode in episodes}
    if len(instances) < 2:  # noqa: PLR2004 - one for each split
        raise StoreError(f"a split needs at least two different instances, but there are {len(instances)}")
    order = sorted(instances, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).hexdigest())
    count = min(max(round(share * len(order)), 1), len(order) - 1)
    return {name: TRAIN if place < count else TEST for place, name in enumerate(order)}
