"""What an entry's ``model_config`` says: settings, read and checked against the table of the core.

The table (``rust/clemcore/src/schema/``) says which settings a backend reads, and their types, values and ranges.
This module does not know what a setting does.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from clemcore import _core
from clemcore.errors import SpecError
from clemcore.registry.spec import ModelSpec

if TYPE_CHECKING:
    from clemcore._core import _Setting

# At the top level of a specification these are generation arguments.
_ARGUMENTS = ("reasoning", "reasoning_effort")
# Custom backends for services, and every service's model, may read what this backend reads.
_ANY_SERVICE = "openai_compatible"
_TYPES: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list, tuple),
    "object": (Mapping,),
    "null": (type(None),),
}
_WORDS = {"boolean": "true or false", "array": "a list", "integer": "an integer", "object": "an object"}


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
    config = _config(spec)
    beside: Any = {} if name in _ARGUMENTS else spec
    if name in config and name in beside and config[name] != beside[name]:
        raise SpecError(
            f"model '{spec['model_name']}' has two values for '{name}': {beside[name]!r} at the top level and "
            f"{config[name]!r} in model_config; keep one"
        )
    value = config[name] if name in config else beside.get(name)
    if value is None:
        return default
    check_value(spec, name, value, _readable(_backend(spec))[name])
    return value


def check_value(spec: ModelSpec, name: str, value: Any, row: _Setting) -> None:
    """Check type, value and range of a setting.

    Raises:
        SpecError: the setting is wrong; the message names the model and the setting.
    """
    wrong = _wrong(value, row)
    if wrong:
        raise SpecError(f"model '{spec.get('model_name')}': '{name}' must be {wrong}, not {value!r}")


def check_settings(spec: ModelSpec) -> None:
    """Check all settings of an entry, and refuse one that is nearly the name of a setting.

    Other unknown settings are none of this backend's business: entries also hold those of other backends.

    Raises:
        SpecError: a setting is wrong, or looks misspelt; without this it would silently not count.
    """
    known = _readable(_backend(spec))
    for name in known:
        setting(spec, name)
    unknown = sorted(str(name) for name in _config(spec) if name not in known)
    for name in unknown:
        if near := nearest(name, known, cutoff=0.85):
            raise SpecError(f"model '{spec['model_name']}': model_config has '{name}'; did you mean '{near}'?")


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the name that is most like an unknown one, if one is."""
    import difflib

    return next(iter(difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=cutoff)), None)


def _backend(spec: ModelSpec) -> str:
    backend = spec.get("backend")
    return backend if isinstance(backend, str) else _ANY_SERVICE


def _config(spec: ModelSpec) -> Mapping[str, Any]:
    config = spec.get("model_config")
    if config is not None and not isinstance(config, Mapping):
        raise SpecError(
            f"model '{spec['model_name']}': model_config must be an object, not {type(config).__name__}"
        )
    return config or {}


def _wrong(value: Any, row: _Setting) -> str | None:
    """Say what a value would have to be; None where it is right."""
    if not any(_is_of(name, value) for name in row["types"]):
        return " or ".join(_WORDS.get(name, f"a {name}") for name in row["types"] if name != "null")
    if row["values"] and isinstance(value, str) and value not in row["values"]:
        listed = ", ".join(map(repr, row["values"]))
        return f"one of {listed}" if len(row["values"]) > 1 else listed
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _outside(value, row)
    return None


def _is_of(type_name: str, value: Any) -> bool:
    return isinstance(value, _TYPES[type_name]) and isinstance(value, bool) == (type_name == "boolean")


def _outside(value: float, row: _Setting) -> str | None:
    """Say which numbers a setting takes; None where a number is one of these."""
    of = f" of {row['unit']}" if row["unit"] else ""
    above, least, most = row["above"], row["least"], row["most"]
    if not math.isfinite(value):
        return f"a finite number{of}"
    if above is not None and not value > above:
        return f"a positive number{of}" if above == 0 else f"a number{of} above {above}"
    if (least is not None and value < least) or (most is not None and value > most):
        return (
            f"a number{of}"
            + (f" ≥ {least}" if least is not None else "")
            + (f" ≤ {most}" if most is not None else "")
        )
    return None
