"""Checking a record: hashes, structure, order of times; and comparing two records without their times.

A hash is proven where the bytes that stand in the file, or the body written anew as requests are, have it. It reads
records and knows no provider.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from clemcore.calls.reader import RecordedCall, read_record, record_files
from clemcore.secrets import MASK

# Clocks of a computer are set now and then; what is out of order by less is no finding.
_CLOCK = 2.0


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a record, or cannot be proven.

    Attributes:
        place: file and index.
        field: the field, or an empty text.
        what: what is wrong with it.
        is_wrong: false where it only cannot be proven.
    """

    place: str
    field: str
    what: str
    is_wrong: bool = True

    def __str__(self) -> str:
        """Give place, field and fault."""
        return f"{self.place}{f': {self.field}' if self.field else ''}: {self.what}"


@dataclass
class Report:
    """What was found in a record.

    Attributes:
        calls: number of calls.
        failed: how many of them failed.
        hashes: how many hashes were proven.
        without_hashes: calls of older releases, of which only the structure can be checked.
        findings: everything that is wrong or not proven.
    """

    calls: int = 0
    failed: int = 0
    hashes: int = 0
    without_hashes: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def wrong(self) -> list[Finding]:
        """What is wrong."""
        return [finding for finding in self.findings if finding.is_wrong]

    @property
    def unproven(self) -> list[Finding]:
        """What cannot be proven."""
        return [finding for finding in self.findings if not finding.is_wrong]


def verify(path: str | os.PathLike[str]) -> Report:
    """Check a record, or all records below a folder.

    Raises:
        RecordError: it cannot be read, or is no record.
    """
    report = Report()
    for file in record_files(path):
        calls = read_record(file)
        for call in calls:
            _check(call, report)
        report.findings += _out_of_order(calls)
    return report


def _check(call: RecordedCall, report: Report) -> None:
    report.calls += 1
    report.failed += call.error is not None
    found = list(_of_structure(call))
    if call.facts:
        proven, of_hashes = _of_hashes(call)
        report.hashes += proven
        found += of_hashes
        found += _of_tokens(call)
    else:
        report.without_hashes += 1
    report.findings += found


def _of_structure(call: RecordedCall) -> Iterator[Finding]:
    def wrong(name: str, what: str) -> Finding:
        return Finding(call.place, name, what)

    if call.started is None:
        yield wrong("timestamp", f"must be an ISO time, not {call.fields.get('timestamp')!r}")
    facts = call.facts
    if "clemcore" in call.fields and not facts:
        yield wrong("clemcore", "must be an object with the facts of the call")
    if not facts:
        return
    if not isinstance(facts.get("record_version"), int):
        yield wrong("clemcore.record_version", "is missing")
    duration = facts.get("duration_seconds")
    if isinstance(duration, bool) or not isinstance(duration, (int, float)) or duration < 0:
        yield wrong("clemcore.duration_seconds", f"must be a number of at least 0, not {duration!r}")
    if call.error is None and not isinstance(facts.get("response_text"), str):
        yield wrong("clemcore.response_text", "must be text where the call did not fail")
    if call.error is not None and not all(isinstance(call.error.get(name), str) for name in ("type", "message")):
        yield wrong("clemcore.error", "must have type and message")
    for name in ("model_spec", "gen_args"):
        if not isinstance(facts.get(name), dict):
            yield wrong(f"clemcore.{name}", "is missing")
    batch = facts.get("batch")
    if batch is not None and not _is_place(batch):
        yield wrong("clemcore.batch", f"must have an index below its size, not {batch!r}")


def _is_place(batch: Any) -> bool:
    index, size = (batch.get("index"), batch.get("size")) if isinstance(batch, dict) else (None, None)
    return isinstance(index, int) and isinstance(size, int) and 0 <= index < size


def _of_hashes(call: RecordedCall) -> tuple[int, list[Finding]]:
    wire = call.facts.get("wire")
    if not isinstance(wire, dict):
        return 0, []
    proven, found = 0, []
    for side, value, text in zip(("request", "response"), (call.prompt, call.response), call.texts, strict=True):
        digest, size = wire.get(f"{side}_sha256"), wire.get(f"{side}_bytes")
        if digest is None:
            continue
        name = f"clemcore.wire.{side}_sha256"
        data = next((one for one in _candidates(value, text) if hashlib.sha256(one).hexdigest() == digest), None)
        if data is not None:
            proven += 1
            if size is not None and size != len(data):
                found.append(
                    Finding(call.place, f"clemcore.wire.{side}_bytes", f"is {size}, but they are {len(data)}")
                )
            continue
        why = _why_unproven(side, wire, text)
        what = f"is not that of the recorded {side}" if why is None else f"cannot be proven: {why}"
        found.append(Finding(call.place, name, what, is_wrong=why is None))
    return proven, found


def _candidates(value: Any, text: str) -> Iterator[bytes]:
    """Give the bytes that a recorded body may have had."""
    yield text.encode("utf-8")
    if isinstance(value, str):
        yield value.encode("utf-8", "replace")
    try:
        yield json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError:  # half a character, which no body can hold
        return


def _why_unproven(side: str, wire: dict[str, Any], text: str) -> str | None:
    if MASK in text:
        return "a key was masked in it"
    if side == "response" and wire.get("content_encoding"):
        return f"the hash is that of the reply as {wire['content_encoding']}, which is recorded unpacked"
    if side == "response" and wire.get("response_rewritten"):
        return "the reply's bytes could not stand in the record, which holds it written anew"
    return None


def _of_tokens(call: RecordedCall) -> Iterator[Finding]:
    """Compare the counts of a local model with its token ids."""
    usage = call.facts.get("usage")
    if not isinstance(usage, dict):
        return
    for value, ids, count in (
        (call.prompt, "input_ids", "input_tokens"),
        (call.response, "output_ids", "output_tokens"),
    ):
        tokens = value.get(ids) if isinstance(value, dict) else None
        if isinstance(tokens, list) and count in usage and usage[count] != len(tokens):
            what = f"is {usage[count]}, but there are {len(tokens)} {ids}"
            yield Finding(call.place, f"clemcore.usage.{count}", what)


def _out_of_order(calls: list[RecordedCall]) -> Iterator[Finding]:
    """Find calls that ended before the one in front of them: a record is in the order in which calls ended."""
    before: float | None = None
    for call in calls:
        end = call.ended if call.facts else call.started
        if end is not None and before is not None and end < before - _CLOCK:
            what = f"ended {before - end:.1f} s before the call in front of it: the order was changed, or the clock"
            # A replay, and a cached reply, repeat what was; a file may also hold several of them.
            yield Finding(call.place, "timestamp", what, is_wrong=False)
        before = end if end is not None else before


def first_difference(path: str | os.PathLike[str], other: str | os.PathLike[str]) -> str | None:
    """Compare two records byte for byte, without their times; return the first difference, or None.

    Times are ``timestamp``, ``clemcore.duration_seconds``, ``clemcore.wire.seconds`` and those of failed attempts,
    ``clemcore.timings``, ``clemcore.cached_at``, and start and duration in ``clem_player`` of older releases.

    Raises:
        RecordError: one of them cannot be read, or is no record.
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
    """Return the fields of a recorded call without its times, a copy to the depth."""
    fields = copy.deepcopy(fields)
    fields.pop("timestamp", None)
    facts = fields.get("clemcore")
    if isinstance(facts, dict):
        for name in ("duration_seconds", "timings", "cached_at"):
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
