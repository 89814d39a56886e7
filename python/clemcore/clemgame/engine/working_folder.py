"""The working directory of each episode: a game that changes it moves no other episode, nor the files of the run.

A process has one working directory. So whoever leaves the code of a game that has moved goes back to where the run
is. This costs nothing where no game calls ``os.chdir``. It does not know what an episode is.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any


class _Here(threading.local):
    place: Place | None = None


_here = _Here()
# Windows has no ``fchdir``.
_originals: dict[str, Callable[..., None]] = {
    name: getattr(os, name) for name in ("chdir", "fchdir") if hasattr(os, name)
}
_lock = threading.Lock()
_users = 0


class Place:
    """Where the code of one episode is, once it has moved."""

    def __init__(self) -> None:
        """Begin where the run is."""
        self._home: str | None = None
        self._away: str | None = None

    def enter(self) -> None:
        """Go where the episode was.

        Raises:
            OSError: the folder is gone.
        """
        _here.place = self
        if self._away is not None:
            away, self._away = self._away, None
            _originals["chdir"](away)
            self._away = away

    def leave(self) -> None:
        """Go back to where the run is."""
        _here.place = None
        if self._home is not None:
            self._away = _working_directory()
            _originals["chdir"](self._home)

    def remember_home(self) -> None:
        """Remember where the run is, before the episode moves for the first time."""
        if self._home is None:
            self._home = _working_directory()


def _working_directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - a text is enough
    except FileNotFoundError:  # it was removed, as a temporary folder is
        return None


def _noticed(move: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(move)
    def moves(*args: Any, **kwargs: Any) -> None:
        if _here.place is not None:
            _here.place.remember_home()
        move(*args, **kwargs)

    return moves


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Notice in the block where episodes go; the process is where it was at the end, whatever a game has done."""
    global _users  # noqa: PLW0603 - several runs of one process share the functions of os
    home = _working_directory()
    with _lock:
        _users += 1
        if _users == 1:
            for name, function in _originals.items():
                setattr(os, name, _noticed(function))
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                for name, function in _originals.items():
                    setattr(os, name, function)
        if home is not None:
            _originals["chdir"](home)
