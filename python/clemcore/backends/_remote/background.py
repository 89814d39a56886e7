"""The one event loop on which all remote calls of this process run, in a thread of its own.

The sync face of the remote models waits for it; several threads may, and so may code that itself runs inside an
event loop. A forked child gets a loop of its own. It does not know what runs on it.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import threading
import weakref
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

_T = TypeVar("_T")

# How long a call that is stopped, and the end of the program, wait for the network library to let go.
_LET_GO = 2.0


class Closable(Protocol):
    """What has to be closed before the program ends."""

    async def close(self) -> None:
        """Close it; called on the loop."""


class _Background:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.open: weakref.WeakSet[Any] = weakref.WeakSet()

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="clemcore-remote-calls", daemon=True
                )
                self._thread.start()
            return self._loop

    def stop(self) -> None:
        """Close what is open, and the loop."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or not thread.is_alive():
            return
        with contextlib.suppress(concurrent.futures.TimeoutError, RuntimeError):
            asyncio.run_coroutine_threadsafe(self._close_all(), loop).result(_LET_GO)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_LET_GO)
        if not thread.is_alive():
            loop.close()

    async def _close_all(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *(each.close() for each in list(self.open)), return_exceptions=True)


_background = _Background()


def _forget() -> None:
    """In a forked child the parent's thread does not run."""
    global _background  # noqa: PLW0603 - one per process is the point
    _background = _Background()


os.register_at_fork(after_in_child=_forget)


@atexit.register
def _stop() -> None:
    _background.stop()


def close_at_exit(closable: Closable) -> None:
    """Close something when the program ends, if it is still there then."""
    _background.open.add(closable)


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine on the loop and wait for it; an interrupt of the wait stops it.

    Raises:
        RuntimeError: the loop itself would have to wait, which would stop every call.
    """
    loop = _background.loop()
    if threading.current_thread() is _background._thread:
        work.close()
        raise RuntimeError("called from inside a remote call: await agenerate_response instead")
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        if not future.done():  # Ctrl-C: what runs is told, and given a moment to let go
            future.cancel()
            done = threading.Event()
            loop.call_soon_threadsafe(loop.call_later, 0.05, done.set)
            done.wait(_LET_GO)
        raise


async def run_async(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine on the loop and await it from any other loop."""
    loop = _background.loop()
    if asyncio.get_running_loop() is loop:
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


def post(work: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine on the loop without waiting; nothing happens when the program is ending."""
    try:
        asyncio.run_coroutine_threadsafe(work, _background.loop())
    except RuntimeError:
        work.close()
