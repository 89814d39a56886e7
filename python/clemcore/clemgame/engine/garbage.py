"""Python's search for cycles of objects while many episodes are live. It does not know episodes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# New objects until Python looks for cycles; its own number is 700. Each of a thousand live episodes makes more than
# that, nearly all of it is still needed, and to look at it again and again takes a fifth of the time of a call.
_OBJECTS = 20_000


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Let Python look for cycles less often in the block. A program that wants that even more rarely goes first."""
    before = gc.get_threshold()
    if before[0]:
        gc.set_threshold(max(before[0], _OBJECTS), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
