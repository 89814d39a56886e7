"""Snapshots of the variables of modules and classes, to see which of them an episode changes.

It does not know games: it gets modules, and compares what it finds in them at two times.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import logging
import random
import types
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

# Values whose content is not looked into: they count as changed if another object takes their place.
_OPAQUE = (
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    type,
    property,
    classmethod,
    staticmethod,
    functools._lru_cache_wrapper,
    logging.Logger,
)
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_SEQUENCES = (list, tuple, collections.deque)
_SETS = (set, frozenset)
_MOST_NODES = 1_000_000
_MOST_NODES_OF_FOREIGN = 2_000


class Variable(NamedTuple):
    """A variable that all episodes share.

    Attributes:
        module: the name of its module.
        owner: the class, or the function whose default value it is; "" for a variable of the module.
        name: its own name.
    """

    module: str
    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.owner}.{self.name}" if self.owner else self.name


class VariableSnapshot:
    """The contents of the variables of some modules at one time."""

    def __init__(self, modules: Iterable[types.ModuleType]) -> None:
        modules = list(modules)
        self._own = {module.__name__ for module in modules}
        self._nodes = 0
        # Kept alive, so that no other object gets the identity of one that was seen.
        self._values: list[Any] = []
        self._contents = {variable: self._describe(value) for variable, value in self._variables(modules)}

    def changed_since(self, before: VariableSnapshot) -> dict[Variable, bool]:
        """Return the variables that differ from an earlier snapshot, and whether a dict or set only grew."""
        changed = {}
        for variable, content in self._contents.items():
            old = before._contents.get(variable)
            if content != old:
                changed[variable] = old is not None and _only_grew(old, content)
        changed.update({variable: False for variable in before._contents if variable not in self._contents})
        return changed

    def _variables(self, modules: Iterable[types.ModuleType]) -> Iterator[tuple[Variable, Any]]:
        for module in modules:
            for name, value in list(vars(module).items()):
                if name.startswith("__"):
                    continue
                if isinstance(value, type):
                    if value.__module__ == module.__name__:
                        yield from self._of_class(module.__name__, value)
                elif isinstance(value, types.FunctionType):
                    yield from self._defaults(module.__name__, value)
                elif not isinstance(value, _OPAQUE):
                    yield Variable(module.__name__, "", name), value

    def _of_class(self, module: str, cls: type) -> Iterator[tuple[Variable, Any]]:
        for name, value in list(vars(cls).items()):
            if isinstance(value, types.FunctionType):
                yield from self._defaults(module, value)
            elif not name.startswith(("__", "_abc_")) and not isinstance(value, _OPAQUE):
                yield Variable(module, cls.__qualname__, name), value

    def _defaults(self, module: str, function: types.FunctionType) -> Iterator[tuple[Variable, Any]]:
        """Return default values that a call can change; they are made once, with the function."""
        if function.__module__ not in self._own:
            return
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        defaults = function.__defaults__ or ()
        pairs = [*zip(names[len(names) - len(defaults) :], defaults, strict=True)]
        pairs += (function.__kwdefaults__ or {}).items()
        for name, value in pairs:
            if isinstance(value, (list, dict, set)):
                yield Variable(module, f"{function.__qualname__}()", name), value

    # -- describing values -------------------------------------------------------------------------------------
    def _describe(self, value: Any) -> Any:
        """Return a value that is equal for equal contents and can be hashed."""
        self._values.append(value)
        try:
            return self._content(value, {}, _MOST_NODES)
        except (RecursionError, _TooMuch):
            return ("other", id(value))

    def _content(self, value: Any, seen: dict[int, int], most: int) -> Any:
        kind = type(value)
        if kind in _PLAIN:
            return (kind.__name__, value)
        if id(value) in seen:
            return ("seen", seen[id(value)])
        seen[id(value)] = len(seen)
        self._nodes += 1
        if self._nodes > _MOST_NODES or len(seen) > most:
            raise _TooMuch
        described: Any
        if isinstance(value, dict):
            pairs = (
                (self._content(key, seen, most), self._content(item, seen, most))
                for key, item in list(value.items())
            )
            described = ("dict", frozenset(pairs))
        elif isinstance(value, _SEQUENCES):
            described = (kind.__name__, tuple(self._content(item, seen, most) for item in value))
        elif isinstance(value, _SETS):
            described = ("set", frozenset(self._content(item, seen, most) for item in value))
        elif isinstance(value, random.Random):
            described = ("random", value.getstate())
        else:
            described = self._content_of_object(value, seen, most)
        return described

    def _content_of_object(self, value: Any, seen: dict[int, int], most: int) -> Any:
        fields = getattr(value, "__dict__", None)
        described: Any = ("other", id(value))
        if hasattr(value, "tobytes") and hasattr(value, "dtype"):
            described = ("array", str(value.dtype), value.tobytes())
        elif hasattr(value, "bit_generator"):  # generators of NumPy, today's and those of before
            described = ("random", repr(value.bit_generator.state))
        elif type(value).__name__ == "RandomState" and hasattr(value, "get_state"):
            described = ("random", repr(value.get_state()))
        elif isinstance(value, _OPAQUE) or not isinstance(fields, dict):
            pass
        elif type(value).__module__ in self._own:
            described = ("object", id(value), self._content(fields, seen, most))
        else:
            # An object of a package: looked into if it is small, with all that hangs on it.
            is_inner = most == _MOST_NODES_OF_FOREIGN
            with contextlib.nullcontext() if is_inner else contextlib.suppress(RecursionError, _TooMuch):
                inner = self._content(dict(fields), seen if is_inner else {}, _MOST_NODES_OF_FOREIGN)
                described = ("object", id(value), inner)
        return described


class _TooMuch(Exception):  # noqa: N818 - never leaves this module
    """A value is too large to be described."""


def _only_grew(old: Any, new: Any) -> bool:
    """Tell whether a dict or a set kept all it had."""
    return bool(old[0] == new[0] and old[0] in ("dict", "set") and old[1] < new[1])
