"""The threads that play episodes: as many as the models can use, and as the machine gives.

It does not know what they play.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Team(Generic[_T]):
    """Threads that take tasks from one line until it is empty.

    Args:
        tasks: the tasks; they are taken one by one, never by two threads at once.
        work: does one task; it must not raise.
        is_over: whether no further task is to be begun.

    Attributes:
        refused: what the machine said when it refused a thread, or None.
    """

    def __init__(self, tasks: Iterator[_T], work: Callable[[_T], None], is_over: Callable[[], bool]) -> None:
        """Begin without threads."""
        self._tasks = tasks
        self._work = work
        self._is_over = is_over
        self._lock = threading.Lock()
        # Not a SimpleQueue: where the handler of a signal outlasts the timeout, its get waits without end, and
        # the second Ctrl-C of a user is lost.
        self._gone: queue.Queue[None] = queue.Queue()
        self._is_empty = False
        self.size = 0
        self.refused: str | None = None

    def grow(self, size: int) -> None:
        """Start threads until there are so many, or all tasks are taken."""
        while self.size < size and not self._is_empty and self.refused is None:
            thread = threading.Thread(target=self._run, name=f"clemcore-episodes-{self.size + 1}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                self.refused = str(error)
                return
            self.size += 1

    def wait(self, seconds: float) -> bool:
        """Wait a while for threads that end; tell whether any is left."""
        try:
            self._gone.get(timeout=seconds)
            self.size -= 1
            while True:
                self._gone.get_nowait()
                self.size -= 1
        except queue.Empty:
            pass
        return self.size > 0

    def run_here(self) -> None:
        """Do all tasks in this thread."""
        while (task := self._next()) is not None:
            self._work(task)

    def _next(self) -> _T | None:
        with self._lock:
            if self._is_over():
                return None
            task = next(self._tasks, None)
            self._is_empty = task is None
            return task

    def _run(self) -> None:
        try:
            self.run_here()
        finally:
            self._gone.put(None)
