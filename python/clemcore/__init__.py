"""clemcore: one call for any chat model, local or remote.

Examples:
    >>> from clemcore import backends
    >>> model = backends.get_model_for("mock")
    >>> model.generate_response([{"role": "user", "content": "Hello!"}]).text
    'Hello!'
"""

from __future__ import annotations

from clemcore import backends
from clemcore._core import __version__

__all__ = ["__version__", "backends", "get_version"]


def get_version() -> str:
    """Return the version of clemcore."""
    return __version__
