"""Brings the value of an argument into the form and the range that a service takes, or says why it has neither."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from clemcore.arguments.ledger import Ledger
from clemcore.arguments.parameter import NotExpressibleError, Parameter
from clemcore.arguments.reasoning import nearest_choice
from clemcore.errors import GenerationArgumentError

# Deeper values are refused: parsers have limits, and JSON of Python ends with a RecursionError somewhere above.
_DEEPEST = 200
# No service and no engine reads larger integers.
_LEAST, _MOST = -(2**63), 2**64 - 1
_LONG_NUMBER = re.compile(r"\d{19}")


def fit(ledger: Ledger, name: str, value: Any, parameter: Parameter) -> None:
    """Fit a value that was put into the ledger; the ledger decides what becomes of one that does not fit."""
    if parameter.is_number:
        fault = _number_fault(value, parameter)
        if fault is not None:
            why, nearest = fault
            ledger.unsupported(name, why, *(() if nearest is None else (nearest,)))
            return
    if parameter.choices and value not in parameter.choices:
        listed = ", ".join(repr(choice) for choice in parameter.choices)
        why = f"must be one of {listed}, not {value!r}"
        near = nearest_choice(value, parameter.choices)
        ledger.unsupported(name, why, *(() if near is None else (near,)))
        return
    if parameter.convert is not None:
        try:
            ledger.put(name, parameter.path, parameter.convert(value))
        except NotExpressibleError as fault_of_value:
            nearest = fault_of_value.nearest
            ledger.unsupported(name, str(fault_of_value), *(() if nearest is None else (nearest,)))


def _number_fault(value: Any, parameter: Parameter) -> tuple[str, float | None] | None:
    """Return what is wrong with a number, and the nearest that is taken; None where nothing is."""
    kind = "a whole number" if parameter.whole else "a number"
    low, high = parameter.minimum, parameter.maximum
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return f"must be {kind}, not {value!r}", None
    nearest = round(value) if parameter.whole else value
    nearest = nearest if low is None or nearest >= low else low
    nearest = nearest if high is None or nearest <= high else high
    if nearest == value and type(nearest) is type(value):
        return None
    if parameter.whole:
        limits = "" if low is None and high is None else f" {'of ' if high is None else ''}{_range(low, high)}"
        return f"must be a whole number{limits}, not {value!r}", nearest
    return f"must be {_range(low, high)}, not {value!r}", nearest


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"from {low:g} to {high:g}"


def as_json(name: str, value: Any) -> Any:
    """Return the value as JSON will carry it: tuples become lists, keys become text.

    Raises:
        GenerationArgumentError: JSON in UTF-8 cannot carry it, or nobody would read it.
    """
    try:
        return plain(value)
    except NotExpressibleError as fault:
        raise GenerationArgumentError(f"generation argument {name}{fault}") from None


def plain(value: Any) -> Any:
    """Return the value as JSON will carry it.

    Raises:
        NotExpressibleError: JSON in UTF-8 cannot carry it, or nobody would read it; the message says why, and is
            to follow the name of what has the value.
    """
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode("utf-8")
        is_deep = text.count("[") + text.count("{") > _DEEPEST
        fault = fault_of_value(value) if is_deep or _LONG_NUMBER.search(text) else None
        if fault is None:
            return json.loads(text)
    except UnicodeEncodeError as error:
        fault = f": has {error.object[error.start]!r}, which is one half of a character and not text"
    except (TypeError, ValueError, RecursionError) as error:
        fault = fault_of_value(value) or f": cannot be written as JSON: {error}"
    raise NotExpressibleError(fault)


def fault_of_value(value: Any) -> str | None:
    """Return what JSON cannot carry in a value, or what nobody would read, with its place; None for nothing."""
    parts = [("", value, 0)]
    while parts:
        place, part, depth = parts.pop()
        if isinstance(part, (Mapping, list, tuple)):
            if depth >= _DEEPEST:
                return f": is nested more than {_DEEPEST} levels deep: flatten it"
            pairs = part.items() if isinstance(part, Mapping) else enumerate(part)
            parts += [(f"{place}[{name!r:.40}]", inside, depth + 1) for name, inside in pairs][::-1]
        elif isinstance(part, float) and not math.isfinite(part):
            return f"{place}: must be a finite number, not {part}"
        elif isinstance(part, int) and not _LEAST <= part <= _MOST:
            return f"{place}: must be a number of at most 64 bits, not one of {part.bit_length()} bits"
        elif part is not None and not isinstance(part, (str, int, float)):
            what = f"{type(part).__module__}.{type(part).__name__}".removeprefix("builtins.")
            hint = ": convert it, for example by float(…)" if hasattr(part, "__float__") else ""
            return f"{place}: must be a text, a number, true, false, a list or a dict, not {what}{hint}"
    return None
