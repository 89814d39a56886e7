"""What a backend says about the size and the price of a call: figures that sums can take, or none.

It does not know what is summed up.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any

_logger = logging.getLogger(__name__)

# Facts with figures, and the name under which a record keeps those that cannot be used.
_USAGE, _COST, UNUSABLE = "usage", "cost", "unusable_figures"
_told: set[str] = set()
# Tables and stores have 64 bits with a sign for a number of tokens.
_MOST = 2**63 - 1


def with_usable_figures(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return facts whose ``usage`` and ``cost`` can be summed up; other figures are kept apart, and reported once.

    Args:
        facts: what is known about a call.
        name: the model, for the warning.

    Examples:
        >>> with_usable_figures({"usage": {"input_tokens": 3}}, "m")
        {'usage': {'input_tokens': 3}}
    """
    bad = {_USAGE: [*_unusable(facts.get(_USAGE), _is_count)], _COST: [*_unusable(facts.get(_COST), _is_price)]}
    if not bad[_USAGE] and not bad[_COST]:
        return facts
    found = dict(facts)
    kept: dict[str, Any] = {}
    for part, names in bad.items():
        whole = facts.get(part)
        if names and not isinstance(whole, Mapping):
            kept[part] = repr(found.pop(part))
        elif names and isinstance(whole, Mapping):
            kept[part] = {each: repr(whole[each]) for each in names}
            found[part] = {each: value for each, value in whole.items() if each not in names}
    if name not in _told:  # else each call would repeat it
        _told.add(name)
        _logger.warning(
            "%s: its backend gave figures that cannot be summed up, and are not counted: %s. Numbers of tokens "
            "must be whole and not negative, and prices finite",
            name,
            kept,
        )
    return {**found, UNUSABLE: kept}


def _unusable(part: Any, is_figure: Any) -> Iterator[str]:
    if part is None:
        return
    if not isinstance(part, Mapping):
        yield ""
        return
    for name, value in part.items():
        if value is not None and not is_figure(name, value):
            yield name


def _is_count(_: str, value: Any) -> bool:
    return isinstance(value, Mapping) or (type(value) is int and 0 <= value <= _MOST)


def _is_price(name: str, value: Any) -> bool:
    return name != "usd" or (type(value) in (int, float) and math.isfinite(value) and value >= 0)
