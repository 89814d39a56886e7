"""The registry keys that a custom backend says it reads, found without running its code.

Its module says so by a literal at its top::

    REGISTRY_KEYS = {
        "model_config.speed": {"type": "number", "meaning": "How fast it speaks.", "unit": "words per minute"},
        "voice": {"type": ["string", "null"], "values": ["low", "high"], "meaning": "Who speaks."},
    }

It knows how keys are described, and nothing of what a registry does with them.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

from clemcore import _core
from clemcore.backends.lookup import BackendRegistry
from clemcore.errors import BackendLoadError

NAME = "REGISTRY_KEYS"
TYPES = ("boolean", "integer", "number", "string", "array", "object", "null")
_PARTS = ("type", "values", "meaning", "unit")

Keys = dict[str, dict[str, Any]]
# As the core takes it: a name, or a name with the types and the values of each key.
Described = str | tuple[str, dict[str, tuple[list[str], list[str]]]]


def declared(*, packaged: bool = True) -> dict[str, Keys]:
    """Return what the backends that the core does not describe say of their keys, by the backends' names.

    Args:
        packaged: with those that come with clemcore.

    Raises:
        BackendLoadError: a module says it in a way that cannot be read; the message names file and line.
    """
    found: dict[str, Keys] = {}
    known = _core.known_backends()
    for row in BackendRegistry.from_packaged_and_cwd_files():
        name, source = row["backend"], row["lookup_source"]
        if name in found or (
            source == "packaged" and (not packaged or name in known or row["file_path"] == "_internal")
        ):
            continue  # the core describes them
        path = _file_of(row["file_path"]) if source.startswith("entry point") else Path(row["file_path"])
        found[name] = read_keys(path) if path is not None else {}
    return found


def described() -> list[Described]:
    """Return all backends that there are, as the check of registries takes them."""
    keys = declared()
    names = [row["backend"] for row in BackendRegistry.from_packaged_and_cwd_files()]
    return [(name, _for_core(keys[name])) if keys.get(name) else name for name in dict.fromkeys(names)]


def _for_core(keys: Keys) -> dict[str, tuple[list[str], list[str]]]:
    return {path: (_types(key), list(key.get("values", []))) for path, key in keys.items()}


def _types(key: dict[str, Any]) -> list[str]:
    given = key.get("type", [])
    return [given] if isinstance(given, str) else list(given)


def read_keys(path: Path) -> Keys:
    """Read the keys that a module declares; none where it declares none, or is not Python that can be read.

    Raises:
        BackendLoadError: the declaration is not a literal, or describes a key in an unknown way.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}  # loading it says what is wrong
    for statement in tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets = [statement.target]
        if any(isinstance(target, ast.Name) and target.id == NAME for target in targets):
            place = f"{path}:{statement.lineno}: {NAME}"
            try:
                keys = ast.literal_eval(statement.value)  # type: ignore[attr-defined]
            except (ValueError, TypeError):
                raise BackendLoadError(
                    f"{place} must be a literal dict: it is read without running the file"
                ) from None
            _check(keys, place)
            return dict(keys)
    return {}


def _check(keys: Any, place: str) -> None:
    if not isinstance(keys, dict):
        raise BackendLoadError(f"{place} must be a dict of keys, not {type(keys).__name__}")
    for path, key in keys.items():
        if not isinstance(path, str) or not isinstance(key, dict):
            raise BackendLoadError(f"{place}: {path!r} must be described by a dict of {', '.join(_PARTS)}")
        odd = [part for part in key if part not in _PARTS]
        if odd:
            raise BackendLoadError(f"{place}: {path!r} has {odd[0]!r}; a key has {', '.join(_PARTS)}")
        wrong = [name for name in _types(key) if name not in TYPES]
        if wrong:
            raise BackendLoadError(f"{place}: {path!r} has the type {wrong[0]!r}; types are {', '.join(TYPES)}")
        if not all(isinstance(value, str) for value in key.get("values", [])):
            raise BackendLoadError(f"{place}: the values of {path!r} must be texts")


def _file_of(entry_point: str) -> Path | None:
    """Find the file of an entry point's module; packages around it are imported, it is not."""
    try:
        spec = importlib.util.find_spec(entry_point.partition(":")[0])
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def explain(key: str) -> str | None:
    """Write what custom backends say of a key; None where they say nothing."""
    pages = []
    for backend, keys in declared().items():
        for path, told in keys.items():
            if key in (path, path.rpartition(".")[2]):
                kinds = " or ".join(_types(told)) or "anything"
                lines = [
                    f"{path}: {kinds}",
                    "",
                    f"    {told.get('meaning', 'The backend does not say what it means.')}",
                    "",
                ]
                lines += [f"    one of:        {', '.join(told['values'])}"] if told.get("values") else []
                lines += [f"    unit:          {told['unit']}"] if told.get("unit") else []
                pages.append("\n".join([*lines, f"    read by:       {backend}", ""]))
    return "\n".join(pages) or None


def with_own_keys(schema: dict[str, Any]) -> dict[str, Any]:
    """Add the keys of custom backends to the JSON Schema; each holds in entries of its backend only."""
    rules = schema["$defs"]["entry"]["allOf"]
    for backend, keys in declared(packaged=False).items():
        properties: dict[str, Any] = {}
        config: dict[str, Any] = {}
        for path, told in keys.items():
            place, name = (
                (config, path.removeprefix("model_config."))
                if path.startswith("model_config.")
                else (properties, path)
            )
            place[name] = {
                **({"type": told["type"]} if "type" in told else {}),
                **({"enum": told["values"]} if told.get("values") else {}),
                **({"description": told["meaning"]} if "meaning" in told else {}),
            }
        if keys:
            then = {**properties, **({"model_config": {"properties": config}} if config else {})}
            condition = {"properties": {"backend": {"enum": [backend]}}, "required": ["backend"]}
            rules.append({"if": condition, "then": {"properties": then}})
    return schema
