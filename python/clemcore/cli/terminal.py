"""What is shown, and where: data on standard output, all else on standard error; colours only on a terminal.

It knows streams, terminals and tables, and nothing about models.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TextIO

_BOLD, _DIM, _RED, _YELLOW, _GREEN = "1", "2", "31", "33", "32"
STYLES = {"bold": _BOLD, "dim": _DIM, "red": _RED, "yellow": _YELLOW, "green": _GREEN}

# Control characters that are harmless on a terminal.
_PLAIN_CONTROLS = "\n\t"


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a person looks at the stream."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def has_colors(stream: TextIO) -> bool:
    """Tell whether to colour: a terminal that can, and no ``NO_COLOR`` (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, style: str, stream: TextIO) -> str:
    """Return the text in a style where the stream shows styles."""
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if has_colors(stream) else text


def out(text: str, *, end: str = "\n") -> None:
    """Write data to standard output; on a terminal, control characters are shown and not obeyed."""
    sys.stdout.write((visible(text) if is_terminal(sys.stdout) else text) + end)


def note(text: str, *, end: str = "\n") -> None:
    """Write a message for the person to standard error."""
    sys.stderr.write(text + end)
    sys.stderr.flush()


def visible(text: str) -> str:
    r"""Replace control characters other than line ends and tabs by their escapes.

    A model's answer, or a name in a file, must not move the cursor or retitle the window.

    Examples:
        >>> visible("a\x1b[31m\nb")
        'a\\x1b[31m\nb'
    """
    if text.isprintable():
        return text
    return "".join(
        c if c in _PLAIN_CONTROLS or unicodedata.category(c) != "Cc" else f"\\x{ord(c):02x}" for c in text
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table: aligned under a header on a terminal; else one line per row, cells separated by tabs.

    Args:
        header: names of the columns; shown on a terminal only, so that ``| wc -l`` counts rows.
        rows: the cells.
    """
    cells = [[_one_line(cell) for cell in row] for row in rows]
    if not is_terminal(sys.stdout):
        for row in cells:
            sys.stdout.write("\t".join(row) + "\n")
        return
    if not cells:
        return
    widths = [max(_width(row[column]) for row in [list(header), *cells]) for column in range(len(header))]
    sys.stdout.write(styled(_aligned(header, widths), "bold", sys.stdout) + "\n")
    for row in cells:
        sys.stdout.write(_aligned(row, widths) + "\n")


def _one_line(cell: str) -> str:
    return visible(cell).replace("\n", "\\n").replace("\t", "\\t")


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
    return "  ".join(padded).rstrip()


def _width(text: str) -> int:
    """Count the columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) != 0 for c in text)


@contextlib.contextmanager
def progress(what: str) -> Iterator[None]:
    """Say on a terminal what takes its time, and how long it took; silent where nobody looks."""
    if not is_terminal(sys.stderr):
        yield
        return
    begin = time.perf_counter()
    note(styled(f"{visible(what)} …", "dim", sys.stderr))
    yield
    took = time.perf_counter() - begin
    note(styled(f"{visible(what)}: done in {took:.1f} s", "dim", sys.stderr))
