"""Scores of the next token as NumPy arrays, whatever engine they come from."""

from __future__ import annotations

from typing import Any


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
