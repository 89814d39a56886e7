"""Model names that need no registry entry: ``mock``, ``human``, ``replay:PATH`` and their second names.

They stand for a backend that is not a language model. What the backend does is not known here.
"""

from __future__ import annotations

from clemcore.registry.spec import HUMAN_NAMES, PROGRAMMATIC_NAMES, REPLAY, ModelSpec


def special(selector: ModelSpec) -> ModelSpec | None:
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
    return None if backend is None else ModelSpec(**{**selector.to_dict(), "backend": backend})
