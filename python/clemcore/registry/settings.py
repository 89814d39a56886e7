"""What an entry's ``model_config`` says: settings read with their types checked.

It does not know what a setting does.
"""

from __future__ import annotations

from typing import Any

from clemcore.errors import SpecError
from clemcore.registry.spec import ModelSpec

# Everything that these backends read from ``model_config``, with its types.
SETTINGS: dict[str, tuple[type, ...]] = {
    "api": (str,),
    "attempt_timeout": (int, float),
    "base_url": (str,),
    "ca_file": (str,),
    "extra_body": (dict,),
    "idle_timeout": (int, float),
    "key_name": (str,),
    "max_connections": (int,),
    "multimodality": (dict,),
    "on_identity_change": (str,),
    "on_unsupported": (str,),
    "reasoning": (dict,),
    "reasoning_effort": (str,),
    "reasoning_model": (bool,),
    "requests_per_minute": (int, float),
    "requires_api_key": (bool,),
    "thinking_budget": (int,),
    "thinking_mode": (bool,),
    "timeout": (int, float),
    "tokens_per_minute": (int, float),
    "total_timeout": (int, float),
    "verify_tls": (bool,),
}


# At the top level of a specification these are generation arguments.
_ARGUMENTS = ("reasoning", "reasoning_effort")


def setting(spec: ModelSpec, name: str, default: Any = None) -> Any:
    """Return a field of ``model_config``, or of the top level, where entries of 2024 have it.

    Raises:
        SpecError: it stands in both places with different values, or has another type.
    """
    config = spec.get("model_config")
    if config is not None and not isinstance(config, dict):
        raise SpecError(f"model '{spec['model_name']}': model_config must be an object, not {config!r}")
    config = config or {}
    beside: Any = {} if name in _ARGUMENTS else spec
    if name in config and name in beside and config[name] != beside[name]:
        raise SpecError(
            f"model '{spec['model_name']}' has two values for '{name}': {beside[name]!r} at the top level and "
            f"{config[name]!r} in model_config; keep one"
        )
    value = config[name] if name in config else beside.get(name)
    if value is None:
        return default
    allowed = SETTINGS[name]
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        names = " or ".join(each.__name__ for each in allowed)
        raise SpecError(f"model '{spec['model_name']}': '{name}' must be {names}, not {value!r}")
    return value


def check_settings(spec: ModelSpec) -> None:
    """Check the types of all settings, and refuse one that is nearly the name of a setting.

    Other unknown settings are none of this backend's business: entries also hold those of other backends.

    Raises:
        SpecError: a setting has another type, or looks misspelt; without this it would silently not count.
    """
    for name in SETTINGS:
        setting(spec, name)
    unknown = sorted(str(name) for name in spec.get("model_config") or () if name not in SETTINGS)
    if not unknown:
        return
    import difflib

    for name in unknown:
        if near := difflib.get_close_matches(name.lower(), SETTINGS, n=1, cutoff=0.85):
            raise SpecError(f"model '{spec['model_name']}': model_config has '{name}'; did you mean '{near[0]}'?")
