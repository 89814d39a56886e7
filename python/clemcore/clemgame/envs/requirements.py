"""Says which extra is missing where an environment needs a package that is not installed."""

from __future__ import annotations

import importlib

from clemcore.errors import MissingExtraError


def require(module: str, extra: str, what: str = "this environment") -> None:
    """Import a module of an optional package.

    Args:
        module: the module.
        extra: the extra that brings it.
        what: what needs it.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as fault:
        if fault.name != module.partition(".")[0]:
            raise
        raise MissingExtraError("", extra, fault.name, what=what) from None
