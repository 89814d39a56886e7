"""Measures the processor time of a function in this process."""

from __future__ import annotations

import time
from collections.abc import Callable


def least_cpu(act: Callable[[], object], rounds: int) -> float:
    """Return the least CPU seconds that a function takes in some rounds."""
    found = []
    for _ in range(rounds):
        begin = time.process_time()
        act()
        found.append(time.process_time() - begin)
    return min(found)
