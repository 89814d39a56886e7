"""Comes later: every name can be imported, and says so when it is used."""

from __future__ import annotations

from clemcore.clemgame.later import Later


def __getattr__(name: str) -> Later:
    """Stand in for any name of this package."""
    if name.startswith("__"):
        raise AttributeError(name)
    return Later(f"{__name__}.{name}", "environments for training")
