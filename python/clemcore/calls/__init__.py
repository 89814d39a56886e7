"""One call from its start to its record: request, scope, call, recorder, reader, budget, cache.

``from clemcore.calls import Reply`` works; the names of this package are loaded when they are first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from clemcore.calls.call import Call, ReceivedBody, Reply

__all__ = ["Call", "ReceivedBody", "Reply"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from clemcore.calls import call

    return getattr(call, name)
