"""Entries and backends that take the place of packaged ones, and the warning about them.

A folder can be downloaded, and its files come before the packaged ones: an entry ``gpt-4o`` in it can have any
address, and a file ``openai_api.py`` runs instead of the packaged backend. Both are allowed, but never silent.
"""

from __future__ import annotations

import functools
import logging

from clemcore.backends.lookup import ALIASES, BackendRegistry, packaged_backends
from clemcore.registry.layers import PACKAGED
from clemcore.registry.override import split
from clemcore.registry.registry import ModelRegistry
from clemcore.registry.resolution import ModelSelector, Resolution
from clemcore.registry.spec import ModelSpec
from clemcore.registry.special import special

logger = logging.getLogger(__name__)


def shadowed_entry(model: ModelSelector, found: Resolution, registry: ModelRegistry) -> str | None:
    """Say which packaged entry or special name an entry takes the place of; None where it takes none."""
    if found.source in (None, PACKAGED) or found.outcome not in ("entry", "resolved"):
        return None
    selector, _ = split(ModelSpec.from_any(model))
    if found.outcome == "resolved":
        selector = ModelSpec(model_name=found.spec.get("model_name"))
    where = f"{found.source}:{found.line}" if found.line else found.source
    if special(selector) is not None:
        return f"the entry {where} takes the place of the special name '{selector['model_name']}'"
    core = registry.compiled()
    for index in core.named_by(selector.to_dict()):
        source, line = core.location(index)
        if source == PACKAGED:
            name = core.entry(index).get("model_name")
            return f"the entry {where} takes the place of the packaged entry '{name}' ({PACKAGED}:{line})"
    return None


def shadowed_backend(backend: str, backends: BackendRegistry) -> str | None:
    """Say which file takes the place of a packaged backend; None where none does."""
    row = backends.get_first_file_matching(backend)
    if row["lookup_source"] == PACKAGED or backend not in {*packaged_backends(), *ALIASES}:
        return None
    return f"the file {row['file_path']} runs in place of the packaged backend '{backend}'"


def warn_of_shadows(
    model: ModelSelector, found: Resolution, registry: ModelRegistry, backends: BackendRegistry
) -> list[str]:
    """Warn of everything packaged that a model's entry and backend take the place of, once per process.

    It runs nothing, so the warning comes before the backend's code.

    Returns:
        The warnings.

    Raises:
        BackendNotFoundError: the backend does not exist.
    """
    entry = shadowed_entry(model, found, registry)
    backend = shadowed_backend(found.spec["backend"], backends)
    shadows = [text for text in (entry, backend) if text is not None]
    for text in shadows:
        _warn(text)
    return shadows


@functools.cache
def _warn(text: str) -> None:
    logger.warning("%s: make sure that you trust this folder", text)
