"""One writer per store: a lock that ends with its process and names who holds it.

It does not know what is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path

from clemcore.errors import StoreError

try:
    import fcntl
except ImportError:  # pragma: no cover - only where there are no POSIX locks
    fcntl = None  # type: ignore[assignment]

# What this process holds: POSIX locks do not exclude a process from itself, and closing any handle of the file
# would release them. So a file that is listed here is never opened a second time.
_held: set[str] = set()
# Seconds to wait for somebody who only asks who the writer is (:func:`writer_of`).
_WAIT = 0.3
_lock = threading.Lock()
os.register_at_fork(after_in_child=_held.clear)


class WriterLock:
    """Holds the right to write a store until :meth:`release`, or until the process ends, however it ends.

    Args:
        path: the store; the lock is ``.NAME.lock`` beside it.

    Raises:
        StoreError: another writer holds it; the message names its process and host.
        OSError: the folder cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._file = lock_file(self._path)
        self._handle = -1
        self._pid = os.getpid()
        with _lock:
            if str(self._file) in _held:
                raise StoreError(_refusal(path, {"pid": self._pid, "host": socket.gethostname()}))
            self._handle = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                self._take(path)
            except BaseException:
                os.close(self._handle)
                raise
            _held.add(str(self._file))

    def _take(self, path: Path) -> None:
        # A POSIX lock, not flock: a forked child that outlives its parent must not keep the store locked.
        deadline = time.monotonic() + _WAIT
        while fcntl is not None:
            try:
                fcntl.lockf(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (BlockingIOError, PermissionError):
                if time.monotonic() > deadline:
                    raise StoreError(_refusal(path, _holder(self._handle))) from None
                time.sleep(0.02)
        text = json.dumps({"pid": self._pid, "host": socket.gethostname()}).encode()
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, text, 0)

    def release(self) -> None:
        """Let another writer in; in a forked child, only forget the lock."""
        if self._handle < 0:
            return
        with _lock:
            handle, self._handle = self._handle, -1
            if self._pid == os.getpid():
                _held.discard(str(self._file))
                with contextlib.suppress(OSError):
                    os.ftruncate(handle, 0)
            os.close(handle)


def lock_file(path: Path) -> Path:
    """Return the file that holds the lock of a store."""
    return path.with_name(f".{path.name}.lock")


def writer_of(path: Path) -> dict[str, object] | None:
    """Return ``pid`` and ``host`` of the process that is writing a store, or None if there is none."""
    file = lock_file(path.resolve())
    with _lock:
        if str(file) in _held:
            return {"pid": os.getpid(), "host": socket.gethostname()}
        try:
            handle = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if fcntl is not None:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return _holder(handle)
        finally:
            os.close(handle)
    return None


def _holder(handle: int) -> dict[str, object]:
    try:
        found = json.loads(os.pread(handle, 1000, 0))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _refusal(path: Path, holder: dict[str, object]) -> str:
    who = f"process {holder.get('pid', 'unknown')} on {holder.get('host', 'an unknown host')}"
    return f"{path} is being written by {who}. Wait until it ends, or stop it; nothing was changed"
