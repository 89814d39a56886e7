"""Shared pieces of a file, kept for those who read it, and what the core makes of bodies with them.

The core reads what is exactly as it was written. Anything else is left to ``frames.py``, which says what is wrong.
It does not know tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from clemcore._core import stored_body, stored_calls
from clemcore.clemgame.store.contents import StoredCall
from clemcore.clemgame.store.frames import DamagedError, unpacked

_T = TypeVar("_T")
_NO_PIECES: dict[int, bytes] = {}
_MOST_PIECES = 1024
# Numbers that one query takes.
_AT_ONCE = 250


class KnownPieces:
    """The shared pieces of a file.

    Args:
        read: gives the numbers and the bodies of some pieces, as they are in the file, and maybe of those behind
            them, which mostly come next.
    """

    def __init__(self, read: Callable[[Sequence[int]], Sequence[tuple[int, bytes]]]) -> None:
        self._read = read
        self._known: dict[int, bytes] = {}

    def __call__(self, number: int) -> bytes:
        """Return a piece.

        Raises:
            DamagedError: it is not there, or is not what was written.
        """
        body = self._known.get(number)
        if body is None:
            self._learn([number])
            body = self._known.get(number)
        if body is None:
            raise DamagedError(f"piece {number} is missing")
        return body

    def body(self, kept: bytes, length: int = 0) -> bytes:
        """Return a body from what is kept in the file.

        Args:
            kept: what is in the file.
            length: return only so many bytes from the beginning; 0: all.

        Raises:
            DamagedError: it is not what was written.
        """
        found = self._made(lambda: stored_body(kept, self._known, length))
        return unpacked(kept, self, length) if found is None else found

    def calls(self, body: bytes, start: int) -> list[StoredCall] | None:
        """Return the calls that count of the frames in a body, by number.

        Args:
            body: the body.
            start: where the frames begin in it.

        Returns:
            None if they are not exactly what was written.
        """
        rows = self._made(lambda: stored_calls(body, start, self._known))
        return None if rows is None else list(map(StoredCall._make, rows))

    def _made(self, ask: Callable[[], tuple[_T | None, list[int]]]) -> _T | None:
        found, missing = ask()
        if missing:
            self._learn(sorted(set(missing)))
            found, _ = ask()
        return found

    def _learn(self, numbers: Sequence[int]) -> None:
        for begin in range(0, len(numbers), _AT_ONCE):
            found = self._read(numbers[begin : begin + _AT_ONCE])
            for number in list(self._known)[: max(0, len(self._known) + len(found) - _MOST_PIECES)]:
                self._known.pop(number, None)
            for number, kept in found:
                body, _ = stored_body(kept, _NO_PIECES, 0)
                self._known[number] = unpacked(kept, _no_piece) if body is None else body


def _no_piece(number: int) -> bytes:
    raise DamagedError(f"a piece refers to another, {number}")
