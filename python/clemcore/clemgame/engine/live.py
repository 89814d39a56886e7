"""A live episode: whose code runs in this thread, and where game code ends and the engine's begins.

An exception that the engine raises inside game code (a step that takes too long) must never reach the engine's own
code. So each way from one to the other crosses here. It does not know how a game is played.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from clemcore.clemgame.engine.baton import Baton
from clemcore.clemgame.engine.limits import Control, Limit, LimitReached, Options
from clemcore.clemgame.engine.randomness import Stream, draw_from
from clemcore.clemgame.engine.seeds import seed_of
from clemcore.clemgame.engine.working_folder import Place

if TYPE_CHECKING:
    from clemcore.clemgame.engine.seeds import EpisodeName


# Seconds by which an episode may be too late before it is given up.
_GRACE = 1.0


class _Here(threading.local):
    episode: LiveEpisode | None = None
    label: str | None = None


_here = _Here()


def current() -> LiveEpisode | None:
    """Return the episode that is played in this thread, or None."""
    return _here.episode


def label() -> str | None:
    """Return what this thread does for a game, as text: the episode that it plays, or None."""
    episode = _here.episode
    return _here.label if episode is None else episode.scope_text


@contextmanager
def labelled(text: str) -> Iterator[None]:
    """Let what this thread does in the block have a label, such as the game that is loaded."""
    before, _here.label = _here.label, text
    try:
        yield
    finally:
        _here.label = before


def _checkpoint() -> None:
    """Let Python raise here what another thread has raised in this one: it does so when a function begins."""
    for _ in (0, 0):  # and when a loop goes round
        pass


def _become_copy() -> None:
    if _here.episode is not None:
        _here.episode.is_copy = True


os.register_at_fork(after_in_child=_become_copy)


def _end_forked_child(scope: str) -> NoReturn:
    """End a child that a game has forked: its parent plays the episode, and the engine's threads are not here."""
    error = sys.exc_info()[1]
    status = error.code if isinstance(error, SystemExit) else 1
    if status is None or isinstance(status, int):
        text = "" if error is None or isinstance(error, SystemExit) else "".join(traceback.format_exception(error))
    else:
        text, status = f"{status}\n", 1
    if error is None:
        text = (
            f"{scope}: a forked child of the game has left the game's code, and is ended: end it with os._exit()\n"
        )
    os.write(2, text.encode(errors="backslashreplace"))
    os._exit(status or 0)


