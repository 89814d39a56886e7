"""Comparing two records without their times and links."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

from clemcore.calls.encoding import FACTS, LINK
from clemcore.calls.reader import read_record, record_files


def first_difference(path: str | os.PathLike[str], other: str | os.PathLike[str]) -> str | None:
    """Compare two records byte for byte, without their times; return the first difference, or None.

    Times are ``timestamp``, ``clemcore.duration_seconds``, ``clemcore.wire.seconds`` and those of failed attempts,
    ``clemcore.timings``, ``clemcore.cached_at``, and start and duration in ``clem_player`` of older releases. Links
    and hashes follow from everything else, so they do not count either.

    Raises:
        RecordError: one of them cannot be read, or is not a record.
    """
    here, there = ([call for file in record_files(one) for call in read_record(file)] for one in (path, other))
    for mine, yours in zip(here, there, strict=False):
        found = _differing(without_times(mine.fields), without_times(yours.fields), "")
        if found is None and not mine.player and mine.texts != yours.texts:
            found = "prompt or response: the same values, but other bytes"
        if found is not None:
            return f"{mine.place} and {yours.place} differ at {found}"
    if len(here) != len(there):
        return f"{path} has {len(here)} calls, {other} has {len(there)}"
    return None


def without_times(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a deep copy of the fields of a recorded call, without its times, link and hashes."""
    fields = copy.deepcopy(fields)
    fields.pop("timestamp", None)
    facts = fields.get(FACTS)
    if isinstance(facts, dict):
        for name in ("duration_seconds", "timings", "cached_at", "hashes", LINK):
            facts.pop(name, None)
        wire = facts.get("wire")
        if isinstance(wire, dict):
            wire.pop("seconds", None)
            for attempt in wire.get("failed_attempts") or ():
                attempt.pop("seconds", None)
    response = fields.get("raw_response_obj")
    player = response.get("clem_player") if isinstance(response, dict) else None
    if isinstance(player, dict):
        player.pop("call_start", None)
        player.pop("call_duration", None)
    return fields


def _differing(one: Any, other: Any, where: str) -> str | None:
    """Return the path of the first difference of two JSON values, with both sides; the order of fields counts."""
    if isinstance(one, dict) and isinstance(other, dict) and list(one) == list(other):
        pairs = ((f"{where}.{name}".lstrip("."), one[name], other[name]) for name in one)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = ((f"{where}[{index}]", *both) for index, both in enumerate(zip(one, other, strict=True)))
    elif type(one) is type(other) and json.dumps(one) == json.dumps(other):
        return None
    else:
        return f"{where}: {_short(one)} and {_short(other)}"
    return next((found for path, a, b in pairs if (found := _differing(a, b, path)) is not None), None)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:80] + "…"  # noqa: PLR2004 - a line's worth
