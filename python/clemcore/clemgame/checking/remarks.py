"""What a check says, where, and in which forms it is shown: for people, GitHub and other tools.

It does not know games.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clemcore._core import __version__

ERROR, WARNING, HINT = "error", "warning", "hint"
# Each kind of remark, with what it is about.
RULES = {
    "files": "The files of a game can be read and fit together.",
    "code": "The code of a game can be imported.",
    "trial": "Episodes with the mock come to an end and can be scored.",
    "shared-variable": "Live episodes do not share variables that they change.",
    "placeholder": "Each placeholder of a template is filled in.",
    "wording": "A rule is worded in the same way in all prompts.",
    "outcome": "Each outcome of a game can be reached.",
    "determinism": "An episode depends on its instance and its answers only.",
    "hostile-player": "Whatever a player says, the episode ends in an outcome.",
    "scores": "Scores are finite and in their range.",
}
_PLACE = re.compile(r"(?P<file>[^\s:()]*/[^\s:()]+):(?P<line>\d+)")


class Remark(NamedTuple):
    """What a check says.

    Attributes:
        severity: ``"error"`` (the game cannot be played as it is), ``"warning"`` or ``"hint"``.
        message: what is wrong, where and why, and what to do.
        rule: the kind, a key of :data:`RULES`.
        file: the file that is meant, or "".
        line: the line, from 1; 0 if the whole file is meant.
    """

    severity: str
    message: str
    rule: str = "trial"
    file: str = ""
    line: int = 0

    def placed(self) -> Remark:
        """Return the remark with the first place that its message names, unless it has one."""
        found = None if self.file else _PLACE.search(self.message)
        return self if found is None else self._replace(file=found["file"], line=int(found["line"]))

    def __str__(self) -> str:
        """Say it in one line, with its place."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}" if place and place not in self.message else self.message


def as_github(remarks: Iterable[tuple[str, Remark]], folder: Path) -> Iterable[str]:
    """Give the workflow commands with which GitHub shows remarks at their lines.

    Args:
        remarks: games and remarks.
        folder: what the paths are relative to, the root of the repository.
    """
    kinds = {ERROR: "error", WARNING: "warning", HINT: "notice"}
    for game, remark in remarks:
        fields = {"title": f"{game}: {remark.rule}"}
        if remark.file:
            fields = {"file": _relative(remark.file, folder), "line": str(max(1, remark.line)), **fields}
        told = ",".join(f"{name}={_escaped(value, ',:')}" for name, value in fields.items())
        yield f"::{kinds[remark.severity]} {told}::{_escaped(str(remark))}"


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def as_sarif(remarks: Iterable[tuple[str, Remark]], folder: Path) -> str:
    """Return remarks as a SARIF 2.1.0 file; paths are relative to the folder where they are below it."""
    levels = {ERROR: "error", WARNING: "warning", HINT: "note"}
    results: list[dict[str, Any]] = []
    for game, remark in remarks:
        result: dict[str, Any] = {
            "ruleId": remark.rule,
            "level": levels[remark.severity],
            "message": {"text": f"{game}: {remark}"},
        }
        if remark.file:
            place: dict[str, Any] = {"artifactLocation": {"uri": _uri(remark.file, folder)}}
            if remark.line:
                place["region"] = {"startLine": remark.line}
            result["locations"] = [{"physicalLocation": place}]
        results.append(result)
    driver = {
        "name": "clem check game",
        "version": __version__,
        "rules": [{"id": name, "shortDescription": {"text": text}} for name, text in RULES.items()],
    }
    run = {"tool": {"driver": driver}, "results": results}
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=2)


def _relative(file: str, folder: Path) -> str:
    path = os.path.relpath(file, folder)
    return file if path.startswith("..") else path.replace(os.sep, "/")


def _uri(file: str, folder: Path) -> str:
    path = _relative(file, folder)
    return Path(path).as_uri() if Path(path).is_absolute() else path


def in_order(remarks: Sequence[Remark]) -> list[Remark]:
    """Return different remarks, each with its place, errors first; the same with other numbers is told once."""
    rank = {ERROR: 0, WARNING: 1, HINT: 2}
    different: dict[tuple[Any, ...], Remark] = {}
    for remark in (each.placed() for each in remarks):
        same = re.sub(r"\d+", "#", remark.message) if remark.rule == "scores" else remark.message
        different.setdefault((remark.severity, remark.rule, remark.file, remark.line, same), remark)
    return sorted(different.values(), key=lambda each: rank[each.severity])
