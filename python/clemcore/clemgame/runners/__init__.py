"""Runners: play instances of a game from a program, with callbacks. ``clem run`` does not use them.

``sequential`` plays one episode after another, ``batchwise`` plays several side by side, and ``dispatch`` chooses
between the two. ``branching`` continues an episode in several ways. All of them play on the engine of ``clem run``.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["batchwise", "branching", "dispatch", "sequential"]


def __getattr__(name: str) -> ModuleType:
    """Import a runner when it is named: 3.7.2 gives it as an attribute after any import of its command line."""
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
