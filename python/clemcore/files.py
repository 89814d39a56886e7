"""Replacing a file as a whole, or not at all, and keeping two writers apart.

It does not know what is in the files.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # pragma: no cover - only where there are no POSIX locks
    fcntl = None  # type: ignore[assignment]


def replace_file(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write ``data`` to a temporary file beside ``path`` and rename it over ``path``.

    Readers see the old file or the new one, never a part; so does the next process after a kill.

    Args:
        path: the file to replace or to make; its folder must exist. A symbolic link is followed.
        data: the whole new content.
        mode: permission bits of the new file; by default those of the old one, or what the umask gives.

    Raises:
        OSError: the folder cannot be written to; the old file is as it was.
    """
    path = path.resolve()
    with blaming(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(_default_mode(path) if mode is None else mode)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Make an OSError name the target file, not our temporary one."""
    try:
        yield
    except OSError as fault:
        if fault.errno is None:
            raise
        raise OSError(fault.errno, f"cannot be written: {fault.strerror}", str(path)) from None


def _default_mode(path: Path) -> int:
    if path.exists():
        return path.stat().st_mode & 0o777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock that belongs to ``path`` (a file ``.NAME.lock`` beside it) while the block runs.

    The lock is advisory and ends with the process, also when it is killed.

    Args:
        path: the file that the lock protects; it need not exist, its folder must.
        wait: wait for another holder, or raise at once.

    Raises:
        BlockingIOError: another process holds the lock and ``wait`` is false.
        OSError: the folder cannot be written to.
    """
    path = path.resolve()
    lock = path.with_name(f".{path.name}.lock")
    with blaming(path):
        handle = _acquire(lock, wait)
    holder = os.getpid()
    try:
        yield
    finally:
        if os.getpid() == holder:  # a forked child only forgets it: the lock is its parent's
            lock.unlink(missing_ok=True)
            if fcntl is not None:  # said aloud, because children still hold the same open file
                fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _acquire(lock: Path, wait: bool) -> int:
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            # The holder before us removed the file: what we locked has no name any more, so try again.
            if os.fstat(handle).st_nlink > 0:
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def store_json(path: Path, value: Any) -> None:
    """Write a value as JSON with :func:`replace_file`; its folder is made where it is missing.

    Args:
        path: the file to replace or to make.
        value: what JSON can hold; anything else is written as its ``repr``.

    Raises:
        OSError: it cannot be written; an old file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(value, ensure_ascii=True, default=repr).encode())


def cache_dir() -> Path:
    """Return the user's cache: ``$CLEMCORE_CACHE``, else ``$XDG_CACHE_HOME/clemcore``, else ``~/.cache/clemcore``.

    The folder need not exist.

    Raises:
        FileNotFoundError: the user has no home folder, and neither variable is set.
    """
    if own := os.environ.get("CLEMCORE_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "clemcore"
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises without HOME and without an account
    if home == "~":
        raise FileNotFoundError(errno.ENOENT, "there is no home folder: set $CLEMCORE_CACHE")
    return Path(home) / ".cache" / "clemcore"
