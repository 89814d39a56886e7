"""How many weights a model has by its entry."""

from __future__ import annotations

import re

from clemcore.registry.spec import ModelSpec

_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([KMBT])", re.IGNORECASE)
_UNITS = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def parameters_of(spec: ModelSpec) -> int | None:
    """Return the number of weights that the entry names, as in ``7B``, or None where it is not such a number."""
    known = _COUNT.fullmatch(str(spec.get("parameters") or "").strip())
    return None if known is None else round(float(known[1]) * _UNITS[known[2].upper()])
