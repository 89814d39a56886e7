"""Reads the JSON files of games and reports every fault with its file, line and column.

It finds the places of faults in a text. Which faults there can be is decided by those who call it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clemcore.errors import GameError

# Kinds of faults with which a file can still be used.
WARNINGS = frozenset({"G005"})


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a value.

    Attributes:
        code: the kind of fault; the core's catalogue has them.
        message: what is wrong, in one sentence.
        path: keys and indexes that lead to the place; empty for the whole file.
        help: what to do about it; ``{place}`` in it stands for the line and column of ``related``.
        related: the path of another place that belongs to the fault.
    """

    code: str
    message: str
    path: Sequence[str | int] = ()
    help: str | None = None
    related: Sequence[str | int] | None = None


def read_checked(path: Path, check: Callable[[Any], list[Finding]]) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        check: gets the value and returns what is wrong with it.

    Raises:
        GameError: the file cannot be read, is not JSON, or its value has faults. All of them are in the error.
    """
    try:
        text = path.read_bytes()
    except OSError as fault:
        raise GameError(f"{path}: cannot be read: {fault.strerror}") from fault
    try:
        value = json.loads(text)
    except ValueError as fault:
        raise GameError(f"{path}: {fault}") from None
    findings = [each for each in check(value) if each.code not in WARNINGS]
    if findings:
        lines = [
            f"{path}: {_field(each.path)}{each.message}" + (f": {each.help}" if each.help else "")
            for each in findings
        ]
        raise GameError("\n".join(lines))
    return value


def _field(path: Sequence[str | int]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
    return f"{text}: " if text else ""
