"""Which episodes a command plays, and in which order.

It reads the instances of the games and hashes their files. It imports no game and knows no model.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from clemcore.clemgame.instances import Row, instance_file, read_instances
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

    A plan may have very many instances, so they are kept as JSON and read when they are needed.

    Args:
        game: the name of the game.
        epochs: how often each instance is played.

    Attributes:
        game: the name of the game.
        place: the place of the first episode in the plan.
    """

    __slots__ = ("_ends", "_epochs", "_experiments", "_game_ids", "_of_experiment", "_text", "game", "place")

    def __init__(self, game: str, epochs: int) -> None:
        """Begin with no instances."""
        self.game = game
        self._epochs = epochs
        self._experiments: list[dict[str, Any]] = []
        # Of each instance: its experiment, its ID, and where its JSON ends.
        self._of_experiment = array("L")
        self._game_ids = array("q")
        self._ends = array("Q")
        self._text = bytearray()
        self.place = 0

    def add(self, experiment: dict[str, Any], instance: Mapping[str, Any]) -> None:
        """Add an instance. Those of one experiment come one after another, with the same object."""
        if not self._experiments or self._experiments[-1] is not experiment:
            self._experiments.append(experiment)
        self._of_experiment.append(len(self._experiments) - 1)
        self._game_ids.append(instance["game_id"])
        self._text += json.dumps(instance, separators=(",", ":")).encode("ascii")
        self._ends.append(len(self._text))

    def __len__(self) -> int:
        return len(self._ends) * self._epochs

    @overload
    def __getitem__(self, index: int) -> PlannedEpisode: ...
    @overload
    def __getitem__(self, index: slice) -> list[PlannedEpisode]: ...
    def __getitem__(self, index: int | slice) -> PlannedEpisode | list[PlannedEpisode]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        key = self.key_of(number)
        row = number % len(self._ends)
        experiment = self._experiments[self._of_experiment[row]]
        text = self._text[self._ends[row - 1] if row else 0 : self._ends[row]]
        return PlannedEpisode(key, experiment, json.loads(text), self.place + number)

    def key_of(self, number: int) -> EpisodeKey:
        """Return what identifies an episode, without reading its instance."""
        epoch, row = divmod(number, len(self._ends))
        experiment = self._experiments[self._of_experiment[row]]
        return EpisodeKey(self.game, experiment["name"], self._game_ids[row], epoch + 1)

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

    def episode_keys(self) -> Iterator[EpisodeKey]:
        """Give what identifies each episode, in the order in which they start."""
        episodes = self.episodes
        if isinstance(episodes, PlannedEpisodes):
            return map(episodes.key_of, range(len(episodes)))
        return (episode.key for episode in episodes)


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
    names = [experiment] if isinstance(experiment, str) else list(experiment or [])
    choice = _Choice(frozenset(names), instances_filter)
    games, known, place = [], list[str](), 0
    for spec in chosen:
        game, found = _read(spec, instances, max(epochs, 1), choice)
        known += found
        if isinstance(game.episodes, PlannedEpisodes):
            game.episodes.place = place
        place += len(game.episodes)
        games.append(game)
    faults += _unknown_experiments(names, known)
    if faults:
        raise GameError("\n".join(faults))
    return games


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


def _read(spec: GameSpec, instances: str | None, epochs: int, choice: _Choice) -> tuple[PlannedGame, Sequence[str]]:
    """Return a game with its episodes, and the names of its experiments."""
    if instances is not None:
        spec = GameSpec.from_dict({**spec.to_dict(), "instances": instances.removesuffix(".json")})
    if not spec.game_file_exists():
        problem = GameError(f"the game '{spec.game_name}' has no master.py in {spec.game_path}")
        return PlannedGame(spec, problem=problem), ()
    try:
        experiments = read_instances(spec.game_name, instance_file(spec))["experiments"]
        names = [each["name"] for each in experiments if each["game_instances"]]
        if not names:
            problem = GameError(f"the instances of the game '{spec.game_name}' are empty: generate some")
            return PlannedGame(spec, problem=problem), ()
        episodes = PlannedEpisodes(spec.game_name, epochs)
        for each in experiments:
            _take(episodes, each, choice)
        return PlannedGame(spec, episodes, sha256=fingerprint_of(spec)), names
    except GameError as fault:
        return PlannedGame(spec, problem=fault), ()


@dataclass
class _Choice:
    """Which instances are planned: those of these experiments (all if there are none) that pass a condition."""

    experiments: frozenset[str]
    condition: Callable[[Row], bool] | None

    def has(self, game: str, experiment: dict[str, Any], instance: dict[str, Any]) -> bool:
        row = {"game_name": game, "experiment": {**experiment}, "game_instance": instance}
        return self.condition is None or self.condition(row)


def _take(episodes: PlannedEpisodes, experiment: dict[str, Any], choice: _Choice) -> None:
    """Add the chosen instances of an experiment to the episodes."""
    if choice.experiments and experiment["name"] not in choice.experiments:
        return
    fields = {name: value for name, value in experiment.items() if name != "game_instances"}
    for instance in experiment["game_instances"]:
        if choice.has(episodes.game, fields, instance):
            episodes.add(fields, instance)


def _unknown_experiments(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return a fault for each experiment that no game has."""
    known = list(dict.fromkeys(known))
    faults = []
    for name in names:
        if name not in known and known:
            near = misspelling_of(name, known)
            hint = f"did you mean '{near}'?" if near else f"there are: {', '.join(known)}"
            faults.append(f"there is no experiment '{name}': {hint}")
    return faults
