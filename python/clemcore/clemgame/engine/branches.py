"""Plays an episode that goes on in several ways: a tree, whose branches are episodes of their own.

The tree grows level by level. In a level, each branch plays one step, side by side with the others; between levels,
branches divide and an observer hears of the steps, always in the same order. It does not know when to branch.
"""

from __future__ import annotations

import contextvars
import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from clemcore.clemgame.engine.callbook import CallBook
from clemcore.clemgame.engine.cast import Cast, Observer, Staging, scope_of
from clemcore.clemgame.engine.episode import Ended, end_episode, raised
from clemcore.clemgame.engine.live import LiveEpisode
from clemcore.clemgame.game_master import GameMaster, Played, begin_game, end_game, play_step
from clemcore.clemgame.store.contents import BRANCH
from clemcore.errors import GameError, StoreError

if TYPE_CHECKING:
    from clemcore.clemgame.plan import PlannedEpisode
    from clemcore.clemgame.store import EpisodeWriter
    from clemcore.clemgame.store.episode_writer import Shared


class BranchObserver(Observer, Protocol):
    """Hears what happens in a branch, and says where it divides. Each branch has a copy."""

    def branches(self, master: Any, planned: PlannedEpisode) -> tuple[int, Any]:
        """Return in how many ways an episode goes on now, and what identifies this point."""

    def has_branched(self, master: Any, planned: PlannedEpisode, point: Any) -> None:
        """Hear that a branch goes on from a point that it shares with others."""

    def next_episode(self, planned: PlannedEpisode) -> PlannedEpisode:
        """Return an episode for another branch."""

    def take_over(self, other: Any, masters: tuple[Any, Any], memo: dict[int, Any]) -> None:
        """Know of the copy of a game master what another observer knows of the original."""

    def copied(self, memo: dict[int, Any]) -> BranchObserver:
        """Return a copy for another branch.

        Args:
            memo: what is copied with it (see ``copy.deepcopy``).
        """


class Run(Protocol):
    """What a tree needs of its run."""

    @property
    def is_over(self) -> bool:
        """Whether no further step is to be played."""

    def begin(
        self, planned: PlannedEpisode, *, is_new: bool = False
    ) -> tuple[LiveEpisode, EpisodeWriter, CallBook]:
        """Begin an episode; a new one is added to the plan."""

    def end(self, planned: PlannedEpisode, live: tuple[LiveEpisode, EpisodeWriter], ended: Ended) -> None:
        """Keep what became of an episode."""

    def inside(self, episode: LiveEpisode, do: Callable[[], None]) -> None:
        """Run something in this thread while it holds the baton."""


class Branch:
    """One way in which an episode goes on."""

    def __init__(
        self, planned: PlannedEpisode, live: tuple[LiveEpisode, EpisodeWriter, CallBook], observer: BranchObserver
    ) -> None:
        self.planned = planned
        self.episode, self.writer, self.book = live
        self.observer = observer
        self.scope = scope_of(planned, self.episode, self.book)
        # Steps of a branch run in any thread: what belongs to it goes with it.
        self.context = contextvars.copy_context()
        self.context.run(self.scope.__enter__)
        self.cast: Cast
        self.step: Played | None = None
        self.error: BaseException | None = None
        self.facts: dict[str, Any] = {}

    @property
    def master(self) -> Any:
        """Its game master."""
        return self.cast.master


