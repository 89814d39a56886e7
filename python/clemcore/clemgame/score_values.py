"""Scores as a file can hold them, and what is wrong with a value that was logged as a score.

It does not know how scores are computed, and it does not import NumPy.
"""

from __future__ import annotations

import json
import math
import numbers
import operator
from typing import Any

from clemcore.clemgame.plain import plain

_EXACT = frozenset({int, float, bool, type(None)})
_MOST_LEVELS = 100


def storable(value: Any, around: tuple[int, ...] = ()) -> Any:  # noqa: PLR0911 - one case after the other
    r"""Return a copy of scores that any reader of JSON can take: ints, floats and texts of whole characters.

    Numbers of other types, such as those of NumPy, ``Decimal`` and ``Fraction``, become ints and floats. Half a
    character becomes its escape, as text. Any other object is kept visibly, as in records.

    Args:
        value: the scores.
        around: identifies the objects that it is in.

    Examples:
        >>> from fractions import Fraction
        >>> storable({"half": Fraction(1, 2), "said": "\ud83d"})
        {'half': 0.5, 'said': '\\ud83d'}
    """
    if type(value) in _EXACT:
        return value
    if isinstance(value, str):
        return _text(value)
    if id(value) in around or len(around) >= _MOST_LEVELS:
        return plain(value, 0)
    around = (*around, id(value))
    if isinstance(value, dict):
        return {_name(name): storable(item, around) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [storable(item, around) for item in value]
    # NumPy's arrays and numbers; its longest floats return themselves.
    listed = value.tolist() if callable(getattr(value, "tolist", None)) and not isinstance(value, type) else value
    if type(listed) is not type(value):
        return storable(listed, around)
    number = _number(value)
    return storable(plain(value), around) if number is None else number


def _number(value: Any) -> int | float | None:
    """Return an object as a number, or None if it is not one."""
    if isinstance(value, type):
        return None
    try:
        return operator.index(value) if isinstance(value, numbers.Integral) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _name(name: Any) -> Any:
    held = storable(name)
    return held if type(held) in _EXACT or isinstance(held, str) else _text(str(name))


def _text(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # JSON joins two halves of one character, and only half a one stays
        return str(json.loads(json.dumps(text))).encode("utf-8", "backslashreplace").decode("utf-8")
    return text


def fault_of(value: Any, *, is_main: bool) -> str | None:
    """Return what is wrong with the value of a score, or None. NaN is a value: that of an aborted episode.

    Args:
        value: the value as it was logged.
        is_main: whether it is the main score, which must be a number.
    """
    kind = type(value)
    if kind is int or (kind is float and not math.isinf(value)) or value is None:
        return None
    held = storable(value)
    if isinstance(held, bool):
        return f"is {held}: the evaluation needs numbers, log {int(held)} instead"
    if isinstance(held, float) and math.isinf(held):
        return "is infinite, and neither JSON nor a mean has room for it; it is kept as null: log a number"
    if is_main and not isinstance(held, (int, float)):
        return f"is a {kind.__name__}, so that it cannot be averaged: log a number from 0 to 100"
    if isinstance(held, dict) and not isinstance(value, dict):
        return f"is a {kind.__name__}, which JSON does not have; it is kept as {held!r:.80}: log a number"
    return None
