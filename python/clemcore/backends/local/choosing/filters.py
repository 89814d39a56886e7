"""Temperature, and the filters that leave only likely tokens: the same meaning as in transformers.

Each is a step of a chooser. It computes in float64, so that sums over a large vocabulary are exact enough.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

# How many of the likeliest tokens are looked at first; often they have the share already.
_FEW = 512


class _Filter:
    """A step without facts that looks at nothing but the scores."""

    def __call__(self, scores: Any, ids: Sequence[int]) -> Any:  # noqa: ARG002 - the same at every step
        import numpy as np

        return self.filtered(np.asarray(scores, dtype=np.float64))

    def filtered(self, scores: Any) -> Any:
        """Return changed scores, float64, shape (vocabulary,)."""
        raise NotImplementedError

    def facts(self) -> Mapping[str, Any]:
        return {}


class Temperature(_Filter):
    """Divides all scores."""

    def __init__(self, temperature: float) -> None:
        """Take the temperature, above 0."""
        self.temperature = temperature

    def filtered(self, scores: Any) -> Any:
        """Return the divided scores."""
        return scores / self.temperature


class TopK(_Filter):
    """Leaves the tokens with the highest scores; tokens that are level with the last of them stay as well."""

    def __init__(self, count: int) -> None:
        """Take how many tokens stay, at least 1."""
        self.count = count

    def filtered(self, scores: Any) -> Any:
        """Return the scores, -inf for other tokens."""
        import numpy as np

        if self.count >= len(scores):
            return scores
        least = np.partition(scores, -self.count)[-self.count]
        return np.where(scores < least, -np.inf, scores)


class TopP(_Filter):
    """Leaves the fewest likely tokens whose probabilities add up to a share; the likeliest one always stays."""

    def __init__(self, share: float) -> None:
        """Take the share, from 0 to 1."""
        self.share = share

    def filtered(self, scores: Any) -> Any:
        """Return the scores, -inf for other tokens."""
        import numpy as np

        finite = np.flatnonzero(scores > -np.inf)
        values = scores[finite]
        weights = np.exp(values - values.max())
        least = self.share * weights.sum()
        likely = self._likely(values, weights, least)
        # Stable, so that of equal tokens the same ones stay on every machine. The last ones are the likeliest.
        likely = likely[np.argsort(values[likely], kind="stable")]
        # What the more likely tokens have: a token stays if that is less than the share.
        above = np.cumsum(weights[likely][::-1])[::-1] - weights[likely]
        kept = finite[likely[(above < least) | (likely == likely[-1])]]
        left = np.full_like(scores, -np.inf)
        left[kept] = scores[kept]
        return left

    @staticmethod
    def _likely(values: Any, weights: Any, least: float) -> Any:
        """Return the places of values among which are all that stay; sorting a whole vocabulary takes long."""
        import numpy as np

        count = _FEW
        while count < len(values):
            places = np.flatnonzero(values >= np.partition(values, -count)[-count])
            if weights[places].sum() > least:
                return places
            count *= 8
        return np.arange(len(values))


class MinP(_Filter):
    """Leaves the tokens that are at least a share as likely as the likeliest one."""

    def __init__(self, share: float) -> None:
        """Take the share, above 0 and up to 1."""
        self.share = share

    def filtered(self, scores: Any) -> Any:
        """Return the scores, -inf for other tokens."""
        import numpy as np

        return np.where(scores < scores.max() + math.log(self.share), -np.inf, scores)
