"""``clem verify``: is a record what it says it is?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from clemcore.cli.inputs import examples
from clemcore.cli.respond import print_json
from clemcore.cli.terminal import note, out

# Calls that are shown, and findings where everything is wrong.
_SHOWN = 50


@click.command(
    short_help="Check a record: hashes, structure, order of times.",
    epilog=examples(
        "clem verify requests.json",
        "clem verify results --json",
        "clem verify again.json --same-as requests.json",
        "clem verify requests.json --count 500 --strict",
        "clem verify requests.json --end 3b1c…  # the hash that an earlier check has shown",
    ),
)
@click.argument("path", metavar="PATH")
@click.option("--same-as", metavar="OTHER", help="Also compare with another record, without the times.")
@click.option("--count", type=click.IntRange(min=0), metavar="N", help="Fail unless there are N calls.")
@click.option("--end", metavar="HASH", help="Fail unless this is the hash of the last call.")
@click.option("--strict", is_flag=True, help="Fail also where something cannot be proven.")
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
def verify(
    *, path: str, same_as: str | None, count: int | None, end: str | None, strict: bool, as_json: bool
) -> int:
    """Check a record file, or those below a folder, and show what is proven of each call.

    Proven: a hash or a link in the record matches. Consistent: computed again from the recorded bytes, such as
    text, tokens and cost. Records of 3.7.2 and before have no hashes: of them only the structure is checked. Exit
    status 1 where something is wrong.
    """
    from clemcore import verify

    report = verify.verify(path)
    wrong = [str(finding) for finding in report.wrong]
    if count is not None and count != report.calls:
        wrong.append(f"{path}: has {_count(report.calls, 'call')}, not {count}")
    if end is not None and end not in report.ends.values():
        found = ", ".join(report.ends.values()) or "no hash"
        wrong.append(f"{path}: ends in {found}, not in {end}: calls at the end were changed, added or removed")
    if same_as is not None and (difference := verify.first_difference(path, same_as)) is not None:
        wrong.append(difference)
    unproven = [str(finding) for finding in report.unproven]
    is_good = not wrong and not (strict and unproven)
    if as_json:
        print_json(_as_json(path, report, wrong, unproven, is_good=is_good))
    else:
        for call in report.each[:_SHOWN]:
            out(_line(call))
        if len(report.each) > _SHOWN:
            out(f"… and {len(report.each) - _SHOWN} more calls: --json shows all of them")
        _show(wrong, "wrong")
        _show(unproven, "not proven")
        out(_summary(path, report, same_as if is_good else None))
    return 0 if is_good else 1


def _show(lines: list[str], word: str) -> None:
    for line in lines[:_SHOWN]:
        note(f"{word}: {line}")
    if len(lines) > _SHOWN:
        note(f"{word}: … and {len(lines) - _SHOWN} more")


def _line(call: Any) -> str:
    if call.is_old:
        return f"{call.place}: recorded by an older release, structure only"
    if call.is_of_player:
        return f"{call.place}: answered by a program or a person, structure only"
    fields: dict[str, list[str]] = {"proven": call.proven, "consistent": call.consistent}
    for word, is_wrong in (("not proven", False), ("wrong", True)):
        fields[word] = list(
            dict.fromkeys(finding.field for finding in call.findings if finding.is_wrong == is_wrong)
        )
    parts = [f"{word} {', '.join(_short(name) for name in names)}" for word, names in fields.items() if names]
    return f"{call.place}: {'; '.join(parts)}"


def _short(name: str) -> str:
    return name.removeprefix("clemcore.")


def _summary(path: str, report: Any, same_as: str | None) -> str:
    failed = f", {report.failed} of them failed" if report.failed else ""
    parts = [f"{_count(report.calls, 'call')}{failed}", f"{_count(report.hashes, 'hash', 'hashes')} proven"]
    if report.linked:
        parts += [f"{_count(report.linked, 'call')} linked", f"{_count(report.consistent, 'field')} consistent"]
    if report.without_hashes:
        old = _count(report.without_hashes, "call")
        parts.append(f"{old} of an older release, checked for structure only")
    if report.of_players:
        answered = _count(report.of_players, "call")
        parts.append(f"{answered} answered by programs or people, checked for structure only")
    parts.append(f"{len(report.unproven)} not proven, {len(report.wrong)} wrong")
    if len(report.ends) == 1:
        parts.append(f"ends in {next(iter(report.ends.values()))}")
    if same_as is not None:
        parts.append(f"the same as {same_as}, except for times")
    return f"{path}: " + "; ".join(parts)


def _count(number: int, noun: str, plural: str | None = None) -> str:
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def _as_json(path: str, report: Any, wrong: list[str], unproven: list[str], *, is_good: bool) -> dict[str, Any]:
    names = ("calls", "failed", "hashes", "linked", "consistent", "without_hashes", "of_players", "ends")
    return {
        "path": path,
        "ok": is_good,
        **{name: getattr(report, name) for name in names},
        "wrong": wrong,
        "not_proven": unproven,
        "findings": [asdict(finding) for finding in report.findings],
        "each": [
            {"place": call.place, "proven": call.proven, "consistent": call.consistent} for call in report.each
        ],
    }
