"""Waits in a coroutine for what a thread computes, and lets the thread know if nobody waits any longer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

from clemcore.backends.local.engine import Generated, Job
from clemcore.backends.local.modes.mode import SharedMode

if TYPE_CHECKING:
    import asyncio

Result = Generated | Exception
T = TypeVar("T")

# Tells whether nobody waits any longer for what runs in this context; None where nobody could stop to wait.
_given_up: ContextVar[Callable[[], bool] | None] = ContextVar("clemcore_given_up", default=None)


@contextlib.contextmanager
def waiting() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether the block was left, as when the coroutine that waits in it is cancelled."""
    ended = threading.Event()
    try:
        yield ended.is_set
    finally:
        ended.set()


async def in_thread(function: Callable[[], T]) -> T:
    """Call a function in a thread. If the coroutine is cancelled, :func:`given_up` tells the function so."""
    import asyncio

    with waiting() as has_ended:
        token = _given_up.set(has_ended)
        try:
            return await asyncio.to_thread(function)
        finally:
            _given_up.reset(token)


def given_up() -> Callable[[], bool] | None:
    """Return what tells whether the coroutine that waits for this thread was cancelled; None where none waits."""
    return _given_up.get()


async def awaited(mode: SharedMode, job: Job) -> Result:
    """Return the result of a job; a coroutine that is cancelled cancels its job.

    Args:
        mode: computes the job.
        job: the job.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Result] = loop.create_future()

    def done(_job: Job, result: Result) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nobody waits any longer
            loop.call_soon_threadsafe(_settle, ended, result)

    order = mode.submit(job, done)
    try:
        return await ended
    finally:
        order.cancel()


def _settle(ended: asyncio.Future[Result], result: Result) -> None:
    if not ended.done():
        ended.set_result(result)
