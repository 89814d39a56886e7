"""What a selector stands for. This is the only place that decides it.

Loading, ``clem`` and the explanation ask :func:`resolve`. It does not know backends.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from clemcore import _core
from clemcore.errors import ModelNotFoundError, SpecError
from clemcore.registry.layers import layers
from clemcore.registry.override import OverriddenSpec, overridden, split
from clemcore.registry.refusal import why_not_found
from clemcore.registry.spec import ModelSpec
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
    """

    spec: ModelSpec
    outcome: Outcome
    source: str | None = None
    line: int | None = None


def resolve(model: ModelSelector, registry: ModelRegistry | None = None) -> Resolution:
    """Find the specification that a selector stands for, without loading anything.

    Args:
        model: a name, a dict or a specification.
        registry: where to look; by default the registries of the working directory, see
            :meth:`ModelRegistry.from_packaged_and_cwd_files`.

    Raises:
        ModelNotFoundError: no entry unifies and the selector names no backend.
        SpecError: the selector says nothing, or has no model name where one is needed.
    """
    selector = ModelSpec.from_any(model)
    return decide(selector, _core.Registry.load(layers()) if registry is None else registry.compiled())


def decide(selector: ModelSpec, core: _core.Registry) -> Resolution:
    """Find the specification that a selector stands for among the entries of the core's registry.

    Raises:
        ModelNotFoundError: no entry unifies and the selector names no backend.
        SpecError: the selector says nothing, or has no model name where one is needed.
    """
    plain, replaced = split(selector)
    check_selector(plain)
    if isinstance(selector, OverriddenSpec):
        return Resolution(selector, "resolved")
    found = core.resolve(plain._fields)
    if found is not None:
        source, line = core.location(found[0])
        return Resolution(overridden(ModelSpec.from_frozen(found[1]), replaced), "entry", source, line)
    by_name = special(plain)
    if by_name is not None:
        return Resolution(overridden(by_name, replaced), "special")
    if "backend" not in plain:
        raise ModelNotFoundError(lambda: why_not_found(core, plain))
    if not isinstance(plain.get("model_name"), str):
        raise SpecError(f"a specification that matches no registry entry needs a 'model_name': {plain}")
    # Documented since 2024: a specification that names its backend needs no entry.
    logger.info("'%s' has no entry; it names a backend and is used as it is", plain["model_name"])
    return Resolution(overridden(plain, replaced), "inline")


def check_selector(selector: ModelSpec) -> None:
    """Refuse a selector that says nothing: it would stand for whatever comes first.

    Raises:
        SpecError: it has no field.
    """
    if not len(selector):
        raise SpecError("an empty selector fits every model, so it means none: give a 'model_name', or what it has")
