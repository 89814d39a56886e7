"""From a selector to a model specification: registry files, entries, overrides, prices.

``from clemcore.registry import ModelRegistry`` works; these names are loaded when they are first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from clemcore.registry.registry import ModelRegistry
    from clemcore.registry.spec import ModelSpec

__all__ = ["ModelRegistry", "ModelSpec"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from clemcore.registry import registry, spec

    return getattr(registry if name == "ModelRegistry" else spec, name)
