"""What a way of computing answers is: it takes jobs and yields results, and says what an answer depends on.

It knows engines and jobs, and neither messages nor records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from clemcore.backends.local.engine import Generated, Job
from clemcore.backends.local.queue import Order

EXACT, FAST, CERTIFIED = "exact", "fast", "certified"


class Mode(Protocol):
    """One way of computing answers.

    Attributes:
        name: ``exact``, ``fast`` or ``certified``; it is in the record of every answer.
        pieces_are_final: whether tokens stay as they are once a job was told of them.
    """

    name: str
    pieces_are_final: bool

    def generate(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Generated | Exception]]:
        """Compute jobs, and yield each with its result as it ends; a job that fails does not stop the others."""


@runtime_checkable
class SharedMode(Mode, Protocol):
    """A mode that computes jobs of several callers together; a caller need not wait in a thread."""

    def submit(self, job: Job, done: Callable[[Job, Generated | Exception], None]) -> Order:
        """Let a job wait for its turn, and return at once; see :class:`clemcore.backends.local.queue.Queue`."""
