"""Waits for a job in a coroutine, while a thread computes it together with others."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from clemcore.backends.local.engine import Generated, Job
from clemcore.backends.local.modes.mode import SharedMode

if TYPE_CHECKING:
    import asyncio

Result = Generated | Exception


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
