"""Calls of many threads on the one loop: each gets its own result, error or cancellation, in its own context."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from contextvars import ContextVar

import pytest

from clemcore.backends.service.http import background

_who: ContextVar[int] = ContextVar("who", default=-1)


async def _work(number: int) -> int:
    """End in one of four ways; the loop runs it in the context of its thread."""
    assert _who.get() == number
    await asyncio.sleep(0.001 * (number % 5))
    if number % 4 == 1:
        raise ValueError(number)
    if number % 4 == 2:
        raise background.Stopped(RuntimeError(str(number)))
    if number % 4 == 3:
        raise asyncio.CancelledError
    return number


def _outcome(number: int) -> object:
    _who.set(number)
    try:
        return background.run(_work(number))
    except ValueError as error:
        return error.args
    except concurrent.futures.CancelledError as error:
        return str(getattr(error, "stopped_call", None))


def _wanted(number: int) -> object:
    return [number, (number,), str(number), "None"][number % 4]


def test_each_of_many_threads_gets_what_its_work_ended_with() -> None:
    found: dict[int, list[object]] = {}

    def ask(number: int) -> None:
        found[number] = [_outcome(number) for _ in range(5)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {number: 5 * [_wanted(number)] for number in range(100)}


def test_work_on_the_loop_cannot_wait_for_the_loop() -> None:
    async def inner() -> None:
        background.run(asyncio.sleep(0))

    with pytest.raises(RuntimeError, match="from inside a remote call"):
        background.run(inner())
