"""Games as environments for training: of PettingZoo and of Gymnasium.

Importing this package loads none of them. It does not know how models are trained.
"""

from __future__ import annotations

from clemcore.clemgame.later import Later


def __getattr__(name: str) -> Later:
    """Stand in for what this version does not have yet."""
    if name != "openenv":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return Later(f"{__name__}.{name}", "environments on servers")
