"""Services that allow so many calls a second and do not say so: the rate is learned, and no one is stormed."""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections import deque
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from clemcore.backends.service.http.adaptive import AdaptiveLimit, AdaptiveRate, Sent
from clemcore.backends.service.http.verdict import wait_asked
from clemcore.errors import RateLimitError
from support.remote import HELLO, open_model
from support.wire_server import Answer, Received, WireServer, completion, refusal


class Window:
    """Takes so many calls in every second."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.taken: deque[float] = deque()

    def takes(self, now: float) -> bool:
        while self.taken and self.taken[0] <= now - 1:
            self.taken.popleft()
        if len(self.taken) < self.number:
            self.taken.append(now)
            return True
        return False


class Bucket:
    """Takes so many calls a second, and as many at once after a rest."""

    def __init__(self, number: int) -> None:
        self.number = self.left = float(number)
        self.at = 0.0

    def takes(self, now: float) -> bool:
        self.left, self.at = min(self.number, self.left + (now - self.at) * self.number), now
        if self.left >= 1:
            self.left -= 1
            return True
        return False


class Chance:
    """Refuses at random, however many come."""

    def __init__(self, share: float) -> None:
        self.share, self.chance = share, random.Random(1)

    def takes(self, now: float) -> bool:
        return self.chance.random() >= self.share


class Together:
    """Takes so many calls at once."""

    def __init__(self, number: int) -> None:
        self.number, self.busy = number, 0

    def takes(self, now: float) -> bool:
        is_taken = self.busy < self.number
        self.busy += is_taken
        return is_taken

    def end(self) -> None:
        self.busy -= 1


def answer_all(
    service: Any, calls: int, latency: float, seed: int = 1, *, start: int = 10, spread: float = 0
) -> tuple[float, int]:
    """Let so many calls be answered in virtual time; return how long it took, and how many requests.

    Requests take up to `spread` seconds to arrive, each its own time: they arrive in another order.
    """
    chance, limit, rate = random.Random(seed), AdaptiveLimit(start), AdaptiveRate()
    waiting = deque((call, 0) for call in range(calls))
    events: list[tuple[float, int, str, Sent | None, tuple[int, int]]] = []
    now, done, requests, number, is_timed = 0.0, 0, 0, 0, False

    def later(seconds: float, what: str, sent: Sent | None, call: tuple[int, int]) -> None:
        nonlocal number
        number += 1
        heapq.heappush(events, (now + seconds, number, what, sent, call))

    while done < calls:
        while waiting and limit.has_room:
            if delay := rate.delay(now):
                if not is_timed:
                    later(delay, "look", None, (0, 0))
                is_timed = True
                break
            call = waiting.popleft()
            rate.begin(now)
            sent, requests = limit.begin(now, call[0]), requests + 1
            later(chance.uniform(0, spread), "arrived", sent, call)
        now, _, what, ended, call = heapq.heappop(events)
        if ended is None:
            waiting.extendleft([call] if what == "again" else [])
            is_timed = is_timed and what == "again"
        elif what == "arrived" and service.takes(now):
            later(latency * chance.uniform(0.8, 1.2), "answered", ended, call)
        elif what == "arrived":
            later(0.003, "refused", ended, call)
        elif what == "answered":
            done += 1
            if isinstance(service, Together):
                service.end()
            limit.answered(ended)
            rate.answered(ended)
        else:
            is_rate = rate.refused(ended, now)
            limit.ended() if is_rate else limit.refused(ended)
            later(chance.uniform(0, min(30, 0.5 * 2 ** call[1])), "again", None, (call[0], call[1] + 1))
    return now, requests


@pytest.mark.parametrize("service", [Window, Bucket])
@pytest.mark.parametrize(("number", "calls"), [(20, 200), (5, 60), (100, 1000)])
def test_a_rate_that_nobody_names_is_found(service: Any, number: int, calls: int) -> None:
    for seed in range(3):
        seconds, requests = answer_all(service(number), calls, 0.01, seed)
        assert requests <= 1.6 * calls, "it is not stormed"
        assert seconds <= 1.6 * calls / number + 3, "and it is used"


@pytest.mark.parametrize(("start", "spread"), [(60, 0.0), (60, 0.03), (60, 0.1), (200, 0.1)])
def test_many_at_once_in_any_order_are_no_rate(start: int, spread: float) -> None:
    """Half of what is refused leaves before what is taken; at a rate, it took three times as long."""
    for seed in range(10):
        seconds, requests = answer_all(Together(12), 300, 0.1, seed, start=start, spread=spread)
        assert seconds <= 1.6 * (300 / 12) * (0.1 + spread / 2) + 1
        assert requests <= 700


def test_refusals_at_random_are_no_rate() -> None:
    for share in (0.1, 0.2, 0.4):
        seconds, requests = answer_all(Chance(share), 500, 0.2)
        assert requests <= 500 / (1 - share) * 1.2
        assert seconds < 120, "it is given up"


def test_a_rate_that_is_no_longer_kept_is_forgotten() -> None:
    rate = AdaptiveRate()
    for call in range(1, 21):
        rate.begin(0.0)
        rate.refused(Sent(call, 1, 0.0, call), 0.01)
    assert rate.value == 1
    now = 0.0
    for _ in range(600):
        now += rate.delay(now)
        rate.begin(now)
        rate.answered(Sent(0, 1, now))
    assert (rate.value or 0) > 50, "it grows while nothing is refused"
    rate.begin(now + 100)
    rate.begin(now + 102)
    rate.begin(now + 200)
    assert rate.value is None


def test_one_call_that_is_refused_again_and_again_sets_no_rate() -> None:
    rate = AdaptiveRate()
    for number in range(40):
        rate.begin(number / 1000)
        assert not rate.refused(Sent(number, 1, number / 1000, call=7), number / 1000)
    assert rate.value is None


def test_what_was_accepted_together_is_a_limit_on_calls_at_once() -> None:
    rate = AdaptiveRate()
    for level in range(1, 41):
        rate.begin(0.0)
        if level <= 12:
            rate.answered(Sent(level, level, 0.0, level))
        else:
            assert not rate.refused(Sent(level, level, 0.0, level), 0.01)
    assert rate.value is None


@pytest.mark.parametrize("hint", [{}, {"Retry-After": "0"}])
def test_a_real_server_is_not_stormed(wire_server: WireServer, hint: dict[str, str]) -> None:
    window, lock = Window(20), threading.Lock()

    def answer(_: Received) -> Answer:
        with lock:
            return completion() if window.takes(time.monotonic()) else refusal(429, "slow down", headers=hint)

    wire_server.script = [answer]
    replies = open_model(wire_server.url).generate_batch_response([HELLO] * 50)
    assert len(replies) == 50
    assert len(wire_server.requests) < 150


# -- now, or in the past -----------------------------------------------------------------------------------------
PAST = format_datetime(datetime.now(timezone.utc) - timedelta(days=1), usegmt=True)


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "0"}, {"Retry-After": "-3"}, {"Retry-After-Ms": "0"}, {"Retry-After": PAST}]
)
def test_now_means_our_own_wait(wire_server: WireServer, headers: dict[str, str]) -> None:
    assert not wait_asked({name.lower(): value for name, value in headers.items()})
    wire_server.script = [refusal(429, "slow down", headers=headers)]
    with pytest.raises(RateLimitError) as caught:
        open_model(wire_server.url, total_timeout=2).generate_response(HELLO)
    assert not caught.value.retry_after
    assert 2 <= len(wire_server.requests) <= 12, "40 requests at once would tell the service nothing new"


def test_a_wait_of_milliseconds_does_not_use_up_the_attempts(wire_server: WireServer) -> None:
    wire_server.script = [refusal(429, "slow down", headers={"Retry-After-Ms": "1"})]
    with pytest.raises(RateLimitError):
        open_model(wire_server.url, total_timeout=1.5).generate_response(HELLO)
    assert 3 < len(wire_server.requests) < 15
