"""Brings the value of an argument into the form and the range that a service takes, or says why it has neither."""

from __future__ import annotations

import json
from typing import Any

from clemcore.arguments.ledger import Ledger
from clemcore.arguments.parameter import NotExpressibleError, Parameter
from clemcore.arguments.reasoning import nearest_choice
from clemcore.errors import GenerationArgumentError


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
        GenerationArgumentError: JSON in UTF-8 cannot carry it.
    """
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode("utf-8")
        return json.loads(text)
    except UnicodeEncodeError as fault:
        reason = f"{fault.object[fault.start]!r} is one half of a character"
    except (TypeError, ValueError, RecursionError) as fault:
        reason = str(fault)
    raise GenerationArgumentError(f"generation argument '{name}' cannot be written as JSON: {reason}")
