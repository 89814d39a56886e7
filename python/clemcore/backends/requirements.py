"""Which optional packages a backend needs and lacks, found out without importing the backend.

A backend says what it needs by calling ``require("package", backend=…, extra="…")`` where it needs it
(:func:`clemcore.backends.base.require`). Those calls are read in its source, and in the source of the other modules
of this folder that it imports; so nothing is declared twice, and no SDK is imported. The arguments must be written
as strings, or as names that the file binds to strings (``EXTRA = "…"``, ``for package in ("…", "…")``); the extra
may also be one that the backend's own file gives to something that it makes (``Service(…, extra="…")``).
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

_PACKAGE = "clemcore.backends."
_HERE = Path(__file__).parent
# Modules of this folder that are not read. Every backend imports `base` and `utils`, which need nothing. `client`
# needs its package only if the caller brings a client made with that package.
_NOT_READ = frozenset({_HERE / "base", _HERE / "utils", _HERE / "service" / "client"})


def missing_packages(file: Path) -> tuple[list[str], str | None]:
    """Return the packages that are not installed, and the command that installs them (None where all are).

    A file that cannot be read or parsed counts as needing nothing; using it will say what is wrong with it.
    """
    needed = _needed(file, set(), _given_extra(file))
    missing = sorted(package for package in needed if not _is_installed(package))
    if not missing:
        return [], None
    extras = sorted({needed[package] for package in missing})
    return missing, f"pip install 'clemcore[{','.join(extras)}]'"


def _needed(file: Path, seen: set[Path], given: str | None) -> dict[str, str]:
    """Return top-level package → extra of all ``require`` calls that can be reached from a file."""
    if file in seen:
        return {}
    seen.add(file)
    nodes = _nodes(file)
    bound = _bound_strings(nodes)
    if given is not None:
        bound["extra"] = [given]
    needed: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Call):
            needed.update(_required(node, bound))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for module in _imported_files(node):
                needed.update(_needed(module, seen, given))
    return needed


def _nodes(file: Path) -> list[ast.AST]:
    try:
        return list(ast.walk(ast.parse(file.read_bytes())))
    except (OSError, SyntaxError, ValueError):
        return []


def _given_extra(file: Path) -> str | None:
    """Return the extra that a backend's file gives to something that it makes."""
    for node in _nodes(file):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) != "require":
            for keyword in node.keywords:
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


def _imported_files(node: ast.Import | ast.ImportFrom) -> list[Path]:
    """Return the files of this folder that a statement imports, where they exist."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    inside = [name.removeprefix(_PACKAGE).split(".") for name in names if name.startswith(_PACKAGE)]
    places = {_HERE.joinpath(*parts) for parts in inside} - _NOT_READ
    files = [file for place in sorted(places) for file in (place.with_suffix(".py"), place / "__init__.py")]
    return [file for file in files if file.is_file()]


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # a module without a spec: it is there, however it came
        return True
