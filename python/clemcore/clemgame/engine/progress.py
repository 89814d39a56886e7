"""Shows how far a run is: one line that is renewed on a terminal, plain lines elsewhere.

It does not know how the numbers come about.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any, TextIO

from clemcore.clemgame.engine.tally import Tally
from clemcore.visible import visible

# Seconds between two lines, and between two looks on a terminal.
_PLAIN_EVERY = 30.0
_RENEW_EVERY = 0.5
_HOUR, _MINUTE = 3600, 60


class Progress:
    """Writes progress to standard error.

    Args:
        stream: where to; None: standard error.
        every: seconds between two plain lines.
    """

    def __init__(self, stream: TextIO | None = None, *, every: float = _PLAIN_EVERY) -> None:
        """Write nothing yet."""
        self._stream = stream if stream is not None else sys.stderr
        self._is_terminal = bool(self._stream.isatty())
        self._every = _RENEW_EVERY if self._is_terminal else every
        self._next = time.monotonic() + (0 if self._is_terminal else min(5.0, every))
        self._seen: list[tuple[str, str]] = []
        self._shown = ""
        self._is_beside_person = False
        self._ended = 0

    def leave_room_to_type(self) -> None:
        """Write a line only when an episode has ended: one that is renewed erases what a person types."""
        self._is_beside_person, self._is_terminal = True, False

    def update(self, tally: Tally, *, now: bool = False) -> None:
        """Show the numbers if it is time, and each new error once."""
        moment = time.monotonic()
        if not now and (moment < self._next or (self._is_beside_person and tally.ended == self._ended)):
            return
        self._next, self._ended = moment + self._every, tally.ended
        line = line_of(tally)
        for scope, text in [each for each in list(tally.errors) if each not in self._seen]:
            self._seen.append((scope, text))
            self.say(f"{scope}: {text}")
        del self._seen[:-10]
        if self._is_terminal:
            self._write(f"\r\x1b[K{line}")
        elif line != self._shown:
            self._write(f"{line}\n")
        self._shown = line

    def say(self, text: str) -> None:
        """Write a line that stays."""
        start = "\r\x1b[K" if self._is_terminal else ""
        self._write(f"{start}{visible(text).replace(chr(10), ' ')}\n")

    def close(self, tally: Tally) -> None:
        """Write the last numbers."""
        self.update(tally, now=True)
        if self._is_terminal:
            self._write("\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody looks any more
            self._stream.write(text)
            self._stream.flush()


def line_of(tally: Tally) -> str:
    """Return the numbers as one line.

    Examples:
        >>> tally = Tally(); tally.planned = 3
        >>> line_of(tally)
        '0/3 episodes, 0 calls'
    """
    counts: dict[str, Any] = {
        "from before": tally.earlier,
        "errors": tally.episodes["error"],
        "at a limit": tally.episodes["limit"],
        "live": tally.live,
    }
    parts = [f"{name} {number}" for name, number in counts.items() if number]
    text = f"{tally.ended}/{tally.planned} episodes" + (f" ({', '.join(parts)})" if parts else "")
    text += f", {calls_in_words(tally.calls, tally.programs)}"
    if tally.failed:
        text += f" ({tally.failed} failed)"
    if tally.input_tokens or tally.output_tokens:
        text += f", {short(tally.input_tokens)} + {short(tally.output_tokens)} tokens"
    if tally.usd:
        text += f", {tally.usd:.4f} USD"
    seconds = time.monotonic() - tally.began
    if tally.ended and seconds > 1:
        rate = tally.ended / seconds
        text += f", {rate:.3g} episodes/s"
        if tally.planned > tally.ended:
            text += f", {duration((tally.planned - tally.ended) / rate)} left"
    return text


def calls_in_words(calls: int, programs: int) -> str:
    """Write how many calls of models there were, and how many answers programmatic players gave.

    Examples:
        >>> calls_in_words(1, 0), calls_in_words(0, 12), calls_in_words(1200, 1)
        ('1 call', '12 answers by programs', '1,200 calls, 1 answer by programs')
    """
    parts = [f"{calls:,} call{'s' * (calls != 1)}"] if calls or not programs else []
    if programs:
        parts.append(f"{programs:,} answer{'s' * (programs != 1)} by programs")
    return ", ".join(parts)


def short(number: float) -> str:
    """Write a number in a few characters.

    Examples:
        >>> short(999), short(12345), short(2500000)
        ('999', '12.3k', '2.5M')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:g}"


def duration(seconds: float) -> str:
    """Write a duration.

    Examples:
        >>> duration(42), duration(90), duration(7300)
        ('42 s', '1 min 30 s', '2 h 1 min')
    """
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
