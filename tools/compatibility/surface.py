"""Print every public name, parameter and flag of clemcore 3.7.2 as JSON, in its own environment.

``tools/compatibility/write.py`` starts it there, so it imports nothing of this project.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import enum
import importlib
import importlib.util
import inspect
import json
import pkgutil
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

# Name, kind and default of each parameter but self.
Parameters = list[list[str]]
LONGEST_DEFAULT = 40


def parameters_of(function: Any) -> Parameters | None:
    """Return the parameters of a function, or None where Python does not know them."""
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return None
    found = []
    for name, parameter in signature.parameters.items():
        default = "" if parameter.default is parameter.empty else repr(parameter.default)
        is_short = len(default) < LONGEST_DEFAULT and " at 0x" not in default
        found.append([name, parameter.kind.name, default if is_short else "…"])
    return found[1:] if found and found[0][0] in {"self", "cls"} else found


def assigned_attributes(cls: type) -> list[str]:
    """Return the public attributes that the methods of a class assign to self."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return []
    names = {
        node.attr: None
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
        and not node.attr.startswith("_")
    }
    return list(names)


def _members(cls: type) -> dict[str, Parameters | None]:
    found: dict[str, Parameters | None] = {}
    for name, member in vars(cls).items():
        if name.startswith("_") or isinstance(member, type):
            continue
        plain = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
        found[name] = parameters_of(plain) if isinstance(plain, types.FunctionType) else None
    if issubclass(cls, enum.Enum):
        found.update(dict.fromkeys(cls.__members__))
    return {**found, **{name: None for name in assigned_attributes(cls) if name not in found}}


def _describe(value: Any) -> dict[str, Any]:
    if isinstance(value, type):
        # How an exception or an enumeration of Python is made is not a fact about clemcore.
        made = None if issubclass(value, enum.Enum) else parameters_of(value)
        return {"kind": "class", "parameters": made, "members": _members(value)}
    if callable(value):
        return {"kind": "function", "parameters": parameters_of(value)}
    return {"kind": "value", "value": value if isinstance(value, (str, int, float, bool)) else None}


def _parameters_by_source(function: ast.FunctionDef) -> Parameters:
    spec = function.args
    plain = [*spec.posonlyargs, *spec.args]
    defaults = [None] * (len(plain) - len(spec.defaults)) + list(spec.defaults)
    found = [
        [one.arg, "POSITIONAL_OR_KEYWORD", ast.unparse(default) if default else ""]
        for one, default in zip(plain, defaults, strict=True)
    ]
    found += [[spec.vararg.arg, "VAR_POSITIONAL", ""]] if spec.vararg else []
    found += [
        [one.arg, "KEYWORD_ONLY", ast.unparse(default) if default else ""]
        for one, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True)
    ]
    found += [[spec.kwarg.arg, "VAR_KEYWORD", ""]] if spec.kwarg else []
    return found[1:] if found and found[0][0] in {"self", "cls"} else found


def _described_by_source(module: str) -> dict[str, Any]:
    """Describe a module that cannot be imported here."""
    spec = importlib.util.find_spec(module)
    found: dict[str, Any] = {}
    for node in ast.parse(Path(str(spec and spec.origin)).read_bytes()).body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.startswith("_"):
            continue
        if isinstance(node, ast.FunctionDef):
            found[node.name] = {"kind": "function", "parameters": _parameters_by_source(node)}
            continue
        methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
        made = [_parameters_by_source(item) for item in methods if item.name == "__init__"]
        members = {item.name: _parameters_by_source(item) for item in methods if not item.name.startswith("_")}
        found[node.name] = {"kind": "class", "parameters": made[0] if made else None, "members": members}
    return found


def _is_assigned(module: types.ModuleType, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name
        for node in ast.walk(ast.parse(inspect.getsource(module)))
    )


def _describe_module(module: types.ModuleType) -> tuple[dict[str, Any], list[str]]:
    """Return the names that a module defines or passes on, and those that it only imports."""
    names: dict[str, Any] = {}
    imported: list[str] = []
    is_package = hasattr(module, "__path__")
    for key, value in vars(module).items():
        is_definition = isinstance(value, (type, types.FunctionType))
        home = str(getattr(value, "__module__", None))
        foreign = {home, type(value).__module__} & {"typing", "logging"} or key == "TYPE_CHECKING"
        if key.startswith("_") or isinstance(value, types.ModuleType) or foreign:
            continue
        if is_definition and not home.startswith("clemcore"):
            continue
        is_own = home == module.__name__ if is_definition else _is_assigned(module, key)
        if is_own:
            names[key] = _describe(value)
        elif is_package:
            names[key] = {"kind": _describe(value)["kind"], "home": home}
        else:
            imported.append(key)
    return names, imported


def _commands() -> dict[str, list[list[str]]]:
    """Return the flags of each command."""
    from clemcore import cli

    found: dict[str, list[list[str]]] = {}

    def keep(parser: argparse.ArgumentParser, *_: Any) -> None:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, command in action.choices.items():
                    flags = [one for one in command._actions if not isinstance(one, argparse._HelpAction)]
                    found[name] = [list(one.option_strings) or [one.dest] for one in flags]
        raise SystemExit

    argparse.ArgumentParser.parse_args = keep  # type: ignore[assignment, method-assign]
    with contextlib.suppress(SystemExit):
        cli.main()
    return found


def main() -> None:
    """Run as a command."""
    import clemcore

    names = ["clemcore", *(m.name for m in pkgutil.walk_packages(clemcore.__path__, "clemcore.", lambda _: None))]
    modules: dict[str, Any] = {}
    imported: dict[str, list[str]] = {}
    for name in names:
        try:
            module = importlib.import_module(name)
        except ImportError:  # it needs a package that is not installed here
            modules[name], imported[name] = _described_by_source(name), []
            continue
        modules[name], imported[name] = _describe_module(module)
    sys.stdout.write("\n" + json.dumps({"modules": modules, "imported": imported, "commands": _commands()}))


if __name__ == "__main__":
    main()
