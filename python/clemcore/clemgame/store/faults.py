"""What a fault of the database means for a run, in words. It does not know what was written."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from clemcore.errors import StoreError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
_SAFE = "Everything that was stored before is safe"


def write_error(path: Path, fault: Exception) -> StoreError:
    """Return the error for a write that failed."""
    text = str((isinstance(fault, OSError) and fault.strerror) or fault)
    if "full" in text or "disk I/O" in text or (isinstance(fault, OSError) and fault.errno in _NO_ROOM):
        error = StoreError(
            f"{path} cannot be written: {text}. {_SAFE}: make room, and run the same command again to continue"
        )
    elif isinstance(fault, OSError) and fault.errno in _NO_LOCKS:
        error = StoreError(
            f"{path} cannot be written: the file system of its folder has no locks ({text}), so two processes "
            "could write the run at once. Mount it with locks, or choose a folder on another disk with -r"
        )
    elif _is_damage(text):
        return damaged(path, text)
    elif "locked" in text:
        error = StoreError(
            f"{path} cannot be written: another program holds it for longer than the time limit. {_SAFE}: close "
            "that program, and run the same command again to continue"
        )
    else:
        error = StoreError(
            f"{path} cannot be written: {text}. {_SAFE}: check the file and its folder, and run the same command "
            "again to continue"
        )
    error.__cause__ = fault
    return error


def folder_error(folder: Path, fault: OSError) -> StoreError:
    """Return the error for the folder of a run that cannot be made."""
    if fault.errno in _NO_ROOM:
        return write_error(folder, fault)
    error = StoreError(
        f"{folder} cannot be made: {fault.strerror}. Make the folder around it writable, or choose another one for "
        "results with -r"
    )
    error.__cause__ = fault
    return error


def read_error(path: Path, fault: Exception) -> StoreError:
    """Return the error for a read that failed."""
    text = str(fault)
    error = (
        damaged(path, text)
        if _is_damage(text) or not isinstance(fault, sqlite3.Error)
        else StoreError(f"{path} cannot be read: {text}. Check that the file and its folder are readable")
    )
    error.__cause__ = fault
    return error


def damaged(path: Path, what: str) -> StoreError:
    """Return the error for a file that is damaged."""
    return StoreError(
        f"{path} is damaged: {what}. It is left as it is, and the classic files of episodes that ended are not "
        "affected. Restore the file from a copy, or move the run aside with --fresh"
    )


def changed(path: Path, how: str) -> StoreError:
    """Return the error for a file that somebody else changed during the run."""
    return StoreError(
        f"{path} was {how} by another program during the run, so nothing more is written to it. The classic files "
        "of episodes that ended are safe. Put the file back as it was, and run the same command again to continue"
    )


def _is_damage(text: str) -> bool:
    return any(word in text for word in ("malformed", "not a database", "corrupt"))
