"""Steps that make single tokens less or more likely: penalties for tokens that were there, and a bias.

They compute in float32 like the scores of a model, so that they agree with transformers to the bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any


class _Counting:
    """A step that counts the new tokens of an answer."""

    def __init__(self, before: Collection[int] = ()) -> None:
        """Take tokens that count as well."""
        self._before = frozenset(before)
        self._counts: Counter[int] = Counter()
        self._counted = 0

    def counts(self, ids: Sequence[int]) -> Mapping[int, int]:
        """Return how often each token occurs in the new ids; those of the prompt count once."""
        if len(ids) < self._counted or not self._counted:
            self._counts = Counter(dict.fromkeys(self._before, 1))
            self._counted = 0
        self._counts.update(ids[self._counted :])
        self._counted = len(ids)
        return self._counts

    def facts(self) -> Mapping[str, Any]:
        return {}


class Repetition(_Counting):
    """The repetition penalty of transformers: it counts the tokens of the prompt and the new ones."""

    def __init__(self, penalty: float, prompt_ids: Sequence[int]) -> None:
        """Take the penalty, above 0, and the token ids of the prompt."""
        super().__init__(prompt_ids)
        self.penalty = penalty
        self.stretch = max(penalty, 1 / penalty)

    def __call__(self, scores: Any, ids: Sequence[int]) -> Any:
        """Return scores in which those of earlier tokens are divided by the penalty, or multiplied if negative."""
        import numpy as np

        seen = np.fromiter(self.counts(ids), dtype=np.int64)
        seen = seen[seen < len(scores)]
        changed = scores.copy()
        at = changed[seen]
        changed[seen] = np.where(at < 0, at * np.float32(self.penalty), at / np.float32(self.penalty))
        return changed


class Occurrences(_Counting):
    """The presence and frequency penalties of OpenAI, which count the new tokens only."""

    stretch = 1.0

    def __init__(self, presence: float, frequency: float) -> None:
        """Take what is subtracted once from the score of a token that occurred, and what for each occurrence."""
        super().__init__()
        self.presence = presence
        self.frequency = frequency

    def __call__(self, scores: Any, ids: Sequence[int]) -> Any:
        """Return the scores with both penalties."""
        import numpy as np

        counts = self.counts(ids)
        if not counts:
            return scores
        seen = np.fromiter(counts, dtype=np.int64)
        times = np.fromiter(counts.values(), dtype=np.float32)
        changed = scores.copy()
        changed[seen] -= times * np.float32(self.frequency) + np.float32(self.presence)
        return changed


class Bias:
    """Adds a number to the scores of some tokens."""

    stretch = 1.0

    def __init__(self, bias: Mapping[int, float]) -> None:
        """Take what is added, by the id of the token."""
        self.bias = bias

    def __call__(self, scores: Any, ids: Sequence[int]) -> Any:  # noqa: ARG002 - the same at every step
        """Return the scores with the bias."""
        import numpy as np

        changed = scores.copy()
        changed[np.fromiter(self.bias, dtype=np.int64)] += np.fromiter(self.bias.values(), dtype=np.float32)
        return changed

    def facts(self) -> Mapping[str, Any]:
        """Return nothing: the bias is among the arguments that were sent."""
        return {}
