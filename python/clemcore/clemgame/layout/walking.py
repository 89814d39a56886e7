"""Goes through folders of results, also through those that links lead to, but never in a circle.

Runs that ``clem run --fresh`` has set aside are left out, unless a walk begins there. It reads names of files. It
does not know what is in a run.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from clemcore.clemgame.store.marks import is_set_aside


class Position(NamedTuple):
    """Where a walk is.

    Attributes:
        real: the folder, without links.
        passed: the folders in which the walk followed a link, and where it began.
    """

    real: str
    passed: tuple[str, ...]

    @classmethod
    def start(cls, path: Path | str) -> Position:
        """Begin at a folder; it may be a link itself."""
        return cls(os.path.realpath(path), (os.path.realpath(os.path.dirname(os.path.abspath(path))),))  # noqa: PTH100, PTH120

    def below(self, entry: os.DirEntry[str]) -> Position | None:
        """Return the position in an entry of this folder.

        Returns:
            None if it is not a folder, if it was set aside, or if it is a link to a folder that holds the link, as
            ``loop -> ..`` is, or that is here under its own name, as for ``latest -> mock``.
        """
        try:
            if not entry.is_dir() or is_set_aside(entry.name):
                return None
            if not entry.is_symlink():
                real, passed = self
                # Quicker than join(), for folders that are many.
                return Position(
                    real + entry.name if real.endswith(os.sep) else f"{real}{os.sep}{entry.name}", passed
                )
        except OSError:  # a link to itself
            return None
        target = os.path.realpath(entry.path)
        if any(_is_within(each, target) for each in (self.real, *self.passed)):
            return None
        parent, name = os.path.split(target)
        if parent == self.real and not name.startswith("."):
            return None
        return Position(target, (*self.passed, self.real))


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))  # noqa: PTH118 - as above


def walk(
    path: Path | str, is_known: Callable[[str], bool] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Give each folder, with its folders and its other files, as ``os.walk`` does.

    Remove a name from the list of folders to leave it out. A folder that cannot be read is left out.

    Args:
        path: the folder to begin with.
        is_known: tells of a folder that it need not be looked into; it is given without names.
    """
    rest = [(os.fspath(path), Position.start(path))]
    while rest:
        folder, position = rest.pop()
        if is_known is not None and is_known(folder):
            yield folder, [], []
            continue
        below: dict[str, Position] = {}
        files: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):  # the most, and asked without a look at the disk
                        files.append(entry.name)
                        continue
                    inner = position.below(entry)
                    if inner is not None:
                        below[entry.name] = inner
                    elif entry.is_symlink() and not _is_folder(entry):
                        files.append(entry.name)  # what is left are pipes and the like, whose reading may not end
        except OSError:
            continue
        folders = list(below)
        yield folder, folders, files
        base = os.path.join(folder, "")  # noqa: PTH118 - as above
        rest += [(base + name, below[name]) for name in reversed(folders)]


def holds_any(path: Path | str, names: Collection[str]) -> bool:
    """Tell whether a file of one of these names is somewhere below a folder.

    A folder is entered as soon as it is seen: the folder of an experiment can have thousands. Hidden ones, and what
    :func:`walk` leaves out, do not count.
    """
    opened = [(os.scandir(path), Position.start(path))]
    try:
        while opened:
            entries, position = opened[-1]
            entry = next(entries, None)
            if entry is None:
                opened.pop()[0].close()
            elif entry.name in names:
                return True
            elif not entry.name.startswith(".") and (inner := position.below(entry)) is not None:
                with contextlib.suppress(OSError):
                    opened.append((os.scandir(entry.path), inner))
    finally:
        for entries, _ in opened:
            entries.close()
    return False


def folders_in(path: Path) -> list[Path]:
    """Return the folders in a folder that a walk enters, sorted, without hidden ones."""
    position = Position.start(path)
    with os.scandir(path) as entries:
        names = [entry.name for entry in entries if position.below(entry) is not None]
    return sorted(path / name for name in names if not name.startswith("."))


def set_aside_in(path: Path) -> list[Path]:
    """Return the runs in a folder, or in the folders in it, that were set aside, sorted."""
    found = (each for depth in ("*", "*/*") for each in path.glob(f"{depth}.until_*"))
    return sorted(each for each in found if is_set_aside(each.name) and each.is_dir())


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
