"""Where a record may be written: what stands at its path, and the JSON list that is in it already.

It does not know what the items of the list are.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clemcore.errors import RecordError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_LONG_NUMBER = re.compile(r"\d{600}")


def is_nowhere(path: Path) -> bool:
    """Tell whether a path is the system's null device: what is written there is not kept."""
    try:
        return path.samefile(os.devnull)
    except OSError:
        return False


def check_place(path: Path) -> None:
    """Refuse a path at which something stands that is not a regular file.

    Raises:
        RecordError: it is a folder, a device, a pipe or a socket.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    kind = next((words for is_kind, words in _KINDS if is_kind(mode)), None)
    if kind is not None:
        raise RecordError(f"{path} is {kind}, not a record file: choose the path of a file")


def read_list(path: Path) -> tuple[bytes, list[Any]]:
    """Return the text of the list in a file without its closing bracket, and the items.

    Raises:
        RecordError: the file holds something else.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return b"[", []
    if not data.strip():
        return b"[", []
    try:
        items: Any = decoded(path, data.decode("utf-8"))
    except UnicodeDecodeError as fault:
        raise RecordError(f"{path}: byte {fault.start} is not UTF-8; the file is left as it is") from None
    except RecordError as fault:
        raise RecordError(f"{fault}; the file is left as it is") from None
    if not isinstance(items, list):
        raise RecordError(f"{path}: must hold a JSON list, not {type(items).__name__}; the file is left as it is")
    return data.rstrip()[:-1].rstrip(), items


def decoded(path: Path, text: str) -> Any:
    """Return the JSON value in the text of a file.

    Raises:
        RecordError: the text is not valid JSON, or is nested too deeply, or holds a number that is too long.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as fault:
        raise RecordError(f"{path}:{fault.lineno}:{fault.colno}: is not valid JSON ({fault.msg})") from None
    except RecursionError:
        raise RecordError(f"{path}: is nested too deeply to be read") from None
    except ValueError as fault:  # Python limits the digits of a number
        found = _LONG_NUMBER.search(text)
        before = text[: found.start()] if found is not None else ""
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise RecordError(f"{path}:{line}:{column}: holds a number that is too long to be read ({fault})") from None


class Nowhere:
    """Takes items in the place of a file, and keeps none of them.

    Attributes:
        path: the null device.
        count: number of items taken.
        has_taken: always true.
    """

    def __init__(self) -> None:
        self.path = Path(os.devnull)
        self.count = 0
        self.has_taken = True

    def extend(self, items: Sequence[bytes]) -> None:
        """Count items."""
        self.count += len(items)

    def close(self) -> None:
        """Do nothing."""
