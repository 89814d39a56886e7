"""Calls that wait at the same time are computed together: what arrives while an engine is busy joins or goes next.

There is no timer. A thread computes as long as something waits, and ends when nothing does. All models with the
same weights share one queue. It knows engines and jobs, and neither messages nor records.
"""

from __future__ import annotations

import dataclasses
import queue
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from clemcore import forks
from clemcore.backends.local.engine import Engine, Generated, Job

Result = Generated | Exception
Done = Callable[[Job, Result], None]
Check = Callable[[Job, Result], Result]


@dataclass(eq=False)
class _Ticket:
    """A job that waits or is computed.

    Attributes:
        asked: the job as it was asked.
        order: what it belongs to.
    """

    asked: Job
    order: Order


class Order:
    """Jobs that were asked together."""

    def __init__(self, done: Done, check: Check | None) -> None:
        self.done = done
        self.check = check
        self.is_cancelled = False

    def cancel(self) -> None:
        """End what has not ended; nobody is told of its results any longer."""
        self.is_cancelled = True


class Queue:
    """The jobs of one engine."""

    def __init__(self, engine: Engine) -> None:
        """Take the engine; it is kept weakly."""
        self._engine = weakref.ref(engine)
        self._way = engine.describe().ways[0]
        self._lock = threading.Lock()
        self._waiting: deque[_Ticket] = deque()
        self._under_way: dict[Job, _Ticket] = {}
        self._taken = 0  # jobs that the engine has taken so far
        self._thread: threading.Thread | None = None
        self._last_thread: threading.Thread | None = None  # also while it ends
        forks.guard(self, "_lock", settle=Queue._settle, in_child=Queue._begin_anew)

    def submit(self, jobs: Sequence[Job], done: Done, check: Check | None = None) -> Order:
        """Let jobs wait for their turn, and return at once.

        Args:
            jobs: the jobs.
            done: told each job with its result, in the thread that computes; it must not raise.
            check: returns what the result of a job really is, in the same thread; other jobs wait meanwhile.
        """
        order = Order(done, check)
        with self._lock:
            self._waiting += [_Ticket(job, order) for job in jobs]
            if self._thread is not None:
                return order
            thread = threading.Thread(target=self._work, name="clemcore-local-batches")
            self._thread = self._last_thread = thread
        try:
            # Not a daemon: the interpreter waits for it, because torch must not compute while it ends.
            thread.start()
        except RuntimeError:  # the machine refuses a thread, or the interpreter ends
            self._work()
        return order

    def generate(self, jobs: Sequence[Job], check: Check | None = None) -> Iterator[tuple[Job, Result]]:
        """Compute jobs together with all others that wait, and yield each with its result as it ends."""
        results: queue.SimpleQueue[tuple[Job, Result]] = queue.SimpleQueue()
        order = self.submit(jobs, lambda job, result: results.put((job, result)), check)
        try:
            for _ in jobs:
                yield results.get()
        finally:
            order.cancel()

    # -- the thread that computes ----------------------------------------------------------------------------------
    def _work(self) -> None:
        while True:
            engine, taken = self._engine(), self._taken
            has_failed = False
            failure: Exception = RuntimeError("the model was closed while it was asked")
            try:
                if engine is not None:
                    for job, result in engine.generate(_Source(self._next), self._way):
                        self._deliver(job, result)
                    failure = RuntimeError("the engine gave no answer")
            except Exception as error:  # noqa: BLE001 - every job gets it
                failure, has_failed = error, True
            # An engine that fails before it takes a job, as one that was closed, would fail without end.
            self._fail(failure, all_of_them=engine is None or (has_failed and taken == self._taken))
            del engine, failure
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return

    def _next(self) -> Job | None:
        """Return the job whose turn it is, or None."""
        with self._lock:
            while self._waiting:
                ticket = self._waiting.popleft()
                if not ticket.order.is_cancelled:
                    job = dataclasses.replace(ticket.asked, cancelled=_cancelled_by(ticket))
                    self._under_way[job] = ticket
                    self._taken += 1
                    return job
        return None

    def _deliver(self, job: Job, result: Result) -> None:
        ticket = self._under_way[job]
        order = ticket.order
        if order.check is not None and not order.is_cancelled:
            try:
                result = order.check(ticket.asked, result)
            except Exception as error:  # noqa: BLE001 - it is the result of this job
                result = error
        del self._under_way[job]
        if not order.is_cancelled:
            order.done(ticket.asked, result)

    def _fail(self, error: Exception, *, all_of_them: bool) -> None:
        """Let jobs fail that are under way and have no result, and if need be those that wait."""
        with self._lock:
            tickets = [*self._under_way.values(), *(self._waiting if all_of_them else ())]
            self._under_way.clear()
            if all_of_them:
                self._waiting.clear()
        for ticket in tickets:
            if not ticket.order.is_cancelled:
                ticket.order.done(ticket.asked, error)

    def _settle(self) -> None:
        """Before a fork, let a thread end that has no more to do: a child could not compute beside it."""
        thread = self._last_thread
        if thread is not None and not self._waiting and not self._under_way:
            forks.wait_for_end(thread)

    def _begin_anew(self) -> None:
        """In a forked child, nobody computes what the parent asked."""
        self._waiting.clear()
        self._under_way.clear()
        self._thread = self._last_thread = None


class _Source(Iterator[Job]):
    """Jobs as they arrive; it may have more after it had none."""

    def __init__(self, take: Callable[[], Job | None]) -> None:
        self._take = take

    def __next__(self) -> Job:
        job = self._take()
        if job is None:
            raise StopIteration
        return job


def _cancelled_by(ticket: _Ticket) -> Callable[[], bool]:
    asked, order = ticket.asked.cancelled, ticket.order
    return lambda: order.is_cancelled or (asked is not None and asked())


_queues: WeakKeyDictionary[Engine, Queue] = WeakKeyDictionary()
_lock = threading.Lock()
forks.guard(sys.modules[__name__], "_lock")


def queue_of(engine: Engine) -> Queue:
    """Return the queue of an engine."""
    with _lock:
        found = _queues.get(engine)
        if found is None:
            found = _queues[engine] = Queue(engine)
        return found
