"""The baton: of all threads that play episodes, only the one that holds it runs game code.

It is granted first come, first served. It does not know episodes or models.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Place:
    """A place in the line for the baton, for one thread that waits."""

    __slots__ = ("_is_called",)

    def __init__(self) -> None:
        self._is_called = threading.Lock()
        self._is_called.acquire()

    def wait(self) -> None:
        """Wait until this thread has the baton."""
        self._is_called.acquire()

    def call(self) -> None:
        """Let the thread that waits go on."""
        self._is_called.release()


class Baton:
    """The right to run game code, which one thread has at a time.

    The holder hands it straight to the first in line, so exactly one thread wakes up.

    Examples:
        >>> baton = Baton()
        >>> baton.take()
        >>> baton.is_idle
        False
        >>> baton.give()
        >>> baton.is_idle
        True
    """

    def __init__(self) -> None:
        """Begin with nobody holding it."""
        self._lock = threading.Lock()
        self._is_held = False
        self._line: deque[Place] = deque()
        self._when_idle: list[Callable[[], None]] = []

    @property
    def is_idle(self) -> bool:
        """Whether nobody holds or wants it."""
        return not self._is_held

    @property
    def waiting(self) -> int:
        """How many threads wait for it."""
        return len(self._line)

    def take(self) -> None:
        """Wait until this thread has it."""
        with self._lock:
            if not self._is_held:
                self._is_held = True
                return
            place = Place()
            self._line.append(place)
        place.wait()

    def line_up(self, *places: Place) -> None:
        """Put threads that wait for something else into the line: each has the baton when its ``wait`` returns.

        Any thread may do this. All places join at once, so the baton is never idle between two of them.
        """
        if not places:
            return
        with self._lock:
            self._line.extend(places)
            if self._is_held:
                return
            self._is_held = True
            first = self._line.popleft()
        first.call()

    def give(self) -> None:
        """Hand it to the first in line. If nobody waits, tell those who asked (:meth:`when_idle`)."""
        with self._lock:
            if self._line:
                self._line.popleft().call()
                return
            self._is_held = False
        for callback in self._when_idle:
            callback()

    def when_idle(self, callback: Callable[[], None]) -> None:
        """Call a function whenever nobody holds or wants the baton any more.

        It runs in the thread that gave the baton up, and must not wait.
        """
        self._when_idle.append(callback)