class LiveEpisode:
    """An episode while it is played; it belongs to one thread.

    Attributes:
        key: which episode it is.
        seed: what its random numbers start from.
        options: how it is played.
        baton: the baton of its run.
        control: says whether the run goes on.
        thread: the identifier of its thread.
        began: when it began, by the monotonic clock.
        in_game: whether game code runs in its thread now.
        in_game_since: since when, without a break.
        is_waiting: whether it waits for a model or a person.
        limit: the limit that it has reached, or None.
        was_stopped: whether it was told that the run stops.
        is_poked: whether the next signal of its thread is meant for its game code.
        is_abandoned: whether the engine has given it up; its thread may still run.
        is_left: whether it was given up while it waited for a model, which may still answer.
        can_be_left: whether it may be given up now: it waits for a model that has no time limit of its own.
        closing: held while it is given up, and while something is stored of it.
        calls: how many calls it has begun.
        is_copy: whether this process is a child that its game has forked.
    """

    def __init__(
        self,
        key: EpisodeName,
        *,
        options: Options,
        baton: Baton,
        control: Control,
        mark: Callable[[], None] | None = None,
        seed: int | None = None,
    ) -> None:
        """Prepare it.

        Args:
            key: which episode it is.
            options: how it is played.
            baton: the baton.
            control: says whether the run goes on.
            mark: called whenever its game code gets the baton.
            seed: what its random numbers start from; by default the seed of the run and its key decide.
        """
        self.key = key
        self.options = options
        self.baton = baton
        self.control = control
        self.seed = seed_of(options.seed, key) if seed is None else seed
        self._stream = Stream(self.seed) if options.rng == "episode" else None
        self._mark = mark
        self._place = Place()
        self._around: LiveEpisode | None = None  # a callback may play games of its own
        self.thread = 0
        self.began = 0.0
        self.in_game = False
        self.in_game_since = 0.0
        self.is_waiting = False
        self.limit: Limit | None = None
        self.was_stopped = False
        self.is_poked = False
        self.is_abandoned = self.is_left = self.can_be_left = False
        self.closing = threading.Lock()
        self.calls = 0
        self.is_copy = False

    @property
    def scope_text(self) -> str:
        """Which episode it is, for a line of text."""
        return str(self.key)

    # -- the border between game code and the engine ---------------------------------------------------------------
    def begin(self) -> None:
        """Take the baton; this thread plays the episode from now on."""
        self.thread = threading.get_ident()
        self._around, _here.episode = _here.episode, self
        self.began = self.began or time.monotonic()  # a branch begins each of its steps
        self.baton.take()

    def end(self) -> None:
        """Give the baton up; this thread no longer plays the episode."""
        _here.episode = self._around
        if self.is_left or not self.is_abandoned:
            self.baton.give()

    def enter_game(self) -> None:
        """Cross into game code; this thread has the baton."""
        if self._mark is not None:
            self._mark()
        draw_from(self._stream)
        self.in_game_since = time.monotonic()
        self.in_game = True
        self._place.enter()

    def leave_game(self) -> None:
        """Cross into the engine's code. What another thread has raised in this one is raised here at the latest."""
        self.in_game = False
        if self.is_copy:
            _end_forked_child(self.scope_text)
        try:
            _checkpoint()
        except BaseException:
            self.in_game = True  # it counts as raised in game code
            raise
        self._place.leave()
        draw_from(None)

    def resume_game(self) -> None:
        """Cross back into game code after a moment: the time of the step goes on."""
        draw_from(self._stream)
        self.in_game = True
        self._place.enter()

    # -- limits ----------------------------------------------------------------------------------------------------
    def check(self) -> None:
        """Raise what ends the episode, if anything does; also again, if the game has caught it before."""
        if self.limit is None:
            timeout = self.options.episode_timeout
            if timeout is not None and time.monotonic() - self.began > timeout:
                self.limit = Limit("episode_timeout", timeout)
        if self.limit is not None:
            raise LimitReached(self.limit.name)
        if self.control.reason is not None:
            self.was_stopped = True
            self.control.check()

    def is_overdue(self, now: float) -> bool:
        """Tell whether it waits for a model without a time limit for longer than the episode may take."""
        timeout = self.options.episode_timeout
        return self.can_be_left and timeout is not None and now - self.began > timeout + _GRACE

    def wait_outside(self, *, can_be_left: bool) -> None:
        """Note that the thread begins to wait for a model or a person."""
        self.is_waiting, self.can_be_left = True, can_be_left

    def has_answer(self) -> None:
        """Note that the thread waits for nobody but the baton."""
        self.is_waiting = False
        if self.can_be_left:
            with self.closing:
                self.can_be_left = False

    def has_waited(self) -> None:
        """Go on with the baton.

        Raises:
            LimitReached: the episode was given up; the game must not go on with an answer that came too late.
        """
        self.has_answer()
        if self.is_left:
            self.check()

    def begin_call(self) -> int:
        """Count a call, and return its number.

        Raises:
            EpisodeStop: the episode or the run ends.
        """
        if self.limit is None and self.calls >= self.options.max_calls:
            self.limit = Limit("max_calls", self.options.max_calls)
        self.check()
        number = self.calls
        self.calls = number + 1
        return number

    def require_own_thread(self) -> None:
        """Refuse a call from a thread that the game started itself."""
        if threading.get_ident() != self.thread:
            raise RuntimeError(
                f"{self.scope_text}: a model was called from a thread that the game started itself "
                f"('{threading.current_thread().name}'). The engine lets one game run at a time, and cannot see "
                "when such a thread waits; call the model from the thread that plays the game"
            )


@contextmanager
def aside(episode: LiveEpisode) -> Iterator[None]:
    """Let other code than the game's run in the block, in the middle of a game: its time and draws do not count."""
    episode.leave_game()
    try:
        yield
    finally:
        episode.enter_game()


class Outside:
    """While this block runs, the episode waits for somebody, and other episodes play."""

    __slots__ = ("_can_be_left", "_episode")

    def __init__(self, episode: LiveEpisode, *, can_be_left: bool = False) -> None:
        """Take the episode, which is in the engine's code.

        Args:
            episode: the episode.
            can_be_left: whether it may wait without end, and may then be given up.
        """
        self._episode = episode
        self._can_be_left = can_be_left

    def __enter__(self) -> None:
        self._episode.wait_outside(can_be_left=self._can_be_left)
        self._episode.baton.give()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._episode.has_answer()
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            self._episode.control.stop("interrupt")  # Ctrl-C at a prompt; in game code, it can be the game's own
            self._episode.was_stopped = True
        self._episode.baton.take()
        self._episode.has_waited()


def waiting(ask: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that lets other episodes play while it runs, where an episode calls it."""

    def asked(*args: Any, **kwargs: Any) -> Any:
        episode = _here.episode
        if episode is None or not episode.in_game:
            return ask(*args, **kwargs)
        episode.leave_game()
        try:
            with Outside(episode):
                return ask(*args, **kwargs)
        finally:
            episode.enter_game()

    return asked
