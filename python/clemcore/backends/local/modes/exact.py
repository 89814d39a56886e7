"""Exact answers: each dialogue is computed alone, so that an answer depends on nothing but the question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clemcore.backends.local.engine import Engine, Generated, Job
from clemcore.backends.local.modes.mode import EXACT


class Exact:
    """Computes one job after the other."""

    name = EXACT

    def __init__(self, engine: Engine) -> None:
        """Take the engine that computes."""
        self._engine = engine

    def generate(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Generated | Exception]]:
        """Compute jobs in their order."""
        yield from self._engine.generate(iter(jobs), "alone")
