"""The public names of a package: written once, in its stub ``__init__.pyi``, and loaded when they are first used.

Importing a package then costs nothing, type checkers know every name, and no list has to be kept in step. It does
not know any name.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, whose import alone would cost more than all of this package
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def lazy(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a package.

    Args:
        package: the package's ``__name__``.
        file: its ``__file__``; the stub is beside it.
    """
    homes: dict[str, str] = {}

    def names() -> dict[str, str]:
        if not homes:
            homes.update(_homes(file + "i"))
        return homes

    def load(name: str) -> Any:
        if name == "__all__":
            return sorted(names())
        if name.startswith("__") or name not in names():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        import importlib
        import sys

        value = getattr(importlib.import_module(names()[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: sorted(names())


def _homes(stub: str) -> dict[str, str]:
    """Return the module of each name that a stub imports in the form ``from MODULE import NAME as NAME``."""
    homes: dict[str, str] = {}
    module = ""
    with open(stub, encoding="utf-8") as file:  # noqa: PTH123 - pathlib would cost more than the rest
        for line in file:
            words = line.replace(",", " ").replace("(", " ").replace(")", " ").split()
            if words[:1] == ["from"]:
                module, words = words[1], words[3:]
            if len(words) > 2 and words[1] == "as" and words[0] == words[2]:  # noqa: PLR2004 - NAME as NAME
                homes.update((words[i], module) for i in range(0, len(words) - 2, 3))
    return homes
