"""Plays a cell only until its interval is narrow enough (``clem run --until WIDTH``), and says so in the record.

Instances come in a seeded order that mixes experiments. After a first part, and each time their number has doubled,
the cell is scored and its interval computed. Each look may end the run: with *k* planned looks, every interval has
the level 1 - 0.05 / k. By Bonferroni's inequality all of them hold together in 95 % of runs, so the last one does,
whatever made it the last. It does not know how episodes are played.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore._core import Evaluation
from clemcore.clemgame.plan import PlannedEpisode, PlannedGame
from clemcore.clemgame.store import manifest, run_folder
from clemcore.errors import RunError, StoreError

if TYPE_CHECKING:
    from clemcore.clemgame.runs.settings import RunSettings

# The key of the manifest's section.
KEY = "until"
_ERROR = 0.05
# Instances of the first look, and of each experiment in it.
_FIRST, _OF_EXPERIMENT = 20, 5
_WIDEST = 100.0


@dataclass(frozen=True)
class Looks:
    """When a cell is looked at.

    Attributes:
        sizes: the number of instances at each look; the last one is all of them.
    """

    sizes: tuple[int, ...]

    @property
    def level(self) -> float:
        """The level of each interval."""
        return 1 - _ERROR / len(self.sizes)


def looks_of(instances: int, experiments: int) -> Looks:
    """Plan the looks at a cell.

    Examples:
        >>> looks_of(200, 4)
        Looks(sizes=(20, 40, 80, 160, 200))
    """
    sizes = []
    size = max(_FIRST, _OF_EXPERIMENT * experiments)
    while size < instances:
        sizes.append(size)
        size *= 2
    return Looks((*sizes, instances))


def instances_in_order(game: PlannedGame, seed: int) -> list[list[PlannedEpisode]]:
    """Return the episodes of each instance, in an order in which every part has its share of each experiment."""
    experiments: dict[str, dict[int, list[PlannedEpisode]]] = {}
    for episode in game.episodes:
        instances = experiments.setdefault(episode.key.experiment, {})
        instances.setdefault(episode.key.game_id, []).append(episode)
    placed: list[tuple[float, str, list[PlannedEpisode]]] = []
    for name, found in experiments.items():
        drawn = sorted(found, key=lambda number: _drawn(seed, game.spec.game_name, name, number))
        for place, number in enumerate(drawn):
            placed.append(((place + 0.5) / len(drawn), _drawn(seed, "", name, number), found[number]))
    return [episodes for _, _, episodes in sorted(placed, key=lambda each: each[:2])]


def _drawn(seed: int, game: str, experiment: str, number: int) -> str:
    return hashlib.sha256(json.dumps([seed, game, experiment, number]).encode()).hexdigest()


class Cell:
    """A game of one line-up that is played in parts."""

    def __init__(self, game: PlannedGame, width: float, seed: int) -> None:
        self.game = game
        self.width = width
        self.instances = instances_in_order(game, seed)
        self.looks = looks_of(len(self.instances), len({each.key.experiment for each in game.episodes}))
        self.look = 0
        self.ends: tuple[float, float] | None = None

    @property
    def size(self) -> int:
        """How many instances the next look needs."""
        return self.looks.sizes[self.look]

    @property
    def is_narrow(self) -> bool:
        """Whether the last interval is narrow enough."""
        return self.ends is not None and self.ends[1] - self.ends[0] <= self.width

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is played: the interval is narrow, or all instances were played."""
        return self.is_narrow or self.look == len(self.looks.sizes)

    def part(self) -> PlannedGame:
        """Return the game with the episodes up to the next look, in their original order."""
        chosen = [episode for instance in self.instances[: self.size] for episode in instance]
        return replace(self.game, episodes=sorted(chosen, key=lambda each: each.place))

    def give_up(self) -> None:
        """End it, because its game cannot be played."""
        self.look = len(self.looks.sizes)

    def take(self, interval: Mapping[str, Any]) -> None:
        """Note the interval of a look."""
        self.ends = None if interval["note"] is not None else (interval["low"], interval["high"])
        self.look += 1

    def to_dict(self) -> dict[str, Any]:
        """Describe how far the cell was played, for the record."""
        low, high = self.ends or (None, None)
        played = self.looks.sizes[max(self.look - 1, 0)] if self.look else 0
        return {
            "width": self.width,
            "looks": list(self.looks.sizes),
            "looked": self.look,
            "level": self.looks.level,
            "instances": played,
            "of_instances": len(self.instances),
            "clemscore_low": low,
            "clemscore_high": high,
            "stopped_early": self.is_narrow and played < len(self.instances),
        }

    def __str__(self) -> str:
        """Say why no more is played."""
        name, noted = self.game.spec.game_name, self.to_dict()
        shown = "no interval" if self.ends is None else f"interval {self.ends[0]:.2f} to {self.ends[1]:.2f}"
        all_ = f"{noted['instances']} of {noted['of_instances']} instances"
        if noted["stopped_early"]:
            return f"{name}: stopped after {all_}: {shown} is at most {self.width:g} wide"
        return f"{name}: {all_} played: {shown}" + ("" if self.is_narrow else f", wider than {self.width:g}")


