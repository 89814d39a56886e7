"""``clem verify``: is a record what it says it is?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from clemcore.cli.inputs import examples
from clemcore.cli.respond import print_json
from clemcore.cli.terminal import note, out

# Findings shown of a record where everything is wrong.
_SHOWN = 50


@click.command(
    epilog=examples(
        "clem verify requests.json",
        "clem verify results --json",
        "clem verify again.json --same-as requests.json",
        "clem verify requests.json --count 500 --strict",
    )
)
@click.argument("path", metavar="PATH")
@click.option("--same-as", metavar="OTHER", help="Also compare with another record, without the times.")
@click.option("--count", type=click.IntRange(min=0), metavar="N", help="Fail unless there are N calls.")
@click.option("--strict", is_flag=True, help="Fail also where something cannot be proven.")
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
def verify(*, path: str, same_as: str | None, count: int | None, strict: bool, as_json: bool) -> int:
    """Check a record file, or those below a folder: every hash, the structure, the order of times.

    Hashes are computed from the bytes that stand in the file. Records of 3.7.2 and before have none: of them only
    the structure is checked. Exit status 1 where something is wrong.
    """
    from clemcore import verify

    report = verify.verify(path)
    wrong = [str(finding) for finding in report.wrong]
    if count is not None and count != report.calls:
        wrong.append(f"{path}: has {report.calls} calls, not {count}")
    if same_as is not None and (difference := verify.first_difference(path, same_as)) is not None:
        wrong.append(difference)
    unproven = [str(finding) for finding in report.unproven]
    is_good = not wrong and not (strict and unproven)
    if as_json:
        print_json(_as_json(path, report, wrong, unproven, is_good=is_good))
    else:
        _show(wrong, "wrong")
        _show(unproven, "not proven")
        out(_summary(path, report, same_as if is_good else None))
    return 0 if is_good else 1


def _show(lines: list[str], word: str) -> None:
    for line in lines[:_SHOWN]:
        note(f"{word}: {line}")
    if len(lines) > _SHOWN:
        note(f"{word}: … and {len(lines) - _SHOWN} more")


def _summary(path: str, report: Any, same_as: str | None) -> str:
    failed = f", {report.failed} of them failed" if report.failed else ""
    parts = [f"{report.calls} calls{failed}", f"{report.hashes} hashes proven"]
    if report.without_hashes:
        parts.append(f"{report.without_hashes} calls of an older release checked for their structure only")
    parts.append(f"{len(report.unproven)} not proven, {len(report.wrong)} wrong")
    if same_as is not None:
        parts.append(f"the same as {same_as}, times apart")
    return f"{path}: " + "; ".join(parts)


def _as_json(path: str, report: Any, wrong: list[str], unproven: list[str], *, is_good: bool) -> dict[str, Any]:
    counts = {name: getattr(report, name) for name in ("calls", "failed", "hashes", "without_hashes")}
    findings = [asdict(finding) for finding in report.findings]
    return {"path": path, "ok": is_good, **counts, "wrong": wrong, "not_proven": unproven, "findings": findings}
