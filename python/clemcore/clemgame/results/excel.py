"""Copies a CSV file for spreadsheets, in which no text is a formula.

It does not know what the file holds.
"""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from clemcore.errors import RunError

# A spreadsheet takes a text that begins with one of these for a formula, or skips it and looks at the next letter.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def write_for_excel(path: Path) -> Path:
    """Write a copy of a CSV file for spreadsheets, and return its path: ``raw-excel.csv`` for ``raw.csv``.

    A text that begins with ``=``, ``+``, ``-``, ``@``, tab or CR gets ``'`` in front. Numbers stay as they are. The
    copy begins with a byte order mark, by which spreadsheets recognize UTF-8.

    Raises:
        RunError: the file is not CSV.
        OSError: a file cannot be read or written; an old copy is as it was.
    """
    copy = path.with_name(f"{path.stem}-excel.csv")
    temporary = copy.with_name(f".{copy.name}.new")
    try:
        with (
            path.open(encoding="utf-8", newline="") as source,
            temporary.open("w", encoding="utf-8-sig", newline="") as target,
            _fields_of_any_length(),
        ):
            rows = ([_harmless(text) for text in row] for row in csv.reader(source, strict=True))
            # Python before 3.13 puts a field with CR in quotes only if lines end with CR and LF.
            csv.writer(target, lineterminator="\r\n").writerows(rows)
        temporary.replace(copy)
    except csv.Error as fault:
        raise RunError(f"{path} cannot be copied for spreadsheets: {fault}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return copy


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULAS) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    """Tell whether a field is a number as the evaluation writes it; ``float`` takes more than that."""
    try:
        float(text)
    except ValueError:
        return False
    return text.removeprefix("-")[:1].isdigit() or text == "-inf"


@contextlib.contextmanager
def _fields_of_any_length() -> Iterator[None]:
    """Lift the limit of the module csv, which is one for the whole process."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)
