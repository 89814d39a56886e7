"""What is shown, and where: data on standard output, all else on standard error; colours only on a terminal.

It knows streams, terminals and tables, and nothing about models.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TextIO

from clemcore.visible import visible

# How a line begins that a CI system takes for a command when it shows it, such as ::error:: and ##[error].
_COMMAND = re.compile(r"^(\s*):(?=:)|#(?=#(?:vso)?\[)", re.MULTILINE)

_BOLD, _DIM, _RED, _YELLOW, _GREEN = "1", "2", "31", "33", "32"
STYLES = {"bold": _BOLD, "dim": _DIM, "red": _RED, "yellow": _YELLOW, "green": _GREEN}


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a person looks at the stream."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def has_colors(stream: TextIO) -> bool:
    """Tell whether to colour: a terminal that can, and no ``NO_COLOR`` (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Styled(NamedTuple):
    """A text that has a style where the stream shows styles."""

    text: str
    style: str


def out(*pieces: str | Styled, end: str = "\n") -> None:
    """Write data to standard output; on a terminal, control characters are shown and not obeyed."""
    is_seen = is_terminal(sys.stdout)
    text = "".join(_shown(piece, sys.stdout, is_seen=is_seen) for piece in pieces)
    sys.stdout.write((_without_commands(text) if is_seen else text) + end)


def say(text: str) -> None:
    """Write one line for people to standard output. No text in it begins another line, or commands a CI system."""
    sys.stdout.write(_without_commands(_one_line(text)) + "\n")


def note(*pieces: str | Styled, end: str = "\n") -> None:
    """Write a message for the person to standard error; control characters are shown and not obeyed."""
    text = "".join(_shown(piece, sys.stderr, is_seen=True) for piece in pieces)
    sys.stderr.write(_without_commands(text) + end)
    sys.stderr.flush()


def _without_commands(text: str) -> str:
    r"""Return a text of which no line is a command to a CI system: "::error" becomes "\x3a:error"."""
    return _COMMAND.sub(lambda found: f"{found[1]}\\x3a" if found[1] is not None else "\\x23", text)


# Messages of one kind that are shown one by one: nobody reads a thousand that say the same.
_MOST_SHOWN = 50


def show_some(messages: Sequence[str]) -> None:
    """Write messages to standard error, and only the number of those that are too many."""
    for message in messages[:_MOST_SHOWN]:
        note(message)
    if len(messages) > _MOST_SHOWN:
        note(f"… and {len(messages) - _MOST_SHOWN} more")


def _shown(piece: str | Styled, stream: TextIO, *, is_seen: bool) -> str:
    """Return a piece as the stream takes it; the style comes last, because it consists of control characters."""
    if isinstance(piece, str):
        return visible(piece) if is_seen else piece
    text = visible(piece.text) if is_seen else piece.text
    return f"\x1b[{STYLES[piece.style]}m{text}\x1b[0m" if has_colors(stream) else text


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table: aligned under a header on a terminal; else one line per row, cells separated by tabs.

    Args:
        header: names of the columns; shown on a terminal only, so that ``| wc -l`` counts rows.
        rows: the cells.
    """
    cells = [[_one_line(cell) for cell in row] for row in rows]
    if not is_terminal(sys.stdout):
        for row in cells:
            sys.stdout.write(_without_commands("\t".join(row)) + "\n")
        return
    if not cells:
        return
    widths = [max(_width(row[column]) for row in [list(header), *cells]) for column in range(len(header))]
    out(Styled(_aligned(header, widths), "bold"))
    for row in cells:
        out(_aligned(row, widths))


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
    """Say on a terminal what takes its time, and how long it took; silent if there is no terminal."""
    if not is_terminal(sys.stderr):
        yield
        return
    begin = time.perf_counter()
    note(Styled(f"{what} …", "dim"))
    yield
    took = time.perf_counter() - begin
    note(Styled(f"{what}: done in {took:.1f} s", "dim"))