class Trees:
    """Plays trees, one after another.

    Args:
        run: the run.
        staging: what episodes need of it.
        observer: hears what happens, and says where to branch.
        side_by_side: does tasks in as many threads as the models can use.
    """

    def __init__(
        self,
        run: Run,
        staging: Staging,
        observer: BranchObserver,
        side_by_side: Callable[[Iterator[Branch], Callable[[Branch], None]], None],
    ) -> None:
        self._side_by_side = side_by_side
        self._run = run
        self._staging = staging
        self._observer = observer

    def play(self, planned: PlannedEpisode) -> None:
        """Play an episode and all of its branches."""
        active = self._begun(planned)
        while active and not self._run.is_over:
            level = [branch for parent in active for branch in self._divided(parent)]
            self._side_by_side(iter(level), self._play_step)
            active = [branch for branch in level if self._goes_on(branch)]
        for branch in active:
            branch.episode.was_stopped = True
            self._end(branch)

    # -- the beginning -------------------------------------------------------------------------------------------
    def _begun(self, planned: PlannedEpisode) -> list[Branch]:
        root = Branch(planned, self._run.begin(planned), self._observer)
        root.cast = Cast(self._staging, planned, root.episode, writer=root.writer, book=root.book, scope=root.scope)

        def begin() -> None:
            root.cast.set_up()
            if type(root.master).play is not GameMaster.play:
                raise GameError(
                    f"{type(root.master).__name__} has a play() of its own, so nobody can stop it between steps. "
                    "An episode can branch only if its game master defines step()"
                )
            begin_game(root.master)

        self._in_game(root, begin)
        if root.error is None:
            try:  # as branches are: what is kept in callbacks of one tree does not reach the next one
                memo = {id(root.writer.event): root.writer.event}
                root.cast.recorder = root.cast.recorder.copied_with(root.writer.event, memo)
                root.cast.asking.recorder = root.cast.recorder
                root.observer = self._observer.copied(memo)
                original, root.cast.master = root.master, copy.deepcopy(root.master, memo)
                root.observer.take_over(self._staging.observer, (original, root.master), memo)
            except Exception as fault:  # noqa: BLE001 - games and callbacks may hold anything
                root.error = _not_copied(fault)
        if root.error is None:
            return [root]
        self._end(root)
        return []

    # -- dividing ------------------------------------------------------------------------------------------------
    def _divided(self, parent: Branch) -> list[Branch]:
        """Return the branches in which a branch goes on: itself, and copies of it."""
        found = [parent]
        try:
            count, point = parent.observer.branches(parent.master, parent.planned)
            if count < 2:  # noqa: PLR2004 - one way is no choice
                return found
            shared = parent.writer.share(parent.cast.recorder.turns_so_far())
            found += [self._copied(parent, shared) for _ in range(count - 1)]
            for branch in found:
                branch.observer.has_branched(branch.master, branch.planned, point)
        except StoreError:
            raise
        except Exception as fault:  # noqa: BLE001 - as above
            for branch in found:
                branch.error = branch.error or fault
        return found

    def _copied(self, parent: Branch, shared: Shared) -> Branch:
        planned = parent.observer.next_episode(parent.planned)
        branch = Branch(planned, self._run.begin(planned, is_new=True), parent.observer)
        branch.episode.calls, branch.episode.began = parent.episode.calls, parent.episode.began
        branch.facts[BRANCH] = {"of": parent.planned.key.epoch, "calls": parent.episode.calls}
        branch.writer.begin_with(shared, branch.facts)
        branch.book.begin_with(parent.book)
        try:
            memo: dict[int, Any] = {}
            recorder = parent.cast.recorder.copied_with(branch.writer.event, memo)
            branch.cast = Cast(
                self._staging,
                planned,
                branch.episode,
                writer=branch.writer,
                book=branch.book,
                scope=branch.scope,
                recorder=recorder,
            )
            memo.update(parent.cast.counterparts(branch.cast))
            branch.observer = parent.observer.copied(memo)
            branch.cast.master = copy.deepcopy(parent.master, memo)
            branch.observer.take_over(parent.observer, (parent.master, branch.master), memo)
        except Exception as fault:
            self._run.end(planned, (branch.episode, branch.writer), Ended(None, None, []))
            raise _not_copied(fault) from fault
        return branch

    # -- steps ---------------------------------------------------------------------------------------------------
    def _play_step(self, branch: Branch) -> None:
        if branch.error is None and not self._run.is_over:
            self._in_game(branch, lambda: _step(branch))

    def _in_game(self, branch: Branch, do: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                with branch.cast.in_game():
                    do()
            except BaseException as fault:  # noqa: BLE001 - whatever a game raises ends this branch alone
                branch.error = raised(branch.episode, fault)

        self._run.inside(branch.episode, lambda: branch.context.run(guarded))

    def _goes_on(self, branch: Branch) -> bool:
        """Tell the observer of a step, and end the branch if it is over."""
        step, branch.step = branch.step, None
        if branch.error is None and step is not None:
            try:
                branch.observer.has_stepped(branch.master, branch.planned, step)
            except Exception as fault:  # noqa: BLE001 - what listens to an episode fails like the episode
                branch.error = fault
        if branch.error is None and (step is None or not step.done):
            return True
        self._end(branch)
        return False

    def _end(self, branch: Branch) -> None:
        live = (branch.episode, branch.book)
        ended = end_episode(
            branch.observer, branch.planned, live, (branch.master, branch.cast.recorder), branch.error
        )
        ended.facts.update(branch.facts)
        branch.scope.close()
        self._run.end(branch.planned, (branch.episode, branch.writer), ended)


def _step(branch: Branch) -> None:
    try:
        branch.step = play_step(branch.master)
        if branch.step.done:
            end_game(branch.master)
    finally:
        branch.master.flush_events()  # also what led to an error


def _not_copied(fault: Exception) -> GameError:
    return GameError(
        f"the episode cannot be copied for another branch: {type(fault).__name__}: {fault}. The game master and "
        "the callbacks must be fit for copy.deepcopy; a __deepcopy__ that returns self shares an object"
    )
