"""What a way of computing answers is: it takes jobs and yields results, and says what an answer depends on.

It knows engines and jobs, and neither messages nor records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from clemcore.backends.local.engine import Generated, Job

EXACT, FAST, CERTIFIED = "exact", "fast", "certified"


class Mode(Protocol):
    """One way of computing answers.

    Attributes:
        name: ``exact``, ``fast`` or ``certified``; it is in the record of every answer.
    """

    name: str

    def generate(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Generated | Exception]]:
        """Compute jobs, and yield each with its result as it ends; a job that fails does not stop the others."""
