"""Fast answers: dialogues are computed together, so that rounding may depend on what else is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clemcore.backends.local.engine import Engine, Generated, Job
from clemcore.backends.local.modes.mode import FAST


class Fast:
    """Computes jobs together, as the engine does by default."""

    name = FAST

    def __init__(self, engine: Engine) -> None:
        """Take the engine that computes."""
        self._engine = engine

    def generate(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Generated | Exception]]:
        """Compute jobs in the engine's order."""
        yield from self._engine.generate(iter(jobs), self._engine.describe().ways[0])
