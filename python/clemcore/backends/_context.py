"""Sizes of context windows as registry entries write them.

It does not know how many tokens a text has: a backend that can count does that itself.
"""

from __future__ import annotations

import re
from typing import Any

from clemcore.errors import SpecError

# As 3.7.2 read them: "k" is 1024 tokens.
_UNITS = {"": 1, "k": 1024, "m": 1024 * 1024}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([km]?)", re.IGNORECASE)


def parse_context_size(value: Any) -> int:
    """Read the size of a context window in tokens.

    Args:
        value: a positive whole number, or text such as ``"4096"``, ``"128k"``, ``"1.5k"``, ``"1M"``.

    Raises:
        SpecError: it is none of these.

    Examples:
        >>> parse_context_size("128k"), parse_context_size("1.5k"), parse_context_size(4096)
        (131072, 1536, 4096)
    """
    size = 0
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (found := _SIZE.fullmatch(value.strip())):
        size = int(float(found[1]) * _UNITS[found[2].lower()])
    if size <= 0:
        raise SpecError(
            f"context_size must be a number of tokens such as 4096, '128k' or '1.5k' (k is 1024), not {value!r}"
        )
    return size
