"""How many calls may be under way at once, learned from what the service takes and what it refuses.

The limit starts small and doubles (slow start), shrinks when the service says "too many" (multiplicative decrease,
once for all calls that were under way together), and grows by one per round afterwards, only while it is used.
Two observations keep it from shrinking too far, because not every such refusal is about calls at once:

* of the calls that were under way at the moment of a refusal, those that are answered were accepted together: the
  service takes at least as many;
* where, at some number of calls under way and above, answers outnumber refusals five to two, it is not that number
  which is refused (a service that limits by the minute, or a gateway that refuses at random).

It is a state machine without a clock and without I/O: it counts calls, and a call knows which number it was.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

FIRST_LIMIT = 10
DEFAULT_CEILING = 200

_FIRST_CUT = 0.5
_CUT = 0.85
_SATURATED = 0.8
_EVIDENCE = 200
_TRUSTED_RATIO = 2.5


class Sent(NamedTuple):
    """One call under way.

    Attributes:
        number: which call it was, counted from 1.
        level: how many calls were under way when it left, itself included.
    """

    number: int
    level: int


class AdaptiveLimit:
    """The limit of one account and model.

    Args:
        start: the limit at first.
        ceiling: what it never exceeds.

    Attributes:
        in_flight: calls under way.

    Examples:
        >>> limit = AdaptiveLimit(start=2, ceiling=100)
        >>> first, second = limit.begin(), limit.begin()
        >>> limit.has_room
        False
        >>> limit.answered(first)
        >>> limit.value, limit.has_room
        (3, True)
    """

    def __init__(self, start: int = FIRST_LIMIT, ceiling: int = DEFAULT_CEILING) -> None:
        """Start."""
        self.in_flight = 0
        self._ceiling = max(1, ceiling)
        self._limit = float(min(max(1, start), self._ceiling))
        self._is_slow_start = True
        self._count = 0
        self._cut_number = 0
        self._accepted = 0
        self._evidence: deque[tuple[int, bool]] = deque(maxlen=_EVIDENCE)
        self._refusals = 0

    @property
    def value(self) -> int:
        """How many calls may be under way."""
        return int(self._limit)

    @property
    def has_room(self) -> bool:
        """Whether another call may start."""
        return self.in_flight < self.value

    def lower_ceiling(self, ceiling: int) -> None:
        """Never exceed this number from now on."""
        self._ceiling = max(1, min(self._ceiling, ceiling))
        self._limit = min(self._limit, self._ceiling)

    def begin(self) -> Sent:
        """Count a call that starts."""
        self.in_flight += 1
        self._count += 1
        return Sent(self._count, self.in_flight)

    def ended(self) -> None:
        """Count the end of a call that says nothing about the limit: an error, a fault of the network."""
        self.in_flight -= 1

    def answered(self, sent: Sent) -> None:
        """Count an answer."""
        is_used = self.in_flight >= _SATURATED * self.value
        self.in_flight -= 1
        self._note(sent.level, is_good=True)
        if is_used:
            self._grow_to(self._limit + (1 if self._is_slow_start else 1 / self._limit))
        if sent.number <= self._cut_number:
            self._accepted += 1
            self._grow_to(self._accepted)
        elif self._refusals and self._limit < sent.level:
            self._grow_to(self._trusted_level())

    def refused(self, sent: Sent) -> None:
        """Count a refusal because of too many calls."""
        self.in_flight -= 1
        self._note(sent.level, is_good=False)
        trusted = self._trusted_level()
        if sent.number > self._cut_number and trusted >= self.value:
            self._is_slow_start = True  # fewer calls at once would be refused as well: go on as at first
            return
        if sent.number > self._cut_number:
            self._cut_number, self._accepted = self._count, 0
            lower = self._limit * (_FIRST_CUT if self._is_slow_start else _CUT)
            self._is_slow_start = False
        else:  # one of those that were under way at the cut: the service took no more than the others
            lower = min(self._limit, max(self.in_flight, self._accepted))
        self._limit = max(1.0, lower, min(self._limit, trusted))

    def _grow_to(self, limit: float) -> None:
        self._limit = min(max(self._limit, limit), self._ceiling)

    def _note(self, level: int, *, is_good: bool) -> None:
        if len(self._evidence) == _EVIDENCE:
            self._refusals -= not self._evidence[0][1]
        self._evidence.append((level, is_good))
        self._refusals += not is_good

    def _trusted_level(self) -> int:
        """Return the highest number of calls from which upwards answers outnumber refusals five to two."""
        good = bad = trusted = 0
        for level, is_good in sorted(self._evidence, key=lambda each: (-each[0], each[1])):
            good, bad = good + is_good, bad + (not is_good)
            if not trusted and good >= _TRUSTED_RATIO * bad + 3:
                trusted = level
        return trusted
