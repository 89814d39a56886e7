"""Fields that replace those of a registry entry on purpose, and the trace that this leaves.

A selector's ``override`` plays no part in finding the entry; it is applied to what was found, by the rule of JSON
Merge Patch (RFC 7396): nested dicts are merged, null removes a field, every other value takes the place of the old
one. It does not know how entries are found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clemcore import _core
from clemcore.errors import SpecError
from clemcore.registry.judgement import NEAR_MISS, UNKNOWN_BACKEND, UNKNOWN_VALUE, is_within, problems_of, sentence
from clemcore.registry.spec import ModelSpec, ResolvedSpec
from clemcore.secrets import mask_fields

OVERRIDE = "override"

# What a specification cannot be without.
_NEEDED = ("model_name", "backend")
# What says where the entry is, and what asks for an override, are not fields of a model.
_FIXED = ("lookup_source", OVERRIDE)


class OverriddenSpec(ResolvedSpec):
    """A specification of which some fields are not its entry's; equal to a plain one of the same fields."""

    __slots__ = ("_changes",)

    _changes: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, fields: Mapping[str, Any], changes: tuple[dict[str, Any], ...]) -> OverriddenSpec:
        """Build a specification with the trace of what was changed."""
        spec = cls(**fields)
        object.__setattr__(spec, "_changes", changes)
        return spec

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by fields and trace."""
        return OverriddenSpec.of, (dict(self._fields), self._changes)

    def rename(self, other_name: str) -> ModelSpec:
        """Return the same specification, trace included, under another model name."""
        return OverriddenSpec.of({**self._fields, "model_name": other_name}, self._changes)


def split(selector: ModelSpec) -> tuple[ModelSpec, Mapping[str, Any]]:
    """Part a selector into what finds the entry, and what replaces fields of it.

    Raises:
        SpecError: the override is not a dict, or names a field that is not the model's.
    """
    if OVERRIDE not in selector:
        return selector, {}
    fields = dict(selector.items())
    replaced = fields.pop(OVERRIDE)
    if not isinstance(replaced, Mapping):
        raise SpecError(
            f"'{OVERRIDE}' must be a dict of fields, like {{'model_config': {{'thinking_mode': False}}}}, "
            f"not {type(replaced).__name__}"
        )
    for name in _FIXED:
        if name in replaced:
            raise SpecError(f"'{OVERRIDE}' cannot set '{name}', which is not a field of the model")
    return ModelSpec(**fields), replaced


def overriding(selector: ModelSpec, replaced: Mapping[str, Any]) -> ModelSpec:
    """Return a selector that overrides fields beside those that it does already; the new value of a field counts.

    Examples:
        >>> overriding(ModelSpec(model_name="m", override={"a": {"b": 1, "c": 2}}), {"a": {"b": None}})["override"]
        {'a': {'b': None, 'c': 2}}
    """
    plain, own = split(selector)
    return ModelSpec(**{**dict(plain.items()), OVERRIDE: joined(own, replaced)}) if replaced else selector


def joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of both, down to nested dicts; where both have a field, the second counts."""
    both = dict(first)
    for name, value in second.items():
        before = both.get(name)
        nested = isinstance(before, Mapping) and isinstance(value, Mapping)
        both[name] = joined(before, value) if nested else value  # type: ignore[arg-type]
    return both


def overridden(spec: ModelSpec, replaced: Mapping[str, Any]) -> ModelSpec:
    """Replace fields of a specification; return it as it is where that changes nothing.

    Raises:
        SpecError: a value has the wrong type, a key is nearly a known one, or a field that is needed is removed.
    """
    if not replaced:
        return spec
    fields, changes = _core.override_fields(spec.to_dict(), dict(replaced))
    if not changes:
        return spec
    for name in _NEEDED:
        if name in spec and not (isinstance(fields.get(name), str) and fields[name].strip()):
            raise SpecError(f"'{OVERRIDE}' cannot leave a model without its '{name}'")
    _check(fields, dict(replaced), changes)
    return OverriddenSpec.of(fields, tuple(changes))


def changes_of(spec: ModelSpec) -> list[dict[str, Any]]:
    """List what was overridden in a specification, secrets masked.

    Returns:
        For each field its path ``field``, the value ``old`` of the entry where there was one, and the value ``new``
        where it was not removed.

    Examples:
        >>> changes_of(overridden(ModelSpec(model_name="m", temperature=1), {"temperature": 0, "seed": 7}))
        [{'field': 'temperature', 'old': 1, 'new': 0}, {'field': 'seed', 'new': 7}]
    """
    if not isinstance(spec, OverriddenSpec):
        return []
    return masked(spec._changes)


def masked(changes: Any) -> list[dict[str, Any]]:
    """Copy rows of ``{"field": path, …: values}`` with secrets masked."""
    return [_masked(row) for row in changes]


def _masked(row: Mapping[str, Any]) -> dict[str, Any]:
    name = row["field"].rpartition(".")[2]
    shown = ("old", "new", "value", "asked", "found")
    return {key: mask_fields({name: value})[name] if key in shown else value for key, value in row.items()}


def _check(fields: Mapping[str, Any], replaced: dict[str, Any], changes: list[dict[str, Any]]) -> None:
    """Refuse what the check of registries finds wrong with the fields that changed."""
    # Alone: beside the right key, one that is nearly the same would pass for a custom key.
    alone = {name: fields[name] for name in _NEEDED if name in fields}
    changed = {change["field"] for change in changes}
    new = {change["field"] for change in changes if "old" not in change}
    faults = []
    problems = problems_of(_core.override_fields(alone, replaced)[0])
    is_known = all(problem.code != UNKNOWN_BACKEND for problem in problems)
    for problem in problems:
        if not is_within(problem.field or "", changed):
            continue
        # A key that the entry has already is a custom one, however it looks; so is any of their backends.
        is_typo = is_known and problem.code == NEAR_MISS and is_within(problem.field or "", new)
        if problem.severity == "error" or problem.code == UNKNOWN_VALUE or is_typo:
            faults.append(sentence(problem))
    if faults:
        raise SpecError(f"'{OVERRIDE}': " + "; ".join(faults))
