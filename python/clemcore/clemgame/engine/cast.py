"""Who plays a live episode: its game master, its views of the models, and what records them.

It does not know how an episode goes on after its setup.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from clemcore.calls.scope import Scope
from clemcore.clemgame.engine.asking import Asking
from clemcore.clemgame.engine.callbook import CallBook
from clemcore.clemgame.engine.live import LiveEpisode, aside
from clemcore.clemgame.engine.recording import EpisodeRecorder
from clemcore.clemgame.engine.view import model_of, view_of
from clemcore.clemgame.player import shown_model
from clemcore.model import Model

if TYPE_CHECKING:
    from clemcore.clemgame.engine.batcher import Batches
    from clemcore.clemgame.plan import PlannedEpisode
    from clemcore.clemgame.store import EpisodeWriter


class Observer(Protocol):
    """Hears what happens in the episodes of a run, outside of game code, while no other episode goes on."""

    def has_begun(self, master: Any, planned: PlannedEpisode) -> None:
        """Hear that a game master is set up."""

    def has_stepped(self, master: Any, planned: PlannedEpisode, step: tuple[Any, ...]) -> None:
        """Hear of a step.

        Args:
            master: the game master.
            planned: the episode.
            step: the player, its context, its response, whether the game is over, and facts about the step.
        """

    def has_ended(self, master: Any, planned: PlannedEpisode, error: Exception | None) -> dict[str, Any]:
        """Hear that an episode has ended, and with which error; return facts to keep about it."""


class Benchmark(Protocol):
    """A game that was loaded."""

    def create_game_master(self, experiment: dict[str, Any], player_models: list[Model]) -> Any:
        """Make the game master of one episode."""


@dataclass(frozen=True)
class Staging:
    """What an episode needs of its run.

    Attributes:
        benchmark: the game.
        models: the line-up.
        infos: the models as they stand in records.
        folder_name: the name of the run's folder, as it stands in records.
        batchers: returns the batcher of a model, or None.
        between: called after each answer of a programmatic player.
        keeps_context: whether players remember earlier episodes.
        players: how many players the game has. One model of a line-up plays all of them.
        observer: hears what happens, or None.
    """

    benchmark: Benchmark
    models: Sequence[Model]
    infos: Any
    folder_name: str
    batchers: Callable[[Model], Batches | None]
    between: Callable[[LiveEpisode], None] | None = None
    keeps_context: bool = False
    players: int = 1
    observer: Observer | None = None


def scope_of(planned: PlannedEpisode, episode: LiveEpisode, book: CallBook) -> Scope:
    """Return the scope of an episode's calls."""
    key = planned.key
    labels: dict[str, str | int] = {
        "run": episode.options.run,
        "game": key.game,
        "experiment": key.experiment,
        "episode": key.game_id,
        "epoch": key.epoch,
    }
    return Scope(labels, sinks=(book,), answers=book)


class Cast:
    """Who plays a live episode.

    Args:
        staging: what the episode needs of its run.
        planned: the episode.
        episode: its live state.
        writer: stores it.
        book: its calls.
        scope: its scope; the thread is inside it.

    Attributes:
        recorder: its interactions.
        asking: asks models for it.
        views: its views of the models of the line-up.
        master: the game master; None before :meth:`set_up`.
    """

    def __init__(
        self,
        staging: Staging,
        planned: PlannedEpisode,
        episode: LiveEpisode,
        *,
        writer: EpisodeWriter,
        book: CallBook,
        scope: Scope,
        recorder: EpisodeRecorder | None = None,
    ) -> None:
        key = planned.key
        self._staging = staging
        self._planned = planned
        self._episode = episode
        self.recorder = recorder or EpisodeRecorder(
            (key.game, key.experiment, key.game_id), staging.folder_name, staging.infos, writer.event
        )
        self.asking = Asking(
            episode, book, scope, recorder=self.recorder, batchers=staging.batchers, between=staging.between
        )
        self.views = [view_of(model, self.asking) for model in staging.models]
        self.master: Any = None

    def counterparts(self, other: Cast) -> dict[int, Any]:
        """Return what takes the place of this cast's views in a copy for another one, by identity."""
        found: dict[int, Any] = {id(one): its for one, its in zip(self.views, other.views, strict=True)}
        for view in self.asking.views():
            found[id(view)] = other.asking.shown(model_of(view))
        return found

    @contextmanager
    def in_game(self) -> Iterator[None]:
        """Run game code in the block."""
        before = shown_model.set(self.asking.shown)
        self._episode.enter_game()
        try:
            yield
        finally:
            shown_model.reset(before)
            self._episode.leave_game()

    def set_up(self, contexts: dict[str, list[Any]] | None = None) -> None:
        """Make the game master, in game code.

        Args:
            contexts: what the players remember of earlier episodes.
        """
        staging, planned, views = self._staging, self._planned, self.views
        experiment, instance = copy.deepcopy((planned.experiment, planned.instance))
        # Games for 2.x count on a model for each player.
        models = views * staging.players if len(views) == 1 else views
        self.master = master = staging.benchmark.create_game_master(experiment, models)
        master.setup(**instance)
        for player in master.get_players():
            self.recorder.log_player(player.name, player.game_role, player.model.name)
        master.register(self.recorder)
        _remember(master, contexts)
        if staging.observer is not None:
            with aside(self._episode):
                staging.observer.has_begun(master, planned)
        for view in views:
            view.reset()


def _remember(master: Any, contexts: dict[str, list[Any]] | None) -> None:
    """Let players begin with what they remember of earlier episodes."""
    for player in master.get_players() if contexts else ():
        player._messages[:0] = copy.deepcopy((contexts or {}).get(player.name, []))
