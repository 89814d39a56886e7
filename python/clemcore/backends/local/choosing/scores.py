"""Scores of the next token as NumPy arrays, whatever engine they come from."""

from __future__ import annotations

import math
from typing import Any

from clemcore.errors import GenerationError


class NotNumbersError(GenerationError):
    """A model gave scores that are not numbers, so what was kept of the prompt may be broken as well."""

    def public(self) -> GenerationError:
        """Return the same error as the class that callers know and that records name."""
        return GenerationError(*self.args).with_traceback(self.__traceback__)


def as_array(scores: Any) -> Any:
    """Return scores as a NumPy array in float32, shape (vocabulary,), which must not be changed.

    Args:
        scores: a one-dimensional array of torch (on any device) or NumPy.
    """
    import numpy as np

    if hasattr(scores, "detach"):
        scores = scores.detach().float().cpu().numpy()
    return np.asarray(scores, dtype=np.float32)


def log_probabilities(scores: Any) -> Any:
    """Return the natural logarithms of the probabilities that scores stand for, in float64.

    Args:
        scores: shape (vocabulary,); at least one is finite.
    """
    import numpy as np

    scores = np.asarray(scores, dtype=np.float64)
    best = scores.max()
    return scores - (best + np.log(np.exp(scores - best).sum()))


def require_numbers(scores: Any, step: int) -> None:
    """Refuse scores of a model that are not numbers: the highest of them would mean nothing.

    Args:
        scores: shape (vocabulary,).
        step: number of the token in the answer, from 0.

    Raises:
        NotNumbersError: one is NaN or infinite, or all are -inf.
    """
    if not math.isfinite(scores.max()):  # NaN if one of them is
        raise not_numbers(step)


def not_numbers(step: int) -> NotNumbersError:
    """Return the error of an answer for which the model gave scores that are not numbers.

    Args:
        step: number of the token in the answer, from 0.
    """
    return NotNumbersError(
        f"the model gives scores that are not numbers (NaN or infinite) for token {step} of the answer: "
        "its weights are damaged, or its number format is too small for it. Compare the weight files with their "
        "source, or load the model in another format, as bfloat16 or float32 in place of float16"
    )
