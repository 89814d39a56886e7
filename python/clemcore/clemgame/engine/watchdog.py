"""Ends game code that goes on for too long without a call.

Python code is interrupted. Code that cannot be interrupted ends the run: a timer in C ends the process even if a
regular expression holds the interpreter. A small file names the episode whose code runs, so that the next start
leaves it out. It does not know what an episode does.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import mmap
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO

from clemcore.clemgame.engine.limits import Limit, LimitReached
from clemcore.clemgame.engine.live import LiveEpisode

NAME = "watchdog"
# Bytes of the file that name the episode; the stacks of all threads follow if the timer has ended the process.
_HEAD = 1024
# Seconds between two looks, and until code that was interrupted must have ended.
_LOOK = 0.25
GRACE = 10.0
_REARM = 1.0

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in_thread.argtypes = (ctypes.c_ulong, ctypes.py_object)
_raise_in_thread.restype = ctypes.c_int


class Mark:
    """The file that names the episode whose code runs.

    Each episode writes its name whenever it gets the baton. The file is mapped into memory, so this
    costs nothing, and what was written last is there after the process has ended.
    """

    def __init__(self, path: Path) -> None:
        """Make the file anew."""
        self.path = path
        self._file: IO[bytes] = path.open("w+b")
        self._file.write(bytes(_HEAD))
        self._file.flush()
        self._map = mmap.mmap(self._file.fileno(), _HEAD)
        self._file.seek(0, os.SEEK_END)

    @property
    def file(self) -> IO[bytes]:
        """Where the timer writes the stacks."""
        return self._file

    def set(self, name: bytes) -> None:
        """Name an episode."""
        size = min(len(name), _HEAD - 2)
        self._map[0 : size + 2] = size.to_bytes(2, "little") + name[:size]

    def remove(self) -> None:
        """Remove the file: the run has ended by itself."""
        with contextlib.suppress(OSError, ValueError):
            self._map.close()
            self._file.close()
        self.path.unlink(missing_ok=True)


def stuck_episode(path: Path) -> tuple[bytes, str] | None:
    """Return the name of the episode for which the timer has ended an earlier process, and the stacks, or None."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    size = int.from_bytes(content[:2], "little")
    stacks = content[_HEAD:].decode("utf-8", "replace")
    return (content[2 : size + 2], stacks) if size and "Timeout" in stacks else None


class Watchdog:
    """Watches the episodes whose game code runs."""

    def __init__(
        self,
        timeout: float | None,
        mark: Mark | None,
        *,
        report: Callable[[LiveEpisode, str], None],
        on_stuck: Callable[[LiveEpisode], None],
        grace: float | None = None,
    ) -> None:
        """Prepare.

        Args:
            timeout: most seconds of game code without a call; None: any number.
            mark: names the episode whose code runs; None: no timer in C.
            report: gets an episode whose step takes too long, and its stack.
            on_stuck: gets an episode that cannot be interrupted.
            grace: seconds that interrupted code has to end; by default :data:`GRACE`.
        """
        self._timeout = timeout
        self._mark = mark
        self._report = report
        self._on_stuck = on_stuck
        self._grace = GRACE if grace is None else grace
        self._episodes: set[LiveEpisode] = set()
        self._lock = threading.Lock()
        self._interrupted: dict[LiveEpisode, float] = {}
        self._is_armed = False
        self._armed_at = 0.0

    def add(self, episode: LiveEpisode) -> None:
        """Watch an episode."""
        with self._lock:
            self._episodes.add(episode)

    def discard(self, episode: LiveEpisode) -> None:
        """Watch an episode no more."""
        with self._lock:
            self._episodes.discard(episode)
            self._interrupted.pop(episode, None)

    def look(self) -> None:
        """Look at all episodes once."""
        self._arm()
        now = time.monotonic()
        with self._lock:
            running = [episode for episode in self._episodes if episode.in_game]
        for episode in running:
            limit = self._limit_of(episode, now)
            if limit is not None:
                self._interrupt(episode, limit, now)

    def _limit_of(self, episode: LiveEpisode, now: float) -> Limit | None:
        """Return the limit that the game code of an episode exceeds now."""
        if episode.limit is not None and episode in self._interrupted:
            return episode.limit
        if self._timeout is not None and now - episode.in_game_since > self._timeout:
            return Limit("step_timeout", self._timeout)
        whole = episode.options.episode_timeout
        if whole is not None and now - episode.began > whole:
            return Limit("episode_timeout", whole)
        return None

    def _interrupt(self, episode: LiveEpisode, limit: Limit, now: float) -> None:
        first = self._interrupted.setdefault(episode, now)
        if first == now:
            stack = _stack_of(episode.thread)
            episode.limit = Limit(limit.name, limit.value, stack)
            self._report(episode, stack)
        elif now - first > self._grace:
            self._on_stuck(episode)
            return
        if episode.thread == threading.main_thread().ident:
            # Its handler raises LimitReached if game code runs; unlike the way below, it also ends a sleep.
            episode.is_poked = True
            signal.pthread_kill(episode.thread, signal.SIGINT)
        # No other thread runs between the look and the call: both are one step of the interpreter.
        elif episode.in_game:
            _raise_in_thread(episode.thread, LimitReached)

    # -- the timer in C ------------------------------------------------------------------------------------------
    def _arm(self) -> None:
        """Set the timer anew; it runs out only if this thread does not come round any more."""
        if self._timeout is None or self._mark is None or time.monotonic() - self._armed_at < _REARM:
            return
        self._armed_at = time.monotonic()
        faulthandler.dump_traceback_later(self._timeout + self._grace, exit=True, file=self._mark.file)
        self._is_armed = True

    def close(self) -> None:
        """Stop the timer."""
        if self._is_armed:
            faulthandler.cancel_dump_traceback_later()
            self._is_armed = False


def _stack_of(thread: int) -> str:
    frame = sys._current_frames().get(thread)
    return "" if frame is None else "".join(traceback.format_stack(frame))
