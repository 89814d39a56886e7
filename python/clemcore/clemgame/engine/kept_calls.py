"""The calls of a live episode that count: those of a short one as they are, those of a long one by their numbers.

The record of a call holds the whole dialogue, so the records of an episode grow with the square of its calls. The
store has them already. It does not know what the calls are about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import overload

from clemcore.clemgame.store import StoredCall
from clemcore.clemgame.store.episode_writer import MOST_RECORDS

ReadBack = Callable[[Iterable[int]], Iterable[StoredCall]]


class KeptCalls:
    """The calls of one episode.

    Args:
        read_back: gives calls by their numbers, as they are in the store.
    """

    def __init__(self, read_back: ReadBack) -> None:
        self._read_back = read_back
        self._numbers: list[int] = []
        self._whole: list[StoredCall] | None = []
        self._size = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._numbers)

    def append(self, call: StoredCall) -> None:
        """Take a call that is in the store."""
        self._numbers.append(call.number)
        if self._whole is None:
            return
        self._size += len(call.record)
        if not call.record or self._size > MOST_RECORDS:
            self._whole = None
        else:
            self._whole.append(call)

    def begin_with(self, other: KeptCalls) -> None:
        """Begin with the calls of another episode, which the store has as calls of this one."""
        self._numbers, self._size = [*other._numbers], other._size
        self._whole = None if other._whole is None else [*other._whole]

    def ordered(self) -> Sequence[StoredCall]:
        """Return the calls so far, by number. Those of a long episode are read from the store on first use."""
        if self._whole is not None:
            return sorted(self._whole, key=lambda call: call.number)
        return _StoredCalls(sorted(self._numbers), self._read_back)


class _StoredCalls(Sequence[StoredCall]):
    def __init__(self, numbers: Sequence[int], read_back: ReadBack) -> None:
        self._numbers = numbers
        self._read_back = read_back

    @cached_property
    def _calls(self) -> list[StoredCall]:
        return [*self._read_back(self._numbers)]

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[StoredCall]:
        return iter(self._calls)

    @overload
    def __getitem__(self, index: int) -> StoredCall: ...
    @overload
    def __getitem__(self, index: slice) -> list[StoredCall]: ...
    def __getitem__(self, index: int | slice) -> StoredCall | list[StoredCall]:
        return self._calls[index]
