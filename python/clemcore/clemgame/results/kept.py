"""Files that keep what was computed, to be used where nothing has changed. They may be removed at any time.

The core writes their content, and uses none that is damaged or that other code wrote. This module does not know
what is kept.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from clemcore.clemgame.layout.jsonfile import write_whole


def kept_bytes(path: Path) -> bytes:
    """Return the content of a file, or nothing if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def keep(path: Path, content: bytes, before: bytes) -> None:
    """Write a file if its content is another one. Where that is not possible, all is computed again next time.

    Args:
        path: the file.
        content: what is to be kept.
        before: what the file holds.
    """
    if content != before:
        with contextlib.suppress(OSError):
            write_whole(str(path), content)
