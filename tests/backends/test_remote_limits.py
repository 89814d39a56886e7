"""How many calls are under way at once: the state machine against simulated services, the pace, a real server."""

from __future__ import annotations

import heapq
import queue
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clemcore.backends.service.http.adaptive import AdaptiveLimit, Sent
from clemcore.backends.service.http.gate import Pace
from support.remote import HELLO, open_model
from support.wire_server import Answer, Received, WireServer, completion, refusal


class Service:
    """A service in virtual time; `takes` says how many calls at once it takes at a moment."""

    def __init__(self, limit: AdaptiveLimit, takes: Callable[[float], int], seed: int, random_refusals: float = 0):
        self.limit = limit
        self.takes = takes
        self.chance = random.Random(seed)
        self.random_refusals = random_refusals
        self.now, self.refused = 0.0, 0
        self.history: list[tuple[float, int]] = []

    def answer(self, calls: int) -> None:
        """Let a client make so many calls, each repeated until it is answered."""
        waiting, done, busy, number = calls, 0, 0, 0
        events: list[tuple[float, int, str, Sent | None]] = []
        while done < calls:
            while waiting and self.limit.has_room:
                waiting, number = waiting - 1, number + 1
                sent = self.limit.begin()
                assert self.limit.in_flight <= self.limit.value
                if busy < self.takes(self.now) and self.chance.random() >= self.random_refusals:
                    busy += 1
                    event = (self.now + self.chance.uniform(0.15, 0.25), number, "answered", sent)
                else:
                    event = (self.now + 0.005, number, "refused", sent)
                heapq.heappush(events, event)
            self.now, _, what, ended = heapq.heappop(events)
            if what == "again" or ended is None:
                waiting += 1
            elif what == "answered":
                busy, done = busy - 1, done + 1
                self.limit.answered(ended)
            else:
                self.refused, number = self.refused + 1, number + 1
                self.limit.refused(ended)
                heapq.heappush(events, (self.now + self.chance.uniform(0.1, 0.4), number, "again", None))
            self.history.append((self.now, self.limit.value))

    def late_values(self) -> list[int]:
        return [value for moment, value in self.history if moment > 0.4 * self.now]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(takes=st.integers(1, 150), explicit=st.booleans(), seed=st.integers(0, 10**6))
def test_the_limit_converges_to_what_the_service_takes(takes: int, explicit: bool, seed: int) -> None:
    limit = AdaptiveLimit(start=200, ceiling=200) if explicit else AdaptiveLimit()
    service = Service(limit, lambda _: takes, seed)
    service.answer(takes * 60)
    late = service.late_values()
    mean = sum(late) / len(late)
    assert abs(mean - takes) <= max(1, 0.2 * takes), (mean, min(late), max(late))
    assert service.now <= 1.3 * 60 * 0.2 + 2, "the service was used"
    assert service.refused <= 200 + 0.15 * takes * 60 + 60, "and not stormed"


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_refusals_at_random_do_not_throttle(seed: int) -> None:
    limit = AdaptiveLimit(start=100, ceiling=100)
    service = Service(limit, lambda _: 10**9, seed, random_refusals=0.2)
    service.answer(2000)
    late = service.late_values()
    assert sum(late) / len(late) > 70


def test_it_follows_a_service_that_takes_less_and_then_more() -> None:
    limit = AdaptiveLimit()
    takes = {"now": 40}
    service = Service(limit, lambda _: takes["now"], seed=1)
    for number, calls in ((40, 2000), (15, 1500), (60, 6000)):
        takes["now"] = number
        service.history.clear()
        service.answer(calls)
        tail = [value for _, value in service.history[-calls // 4 : -number]]
        assert abs(sum(tail) / len(tail) - number) <= 0.2 * number, (number, tail[::50])


def test_it_grows_only_while_it_is_used() -> None:
    limit = AdaptiveLimit(start=10)
    for _ in range(100):
        limit.answered(limit.begin())
    assert limit.value == 10
    for _ in range(3):
        for sent in [limit.begin() for _ in range(limit.value)]:
            limit.answered(sent)
    assert limit.value > 10


def test_errors_that_are_not_about_the_number_change_nothing() -> None:
    limit = AdaptiveLimit(start=10)
    for _ in range(10):
        limit.begin()
    for _ in range(10):
        limit.ended()
    assert (limit.value, limit.in_flight) == (10, 0)


@given(
    amounts=st.lists(st.floats(0.1, 50), min_size=1, max_size=30),
    steps=st.lists(st.floats(0, 5), min_size=30, max_size=30),
    per_minute=st.floats(1, 1000),
)
def test_the_pace_is_kept_in_every_span_of_time(
    amounts: list[float], steps: list[float], per_minute: float
) -> None:
    pace, now, used = Pace(per_minute), 0.0, []
    for amount, step in zip(amounts, steps, strict=False):
        now += step
        used.append((now + pace.wait(amount, now), amount))
    for first in range(len(used)):
        total = 0.0
        for moment, amount in used[first:]:
            span = moment - used[first][0]
            assert total <= per_minute * span / 60 + 1e-6, "the units before the last were over by then"
            total += amount


@pytest.mark.slow
@pytest.mark.parametrize("config", [{}, {"max_connections": 60}])
def test_a_server_that_takes_only_so_many_is_found_out(wire_server: WireServer, config: dict[str, Any]) -> None:
    # What the service says is settled when a call leaves, as if bytes and threads took no time: on a busy machine
    # calls wait in sockets while others end, and a service that counts by itself then takes more than it should.
    takes, busy = 12, 0
    verdicts: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def answer(received: Received) -> Answer:
        if not verdicts.get(timeout=60):
            return refusal(429, "too many at once", headers={"Retry-After-Ms": "30"})
        threading.Event().wait(0.1)
        return completion()

    wire_server.script = [answer]
    model: Any = open_model(wire_server.url, **config)
    values: list[int] = []
    gate = model._calls._lane.gate
    begin, leave = gate._begin, gate.leave

    def judging(now: float, call: int) -> Sent:
        nonlocal busy
        verdicts.put(busy < takes)
        busy += busy < takes
        sent: Sent = begin(now, call)
        return sent

    def noting(sent: Sent, outcome: Any) -> None:
        nonlocal busy
        busy -= outcome == "answered"
        leave(sent, outcome)
        if outcome == "answered":
            values.append(gate.limit.value)

    gate._begin, gate.leave = judging, noting
    replies = model.generate_batch_response([HELLO] * 300)
    assert len(replies) == 300
    late = values[len(values) // 2 : -takes]
    mean = sum(late) / len(late)  # above twelve on a busy machine: what is on its way is counted as under way
    assert takes - 3 <= mean <= 1.5 * takes, values
    assert len(wire_server.requests) < 600


@pytest.mark.parametrize("field", ["requests_per_minute", "tokens_per_minute"])
def test_the_pace_of_an_entry_reaches_the_gate(wire_server: WireServer, field: str) -> None:
    model: Any = open_model(wire_server.url, None, **{field: 60_000_000})
    assert model.generate_response(HELLO).text == "Canberra."
    pace = getattr(model._calls._lane.gate, f"_{field.removesuffix('_per_minute')}")
    assert pace.per_minute == 60_000_000
    assert pace._full_at > 0
