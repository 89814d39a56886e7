"""The check of a record: for each call structure, hashes, link, what follows from its bytes, and the time."""

from __future__ import annotations

import os
from typing import Any

from clemcore.calls.encoding import FACTS, RESPONSE
from clemcore.calls.reader import RecordedCall, read_record, record_files
from clemcore.verify.derived import check_local, check_service
from clemcore.verify.hashes import check_hashes
from clemcore.verify.links import check_links
from clemcore.verify.report import CheckedCall, Verification

# Clocks of a computer are set now and then; what is out of order by less is not a finding.
_CLOCK = 2.0


def verify(path: str | os.PathLike[str]) -> Verification:
    """Check a record, or all records below a folder.

    Raises:
        RecordError: it cannot be read, or is not a record.
    """
    report = Verification()
    for file in record_files(path):
        calls = read_record(file)
        checked = [_checked(call) for call in calls]
        end = check_links(calls, checked)
        if end is not None:
            report.ends[str(file)] = end
        _check_order(calls, checked)
        report.each += checked
    _count(report)
    return report


def _count(report: Verification) -> None:
    report.calls = len(report.each)
    report.failed = sum(each.is_failed for each in report.each)
    report.without_hashes = sum(each.is_old for each in report.each)
    report.of_players = sum(each.is_of_player for each in report.each)
    for each in report.each:
        links = [name for name in each.proven if name.endswith("previous_sha256")]
        report.linked += len(links)
        report.hashes += len(each.proven) - len(links)
        report.consistent += len(each.consistent)


def _checked(call: RecordedCall) -> CheckedCall:
    is_of_player = not call.facts and _is_of_player(call)
    checked = CheckedCall(
        call.place,
        is_old=not call.facts and not is_of_player,
        is_of_player=is_of_player,
        is_failed=call.error is not None,
    )
    if call.started is None:
        checked.wrong("timestamp", f"must be an ISO time, not {call.fields.get('timestamp')!r}")
    if FACTS in call.fields and not call.facts:
        checked.wrong(FACTS, "must be an object with the facts of the call")
    if call.facts:
        _check_structure(call, checked)
        check_hashes(call, checked)
        if isinstance(call.facts.get("dialect"), str):
            check_service(call, checked)
        else:
            check_local(call, checked)
    return checked


def _is_of_player(call: RecordedCall) -> bool:
    """Tell whether a program or a person has answered in a game: the response says so, and nothing else."""
    response = call.fields.get(RESPONSE)
    return isinstance(response, dict) and list(response) == ["clem_player"]


def _check_structure(call: RecordedCall, checked: CheckedCall) -> None:
    facts = call.facts
    if not isinstance(facts.get("record_version"), int):
        checked.wrong("clemcore.record_version", "is missing")
    duration = facts.get("duration_seconds")
    if isinstance(duration, bool) or not isinstance(duration, (int, float)) or duration < 0:
        checked.wrong("clemcore.duration_seconds", f"must be a number ≥ 0, not {duration!r}")
    is_left_out = "response_text" in call.left_out
    if call.error is None and not is_left_out and not isinstance(facts.get("response_text"), str):
        checked.wrong("clemcore.response_text", "must be text where the call did not fail")
    if call.error is not None and not all(isinstance(call.error.get(name), str) for name in ("type", "message")):
        checked.wrong("clemcore.error", "must have type and message")
    for name in ("model_spec", "gen_args"):
        if not isinstance(facts.get(name), dict):
            checked.wrong(f"clemcore.{name}", "is missing")
    batch = facts.get("batch")
    if batch is not None and not _is_place(batch):
        checked.wrong("clemcore.batch", f"must have an index below its size, not {batch!r}")


def _is_place(batch: Any) -> bool:
    index, size = (batch.get("index"), batch.get("size")) if isinstance(batch, dict) else (None, None)
    return isinstance(index, int) and isinstance(size, int) and 0 <= index < size


def _check_order(calls: list[RecordedCall], checked: list[CheckedCall]) -> None:
    """Find calls that ended before the one in front of them: a record is in the order in which calls ended."""
    before: float | None = None
    for call, each in zip(calls, checked, strict=True):
        end = call.ended if call.facts else call.started
        if end is not None and before is not None and end < before - _CLOCK:
            # A replay, and a cached reply, repeat what was.
            each.unproven(
                "timestamp",
                f"ended {before - end:.1f} s before the call in front of it: the order was changed, or the clock",
            )
        before = end if end is not None else before