def look(run: Path, cells: Sequence[Cell]) -> list[str]:
    """Score what was played of some cells, and let each take the interval of its clemscore.

    Episodes without a result widen it, as if they were as bad and as good as possible.

    Returns:
        What could not be scored.

    Raises:
        RunError: an episode has scores that cannot be evaluated.
    """
    faults = _score(run, cells)
    intervals = _intervals(run, {cell.game.spec.game_name: cell for cell in cells})
    for cell in cells:
        cell.take(intervals[cell.game.spec.game_name])
    return faults


def _score(run: Path, cells: Sequence[Cell]) -> list[str]:
    from clemcore.clemgame.scoring import find, score

    try:
        found = find(run)
    except StoreError:  # no episode was completed
        return []
    specs = [cell.game.spec for cell in cells if cell.game.spec.game_name in found.episodes]
    failed = [each for result in score(found, specs) for each in result.failed]
    return [f"{place}: {text}" for place, text in failed]


def _intervals(run: Path, cells: Mapping[str, Cell]) -> dict[str, Mapping[str, Any]]:
    from clemcore.clemgame.results.score_files import SCORED, find_outcomes

    evaluation = Evaluation()
    for episode in find_outcomes(run):
        names = episode.names
        if names.game not in cells:
            continue
        if episode.outcome != SCORED:
            evaluation.note_unknown([(names, episode.outcome)])
            continue
        for _, _, text in evaluation.add([(names, episode.read())]):
            raise RunError(f"{episode.place} {text}, so the interval of --until cannot be computed")
    evaluation.count_played()
    for name, cell in cells.items():
        evaluation.set_level(name, run.name, cell.looks.level)
    games = json.loads(evaluation.json())["models"].get(run.name, {"games": {}})["games"]
    none = {"note": "no scores", "low": None, "high": None}
    return {name: games[name]["intervals"]["clemscore"] if name in games else none for name in cells}


def note_cells(content: manifest.Json, cells: Iterable[Cell]) -> None:
    """Write how far the cells were played into the manifest of their run."""
    section = content[manifest.SECTION].setdefault(KEY, {})
    section.update({cell.game.spec.game_name: cell.to_dict() for cell in cells})


def levels_of(run: Path) -> dict[str, float]:
    """Return the level that the intervals of each game need, of those that were looked at to stop them early."""
    try:
        content = run_folder.read(run)
    except RunError:
        return {}
    found = {} if content is None else content[manifest.SECTION].get(KEY, {})
    if not isinstance(found, Mapping):
        return {}
    return {
        game: float(cell["level"])
        for game, cell in found.items()
        if isinstance(cell, Mapping) and cell.get("looked") and isinstance(cell.get("level"), float)
    }


def check(settings: RunSettings) -> None:
    """Refuse settings that do not go with a cell that stops early.

    Raises:
        RunError: all problems at once.
    """
    problems = []
    if settings.until is not None and settings.until >= _WIDEST:
        problems.append(f"until = {settings.until:g}: an interval of clemscores is at most {_WIDEST:g} wide")
    if settings.rng == "process":
        problems.append(
            "until plays instances in another order, so rng = process gives other numbers: leave one out"
        )
    if settings.keep_context == "experiment":
        problems.append(
            "until plays a part of each experiment, so players cannot remember all of it: leave out "
            "keep_context = experiment"
        )
    if settings.shard is not None or settings.jobs is not None:
        problems.append(
            "until looks at all episodes of a game, so one process plays them: leave out shard and jobs"
        )
    if problems:
        raise RunError("\n".join(problems))
