"""Ends game code that goes on for too long without a call, and knows whose code ended an earlier process.

Python code is interrupted. Code that cannot be interrupted ends the run: a timer in C ends the process even if a
regular expression holds the interpreter. A small file names the episode whose code runs, and gets the stacks if the
timer, or a crash of compiled code, ends the process. So the next start leaves that episode out. It does not know
what an episode does.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import mmap
import os
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

from clemcore.clemgame.engine.limits import Limit, LimitReached
from clemcore.clemgame.engine.live import LiveEpisode

NAME = "watchdog"
# Bytes of the file for the episode: the length of its name, its thread, its name. The stacks of all threads follow
# if the timer or a crash has ended the process.
_HEAD = 1024
_PLACE = struct.Struct("<HQ")
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
        # If faulthandler is enabled already, the user has chosen where it writes the stacks of a crash.
        self._gets_crashes = not faulthandler.is_enabled()
        if self._gets_crashes:
            faulthandler.enable(self._file)

    @property
    def file(self) -> IO[bytes]:
        """Where the timer writes the stacks."""
        return self._file

    def set(self, name: bytes) -> None:
        """Name the episode whose code runs in this thread."""
        size = min(len(name), _HEAD - _PLACE.size)
        self._map[0 : _PLACE.size + size] = _PLACE.pack(size, threading.get_ident()) + name[:size]

    def remove(self) -> None:
        """Remove the file: the run has ended by itself."""
        if self._gets_crashes:
            faulthandler.disable()
        with contextlib.suppress(OSError, ValueError):
            self._map.close()
            self._file.close()
        self.path.unlink(missing_ok=True)


class Ending(NamedTuple):
    """How the code of an episode ended a process.

    Attributes:
        name: the name of the episode.
        is_crash: whether compiled code crashed; else the timer ended the process.
        stacks: the stacks of all threads.
    """

    name: bytes
    is_crash: bool
    stacks: str


def ending_of(path: Path) -> Ending | None:
    """Return how the code of an episode ended the process that wrote a file, or None if it did not."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if len(content) <= _HEAD:
        return None
    size, thread = _PLACE.unpack_from(content)
    name, stacks = content[_PLACE.size : _PLACE.size + size], content[_HEAD:].decode("utf-8", "replace")
    # faulthandler writes the thread that crashed so; it may be one that plays no episode, such as that of a model.
    is_crash = f"Current thread 0x{thread:016x}" in stacks
    return Ending(name, is_crash, stacks) if name and (is_crash or "Timeout" in stacks) else None


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
