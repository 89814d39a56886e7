"""What tells whether a file is as it was: its times, its size and its number. It does not read the file."""

from __future__ import annotations

import os
import time
from typing import TypeAlias

# A file that changed this short a time before it was read may change again within one tick of its clock.
_TICK = 2_000_000_000
# Time of the last change of a file, that of its entry, its size and its number (inode). No program can set the
# second one, so a file that was replaced by one of the same size and date differs, too.
State: TypeAlias = "tuple[int, int, int, int]"
# Of the number of a file, so much that 64 bits with a sign hold it.
_BITS = (1 << 63) - 1


def state_of(status: os.stat_result) -> State:
    """Return what tells whether a file is as it was."""
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino & _BITS


def has_just_changed(state: State) -> bool:
    """Tell whether a file changed so shortly before now that another change might not be seen."""
    return time.time_ns() - max(state[:2]) < _TICK
