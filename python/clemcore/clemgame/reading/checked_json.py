"""Reads the JSON files of games and reports every fault with its file, line and column.

The core's scanner finds the faults of the text and the places of all others. Which values are wrong is decided by
those who call it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clemcore import _core
from clemcore.errors import GameError

logger = logging.getLogger(__name__)


class Finding(NamedTuple):
    """One thing that is wrong with a value.

    Attributes:
        code: the kind of fault; ``clem registry explain CODE`` shows a page about it.
        path: keys and indexes that lead to the place; empty for the whole file.
        message: what is wrong, in one sentence.
        help: what to do about it; ``{place}`` in it stands for the line and column of ``related``.
        related: the path to another place that belongs to the fault.
    """

    code: str
    path: Sequence[str | int]
    message: str
    help: str | None = None
    related: Sequence[str | int] | None = None


def read_checked(
    path: Path, check: Callable[[Any], Iterable[Finding]], load: Callable[[bytes], Any] = json.loads
) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        check: gets the value and returns what is wrong with it.
        load: makes the value from a text that is valid JSON.

    Raises:
        GameError: the file cannot be read, is not JSON, or its value has faults. All of them are in the error;
            warnings alone are logged.
    """
    value, report = inspect(path, check, load)
    if report.errors:
        raise GameError(report.render().rstrip("\n"), report.problems)
    if report.warnings:
        logger.warning("%s", report.render().rstrip("\n"))
    return value


def inspect(
    path: Path, check: Callable[[Any], Iterable[Finding]], load: Callable[[bytes], Any] = json.loads
) -> tuple[Any, _core.Report]:
    """Read a JSON file, and return its value (None where the text has errors) with the report of its faults.

    Raises:
        GameError: the file cannot be read.
    """
    try:
        text = path.read_bytes()
    except OSError as fault:
        raise GameError(f"{path}: cannot be read: {fault.strerror}") from fault
    report = _core.check_json(str(path), text)
    if report.errors:
        return None, report
    value = load(text)
    findings = list(check(value))
    return value, _core.check_json(str(path), text, findings) if findings else report
