"""clemcore: one call for any chat model, local or remote.

Examples:
    >>> from clemcore import backends, compat
    >>> model = backends.get_model_for("mock")
    >>> model.generate_response([{"role": "user", "content": "Hello!"}]).text
    'Hello!'
"""

from __future__ import annotations

from clemcore import backends, compat
from clemcore._core import __version__

__all__ = ["__version__", "backends", "get_version"]

compat.install()


def get_version() -> str:
    """Return the version of clemcore."""
    return __version__
