"""The gate that all calls of one provider, account and model pass: calls at once, and per second or minute.

There is one gate per provider, account and model in a process, whatever number of models use it. It lives on the
background loop alone, so nothing is locked. It does not know what a call sends.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import deque
from typing import Literal

from clemcore.backends.service.http.adaptive import (
    DEFAULT_CEILING,
    FIRST_LIMIT,
    AdaptiveLimit,
    AdaptiveRate,
    Sent,
)
from clemcore.backends.service.limits import Limits

# What the end of a call says about the limit.
Outcome = Literal["answered", "refused", "neutral"]


class Pace:
    """So many units a minute, evenly: the leaky bucket, holding what one second may use and at least one unit.

    Examples:
        >>> pace = Pace(60)
        >>> pace.wait(1, now=0.0), pace.wait(1, now=0.0), pace.wait(1, now=1.5)
        (0.0, 1.0, 0.5)
    """

    def __init__(self, per_minute: float) -> None:
        """Start with a full bucket."""
        self.per_minute = per_minute
        self._full_at = 0.0

    def wait(self, amount: float, now: float) -> float:
        """Take an amount, and return the seconds to wait before using it."""
        begin = max(self._full_at, now)
        self._full_at = begin + amount * 60 / self.per_minute
        return begin - now

    def correct(self, difference: float) -> None:
        """Take more, or give back, when the true amount is known."""
        self._full_at += difference * 60 / self.per_minute


class Gate:
    """Lets calls through; waiting calls pass in order, repeated attempts first."""

    def __init__(self, limits: Limits) -> None:
        """Open, with the limits of the first model that uses it."""
        start = FIRST_LIMIT if limits.max_connections is None else limits.max_connections
        self.limit = AdaptiveLimit(start, limits.max_connections or DEFAULT_CEILING)
        self.rate = AdaptiveRate()
        self._requests: Pace | None = None
        self._tokens: Pace | None = None
        self._waiting: deque[tuple[asyncio.Future[Sent], int]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.tighten(limits)

    def tighten(self, limits: Limits) -> None:
        """Keep the limits of one more model too: the lower one counts."""
        if limits.max_connections is not None:
            self.limit.lower_ceiling(limits.max_connections)
        self._requests = _slower(self._requests, limits.requests_per_minute)
        self._tokens = _slower(self._tokens, limits.tokens_per_minute)

    async def enter(self, tokens: float, *, is_repeated: bool, call: int = 0) -> Sent:
        """Wait until a call may leave.

        Args:
            tokens: how many tokens the call may cost, estimated.
            is_repeated: it has waited before: it goes in front of those that have not.
            call: tells the attempts of one call from those of others.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a forked child: whatever waited here waits in the parent
            self._loop, self._timer, self.limit.in_flight = loop, None, 0
            self._waiting.clear()
        now = time.monotonic()
        if self.limit.has_room and not self._waiting and not self.rate.delay(now):
            sent = self._begin(now, call)
        else:
            place: asyncio.Future[Sent] = loop.create_future()
            (self._waiting.appendleft if is_repeated else self._waiting.append)((place, call))
            self._let_in()
            sent = await self._until_let_in(place)
            now = time.monotonic()
        waits = [pace.wait(amount, now) for pace, amount in ((self._requests, 1), (self._tokens, tokens)) if pace]
        if waits and max(waits) > 0:
            try:
                await asyncio.sleep(max(waits))
            except BaseException:
                self.leave(sent, "neutral")
                raise
        return sent

    async def _until_let_in(self, place: asyncio.Future[Sent]) -> Sent:
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave(place.result(), "neutral")
            else:
                place.cancel()  # it is passed over
            raise

    def _begin(self, now: float, call: int) -> Sent:
        self.rate.begin(now)
        return self.limit.begin(now, call)

    def leave(self, sent: Sent, outcome: Outcome) -> None:
        """Count the end of a call, and let in who has room now."""
        if outcome == "answered":
            self.limit.answered(sent)
            self.rate.answered(sent)
        elif outcome == "refused":
            was_free = self.rate.value is None
            if not self.rate.refused(sent, time.monotonic()):
                self.limit.refused(sent)
            else:
                self.limit.ended()
                if was_free:
                    self.limit.undo_cut()
        else:
            self.limit.ended()
        if self._waiting:
            self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self.limit.has_room:
            now = time.monotonic()
            delay = self.rate.delay(now)
            if delay:
                if self._timer is None and self._loop is not None:
                    self._timer = self._loop.call_later(delay, self._let_next_in)
                return
            place, call = self._waiting.popleft()
            if not place.done():
                place.set_result(self._begin(now, call))

    def _let_next_in(self) -> None:
        self._timer = None
        self._let_in()

    def correct_tokens(self, difference: float) -> None:
        """Say how many tokens a call has cost more than estimated, or less."""
        if self._tokens is not None:
            self._tokens.correct(difference)


def _slower(pace: Pace | None, per_minute: float | None) -> Pace | None:
    if per_minute is None or (pace is not None and pace.per_minute <= per_minute):
        return pace
    return Pace(per_minute)


_gates: weakref.WeakValueDictionary[tuple[str, str, str], Gate] = weakref.WeakValueDictionary()


def gate_for(provider: str, account: str, model: str, limits: Limits) -> Gate:
    """Return the gate of a provider, account and model.

    Args:
        provider: address of the service.
        account: name of the key, not its value: it stays the same when the key is renewed.
        model: the model's name at the service.
        limits: those of the model that will use the gate.
    """
    key = (provider, account, model)
    gate = _gates.get(key)
    if gate is None:
        gate = _gates[key] = Gate(limits)
    else:
        gate.tighten(limits)
    return gate
