"""Whether several servers have the same model, by what they say about it (``GET /models``).

It sends nothing. vLLM and llama.cpp describe their model; others only name it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# What servers say about the model itself: vLLM the first two, llama.cpp the third.
_TELLING = ("root", "max_model_len", "meta")
_SHOWN = 5


@dataclass(frozen=True)
class Told:
    """What a server says about its models.

    Attributes:
        names: the names of its models; None where it does not list them.
        about: what it says about the one that is called, as text.
    """

    names: tuple[str, ...] | None = None
    about: Mapping[str, str] = field(default_factory=dict)


def read_models(status: int, body: bytes, model_id: str) -> Told:
    """Read the reply to ``GET /models``.

    Examples:
        >>> read_models(200, b'{"data": [{"id": "m", "root": "/models/m", "max_model_len": 512}]}', "m")
        Told(names=('m',), about={'root': 'm', 'max_model_len': '512'})
        >>> read_models(404, b"", "m").names is None
        True
    """
    try:
        found = json.loads(body)["data"] if status == 200 else None  # noqa: PLR2004 - the good status
        rows = [row for row in found or () if isinstance(row, dict) and isinstance(row.get("id"), str)]
    except (ValueError, LookupError, TypeError, RecursionError):
        rows = []
    if not rows:
        return Told()
    about = next((_about(row) for row in rows if row["id"] == model_id), {})
    return Told(tuple(sorted({row["id"] for row in rows})), about)


def _about(row: Mapping[str, Any]) -> dict[str, str]:
    told = {name: row[name] for name in _TELLING if row.get(name) is not None}
    if isinstance(told.get("root"), str):
        told["root"] = told["root"].rstrip("/").rpartition("/")[2]  # each machine may have the folder elsewhere
    return {
        name: value if isinstance(value, str) else json.dumps(value, sort_keys=True) for name, value in told.items()
    }


def difference(one: Told, other: Told, model_id: str) -> str | None:
    """Return how the models of two servers differ, as "the first …, the second …"; None where nothing shows it."""
    if one.names is None or other.names is None:
        return None
    has_one, has_other = model_id in one.names, model_id in other.names
    if has_one != has_other or (not has_one and one.names != other.names):
        return f"the first has {_listed(one.names)}, the second {_listed(other.names)}"
    for name in _TELLING:
        before, now = one.about.get(name), other.about.get(name)
        if before is not None and now is not None and before != now:
            return f"{name} of '{model_id}' is {before} on the first and {now} on the second"
    return None


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:_SHOWN]) + more
