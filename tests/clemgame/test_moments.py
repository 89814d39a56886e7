"""Moments as text are what ``datetime`` writes, also where the offset from UTC changes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from clemcore.clemgame import moments


@pytest.fixture(params=["UTC", "Europe/Berlin", "America/St_Johns"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place on earth."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    monkeypatch.setattr(moments, "_last", (-1, "", ""))
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    "begin", [1_792_889_998, 1_774_745_998, 0, 4_102_444_800]
)  # two changes of the clock in 2026
def test_moments_are_written_as_datetime_writes_them(monkeypatch: pytest.MonkeyPatch, begin: int) -> None:
    for nanoseconds in (0, 999, 1_000, 123_456_789, 999_999_999, 1_000_000_000, 2_500_000_000, 3_000_000_001):
        now = begin * 10**9 + nanoseconds
        monkeypatch.setattr(time, "time_ns", lambda now=now: now)
        second, microsecond = divmod(now // 1000, 10**6)
        there = datetime.fromtimestamp(second, timezone.utc).replace(microsecond=microsecond).astimezone()
        assert moments.local_time(with_offset=True) == there.isoformat()
        assert moments.local_time() == there.replace(tzinfo=None).isoformat()
