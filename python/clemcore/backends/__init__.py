"""The public face: ``from clemcore import backends``.

Every name is loaded from its own module when it is first used; importing this package imports no SDK. The names are
listed in ``__init__.pyi``.

Examples:
    >>> from clemcore import backends
    >>> model = backends.get_model_for("mock")
    >>> prompt, response, response_text = model.generate_response([{"role": "user", "content": "Hello!"}])
    >>> response_text
    'Hello!'
"""

from __future__ import annotations

from clemcore.names import lazy

# What else modules of 3.7.2 had that are now this package (see clemcore.compat), and its name there.
_FORMER = {
    "CustomResponseModelBackend": ("clemcore.backends.mock", "Mock"),
    "HumanModelBackend": ("clemcore.backends.human", "Human"),
    "is_backend_file": ("clemcore.backends.lookup", "is_backend_file"),
    "to_backend_name": ("clemcore.backends.lookup", "to_backend_name"),
}
_load, __dir__ = lazy(__name__, __file__)


def __getattr__(name: str) -> object:
    """Load a public name from its module when it is first used."""
    if name not in _FORMER:
        return _load(name)
    import importlib

    home, its_name = _FORMER[name]
    value: object = getattr(importlib.import_module(home), its_name)
    globals()[name] = value
    return value
