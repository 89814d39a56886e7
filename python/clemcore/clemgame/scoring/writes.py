"""Sees what a scorer writes outside of the episode that it scores: files that scorers in other processes may use.

It does not know what is scored.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from typing import Any

# Opening such a path does not lead through a link.
_NO_LINK = os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
# Events that change a name itself, not what a link of this name leads to.
_OF_NAMES = frozenset({"os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.link", "os.symlink"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Which of the arguments of an audit event are paths that the event changes.
_CHANGING = {
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "shutil.rmtree": (0,),
    "shutil.move": (0, 1),
    "shutil.copyfile": (1,),
    "shutil.copytree": (1,),
}


class Writes:
    """Calls a function before something is changed in some folders.

    A hook cannot be removed, so this is for a process that ends with its work.

    Args:
        folders: the folders that are watched, with all that is below.
        on_write: called with the path and with the line of code, before anything is changed.
    """

    def __init__(self, folders: Sequence[str], on_write: Callable[[str, str], None]) -> None:
        self._folders = tuple(os.path.join(os.path.realpath(folder), "") for folder in folders)  # noqa: PTH118
        self._on_write = on_write
        self._temporary = os.path.join(os.path.realpath(tempfile.gettempdir()), "")  # noqa: PTH118
        # A working folder below that of temporary files is watched all the same.
        self._is_inside = any(folder.startswith(self._temporary) for folder in self._folders)
        self.allowed = self._allowed_as_named = ""
        # The folder above the allowed one, and where it is without links.
        self._parent: str | None = None
        self._real_parent = ""
        self.is_active = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_active:
            return
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & _WRITING:
                return
            self._look(path, is_name=bool(flags & _NO_LINK))
        elif event in _CHANGING:
            for index in _CHANGING[event]:
                self._look(arguments[index], is_name=event in _OF_NAMES)

    def _look(self, path: Any, *, is_name: bool) -> None:
        if not isinstance(path, (str, bytes)):  # an open file
            return
        if self._is_plainly_allowed(path, is_name=is_name):
            return
        text = os.path.realpath(os.fsdecode(path))
        if not text.startswith(self._folders) and os.path.join(text, "") not in self._folders:  # noqa: PTH118
            return
        if self.allowed and (text + os.sep).startswith(self.allowed):
            return
        if "__pycache__" in text or (not self._is_inside and text.startswith(self._temporary)):
            return
        self.is_active = False
        self._on_write(text, _line())

    def _is_plainly_allowed(self, path: str | bytes, *, is_name: bool) -> bool:
        """Tell, without a look at each folder above it, whether a file lies directly in the allowed folder."""
        folder, _, name = os.fsdecode(path).rpartition("/")
        if folder != self._allowed_as_named or not folder or name == "..":
            return False
        return is_name or not os.path.islink(path)  # noqa: PTH114

    def allow(self, folder: str) -> None:
        """Let the scorer write into one folder, that of its episode."""
        self._allowed_as_named = folder
        parent, _, name = folder.rpartition("/")
        if parent != self._parent:  # episodes of an experiment come together
            self._parent, self._real_parent = parent, os.path.join(os.path.realpath(parent or "/"), "")  # noqa: PTH118
        is_plain = "/" in folder and name not in ("", ".", "..") and not os.path.islink(folder)  # noqa: PTH114
        real = f"{self._real_parent}{name}" if is_plain else os.path.realpath(folder)
        self.allowed = real if real.endswith(os.sep) else real + os.sep


def _line() -> str:
    """Return the line of code that is about to write: the innermost one of the game."""
    ours = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120
    for frame in reversed(traceback.extract_stack()[:-1]):
        if "site-packages" in frame.filename or frame.filename.startswith((ours, sys.base_prefix, "<")):
            continue
        return f"{frame.filename}:{frame.lineno}"
    return ""
