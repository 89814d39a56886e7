"""The calls of an episode, read from its frames one after another.

A record repeats parts of earlier ones, so the records of an episode grow with the square of its calls. Only those
are kept in memory that a later one still needs. It does not know the file that frames are in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from clemcore.clemgame.store.contents import StoredCall
from clemcore.clemgame.store.frames import DamagedError, call_from, headers_of_calls, parts_of
from clemcore.clemgame.store.pieces import join


class RecordCursor:
    """Gives the calls of an episode by their number.

    Args:
        frames: the frames of the episode, in the order in which they were written.
        shared: gives a shared piece by its number.
    """

    def __init__(self, frames: Iterable[bytes], shared: Callable[[int], bytes]) -> None:
        self._shared = shared
        self._calls: list[tuple[list[Any], bytes]] = []
        # Of several calls with one number, the last one counts.
        self._place_of: dict[int, int] = {}
        self._last_use: dict[int, int] = {}
        for place, (header, payload) in enumerate(headers_of_calls(b"".join(frames))):
            self._calls.append((header, payload))
            self._place_of[header[1]] = place
            copies = (part for part in parts_of(header) if isinstance(part, list) and len(part) > 1)
            self._last_use.update((part[0], place) for part in copies)
        self._begin()

    def _begin(self) -> None:
        self._records: dict[int, bytes] = {}
        self._next = 0

    def call_of(self, number: int) -> StoredCall:
        """Return a call. Numbers that grow are quick; for a smaller one, reading may begin again.

        Raises:
            DamagedError: the frames do not hold it.
        """
        try:
            place = self._place_of[number]
            if place < self._next and place not in self._records:
                self._begin()
            while self._next <= place:
                self._read_next()
            return call_from(self._calls[place][0], self._records[place])
        except (LookupError, TypeError, ValueError) as fault:
            raise DamagedError(f"call {number} cannot be read: {fault}") from None

    def _read_next(self) -> None:
        place = self._next
        header, payload = self._calls[place]
        record = join(parts_of(header), payload, self._records, self._shared)
        needed = self._last_use
        self._records = {known: kept for known, kept in self._records.items() if needed.get(known, -1) > place}
        self._records[place] = record
        self._next = place + 1
