"""The time of day as text, for events and records. It does not know what happened then."""

from __future__ import annotations

import time
from datetime import datetime, timezone

_MICROSECONDS = 1_000_000
_SECONDS_END = len("2026-01-02T03:04:05")

# The second that was written last, its text, and the offset from UTC in it. Many events fall into one second, and
# to write a whole date takes longer than the rest of an event.
_last: tuple[int, str, str] = (-1, "", "")


def local_time(*, with_offset: bool = False) -> str:
    """Return the local time as ``datetime.isoformat`` writes it.

    Args:
        with_offset: add the offset from UTC.
    """
    global _last  # noqa: PLW0603 - threads may replace it at any time: each uses what it has read or made
    second, microsecond = divmod(time.time_ns() // 1000, _MICROSECONDS)
    known = _last
    if known[0] != second:
        text = datetime.fromtimestamp(second, timezone.utc).astimezone().isoformat()
        known = _last = second, text[:_SECONDS_END], text[_SECONDS_END:]
    _, text, offset = known
    if microsecond:  # datetime leaves it out where it is 0
        text = f"{text}.{microsecond:06d}"
    return text + offset if with_offset else text
