"""A JSON list in a file that grows item by item and is whole at any moment, also after a kill.

Appending costs what the items cost, not what the file costs: two files take turns. The visible one is never
written to; the spare one, which lags by one append, gets what it lacks and is then renamed over the visible name,
whose file becomes the spare. A reader, or a process that comes after a kill, sees the list before or after an
append, never in between.

It does not know what the items are.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clemcore.errors import RecordError
from clemcore.files import locked, replace_file

_END = b"\n]\n"


class JsonListFile:
    """The writing side of such a file. One writer at a time, kept by a lock; not for use by two threads at once.

    Args:
        path: the file; an existing one is continued, whatever made it, if it holds a JSON list.

    Raises:
        RecordError: the file is there but holds no JSON list (it is left as it is), or another writer has it open.

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
        self.path = Path(path).resolve()
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
        self._spare_name, self._free_name = (
            str(self.path.with_name(f".{self.path.name}.{end}")) for end in ("spare", "old")
        )
        self._remove_spares()  # of a writer that was killed
        body, self.count = _read_body(self.path)
        if not self.path.exists() or self.count == 0:
            replace_file(self.path, b"[\n]\n" if not body else body + _END)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        mode = self.path.stat().st_mode & 0o777
        self._spare = os.open(self._spare_name, flags, mode)
        self._cleanup.callback(self._close_spare)
        self._visible = os.open(self.path, os.O_WRONLY)
        _write(self._spare, body + _END, 0)
        self._spare_end = self._visible_end = len(body)
        self._lag = b""
        self._is_torn = False
        self._seen = _signature(self._name)

    def append(self, item: bytes) -> None:
        """Add one item, given as JSON text in UTF-8; otherwise as :meth:`extend`."""
        self.extend((item,))

    def extend(self, items: Sequence[bytes]) -> None:
        """Add items, each given as JSON text in UTF-8, all of them or none: many cost little more than one.

        Raises:
            RecordError: the file was changed or removed by somebody else since the last append.
            OSError: the disk is full or gone; the visible file is as it was before.
        """
        if not items:
            return
        self._check_untouched()
        text = (b",\n" if self.count else b"\n") + b",\n".join(items)
        if self._is_torn:  # an append failed: it may have written more than this one
            os.ftruncate(self._spare, self._spare_end)
        self._is_torn = True
        _write(self._spare, self._lag + text + _END, self._spare_end)
        try:
            os.link(self._name, self._free_name)
        except FileExistsError:  # an append failed between these steps
            os.unlink(self._free_name)  # noqa: PTH108
            os.link(self._name, self._free_name)
        os.replace(self._spare_name, self._name)  # noqa: PTH105 - from here on the items are in the file
        self._spare_name, self._free_name = self._free_name, self._spare_name
        new_end = self._spare_end + len(self._lag) + len(text)
        self._spare, self._visible = self._visible, self._spare
        self._spare_end, self._visible_end = self._visible_end, new_end
        self._lag = text
        self.count += len(items)
        self._is_torn = False
        self._seen = _signature(self._visible)

    def _check_untouched(self) -> None:
        try:
            there = _signature(self._name)
        except FileNotFoundError:
            raise RecordError(f"{self.path} was removed while it was being recorded to") from None
        if there != self._seen:
            raise RecordError(f"{self.path} was changed by another program while it was being recorded to")

    def _close_spare(self) -> None:
        self._remove_spares()
        os.close(self._spare)

    def _remove_spares(self) -> None:
        for name in (self._spare_name, self._free_name):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)  # noqa: PTH108

    def close(self) -> None:
        """Write to the disk what the system still holds, remove the spare, release the lock."""
        if self._visible >= 0:
            os.fsync(self._visible)
            os.close(self._visible)
            self._visible = -1
            self._cleanup.close()

    def __enter__(self) -> JsonListFile:
        """Return the file itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def _signature(path: str | int) -> tuple[int, int, int, int]:
    stat = os.stat(path)  # noqa: PTH116
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _write(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written


def _read_body(path: Path) -> tuple[bytes, int]:
    """Return the file's text without its closing bracket, and the number of items."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return b"[", 0
    if not data.strip():
        return b"[", 0
    try:
        items: Any = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as fault:
        raise RecordError(f"{path}: byte {fault.start} is not UTF-8; it is left as it is") from None
    except json.JSONDecodeError as fault:
        place = f"{path}:{fault.lineno}:{fault.colno}"
        raise RecordError(f"{place}: no valid JSON ({fault.msg}); it is left as it is") from None
    if not isinstance(items, list):
        raise RecordError(f"{path}: must hold a JSON list, not {type(items).__name__}; it is left as it is")
    return data.rstrip()[:-1].rstrip(), len(items)
