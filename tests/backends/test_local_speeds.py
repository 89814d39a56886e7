"""The speeds of a local model: what cannot be told is not a number."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

from clemcore.backends.local.bench import measure
from clemcore.backends.local.engine import Generated


class Clock:
    """A clock that a mode sets forward."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Mode:
    """Answers with as many tokens as asked for, each after the time given."""

    name = "exact"

    def __init__(self, clock: Clock, first: float, each: float) -> None:
        self._clock, self._first, self._each = clock, first, each

    def generate(self, jobs: Sequence[Any]) -> Iterator[tuple[Any, Generated]]:
        for job in jobs:
            new = job.arguments.max_tokens
            self._clock.now += self._first + (new - 1) * self._each
            yield job, Generated(ids=[1] * new, ending=cast("Any", "length"))


@pytest.mark.parametrize(("each", "decode"), [(0.5, 2.0), (0.0, None)])
def test_an_answer_no_slower_than_its_first_token_has_no_speed(
    monkeypatch: pytest.MonkeyPatch, each: float, decode: float | None
) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    mode = cast("Any", Mode(clock, first=2.0, each=each))
    (speed,) = measure([mode], [1, 2, 3], 512, lengths=[100], batches=[1], new_tokens=8)
    assert (speed.prefill, speed.decode) == (50.0, decode)
    json.dumps(speed.to_dict(), allow_nan=False)
