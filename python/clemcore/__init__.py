"""clemcore: one call for any chat model, local or remote.

Examples:
    >>> import clemcore
    >>> model = clemcore.get_model_for("mock")
    >>> model.generate_response([{"role": "user", "content": "Hello!"}]).text
    'Hello!'
"""

from __future__ import annotations

from clemcore import backends, compat  # noqa: F401 - a public name
from clemcore._core import __version__
from clemcore.names import lazy

compat.answer_renamed()
__getattr__, __dir__ = lazy(__name__, __file__)


def get_version() -> str:
    """Return the version of clemcore."""
    return __version__
