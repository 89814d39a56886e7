"""The one retry policy: which attempt follows which, and after how long. It does not know the wire.

tenacity runs it. How often, is decided per kind of error, unless the service says whether to try again; how long,
by the service where it names a time to come, else by an exponential wait with jitter; a wait that does not fit into
the call's time is not begun.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

import tenacity

from clemcore.backends.service.http.exchange import Exchange
from clemcore.backends.service.http.verdict import Verdict

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
# A service that asks for milliseconds, and refuses again and again, would use up all attempts within a second.
_TAKEN_AT_ITS_WORD = 3
# So that those who were refused together do not come back together.
_SPREAD = 0.1

Attempt = Callable[[], Awaitable["Verdict | None"]]


async def with_retries(exchange: Exchange, attempt: Attempt) -> Verdict | None:
    """Make attempts until one needs no other, and return the last one's verdict.

    Args:
        exchange: the call.
        attempt: sends once; None when the reply can be read for an answer.
    """
    verdict = await attempt()
    if verdict is None or not verdict.is_retryable:
        return verdict
    policy = _Policy(exchange, verdict, attempt)
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_result(lambda last: last is not None and last.is_retryable),
        wait=policy.wait,
        stop=policy.stop,
        retry_error_callback=lambda state: None if state.outcome is None else state.outcome.result(),
    )
    last: Verdict | None = await retrying(policy.next)
    return last


class _Policy:
    """Waits and stops of one call whose first attempt has failed."""

    def __init__(self, exchange: Exchange, first: Verdict, attempt: Attempt) -> None:
        self._exchange = exchange
        self._first: Verdict | None = first
        self._attempt = attempt
        self._failures: Counter[str] = Counter()
        self._backoff = tenacity.wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)
        self._spread = tenacity.wait_random(0, _SPREAD)

    async def next(self) -> Verdict | None:
        """Return the verdict of the attempt that was made already, then of new ones."""
        first, self._first = self._first, None
        verdict = first if first is not None else await self._attempt()
        if verdict is not None and not self._exchange.goes_elsewhere:
            self._failures[verdict.kind] += 1
        return verdict

    def wait(self, state: tenacity.RetryCallState) -> float:
        verdict = self._last(state)
        if self._exchange.goes_elsewhere:
            return 0.0
        if not verdict.retry_after:  # "now" would repeat the calls that were refused together at once
            return self._backoff(state)
        asked: float = verdict.retry_after * (1 + self._spread(state))
        is_hasty = verdict.retry_after < FIRST_WAIT and state.attempt_number > _TAKEN_AT_ITS_WORD
        return max(asked, self._backoff(state)) if is_hasty else asked

    def stop(self, state: tenacity.RetryCallState) -> bool:
        verdict = self._last(state)
        is_enough = self._failures[verdict.kind] >= verdict.attempts
        return is_enough or state.upcoming_sleep >= self._exchange.time_left

    @staticmethod
    def _last(state: tenacity.RetryCallState) -> Verdict:
        verdict = None if state.outcome is None else state.outcome.result()
        if not isinstance(verdict, Verdict):
            raise TypeError("asked for the wait after an attempt that was answered")
        return verdict
