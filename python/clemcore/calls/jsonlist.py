"""A JSON list in a file that grows item by item and is whole at any moment, also after a kill.

Appending costs what the items cost, not what the file costs: two files take turns. The visible one is never
written to; the spare one, which lags by one append, gets what it lacks and is then renamed over the visible name,
whose file becomes the spare. A reader, or a process that comes after a kill, sees the list before or after an
append, never in between. Where the folder has no hard links, each append copies the file instead.

It does not know what the items are.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import shutil
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clemcore.calls.place import check_place, read_list
from clemcore.errors import RecordError
from clemcore.files import locked, replace_file

try:
    import fcntl
except ImportError:  # pragma: no cover - only where there are no forks either
    fcntl = None  # type: ignore[assignment]

_END = b"\n]\n"
Signature = tuple[int, int, int, int]
_LAYOUT = struct.Struct("=QqqqqQQQQ32s")
# The shared memory holds two states, and in front of them which of them counts and what is written alone.
_COUNTS, _CLOSED, _TORN, _STATES = 0, 8, 16, 24
NO_ITEM = bytes(32)


class State(NamedTuple):
    """How far a file is written.

    Attributes:
        number: how many appends there were.
        turn: which of the two files is the spare, 0 or 1.
        spare_end: length of the spare's items, in bytes.
        visible_end: length of the visible file's items, in bytes.
        items: number of items.
        seen: device, inode, size and time of the visible file when it was written.
        last: what follows from the last item for the next one; :data:`NO_ITEM` where there is none.
        closed: 1 when the process that opened the file has closed it.
        torn: number of items whose append has begun and not ended; 0 otherwise.
    """

    number: int
    turn: int
    spare_end: int
    visible_end: int
    items: int
    seen: Signature
    last: bytes = NO_ITEM
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
        self._memory = mmap.mmap(-1, _STATES + 2 * _LAYOUT.size)
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
        number, turn, spare, visible, items, dev, inode, size, time, last = _LAYOUT.unpack_from(
            self._memory, self._place(self._get(_COUNTS))
        )
        seen = (dev, inode, size, time)
        return State(number, turn, spare, visible, items, seen, last, self._get(_CLOSED), self._get(_TORN))

    def write(self, state: State) -> None:
        """Set the state. A kill in between leaves the one before it, and the note that it was torn."""
        other = 1 - self._get(_COUNTS)
        _LAYOUT.pack_into(self._memory, self._place(other), *state[:5], *state.seen, state.last)
        self._set(_COUNTS, other)
        self._set(_TORN, state.torn)

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

    @staticmethod
    def _place(which: int) -> int:
        return _STATES + which * _LAYOUT.size

    def _get(self, place: int) -> int:
        value: int = struct.unpack_from("=q", self._memory, place)[0]
        return value

    def _set(self, place: int, value: int) -> None:
        struct.pack_into("=q", self._memory, place, value)


class JsonListFile:
    """The writing side of such a file: one process, and the children that it forks.

    One lock file keeps other programs away. What the family of processes has written stands in memory that they
    share, and each append holds a lock between them, so that children append safely, too. It is not for use by two
    threads of one process at once.

    Args:
        path: the file; an existing one is continued, whatever made it, if it holds a JSON list.

    Attributes:
        path: the file, with links followed.
        has_taken: whether the items of the last append of this process are in the file, also if it was interrupted.

    Raises:
        RecordError: the path is not that of a file, or the file holds something else than a JSON list (it is left
            as it is), or another writer has it open.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "items.json"
        >>> with JsonListFile(path) as items:
        ...     items.append(b'{"n": 1}')
        ...     items.append(b'{"n": 2}')
        >>> json.loads(path.read_text())
        [{'n': 1}, {'n': 2}]
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Lock the file, read it whole, and make the spare."""
        check_place(Path(path))  # before links are followed: those of /dev/stdout and /proc lead to no path
        self.path = Path(path).resolve()
        check_place(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._cleanup = contextlib.ExitStack()
        try:
            self._cleanup.enter_context(locked(self.path, wait=False))
        except BlockingIOError:
            raise RecordError(f"{self.path} is being written by another recorder; choose another file") from None
        try:
            self._open()
        except BaseException:
            self._cleanup.close()
            raise

    def _open(self) -> None:
        # Plain names instead of Path: they are used once per call of a model. The spare has one of two, in turn.
        self._name = str(self.path)
        self._spare_names = tuple(str(self.path.with_name(f".{self.path.name}.{end}")) for end in ("spare", "old"))
        self._owner = os.getpid()
        self._remove_spares()  # of a writer that was killed
        body, items = read_list(self.path)
        self._check(items)
        if not self.path.exists() or not items:
            replace_file(self.path, b"[\n]\n" if not body else body + _END)
        self._mode = self.path.stat().st_mode & 0o777
        self._cleanup.callback(self._remove_spares)
        # The spare and the visible file, by turns: these two stay the same files, whatever their names. Without
        # hard links, the visible file is another one after each append.
        self._handles: tuple[int, ...] | None = ()
        self._inodes: tuple[int, ...] = ()
        self._has_links = self._try_link()
        if self._has_links:
            spare = os.open(self._spare_names[0], os.O_RDWR | os.O_CREAT | os.O_EXCL, self._mode)
            self._handles = (spare, os.open(self.path, os.O_RDWR))
            self._inodes = tuple(os.fstat(handle).st_ino for handle in self._handles)
            _write(spare, body + _END, 0)
        last = self._following(items[-1]) if items else NO_ITEM
        self._family = Family()
        self._state = State(0, 0, len(body), len(body), len(items), _signature(self._name), last)
        self._family.write(self._state)
        self._lag: tuple[int, bytes] = (0, b"")
        self.has_taken = False

    def _try_link(self) -> bool:
        """Tell whether the folder has hard links."""
        try:
            os.link(self._name, self._spare_names[1])
        except OSError:
            return False
        os.unlink(self._spare_names[1])  # noqa: PTH108
        return True

    def _check(self, items: list[Any]) -> None:
        """Raise RecordError where the items of a file are not what may be continued."""

    def _following(self, item: Any) -> bytes:  # noqa: ARG002 - an override needs what this does not
        """Return what follows from an item for the next one: 32 bytes."""
        return NO_ITEM

    def _linked(self, item: bytes, last: bytes) -> tuple[bytes, bytes]:
        """Return an item as it is written after the last one, and what follows from it for the next."""
        return item, last

    @property
    def count(self) -> int:
        """Number of items in the file; in a forked child, those of the whole family."""
        return self._state.items if self._handles is None else self._family.read().items

    def append(self, item: bytes) -> None:
        """Add one item, given as JSON text in UTF-8; otherwise as :meth:`extend`."""
        self.extend((item,))

    def extend(self, items: Sequence[bytes]) -> None:
        """Add items, each given as JSON text in UTF-8, all of them or none: many cost little more than one.

        Raises:
            RecordError: the file was changed or removed by another program since the last append, or the process
                that opened it has closed it.
            OSError: the disk is full or gone; the visible file is as it was before.
        """
        if not items:
            return
        if self._handles is None:
            raise RecordError(f"{self.path} is closed: nothing more can be recorded to it")
        with self._family:
            state = self._family.read()
            if state.is_closed:
                raise RecordError(
                    f"{self.path} was closed by the process that opened it: let it wait for its children, or "
                    "record to a file of their own"
                )
            if state.is_torn:
                state = self._repaired(state)
            self._check_untouched(state)
            self.has_taken = False
            try:
                self._state = self._extended(state, items)
                self.has_taken = True
            except BaseException:  # an interrupt may come after the new file took its name
                now = self._family.read()
                self.has_taken = (self._repaired(now) if now.is_torn else now).number > state.number
                raise

    def _extended(self, state: State, items: Sequence[bytes]) -> State:
        last = state.last
        parts: list[bytes] = []
        for item in items:
            part, last = self._linked(item, last)
            parts.append(part)
        text = (b",\n" if state.items else b"\n") + b",\n".join(parts)
        self._family.tear(len(items))
        signature = self._swap(state, text) if self._has_links else self._copy(state, text)
        written = State(
            state.number + 1,
            1 - state.turn,
            state.visible_end,
            state.visible_end + len(text),
            state.items + len(items),
            signature,
            last,
        )
        self._family.write(written)
        self._lag = (written.number, text)
        return written

    def _swap(self, state: State, text: bytes) -> Signature:
        """Append to the spare, and let it and the visible file change places."""
        spare, visible = self._turned(state)
        spare_name, free_name = self._spare_names[state.turn], self._spare_names[1 - state.turn]
        number, lag = self._lag
        if number != state.number:  # another process of the family has appended
            lag = os.pread(visible, state.visible_end - state.spare_end, state.spare_end)
        _write(spare, lag + text + _END, state.spare_end)
        try:
            os.link(self._name, free_name)
        except FileExistsError:  # an append failed between these steps
            os.unlink(free_name)  # noqa: PTH108
            os.link(self._name, free_name)
        os.replace(spare_name, self._name)  # noqa: PTH105 - from here on the items are in the file
        return _signature(spare)

    def _copy(self, state: State, text: bytes) -> Signature:
        """Append to a copy, and let it replace the visible file."""
        with open(self._name, "rb") as old, open(self._spare_names[0], "wb") as new:  # noqa: PTH123
            shutil.copyfileobj(old, new)
            new.seek(state.visible_end)
            new.write(text + _END)
            os.fchmod(new.fileno(), self._mode)
        os.replace(self._spare_names[0], self._name)  # noqa: PTH105 - as above
        return _signature(self._name)

    def _turned(self, state: State) -> tuple[int, int]:
        """Return the handles of the spare and of the visible file."""
        first, second = self._handles or (-1, -1)
        return (first, second) if state.turn == 0 else (second, first)

    def _repaired(self, state: State) -> State:
        """Return the state after an append that failed or was killed half-way, in this process or in another."""
        try:
            there = _signature(self._name)
        except FileNotFoundError:
            there = (0, 0, 0, 0)
        has_taken = there[1] == self._inodes[state.turn] if self._has_links else there[1] not in (0, state.seen[1])
        if has_taken:  # the new file took the visible name, and then the end came
            end = there[2] - len(_END)
            with open(self._name, "rb") as file:  # noqa: PTH123
                file.seek(state.visible_end)
                added = json.loads(b"[" + file.read(end - state.visible_end).lstrip(b",\n") + b"]")
            ends, last = (state.visible_end, end), self._following(added[-1])
            state = State(state.number + 1, 1 - state.turn, *ends, state.items + len(added), there, last)
        else:
            if self._has_links:
                os.ftruncate(self._turned(state)[0], state.spare_end)
            state = state._replace(torn=0)
        self._family.write(state)
        return state

    def _check_untouched(self, state: State) -> None:
        try:
            there = _signature(self._name)
        except FileNotFoundError:
            raise RecordError(f"{self.path} was removed while it was being recorded to") from None
        if there != state.seen:
            raise RecordError(f"{self.path} was changed by another program while it was being recorded to")

    def _remove_spares(self) -> None:
        if os.getpid() == self._owner:
            for name in self._spare_names:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)  # noqa: PTH108

    def close(self) -> None:
        """Write to the disk what the system still holds, remove the spare, release the lock.

        In a forked child, only its own handles are closed: lock and spare belong to the process that opened it.
        """
        if self._handles is None:
            return
        handles, self._handles = self._handles, None
        if os.getpid() == self._owner:
            with self._family:
                self._state = self._family.read()
                self._family.end()
                self._cleanup.callback(self._sync)
                self._cleanup.close()
        self._family.close()
        for handle in handles:
            os.close(handle)

    def _sync(self) -> None:
        with contextlib.suppress(FileNotFoundError), open(self._name, "rb") as file:  # noqa: PTH123
            os.fsync(file.fileno())

    def __enter__(self) -> JsonListFile:
        """Return the file itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def _signature(path: str | int) -> Signature:
    stat = os.stat(path)  # noqa: PTH116
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _write(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written
