"""The one event loop on which all remote calls of this process run, in a thread of its own.

The sync face of the remote models waits for it; several threads may, and so may code that itself runs inside an
event loop. A forked child gets a loop of its own. It does not know what runs on it.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import contextvars
import os
import threading
import weakref
from collections import deque
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar, runtime_checkable

_T = TypeVar("_T")


class Stopped(asyncio.CancelledError):
    """A cancellation that knows what it has stopped.

    Attributes:
        stopped_call: the error that stands for the stopped call in the record.
    """

    def __init__(self, stopped_call: Exception) -> None:
        super().__init__()
        self.stopped_call = stopped_call


# How long a call that is stopped, and the end of the program, wait for the network library to let go.
_LET_GO = 2.0


class Closable(Protocol):
    """What has to be closed before the program ends."""

    async def close(self) -> None:
        """Close it; called on the loop."""


@runtime_checkable
class Leavable(Closable, Protocol):
    """What a forked child can open anew for itself; the child never closes what is none of these."""

    def leave_to_parent(self) -> None:
        """Forget what is open without closing it; called in a forked child."""


class _Background:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.open: weakref.WeakSet[Any] = weakref.WeakSet()
        self._taken: deque[_Course] = deque()
        self._is_woken = False

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="clemcore-remote-calls", daemon=True
                )
                self._thread.start()
            return self._loop

    def take(self, course: _Course) -> None:
        """Take work of a thread; the loop is woken once for all that comes until it begins it."""
        self._taken.append(course)
        if not self._is_woken:
            self._is_woken = True
            try:
                self.loop().call_soon_threadsafe(self.begin)
            except BaseException:  # the loop has ended, or an interrupt
                self._is_woken = False
                raise

    def begin(self) -> None:
        """Begin what was taken; called on the loop."""
        self._is_woken = False  # first: what comes from now on wakes the loop again
        while self._taken:
            self._taken.popleft().begin(asyncio.get_running_loop())

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
# In a forked child, those of its ancestors, so that nothing of them is closed: they are still in use there.
_inherited: list[_Background] = []


def _forget() -> None:
    """In a forked child the parent's thread does not run, and what it has opened is not the child's to close."""
    global _background  # noqa: PLW0603 - one per process is the point
    _inherited.append(_background)
    _background = _Background()
    for closable in list(_inherited[-1].open):
        if isinstance(closable, Leavable):
            closable.leave_to_parent()
            _background.open.add(closable)


os.register_at_fork(after_in_child=_forget)


@atexit.register
def _stop() -> None:
    _background.stop()


def close_at_exit(closable: Closable) -> None:
    """Close something when the program ends, if it is still there then."""
    _background.open.add(closable)


class _Course:
    """Some work on its way over the loop, and what it has ended with.

    Many threads may make calls at once, so a thread waits for one lock, which takes less than a future of
    ``asyncio.run_coroutine_threadsafe``.
    """

    __slots__ = ("_context", "_lock", "_task", "_work", "error", "has_ended")

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        """Take the work, which sees the context of this thread."""
        self.has_ended = False
        self.error: BaseException | None = None
        self._work = work
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[Any] | None = None
        self._lock = threading.Lock()
        self._lock.acquire()

    async def of(self) -> Any:
        """Do the work."""
        self._task = asyncio.current_task()
        try:
            return await self._work
        except BaseException as error:
            self.error = error  # a task that is cancelled may keep another one
            raise

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin the work for a thread; called on the loop."""
        self._task = self._context.run(loop.create_task, self.of())
        self._task.add_done_callback(self._let_go, context=self._context)

    def _let_go(self, _: object) -> None:
        self.has_ended = True
        self._lock.release()

    def wait(self) -> Any:
        """Wait in a thread until the work has ended; return what it returned, or raise what it raised."""
        self._lock.acquire()
        if self._task is None or self._task.cancelled():
            raise concurrent.futures.CancelledError
        return self._task.result()

    async def end(self) -> None:
        """Wait until work that was cancelled has ended; it may never have begun."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_LET_GO)

    async def stop(self) -> None:
        """Cancel the work of a thread, wait for its end, and let the network library go."""
        _background.begin()
        if self._task is not None:
            self._task.cancel()
        await self.end()
        await asyncio.sleep(0.05)


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine on the loop and wait for it; an interrupt of the wait stops it.

    An interrupt gets the ``stopped_call`` of the :class:`Stopped` that the work ends with.

    Raises:
        RuntimeError: the loop itself would have to wait, which would stop every call.
    """
    loop = _background.loop()
    if threading.current_thread() is _background._thread:
        work.close()
        raise RuntimeError("called from inside a remote call: await agenerate_response instead")
    course = _Course(work)
    try:
        _background.take(course)
        return course.wait()  # type: ignore[no-any-return]
    except BaseException as interrupt:
        if not course.has_ended:  # Ctrl-C
            with contextlib.suppress(concurrent.futures.TimeoutError):
                asyncio.run_coroutine_threadsafe(course.stop(), loop).result(2 * _LET_GO)
        if isinstance(course.error, Stopped):
            interrupt.stopped_call = course.error.stopped_call  # type: ignore[attr-defined]
        raise


async def run_async(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine on the loop and await it from any other loop.

    Raises:
        Stopped: whoever awaits was cancelled, and so was the work, which says what it was.
    """
    loop = _background.loop()
    if asyncio.get_running_loop() is loop:
        return await work
    course = _Course(work)
    future = asyncio.run_coroutine_threadsafe(course.of(), loop)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(course.end(), loop))
        if isinstance(course.error, Stopped):
            raise course.error from None
        raise


def stop_soon(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """Cancel a task of the loop from any thread; nothing happens when the loop has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(task.cancel)


async def to_its_end(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a short coroutine to its end, also where it is cancelled: an answer has come, and must not be lost."""
    task = asyncio.ensure_future(work)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise


def post(work: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine on the loop without waiting; nothing happens when the program is ending."""
    try:
        asyncio.run_coroutine_threadsafe(work, _background.loop())
    except RuntimeError:
        work.close()
