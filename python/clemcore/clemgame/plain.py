"""Copies of logged values that JSON can hold, however the game goes on to change the originals.

It does not know what the values mean, and it does not write files.
"""

from __future__ import annotations

import json
import re
from typing import Any

_SCALARS = (str, int, float, bool, type(None))
_EXACT = frozenset(_SCALARS)
_MOST_LEVELS = 100
# Where an object is in memory says nothing about it, and differs when an episode is played again.
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


def plain(value: Any, levels: int = _MOST_LEVELS) -> Any:  # noqa: PLR0911 - one case after the other
    """Return a copy of a value that JSON can hold.

    Sets become lists, and what has ``tolist`` (NumPy's arrays and numbers) becomes what that returns. Any other
    object is kept visibly, as in records, but without the place that it has in memory.

    Examples:
        >>> plain({"seen": {3}, "by": object})
        {'seen': [3], 'by': {'__type__': 'builtins.type', 'repr': "<class 'object'>"}}
    """
    kind = type(value)
    if kind in _EXACT:
        return value
    if levels <= 0:
        return {"__type__": f"builtins.{kind.__name__}", "repr": "nested too deeply"}
    if isinstance(value, dict):
        return {
            key if type(key) is str else _key(key): item if type(item) in _EXACT else plain(item, levels - 1)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [item if type(item) in _EXACT else plain(item, levels - 1) for item in value]
    if isinstance(value, _SCALARS):
        return value  # a subclass, such as a member of an enumeration of strings
    if callable(listed := getattr(value, "tolist", None)) and not isinstance(value, type):
        return plain(listed(), levels - 1)
    return {"__type__": f"{kind.__module__}.{kind.__qualname__}", "repr": _ADDRESS.sub("", repr(value))[:1000]}


def _key(key: Any) -> Any:
    return key if isinstance(key, _SCALARS) else str(key)


def plain_if_needed(value: Any) -> Any:
    """Return the value itself if JSON can hold it, else :func:`plain` of it."""
    if type(value) in _EXACT:
        return value
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return plain(value)
    return value
