"""Closes a thought that has used up its budget: a step that leaves only the token that must be next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clemcore.backends.local.thought import Thought


class Closing:
    """Forces the end of one reply's thought. What it did is in the facts of the thought."""

    stretch = 1.0

    def __init__(self, thought: Thought) -> None:
        """Take the thought that is followed."""
        self._thought = thought

    def __call__(self, scores: Any, ids: Sequence[int]) -> Any:
        """Return scores of which only that of the forced token is finite, or the given ones."""
        import numpy as np

        self._thought.follow(ids)
        token = self._thought.forced()
        if token is not None:
            forced = np.full(scores.shape, -np.inf, dtype=scores.dtype)
            forced[token] = 0.0
            return forced
        banned = self._thought.banned()
        if not banned:
            return scores
        free = scores.copy()
        free[list(banned)] = -np.inf
        return free

    def facts(self) -> Mapping[str, Any]:
        """Return nothing: the thought has its facts."""
        return {}
