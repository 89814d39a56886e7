"""Which episodes a command plays, and in which order.

It reads the instances of the games and hashes their files. It imports no game and knows no model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from clemcore.clemgame.instances import GameInstances, Row
from clemcore.clemgame.reading.fingerprint import fingerprint_of
from clemcore.clemgame.reading.spec import GameSpec
from clemcore.clemgame.registry import GameRegistry
from clemcore.errors import GameError
from clemcore.spelling import misspelling_of

if TYPE_CHECKING:
    from clemcore.clemgame.benchmark import GameBenchmark


@dataclass(frozen=True, order=True, slots=True)
class EpisodeKey:
    """What identifies an episode within a run."""

    game: str
    experiment: str
    game_id: int
    epoch: int = 1

    def __str__(self) -> str:
        return f"{self.game}/{self.experiment}/{self.game_id}/{self.epoch}"


@dataclass(slots=True)
class PlannedEpisode:
    """One episode to play.

    Attributes:
        key: what identifies it.
        experiment: the fields of the experiment without its instances. Episodes share it: whoever plays one takes
            a deep copy.
        instance: the instance as read. Epochs share it.
        place: its place in the plan, from 0.
    """

    key: EpisodeKey
    experiment: dict[str, Any]
    instance: dict[str, Any]
    place: int


class PlannedEpisodes(Sequence[PlannedEpisode]):
    """The episodes of one game in the order in which they start. Each is made anew when somebody looks at it.

    Args:
        game: the name of the game.
        rows: experiment and instance of each episode of an epoch.
        epochs: how often each instance is played.
        place: the place of the first episode in the plan.
    """

    __slots__ = ("_epochs", "_game", "_place", "_rows")

    def __init__(
        self, game: str, rows: Sequence[tuple[dict[str, Any], dict[str, Any]]], epochs: int, place: int
    ) -> None:
        self._game = game
        self._rows = rows
        self._epochs = epochs
        self._place = place

    def __len__(self) -> int:
        return len(self._rows) * self._epochs

    @overload
    def __getitem__(self, index: int) -> PlannedEpisode: ...
    @overload
    def __getitem__(self, index: slice) -> list[PlannedEpisode]: ...
    def __getitem__(self, index: int | slice) -> PlannedEpisode | list[PlannedEpisode]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        epoch, row = divmod(number, len(self._rows))
        experiment, instance = self._rows[row]
        key = EpisodeKey(self._game, experiment["name"], instance["game_id"], epoch + 1)
        return PlannedEpisode(key, experiment, instance, self._place + number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and [*self] == [*other]

    __hash__ = None  # type: ignore[assignment]


@dataclass
class PlannedGame:
    """The episodes of one game.

    Attributes:
        spec: the game.
        episodes: its episodes in the order in which they start.
        sha256: hashes of what determines results: ``code``, ``resources`` and ``instances``.
        problem: why the game cannot be played, or None. Such a game has no episodes.
        benchmark: the game, where a program has loaded it itself; it stays loaded. None: the run loads it.
    """

    spec: GameSpec
    episodes: Sequence[PlannedEpisode] = field(default_factory=list)
    sha256: dict[str, str] = field(default_factory=dict)
    problem: GameError | None = None
    benchmark: GameBenchmark | None = None


def make_plan(
    specs: Iterable[GameSpec],
    *,
    experiment: str | Sequence[str] | None = None,
    instances: str | None = None,
    epochs: int = 1,
    instances_filter: Callable[[Row], bool] | None = None,
) -> list[PlannedGame]:
    """Plan the episodes of games.

    Games come in the given order. Within a game, an epoch is complete before the next one begins, and
    instances come in the order of the file.

    Args:
        specs: the games.
        experiment: plan only the experiments of these names.
        instances: the name of the instance file; by default the one that a game's specification names.
        epochs: how often each instance is played.
        instances_filter: plan only the instances whose row passes this condition.

    Returns:
        One item per game. A game that cannot be read is in it with its ``problem``; the others can be played.

    Raises:
        GameError: two games have the same name, an experiment is in none of the games, or ``epochs`` is below 1.
            All problems are in the error.
    """
    chosen, faults = _distinct(specs)
    if epochs < 1:
        faults.append(f"the number of epochs must be at least 1, not {epochs}")
    games = [_read(spec, instances) for spec in chosen]
    names = [experiment] if isinstance(experiment, str) else list(experiment or [])
    faults += _unknown_experiments(names, [read for _, read in games if read is not None])
    if faults:
        raise GameError("\n".join(faults))
    place = 0
    for game, read in games:
        if read is None:
            continue
        wanted = read.filter(lambda row: not names or row["experiment"]["name"] in names).filter(instances_filter)
        game.episodes = _episodes(game.spec.game_name, wanted, epochs, place)
        place += len(game.episodes)
    return [game for game, _ in games]


def unreadable_games(registry: GameRegistry) -> list[PlannedGame]:
    """Return the games of a registry whose ``clemgame.json`` has faults, for commands that play all games."""
    games = []
    for fault in registry.faults:
        for source in dict.fromkeys(problem.source for problem in fault.problems):
            folder = Path(source).parent
            spec = GameSpec(game_name=folder.name, game_path=str(folder), players=1)
            # The whole report was logged when the games were looked up.
            problem = GameError(f"{source} has faults: 'clem check game {folder}' shows them", fault.problems)
            games.append(PlannedGame(spec, problem=problem))
    return games


def check_line_up(spec: GameSpec, models: Sequence[str]) -> None:
    """Refuse a line-up that has not as many models as the game has players; one model may play all roles.

    Raises:
        GameError: the numbers differ; the message lists the roles.
    """
    if len(models) in (1, spec.player_count):
        return
    players = f"{spec.player_count} player{'s' if spec.is_multi_player() else ''} ({', '.join(spec.role_names)})"
    raise GameError(
        f"the game '{spec.game_name}' has {players}, but {len(models)} models are given ({', '.join(models)}). "
        "Give one model per role in this order, or one model for all roles"
    )


def _distinct(specs: Iterable[GameSpec]) -> tuple[list[GameSpec], list[str]]:
    """Return each game once, and a fault for each name that stands for games of different folders."""
    chosen: dict[str, GameSpec] = {}
    faults: list[str] = []
    for spec in specs:
        first = chosen.setdefault(spec.game_name, spec)
        if str(first.game_path) != str(spec.game_path):
            both = f"{first.game_path} and {spec.game_path}"
            faults.append(f"two games are named '{spec.game_name}': {both}. Choose one of them")
    return list(chosen.values()), faults


def _read(spec: GameSpec, instances: str | None) -> tuple[PlannedGame, GameInstances | None]:
    if instances is not None:
        spec = GameSpec.from_dict({**spec.to_dict(), "instances": instances.removesuffix(".json")})
    if not spec.game_file_exists():
        problem = GameError(f"the game '{spec.game_name}' has no master.py in {spec.game_path}")
        return PlannedGame(spec, problem=problem), None
    try:
        read = GameInstances.from_game_spec(spec)
        if not len(read):
            problem = GameError(f"the instances of the game '{spec.game_name}' are empty: generate some")
            return PlannedGame(spec, problem=problem), None
        return PlannedGame(spec, sha256=fingerprint_of(spec)), read
    except GameError as fault:
        return PlannedGame(spec, problem=fault), None


def _unknown_experiments(names: Iterable[str], read: Sequence[GameInstances]) -> list[str]:
    """Return a fault for each experiment that no game has."""
    known = list(dict.fromkeys(name for instances in read for name in instances.experiment_names))
    faults = []
    for name in names:
        if name not in known and read:
            near = misspelling_of(name, known)
            hint = f"did you mean '{near}'?" if near else f"there are: {', '.join(known)}"
            faults.append(f"there is no experiment '{name}': {hint}")
    return faults


def _episodes(game: str, instances: GameInstances, epochs: int, place: int) -> PlannedEpisodes:
    experiments: dict[str, dict[str, Any]] = {}
    rows = []
    for row in instances:
        # Rows of one experiment have equal fields, unless two experiments have the same name.
        fields = json.dumps(row["experiment"], sort_keys=True)
        rows.append((experiments.setdefault(fields, row["experiment"]), row["game_instance"]))
    return PlannedEpisodes(game, rows, epochs, place)
