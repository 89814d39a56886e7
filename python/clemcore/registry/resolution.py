"""What a selector stands for. This is the only place that decides it.

Loading, ``clem`` and the explanation ask :func:`resolve`; ``docs/decisions/0010-what-a-selector-means.md`` has the
rule. It does not know backends.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from clemcore import _core
from clemcore.errors import ModelNotFoundError, SpecError
from clemcore.registry.judgement import (
    Added,
    denials,
    is_refused,
    is_within,
    misspelt,
    problems_of,
    sentence,
    unread,
)
from clemcore.registry.layers import layers
from clemcore.registry.override import changes_of, overridden, split
from clemcore.registry.refusal import why_not_found
from clemcore.registry.spec import ModelSpec, ResolvedSpec
from clemcore.registry.special import special

if TYPE_CHECKING:
    from clemcore.registry.registry import ModelRegistry

logger = logging.getLogger(__name__)

ModelSelector = str | Mapping[str, Any] | ModelSpec
Outcome = Literal["entry", "special", "inline", "resolved"]


@dataclass(frozen=True)
class Resolution:
    """What a selector stands for, and where that is written.

    Attributes:
        spec: the specification; its override, if any, has been applied.
        outcome: ``"entry"`` (an entry was found), ``"special"`` (a name that needs no entry), ``"inline"`` (the
            selector itself is the entry) or ``"resolved"`` (the specification was resolved before).
        source: file of the entry, or ``"packaged"``; None without an entry.
        line: line of the entry, counted from 1; None without an entry, 0 where the entry comes from no file.
        added: the fields that the selector brings, in contrast to those of the entry; with what it overrides.
    """

    spec: ModelSpec
    outcome: Outcome
    source: str | None = None
    line: int | None = None
    added: frozenset[str] = frozenset()


def resolve(model: ModelSelector, registry: ModelRegistry | None = None) -> Resolution:
    """Find the specification that a selector stands for, without loading anything.

    Args:
        model: a name, a dict or a specification.
        registry: where to look; by default the registries of the working directory, see
            :meth:`ModelRegistry.from_packaged_and_cwd_files`.

    Raises:
        ModelNotFoundError: no entry matches, and the selector is not an entry itself; it names the nearest.
        SpecError: the selector or its override is invalid, or adds a field that the entry's backend does not read.
    """
    selector = ModelSpec.from_any(model)
    return decide(selector, _core.Registry.load(layers()) if registry is None else registry.compiled())


def decide(selector: ModelSpec, core: _core.Registry) -> Resolution:
    """Find the specification that a selector stands for among the entries of the core's registry.

    Raises:
        ModelNotFoundError: as :func:`resolve`.
        SpecError: as :func:`resolve`.
    """
    if isinstance(selector, ResolvedSpec):
        source = selector.get("lookup_source")
        changed = {str(each["field"]).partition(".")[0] for each in changes_of(selector)}
        return Resolution(selector, "resolved", source, added=frozenset(selector if source is None else changed))
    plain, replaced = split(selector)
    check_selector(plain)
    found = core.select(plain._fields)
    if found is not None:
        index, _, fields, added = found
        place = core.location(index)
        if added:
            _check_added(plain, fields, added, place, core)
        brought = frozenset({*(field for field, _ in added), *replaced})
        return Resolution(overridden(ResolvedSpec.from_frozen(fields), replaced), "entry", *place, brought)
    by_name = special(plain)
    if by_name is not None:
        _check_inline(by_name, core)
        return Resolution(overridden(by_name, replaced), "special")
    if "model_name" not in plain or "backend" not in plain:
        raise ModelNotFoundError(lambda: why_not_found(core, plain))
    _check_inline(plain, core)
    logger.info("'%s' has no entry; it names a backend and is used as it is", plain["model_name"])
    return Resolution(overridden(ResolvedSpec(**plain), replaced), "inline", added=frozenset({*plain, *replaced}))


def check_selector(selector: ModelSpec) -> None:
    """Refuse a selector that says nothing, or whose name, or the name of a field, is not a name.

    Raises:
        SpecError: it has no field, an invalid 'model_name', or half a character in the name of a field.
    """
    if not len(selector):
        raise SpecError("an empty selector fits every model, so it means none: give a 'model_name'")
    name = selector.get("model_name", "named otherwise")
    if not isinstance(name, str) or not name.strip():
        raise SpecError(f"'model_name' must be a non-empty string, not {name!r}: {selector}")
    _check_names(selector._fields)


def _check_names(fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        try:
            name.encode()
        except UnicodeEncodeError:
            raise SpecError(f"half a character (a lone surrogate) is in the field name {name!r}") from None
        if isinstance(value, dict):
            _check_names(value)


def _check_added(
    selector: ModelSpec, fields: dict[str, Any], added: list[Added], place: tuple[str, int], core: _core.Registry
) -> None:
    """Refuse fields that a selector adds to its entry if nothing reads them, or if their values are invalid."""
    backend = str(fields.get("backend"))
    faults = denials(added, backend)
    paths = {field for field, _ in added}
    names: dict[str, Any] = {name: fields[name] for name in ("model_name", "backend") if name in fields}
    for problem in problems_of({**selector.to_dict(), **names}):
        if is_within(problem.field or "", paths) and is_refused(problem):
            faults.append(sentence(problem))
    if not faults:
        return
    source, line = place
    where = f"its entry {source}:{line}" if line else "its entry"
    denied = [field for field, why in added if why is not None]
    other = next((text for field in denied if (text := _entry_that_has(field, selector, backend, core))), "")
    raise SpecError(f"the selector {selector} does not fit {where}: {'; '.join(faults)}{other}")


def _entry_that_has(field: str, selector: ModelSpec, backend: str, core: _core.Registry) -> str:
    """Point at an entry of another backend that has the value that was asked for."""
    for index in core.named_by(selector._fields):
        entry = core.entry(index)
        other = entry.get("backend")
        if other != backend and field in entry and entry[field] == selector.get(field):
            source, line = core.location(index)
            return f". {source}:{line} has this {field}: add 'backend': '{other}' to mean that entry"
    return ""


def _check_inline(entry: ModelSpec, core: _core.Registry) -> None:
    """Judge a selector that is itself the entry as the check of registries judges an entry."""
    fields, name, backend = entry.to_dict(), entry["model_name"], str(entry["backend"])
    added = _core.added_fields(fields, {"model_name": name, "backend": backend})
    faults = misspelt(added, backend)
    for problem in problems_of(fields):
        if is_refused(problem):
            faults.append(sentence(problem))
    if faults:
        raise SpecError(
            f"'{name}' has no matching entry, so the selector is an entry itself, and it is invalid: "
            + "; ".join(faults)
            + _difference(entry, core)
        )
    if idle := unread(added, backend):
        logger.warning("'%s' has fields without effect: %s", name, "; ".join(idle))


def _difference(entry: ModelSpec, core: _core.Registry) -> str:
    """Say in which fields an entry of the same name and backend differs."""
    for refusal in core.refusals(entry.to_dict()):
        differing = [field for field, _, _ in refusal.mismatches]
        if "backend" not in differing:
            place = f"{refusal.source}:{refusal.line}" if refusal.line else f"entry {refusal.entry}"
            return f". {place} has the same name and backend, but another {', '.join(differing)}"
    return ""
