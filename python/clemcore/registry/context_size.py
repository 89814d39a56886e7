"""Sizes of context windows as registry entries write them.

It does not know how many tokens a text has: a backend that can count does that itself.
"""

from __future__ import annotations

import re
from typing import Any

from clemcore.errors import SpecError

# As 3.7.2 read them: "k" is 1024 tokens.
_UNITS = {"": 1, "k": 1024, "m": 1024 * 1024}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([km]?)", re.IGNORECASE)
_MOST = 10**15


def parse_context_size(value: Any, name: str) -> int | None:
    """Read the size of a context window in tokens; None where the entry leaves it empty.

    Args:
        value: a positive whole number, or text such as ``"4096"``, ``"128k"``, ``"1.5k"``, ``"1m"``.
        name: the model's name, for the error.

    Raises:
        SpecError: it is none of these.

    Examples:
        >>> [parse_context_size(value, "m") for value in ("128k", "1.5k", 4096, "")]
        [131072, 1536, 4096, None]
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    size = 0
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (found := _SIZE.fullmatch(value.strip())):
        size = int(float(found[1]) * _UNITS[found[2].lower()])
    if not 0 < size < _MOST:
        shown = f"one of {size.bit_length()} bits" if abs(size) >= _MOST else f"{value!r:.60}"
        raise SpecError(f'model \'{name}\': context_size must be like 8192, "8192" or "128k", not {shown}')
    return size
