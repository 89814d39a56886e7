"""Begins episodes and keeps what becomes of them: in the store, in files, and in the counts of the run.

It does not know how episodes are played.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from clemcore.clemgame.engine.baton import Baton
from clemcore.clemgame.engine.callbook import CallBook
from clemcore.clemgame.engine.choice import name_of
from clemcore.clemgame.engine.episode import Ended, error_of
from clemcore.clemgame.engine.limits import Control, Limit, Options
from clemcore.clemgame.engine.live import LiveEpisode
from clemcore.clemgame.engine.output import Output
from clemcore.clemgame.engine.summary import Summary
from clemcore.clemgame.engine.tally import Tally
from clemcore.clemgame.engine.watchdog import Mark, Watchdog
from clemcore.clemgame.layout.classic import FinishedEpisode

if TYPE_CHECKING:
    from clemcore.clemgame.plan import PlannedEpisode
    from clemcore.clemgame.store import EpisodeWriter, RunStore

# Episodes whose files are written at once: those of a long one take much memory while they are made.
_AT_ONCE = 4

Layout: TypeAlias = Callable[[FinishedEpisode], object]


class Files:
    """Writes the files of episodes that have ended.

    Args:
        layout: writes the files of one.
        infos: the models as they stand in files.
        say: tells the user something.

    Attributes:
        has_epochs: whether the run has more than one epoch.
    """

    def __init__(self, layout: Layout, infos: Any, say: Callable[[str], None]) -> None:
        self._layout = layout
        self._infos = infos
        self._say = say
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self.has_epochs = False

    def write(self, planned: PlannedEpisode, ended: Ended, summary: Summary) -> None:
        """Write the files of an episode; the store has it all, so a fault does not end the run."""
        if ended.outcome is None:
            return
        finished = FinishedEpisode(
            planned.key,
            planned.experiment,
            planned.instance,
            ended.outcome,
            {} if ended.recorder is None else ended.recorder.interactions,
            ended.calls,
            player_models=self._infos,
            error=ended.error,
            has_epochs=self.has_epochs,
        )
        try:
            with self._places:
                self._layout(finished)
        except Exception as fault:  # noqa: BLE001 - as above
            if summary.add_unwritten(planned.key, error_of(fault)):
                self._say(f"the files of {planned.key} cannot be written: {fault}")


class Keeper:
    """Begins episodes and keeps what becomes of them.

    Args:
        store: the store of the run.
        options: how episodes are played.
        baton: the baton of the run.
        control: says whether the run goes on.
        tally: counts.
        summary: what the run comes to.
        live: the episodes that are played now.
        output: what games print.
        files: writes files, or None.

    Attributes:
        files: writes files, or None.
        mark: names the episode whose code runs, or None.
        watchdog: watches game code.
    """

    mark: Mark | None = None
    watchdog: Watchdog

    def __init__(
        self,
        store: RunStore,
        options: Options,
        *,
        baton: Baton,
        control: Control,
        tally: Tally,
        summary: Summary,
        live: set[LiveEpisode],
        output: Output,
        files: Files | None,
    ) -> None:
        self._store = store
        self._options = options
        self._baton = baton
        self._control = control
        self._tally = tally
        self._summary = summary
        self._live = live
        self._planned: dict[LiveEpisode, PlannedEpisode] = {}
        self._output = output
        self.files = files

    @property
    def is_over(self) -> bool:
        """Whether no further episode, or step of a branch, is to be begun."""
        return self._control.reason is not None

    def begin(
        self, planned: PlannedEpisode, *, is_new: bool = False
    ) -> tuple[LiveEpisode, EpisodeWriter, CallBook]:
        """Begin an episode; a new one is added to the plan."""
        mark, name = self.mark, name_of(planned.key)
        episode = LiveEpisode(
            planned.key,
            options=self._options,
            baton=self._baton,
            control=self._control,
            mark=None if mark is None else lambda: mark.set(name),
        )
        self._tally.begin()
        self._live.add(episode)
        try:
            if is_new:
                self._store.plan([planned])
                self._tally.planned += 1
            writer = self._store.begin(planned.key)
        except BaseException:
            self._leave(episode)
            raise
        self._planned[episode] = planned
        return episode, writer, CallBook(writer, self._tally, lambda: episode.is_abandoned, episode.closing)

    def inside(self, episode: LiveEpisode, do: Callable[[], None]) -> None:
        """Do something for an episode in this thread, with the baton."""
        episode.begin()
        self.watchdog.add(episode)
        try:
            do()
        finally:
            self.watchdog.discard(episode)
            self._output.end_line()
            episode.end()

    def end(self, planned: PlannedEpisode, live: tuple[LiveEpisode, EpisodeWriter], ended: Ended) -> None:
        """Keep what became of an episode.

        Raises:
            StoreError: it could not be written.
        """
        episode, writer = live
        outcome: str | None = None
        error = None
        try:
            if ended.outcome is not None and not episode.is_abandoned:
                interactions = _interactions_of(ended)
                if self.files is not None:
                    self.files.write(planned, ended, self._summary)
                writer.finish(ended.outcome, interactions, error=ended.error, facts=ended.facts or None)
                outcome, error = ended.outcome, ended.error
        finally:
            if not episode.is_left:
                self._leave(episode, outcome, error)
                if error is not None:
                    self._summary.add_error(planned.key, error)

    def overdue(self) -> list[LiveEpisode]:
        """Return the episodes that wait for a model without a time limit, and are too late already."""
        if self._options.episode_timeout is None:
            return []
        now = time.monotonic()
        return [each for each in list(self._live) if each.is_overdue(now)]

    def leave_behind(self, episode: LiveEpisode) -> None:
        """Give up an episode whose model does not answer; what it has stored stays.

        Raises:
            StoreError: it could not be written.
        """
        with episode.closing:
            planned = self._planned.get(episode)
            if planned is None or not episode.can_be_left:
                return  # the answer has come after all
            episode.is_abandoned = episode.is_left = True
            episode.limit = Limit("episode_timeout", self._options.episode_timeout or 0.0)
            known = episode.limit.to_error()
            error = {**known, "message": f"its model has not answered, and its thread was left; {known['message']}"}
            self.give_up(planned, "limit", error)
        self._leave(episode, "limit", error)
        self._summary.add_error(planned.key, error)

    def planned(self, episode: LiveEpisode) -> PlannedEpisode | None:
        """Return a live episode as it was planned, or None if it has ended."""
        return self._planned.get(episode)

    def give_up(self, planned: PlannedEpisode, outcome: str, error: dict[str, Any]) -> None:
        """Keep that an episode is over whose code cannot be led to an end; the calls it has stored stay.

        Raises:
            StoreError: it could not be written.
        """
        if self.files is not None:
            self.files.write(planned, Ended(outcome, None, [], error), self._summary)
        self._store.begin(planned.key).finish(outcome, b"{}", error=error)

    def _leave(self, episode: LiveEpisode, outcome: str | None = None, error: dict[str, Any] | None = None) -> None:
        self._live.discard(episode)
        self._planned.pop(episode, None)
        self._tally.end(outcome, episode.scope_text, error)


def _interactions_of(ended: Ended) -> bytes:
    """Return the interactions of an episode as JSON. If they cannot be written, the episode ends by that error."""
    if ended.recorder is None:
        return b"{}"
    try:
        return ended.recorder.to_json()
    except Exception as fault:  # noqa: BLE001 - an object of a game, which may raise anything when it is shown
        ended.outcome, ended.error, ended.recorder = "error", error_of(fault), None
        return b"{}"
