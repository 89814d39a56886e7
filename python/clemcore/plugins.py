"""Entry points of installed packages, found cheaply where there are none.

It does not know what the entry points are for.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_METADATA = (".dist-info", ".egg-info", "EGG-INFO")


def entry_points_of(group: str) -> list[EntryPoint]:
    """Return the entry points of a group, sorted by name."""
    if not _is_named(group.encode(), sys.path):
        return []
    from importlib.metadata import entry_points

    return sorted(entry_points(group=group), key=lambda point: point.name)


def _is_named(group: bytes, places: Iterable[str]) -> bool:
    """Tell whether any installed package names the group; importlib.metadata would take far longer to load."""
    for place in dict.fromkeys(places):
        try:
            if group in _entry_points_in(place or ".", os.stat(place or ".").st_mtime_ns):  # noqa: PTH116
                return True
        except NotADirectoryError:  # an archive, which may hold anything
            return True
        except OSError:
            continue
    return False


@functools.lru_cache(maxsize=64)
def _entry_points_in(place: str, _changed: int) -> bytes:
    """Return what the packages in a folder say about their entry points; an installation changes the folder."""
    texts = []
    for name in os.listdir(place):  # noqa: PTH208 - a hundred Path objects would be slower
        if name.endswith(_METADATA):
            try:
                with open(os.path.join(place, name, "entry_points.txt"), "rb", buffering=0) as file:  # noqa: PTH118, PTH123
                    texts.append(file.read())
            except OSError:
                continue
    return b"\n".join(texts)
