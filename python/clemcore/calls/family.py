"""What a process and its forked children know together about a file that they all append to.

It stands in memory that they share, under a lock that ends with the process that holds it, also by a kill. It does
not know the file.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from typing import NamedTuple

try:
    import fcntl
except ImportError:  # pragma: no cover - only where there are no forks either
    fcntl = None  # type: ignore[assignment]

Signature = tuple[int, int, int, int]
_LAYOUT = struct.Struct("=QqqqqqqQQQQ")
# Where the two fields stand that are written alone.
_CLOSED, _TORN = 5, 6


class State(NamedTuple):
    """How far a file is written.

    Attributes:
        number: how many appends there were.
        turn: which of the two files is the spare, 0 or 1.
        spare_end: length of the spare's items, in bytes.
        visible_end: length of the visible file's items, in bytes.
        items: number of items.
        seen: device, inode, size and time of the visible file when it was written.
        closed: 1 when the process that opened the file has closed it.
        torn: number of items whose append has begun and not ended; 0 otherwise.
    """

    number: int
    turn: int
    spare_end: int
    visible_end: int
    items: int
    seen: Signature
    closed: int = 0
    torn: int = 0

    @property
    def is_closed(self) -> bool:
        """Whether nothing may be appended any more."""
        return self.closed != 0

    @property
    def is_torn(self) -> bool:
        """Whether an append has begun and not ended."""
        return self.torn != 0


class Family:
    """The shared state, and the lock around it: ``with family:``."""

    def __init__(self) -> None:
        """Make both; children get them by being forked."""
        self._memory = mmap.mmap(-1, _LAYOUT.size)
        # A lock of its own file: closing any other handle of a file would release its locks. It belongs to the
        # process, not to the open file, so a parent and its child exclude each other.
        with tempfile.TemporaryFile() as file:
            self._lock = os.dup(file.fileno())

    def __enter__(self) -> None:
        """Wait for the other processes."""
        if fcntl is not None:
            fcntl.lockf(self._lock, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        """Let the other processes go on."""
        if fcntl is not None:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def read(self) -> State:
        """Return the state."""
        number, turn, spare, visible, items, closed, torn, *seen = _LAYOUT.unpack_from(self._memory)
        return State(number, turn, spare, visible, items, (seen[0], seen[1], seen[2], seen[3]), closed, torn)

    def write(self, state: State) -> None:
        """Set the state."""
        _LAYOUT.pack_into(self._memory, 0, *state[:5], state.closed, state.torn, *state.seen)

    def tear(self, items: int) -> None:
        """Note that an append begins; :meth:`write` notes its end."""
        self._set(_TORN, items)

    def end(self) -> None:
        """Note, for all processes, that nothing may be appended any more."""
        self._set(_CLOSED, 1)

    def close(self) -> None:
        """Let go of lock and memory, in this process alone."""
        os.close(self._lock)
        self._memory.close()

    def _set(self, field: int, value: int) -> None:
        struct.pack_into("=q", self._memory, 8 * field, value)
