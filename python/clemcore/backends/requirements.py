"""Which optional packages a backend needs and lacks, found out without importing the backend.

A backend says what it needs by calling ``require("package", backend=…, extra="…")`` where it needs it
(:func:`clemcore.backends.base.require`). Those calls are read in its source, and in the source of the other modules
of this folder that it imports; so nothing is declared twice, and no SDK is imported. The arguments must be written
as strings, or as names that the file binds to strings (``EXTRA = "…"``, ``for package in ("…", "…")``); the extra
may also be one that the backend's own file gives to something that it makes (``Service(…, extra="…")``).
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import re
from pathlib import Path
from typing import NamedTuple

_PACKAGE = "clemcore.backends."
# Plain names of files instead of Path: a graph of imports is walked for each backend.
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep  # noqa: PTH100, PTH120
# Modules of this folder that are not read. Every backend imports `base` and `utils`, which need nothing. `client`
# needs its package only if the caller brings a client made with that package.
_NOT_READ = frozenset(_PACKAGE + name for name in ("base", "utils", "service.client"))


# What has to be parsed of this folder's files: the others matter for what they import alone.
_SAYS_SOMETHING = re.compile(rb"\brequire\([^)]|\bextra=")
# An import inside this folder, as our formatter writes it; the names may stand in lines of their own.
_IMPORT = re.compile(rb"from (clemcore\.backends[\w.]*) import (?:\(([^)]*)\)|(.*))")
_NAME = re.compile(rb"(\w+)(?: as \w+)?")


class _Source(NamedTuple):
    """What matters of a file.

    Attributes:
        calls: the calls in it.
        bound: the strings that its names stand for.
        imports: the files of this folder that it imports.
    """

    calls: list[ast.Call]
    bound: dict[str, list[str]]
    imports: list[str]


def missing_packages(file: Path) -> tuple[list[str], str | None]:
    """Return the packages that are not installed, and the command that installs them (None where all are).

    A file that cannot be read or parsed counts as needing nothing; using it will say what is wrong with it.
    """
    needed = _needed(str(file), _given_extra(str(file)))
    missing = sorted(package for package in needed if not _is_installed(package))
    if not missing:
        return [], None
    extras = sorted({needed[package] for package in missing})
    return missing, f"pip install 'clemcore[{','.join(extras)}]'"


def _needed(file: str, given: str | None) -> dict[str, str]:
    """Return top-level package → extra of all ``require`` calls that can be reached from a file."""
    needed: dict[str, str] = {}
    reached = [file]
    seen = {file}
    for each in reached:
        source = _source(each)
        if source.calls:
            bound = source.bound if given is None else {**source.bound, "extra": [given]}
            for call in source.calls:
                needed.update(_required(call, bound))
        new = [name for name in source.imports if name not in seen]
        seen.update(new)
        reached += new  # the loop comes to these, too
    return needed


def _source(file: str) -> _Source:
    """Read a file; the files of this folder do not change."""
    return _packaged_source(file) if file.startswith(_HERE) else _read(_bytes_of(file))


@functools.cache
def _packaged_source(file: str) -> _Source:
    """Read a file of this folder; most have nothing but imports to tell, and parsing all takes a second."""
    text = _bytes_of(file)
    return _read(text) if _SAYS_SOMETHING.search(text) else _Source([], {}, _imports_in(text))


def _bytes_of(file: str) -> bytes:
    try:
        with open(file, "rb", buffering=0) as handle:  # noqa: PTH123
            return handle.read()
    except OSError:
        return b""


def _read(text: bytes) -> _Source:
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError):
        nodes = []
    names = {
        name for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for name in _imported_names(node)
    }
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    return _Source(calls, _bound_strings(nodes), _files_of(names))


def _given_extra(file: str) -> str | None:
    """Return the extra that a backend's file gives to something that it makes."""
    for call in _source(file).calls:
        if getattr(call.func, "id", None) != "require":
            for keyword in call.keywords:
                if keyword.arg == "extra" and (found := _strings(keyword.value, {})):
                    return found[0]
    return None


def _required(call: ast.Call, bound: dict[str, list[str]]) -> dict[str, str]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)
    extra = next((keyword.value for keyword in call.keywords if keyword.arg == "extra"), None)
    if name != "require" or not call.args or extra is None:
        return {}
    extras = _strings(extra, bound)
    packages = [module.split(".", maxsplit=1)[0] for module in _strings(call.args[0], bound)]
    return dict.fromkeys(packages, extras[0]) if extras else {}


def _bound_strings(nodes: list[ast.AST]) -> dict[str, list[str]]:
    """Return the strings that names of a file stand for: by assignment, as a default, one by one in a loop."""
    bound: dict[str, list[str]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], [node.value]
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            target, value = node.target, [node.value]
        elif isinstance(node, ast.For) and isinstance(node.iter, (ast.Tuple, ast.List)):
            target, value = node.target, node.iter.elts
        else:
            continue
        if isinstance(target, ast.Name):
            bound[target.id] = [text for item in value for text in _strings(item, {})]
    return bound


def _strings(node: ast.expr, bound: dict[str, list[str]]) -> list[str]:
    if isinstance(node, ast.Name):
        return bound.get(node.id, [])
    if isinstance(node, ast.Attribute):  # of something that a file makes: `service.extra`
        return bound.get(node.attr, [])
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def _imported_names(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]


def _imports_in(text: bytes) -> list[str]:
    """Return the files of this folder that one of them imports, without parsing it."""
    names = set()
    for found in _IMPORT.finditer(text):
        if not text[text.rfind(b"\n", 0, found.start()) + 1 : found.start()].strip():  # not in an example
            module = found[1].decode()
            names.add(module)
            names.update(f"{module}.{name.decode()}" for name in _NAME.findall(found[2] or found[3]))
    return _files_of(names)


def _files_of(names: set[str]) -> list[str]:
    """Return the files of this folder that have one of these names as a module."""
    files = _files()
    return [files[name] for name in sorted(names) if name in files]


@functools.cache
def _files() -> dict[str, str]:
    """Return the files of this folder that are read, by the names of their modules."""
    files = {}
    for folder, _, names in os.walk(_HERE):
        inside = folder[len(_HERE) :].replace(os.sep, ".")
        for name in names:
            if name.endswith(".py"):
                module = f"{inside}.{name[:-3]}".strip(".").removesuffix(".__init__")
                files[_PACKAGE + module] = os.path.join(folder, name)  # noqa: PTH118
    return {name: file for name, file in files.items() if name not in _NOT_READ}


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # a module without a spec: it is there, however it came
        return True
