"""Where in the code of a game variables of modules and classes are made and changed.

It reads code and does not run it, so it also sees what a trial does not reach, and misses what names do not tell.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from clemcore.clemgame.checking.variables import Variable

_CHANGING = frozenset(
    {
        "append",
        "extend",
        "insert",
        "remove",
        "pop",
        "clear",
        "add",
        "discard",
        "update",
        "setdefault",
        "popitem",
        "sort",
    }
)
_MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_MAKERS = frozenset({"list", "dict", "set", "defaultdict", "OrderedDict", "Counter", "deque"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Place(NamedTuple):
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class SourceOfModule:
    """The variables of one module as its code tells them.

    Args:
        name: the name of the module.
        file: its file.
    """

    def __init__(self, name: str, file: str) -> None:
        self._name = name
        self._file = file
        self.made: dict[Variable, Place] = {}
        self.changed: dict[Variable, list[Place]] = {}
        # The types of attributes that some method of the class sets on the object itself.
        self._own_of_objects: set[tuple[str, str]] = set()
        try:
            tree = ast.parse(Path(file).read_bytes())
        except (OSError, SyntaxError, ValueError):
            return
        self._classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        self._collect(tree)
        for node, owner in _functions(tree):
            self._in_function(node, owner)

    def _collect(self, tree: ast.Module) -> None:
        for name, line, _ in _assigned(tree.body):
            self.made.setdefault(Variable(self._name, "", name), Place(self._file, line))
        for node in self._classes:
            for name, line, is_mutable in _assigned(node.body):
                variable = Variable(self._name, node.name, name)
                self.made.setdefault(variable, Place(self._file, line))
                if not is_mutable:
                    self._own_of_objects.add((node.name, name))
            for inner in ast.walk(node):
                if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store) and _is_self(inner.value):
                    self._own_of_objects.add((node.name, inner.attr))

    def _in_function(self, function: ast.FunctionDef | ast.AsyncFunctionDef, owner: str) -> None:
        shared = {name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names}
        arguments = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
        local = {
            node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        } - shared
        for node in ast.walk(function):
            for target in _changed_by(node):
                variable = self._variable(target, owner, shared, local | arguments)
                if variable is not None:
                    places = self.changed.setdefault(variable, [])
                    place = Place(self._file, getattr(node, "lineno", function.lineno))
                    if place not in places:
                        places.append(place)

    def _variable(self, target: ast.expr, owner: str, shared: set[str], local: set[str]) -> Variable | None:
        """Return the shared variable that an expression means, if it means one."""
        is_rebound = isinstance(target, (ast.Name, ast.Attribute)) and not isinstance(target.ctx, ast.Load)
        while isinstance(target, ast.Subscript):
            target = target.value
        if isinstance(target, ast.Name):
            is_shared = target.id in shared or (not is_rebound and target.id not in local)
            return self._of_module(target.id) if is_shared else None
        if not isinstance(target, ast.Attribute):
            return None
        cls = self._class_of(target.value, owner)
        if cls is not None:
            return Variable(self._name, cls, target.attr)
        variable = Variable(self._name, owner, target.attr)
        # self.words.append(…), where no method gives the object words of its own.
        is_of_class = variable in self.made and (owner, target.attr) not in self._own_of_objects
        return variable if is_of_class and not is_rebound and _is_self(target.value) else None

    def _of_module(self, name: str) -> Variable | None:
        variable = Variable(self._name, "", name)
        return variable if variable in self.made else None

    def _class_of(self, value: ast.expr, owner: str) -> str | None:
        """Return the class that an expression means: its name, cls, type(self) or self.__class__."""
        if isinstance(value, ast.Name):
            if value.id == "cls" and owner:
                return owner
            return value.id if any(node.name == value.id for node in self._classes) else None
        is_type = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "type"
        is_attribute = isinstance(value, ast.Attribute) and value.attr == "__class__" and _is_self(value.value)
        return owner if owner and (is_type or is_attribute) else None


def _functions(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    for node in tree.body:
        if isinstance(node, _FUNCTIONS):
            yield node, ""
        elif isinstance(node, ast.ClassDef):
            yield from ((inner, node.name) for inner in node.body if isinstance(inner, _FUNCTIONS))


def _assigned(body: Iterable[ast.stmt]) -> Iterator[tuple[str, int, bool]]:
    """Return the names that statements assign, with the line, and whether the value can be changed in place."""
    for node in body:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        is_made = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in _MAKERS
        for target in targets:
            if isinstance(target, ast.Name) and not target.id.startswith("__"):
                yield target.id, node.lineno, isinstance(value, _MUTABLE) or is_made


def _changed_by(node: ast.AST) -> Iterator[ast.expr]:
    """Return the expressions whose value a statement or a call replaces or changes."""
    if isinstance(node, ast.Assign):
        yield from node.targets
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        yield node.target
    elif isinstance(node, ast.Delete):
        yield from node.targets
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
        yield node.func.value


def _is_self(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id == "self"
