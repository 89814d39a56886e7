"""The one stream of random numbers of a process, for runs in which episodes have no stream of their own.

Such a run can be replayed only if each episode starts from the state that it had. It does not know episodes.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from typing import Any


def process_state() -> dict[str, Any]:
    """Return the state of ``random``, and of ``numpy.random`` if NumPy is loaded, as JSON can hold it."""
    version, words, gauss = random.getstate()
    state: dict[str, Any] = {"random": [version, list(words), gauss]}
    if "numpy" in sys.modules:
        name, key, *rest = sys.modules["numpy"].random.get_state()
        state["numpy"] = [name, key.tolist(), *rest]
    return state


def restore_process(state: Mapping[str, Any]) -> None:
    """Go back to a state of :func:`process_state`."""
    version, words, gauss = state["random"]
    random.setstate((version, tuple(words), gauss))
    if "numpy" in state and "numpy" in sys.modules:
        sys.modules["numpy"].random.set_state(tuple(state["numpy"]))
