"""Certified answers: computed together, and computed again alone where another choice was too near.

The margin of a choice says how far scores would have to move to change it; the bound says how far they can be apart
that are computed together and alone. The bound is measured by an audit, not proven.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from clemcore.backends.local.choosing.chooser import Chooser
from clemcore.backends.local.choosing.margins import Margins, with_margins
from clemcore.backends.local.engine import Engine, Generated, Job
from clemcore.backends.local.modes.mode import CERTIFIED, Mode
from clemcore.backends.local.queue import Done, Order, queue_of

Result = Generated | Exception
# An audit sees the largest shift of some hundred steps. That of more steps, and of longer prompts, is larger,
# but grows slowly with their number.
FACTOR = 2.0


def bound_of(shift: float) -> float:
    """Return the smallest margin of a choice that stands, by the most that any score moved in an audit."""
    return 2 * shift * FACTOR


class Certified:
    """Computes jobs together, and again alone those of which the choices were too near to others."""

    name = CERTIFIED
    pieces_are_final = False

    def __init__(self, engine: Engine, exact: Mode, shift: Callable[[], float]) -> None:
        """Take the parts.

        Args:
            engine: computes.
            exact: computes alone.
            shift: returns the most that any score moved in the audit of the model, or raises where there is none.
        """
        self._engine = engine
        self._queue = queue_of(engine)
        self._exact = exact
        self._shift = shift

    def generate(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Result]]:
        """Compute jobs, and yield each as it ends.

        Raises:
            SpecError: the model has no audit.
        """
        checks = self._checks(jobs)
        for watched, result in self._queue.generate(list(checks), lambda job, result: checks[job](result)):
            yield checks[watched].asked, result

    def submit(self, job: Job, done: Done) -> Order:
        """Let a job wait for its turn; see :meth:`clemcore.backends.local.queue.Queue.submit`.

        Raises:
            SpecError: the model has no audit.
        """
        ((watched, check),) = self._checks([job]).items()
        return self._queue.submit([watched], lambda _, result: done(job, result), lambda _, result: check(result))

    def _checks(self, jobs: Sequence[Job]) -> dict[Job, _Check]:
        """Return for each job one whose margins are noted, with what checks its result."""
        bound = bound_of(self._shift())
        return dict(self._check(job, bound) for job in jobs)

    def _check(self, job: Job, bound: float) -> tuple[Job, _Check]:
        chooses = isinstance(job.choose, Chooser) or (job.choose is None and not self._is_search(job))
        if not chooses:  # whole answers are compared, whose margins are not known
            return dataclasses.replace(job), _Check(job, None, bound, self._exact)
        chooser, margins = with_margins(job.choose if isinstance(job.choose, Chooser) else None)
        return dataclasses.replace(job, choose=chooser), _Check(job, margins, bound, self._exact)

    def _is_search(self, job: Job) -> bool:
        return self._engine.rules(job.arguments, job.ids).is_search


@dataclasses.dataclass(frozen=True)
class _Check:
    """Checks the result of one job.

    Attributes:
        asked: the job as it was asked.
        margins: those of its answer, or None where they are not known.
        bound: the smallest margin that stands.
        exact: computes it again.
    """

    asked: Job
    margins: Margins | None
    bound: float
    exact: Mode

    def __call__(self, result: Result) -> Result:
        """Return the result if all its choices stand, else that of the job computed alone."""
        if isinstance(result, Exception) or result.ending == "cancelled":
            return result
        margin = None if self.margins is None else self.margins.least
        stands = self.margins is not None and (margin is None or margin >= self.bound)
        if not stands:
            ((_, result),) = self.exact.generate([self.asked])
            if isinstance(result, Exception):
                return result
        facts = {"margin": margin, "bound": self.bound, "recomputed": not stands}
        return dataclasses.replace(result, facts={**result.facts, "certified": facts})
