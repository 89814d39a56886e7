"""Fast answers: dialogues are computed together, so that rounding may depend on what else is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clemcore.backends.local.engine import Engine, Generated, Job
from clemcore.backends.local.modes.mode import FAST
from clemcore.backends.local.queue import Done, Order, queue_of


class Fast:
    """Computes jobs together with all others that wait for the same weights, as the engine does by default."""

    name = FAST
    pieces_are_final = True

    def __init__(self, engine: Engine) -> None:
        """Take the engine that computes."""
        self._queue = queue_of(engine)

    def generate(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Generated | Exception]]:
        """Compute jobs, and yield each as it ends."""
        yield from self._queue.generate(jobs)

    def submit(self, job: Job, done: Done) -> Order:
        """Let a job wait for its turn; see :meth:`clemcore.backends.local.queue.Queue.submit`."""
        return self._queue.submit([job], done)
