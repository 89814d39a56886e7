"""Model names that need no registry entry: ``mock``, ``human``, ``replay:PATH`` and their second names.

They stand for a backend that is not a language model. What the backend does is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clemcore.registry.spec import HUMAN_NAMES, PROGRAMMATIC_NAMES, REPLAY, ModelSpec, ResolvedSpec

# What a user can type; the others are for games.
NAMES = [*HUMAN_NAMES, *(name for name in PROGRAMMATIC_NAMES if not name.startswith("_"))]


def special(selector: ModelSpec | Mapping[str, Any]) -> ResolvedSpec | None:
    """Return a selector with the backend of its special name; None where it has none.

    Examples:
        >>> special(ModelSpec(model_name="mock", seed=1)).backend, special(ModelSpec(model_name="gpt-4o"))
        ('_player_programmed', None)
    """
    name = selector.get("model_name")
    if "backend" in selector or not isinstance(name, str):
        return None
    backend = None
    if name in HUMAN_NAMES:
        backend = "_player_human"
    elif name in PROGRAMMATIC_NAMES:
        backend = "_player_programmed"
    elif name.startswith(REPLAY):
        backend = "replay"
    return None if backend is None else ResolvedSpec(**{**selector, "backend": backend})
