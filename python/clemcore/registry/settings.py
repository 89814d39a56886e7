"""What an entry's ``model_config`` says: settings, read and checked by the rules of the core.

The core (``rust/clemcore/src/schema/`` and ``registry/check/``) says which settings a backend reads, their types,
values and ranges, and what is wrong with an entry. This module does not know what a setting does.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clemcore import _core
from clemcore.errors import SpecError
from clemcore.registry.judgement import NEAR_MISS, near_misses
from clemcore.registry.spec import ModelSpec

if TYPE_CHECKING:
    from clemcore._core import _Setting

# At the top level of a specification these are generation arguments.
_ARGUMENTS = ("reasoning", "reasoning_effort")
# Custom backends for services may read what this backend reads, and are held against its rules.
_ANY_SERVICE = "openai_compatible"
# Rules that do not apply to custom backends: no field names the model, and the backend is not packaged.
_PACKAGED_ONLY = frozenset({"R045", "R052"})
_TYPES: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list, tuple),
    "object": (Mapping,),
    "null": (type(None),),
}


@functools.cache
def settings_of(backend: str) -> dict[str, _Setting]:
    """Return the settings that a backend reads, by name."""
    return _core.settings(backend)


@functools.cache
def _readable(backend: str) -> dict[str, _Setting]:
    """Return the settings of a backend and those of any service."""
    return {**settings_of(_ANY_SERVICE), **settings_of(backend)}


def setting(spec: ModelSpec, name: str, default: Any = None) -> Any:
    """Return a setting from ``model_config``, or from the top level, where entries of 2024 have it.

    Raises:
        SpecError: it stands in both places with different values, or its type, value or range is wrong.
    """
    config = spec.get("model_config") or {}
    beside: Any = {} if name in _ARGUMENTS else spec
    if not isinstance(config, Mapping) or (name in config and name in beside and config[name] != beside[name]):
        raise _refusal(spec, name)
    value = config[name] if name in config else beside.get(name)
    if value is None:
        return default
    if not _fits(value, _readable(spec.get("backend", _ANY_SERVICE))[name]):
        raise _refusal(spec, name)
    return value


def check_settings(spec: ModelSpec) -> None:
    """Refuse an entry whose model cannot be loaded, or which has a key that looks misspelt.

    Other unknown keys are none of this backend's business: entries also hold those of other backends.

    Raises:
        SpecError: the entry is wrong; the message is that of ``clem registry check``.
    """
    for problem in problems_of(spec):
        if problem.stops_model or is_misspelt(spec, problem):
            raise SpecError(sentence(spec, problem))


def is_misspelt(spec: ModelSpec, problem: _core.Problem) -> bool:
    """Tell whether a problem is a key that looks like a misspelt field, setting or generation argument.

    A key that merely resembles one may be an argument that the server knows. The rule for selectors tells which.
    """
    key = problem.field or ""
    if problem.code != NEAR_MISS or "." in key:  # of model_config, or of an object whose keys are known
        return problem.code == NEAR_MISS
    others = {name: value for name, value in spec._fields.items() if name != key}
    return bool(near_misses(_core.added_fields({key: spec.get(key)}, others)))


def problems_of(spec: ModelSpec) -> list[_core.Problem]:
    """Return what the rules of the core find in an entry; custom backends are judged as services."""
    backend = spec.get("backend")
    if backend in _known_backends():
        return _core.judge(spec._fields, backend)
    return [p for p in _core.judge(spec._fields, _ANY_SERVICE) if p.code not in _PACKAGED_ONLY]


def sentence(spec: ModelSpec, problem: _core.Problem) -> str:
    """Say what is wrong with an entry and what to do."""
    return f"model '{spec.get('model_name')}': {problem.message}" + (f"; {problem.help}" if problem.help else "")


@functools.cache
def _known_backends() -> frozenset[str]:
    return frozenset(_core.known_backends())


def _refusal(spec: ModelSpec, name: str) -> SpecError:
    """Make the error about a setting that cannot be used, in the words of the core."""
    fields = (name, f"model_config.{name}", "model_config")
    for problem in problems_of(spec):
        if problem.field in fields and problem.stops_model:
            return SpecError(sentence(spec, problem))
    # An object that no file can hold, or a field that this backend does not read.
    return SpecError(f"model '{spec.get('model_name')}': '{name}' has a value that cannot be used")


def _fits(value: Any, row: _Setting) -> bool:
    """Tell whether type, value and range of a setting are right."""
    if not any(
        isinstance(value, _TYPES[name]) and isinstance(value, bool) == (name == "boolean") for name in row["types"]
    ):
        return False
    if isinstance(value, str):
        return not row["values"] or value in row["values"]
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return row["above"] is None or not isinstance(value, (int, float)) or value > row["above"]
