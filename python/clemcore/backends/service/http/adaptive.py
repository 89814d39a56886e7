"""How many calls at once, and how many a second, learned from what the service takes and what it refuses.

The limit on calls at once starts small and doubles (slow start), shrinks when the service says "too many"
(multiplicative decrease, once for all calls that were under way together), and grows by one per round afterwards,
only while it is used.
Two observations keep it from shrinking too far, because not every such refusal is about calls at once:

* of the calls that were under way at the moment of a refusal, those that are answered were accepted together: the
  service takes at least as many;
* where, at some number of calls under way and above, answers outnumber refusals five to two, it is not that number
  which is refused (a service that limits by the minute, or a gateway that refuses at random).

The limit on calls a second is not there at first. It is learned when refusals contradict a limit on calls at once:
calls are refused although not half as many are under way as were answered together.

Both are state machines without a clock and without I/O: they count calls, and a call knows which number it was.
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

# Of the rate: seconds; calls that a period has at least, and refusals that make a rate; calls a second.
_PERIOD = 1.0
_LONGEST_PERIOD = 10.0
_FORGOTTEN_AFTER = 60.0
_FEW = 5
_LOWEST_RATE = 1.0
_LOWEST_CUT = 0.25
_FIRST_GROWTH = 0.05
_GROWTH_OF_A_GUESS = 0.25
_MOST_AT_RANDOM = 0.6
_FADING = 0.9


class Sent(NamedTuple):
    """One call under way.

    Attributes:
        number: which call it was, counted from 1.
        level: how many calls were under way when it left, itself included.
        at: when it left, in seconds.
        call: whose attempt it is.
    """

    number: int
    level: int
    at: float = 0.0
    call: int = 0


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
        self._uncut = 0.0
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

    def begin(self, at: float = 0.0, call: int = 0) -> Sent:
        """Count a call that starts."""
        self.in_flight += 1
        self._count += 1
        return Sent(self._count, self.in_flight, at, call)

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
            self._cut_number, self._accepted, self._uncut = self._count, 0, self._limit
            lower = self._limit * (_FIRST_CUT if self._is_slow_start else _CUT)
            self._is_slow_start = False
        else:  # one of those that were under way at the cut: the service took no more than the others
            lower = min(self._limit, max(self.in_flight, self._accepted))
        self._limit = max(1.0, lower, min(self._limit, trusted))

    def undo_cut(self) -> None:
        """Take back the last cut: what was refused then was something else."""
        self._grow_to(self._uncut)

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


class AdaptiveRate:
    """How many calls a second one account and model may make.

    A rate is judged by periods of a second or a few calls. More than two refusals in seven cut it to what was
    taken; fewer keep it; a period without any lets it grow, slowly at first and twice as fast each time.

    Attributes:
        value: calls a second, or None where nothing limits them.

    Examples:
        >>> rate, limit = AdaptiveRate(), AdaptiveLimit()
        >>> for number in range(20):
        ...     rate.begin(at=0.0)
        ...     if number < 10:
        ...         rate.answered(Sent(number, level=4))
        ...     else:
        ...         is_rate = rate.refused(Sent(number, level=1, call=number), at=0.1)
        >>> is_rate, rate.value, rate.delay(at=0.1)
        (True, 10.0, 0.4)
        >>> rate.begin(at=0.1)
        >>> round(rate.delay(at=0.1), 3)
        0.5
    """

    def __init__(self) -> None:
        """Limit nothing."""
        self.value: float | None = None
        self._since = -_LONGEST_PERIOD
        self._sent = self._refused = 0
        self._contradicting: set[int] = set()
        self._begun = 0
        self._refusals: deque[tuple[int, int]] = deque(maxlen=_EVIDENCE)
        self._highest_level = 0.0
        self._taken_before = 0.0
        self._next = 0.0
        self._growth = _FIRST_GROWTH
        self._is_settling = False
        self._cut_before = 0.0, 0.0
        self._barred_until = 0.0

    def delay(self, at: float) -> float:
        """Return the seconds until the next call may leave."""
        return 0.0 if self.value is None else max(self._next - at, 0.0)

    def begin(self, at: float) -> None:
        """Count a call that leaves."""
        if at - self._since >= _PERIOD:
            self._judge(at)
        self._begun += 1
        self._sent += 1
        if self.value is not None:
            self._next = max(self._next, at) + 1 / self.value

    def answered(self, sent: Sent) -> None:
        """Count an answer."""
        # Of the calls that were under way when it left, some may have been refused: those made room for it.
        refused = sum(number < sent.number <= begun for number, begun in self._refusals)
        self._highest_level = max(self._highest_level, sent.level - refused)

    def refused(self, sent: Sent, at: float) -> bool:
        """Count a refusal, and tell whether it cannot be about calls at once."""
        self._refusals.append((sent.number, self._begun))
        if sent.at >= self._since:
            self._refused += 1
        # Calls that leave together arrive in any order: those that left while it was under way count as well.
        level = sent.level + max(0, self._begun - sent.number)
        if level > max(1, self._highest_level / 2):
            return False
        if self.value is None:
            self._contradicting.add(sent.call)  # several: one call that is refused again and again waits by itself
            if len(self._contradicting) < _FEW or not self._is_often_refused or at < self._barred_until:
                return False
            taken = max(self._taken(at), self._taken_before)
            self._set(taken, at, _FIRST_GROWTH if taken >= _FEW else _GROWTH_OF_A_GUESS)
        return True

    @property
    def _is_often_refused(self) -> bool:
        return self._refused * _TRUSTED_RATIO > self._sent - self._refused

    def _taken(self, at: float) -> float:
        return (self._sent - self._refused) / max(at - self._since, _PERIOD)

    def _set(self, value: float, at: float, growth: float = _FIRST_GROWTH) -> None:
        # What was sent before still counts for a while: the first period at a new rate says nothing about it.
        self.value, self._is_settling, self._growth = max(value, _LOWEST_RATE), True, growth
        self._start_period(at)

    def _start_period(self, at: float) -> None:
        self._since, self._sent, self._refused = at, 0, 0
        self._contradicting.clear()

    def _judge(self, at: float) -> None:
        """End a period."""
        length = at - self._since
        if self.value is not None and self._sent < _FEW and length < _LONGEST_PERIOD:
            return
        taken, is_settling = self._taken(at), self._is_settling
        self._taken_before = taken if length < _LONGEST_PERIOD else 0.0
        self._highest_level *= _FADING
        self._is_settling = False
        if self.value is not None and not is_settling:
            if self._is_often_refused:
                self._cut(self.value, taken, at)
                return
            if self._refused:
                self._growth = _FIRST_GROWTH
            elif length >= _FORGOTTEN_AFTER:
                self.value = None
            elif taken >= _SATURATED * self.value:
                self.value *= 1 + self._growth
                self._growth = min(1.0, 2 * self._growth)
        self._start_period(at)

    def _cut(self, value: float, taken: float, at: float) -> None:
        """Cut the rate; give it up where an earlier cut has not lowered the share of refusals."""
        share = self._refused / self._sent
        before, share_before = self._cut_before
        self._cut_before = value, share
        if value <= _CUT * before and _SATURATED * share_before <= share < _MOST_AT_RANDOM:
            self.value, self._barred_until, self._cut_before = None, at + _FORGOTTEN_AFTER, (0.0, 0.0)
            self._start_period(at)
        else:
            self._set(max(taken, value * _LOWEST_CUT), at)
