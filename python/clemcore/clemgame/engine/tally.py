"""What a run has done so far: episodes by outcome, calls, tokens, USD and the newest errors.

It does not know how it is shown.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

# Errors that are shown while the run goes on.
_NEWEST = 3


class Tally:
    """Counts; any thread may use it.

    Attributes:
        episodes: ended episodes of this run by outcome: "played", "error", "limit".
        planned: episodes that this run is to play.
        earlier: planned episodes that were completed by an earlier run.
        live: episodes that are played now.
        calls: calls of models that were answered or failed.
        programs: answers of programmatic players.
        failed: calls that failed.
        input_tokens: tokens of the prompts, where the models count them.
        output_tokens: tokens of the answers.
        usd: what the calls cost, where that is known.
        modes: answers of local models by mode (``exact``, ``fast``, ``certified``) and number format.
        errors: the newest errors, each with its episode.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.began = time.monotonic()
        self.episodes: Counter[str] = Counter()
        self.planned = 0
        self.earlier = 0
        self.live = 0
        self.calls = 0
        self.programs = 0
        self.failed = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.usd = 0.0
        self.modes: Counter[tuple[str, str]] = Counter()
        self.errors: deque[tuple[str, str]] = deque(maxlen=_NEWEST)

    @property
    def ended(self) -> int:
        """How many episodes have ended."""
        return self.episodes.total()

    def count_call(self, facts: Mapping[str, Any], *, is_failed: bool) -> None:
        """Count a call of a model, with what its record says."""
        usage, cost, mode, model = (facts.get(name) for name in ("usage", "cost", "exactness", "model"))
        with self._lock:
            self.calls += 1
            self.failed += is_failed
            if isinstance(mode, str):
                self.modes[mode, str(model.get("dtype")) if isinstance(model, Mapping) else "unknown"] += 1
            if isinstance(usage, Mapping):
                self.input_tokens += _number(usage.get("input_tokens"))
                self.output_tokens += _number(usage.get("output_tokens"))
            if isinstance(cost, Mapping) and isinstance(cost.get("usd"), (int, float)):
                self.usd += cost["usd"]

    def count_program(self) -> None:
        """Count an answer of a programmatic player."""
        with self._lock:
            self.programs += 1

    def begin(self) -> None:
        """Count an episode that begins."""
        with self._lock:
            self.live += 1

    def end(self, outcome: str | None, scope: str = "", error: Mapping[str, Any] | None = None) -> None:
        """Count an episode that ends; without an outcome it was interrupted."""
        with self._lock:
            self.live -= 1
            if outcome is not None:
                self.episodes[outcome] += 1
            if error is not None:
                self.errors.append((scope, f"{error.get('type')}: {error.get('message')}"))


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
