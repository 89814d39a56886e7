"""Comparisons of engines are kept per machine in the user's cache, one JSON file each, beside the audits.

It does not know how a comparison is made.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clemcore.files import cache_dir, store_json

logger = logging.getLogger(__name__)

# Raised when the fields of a comparison change their meaning.
FORMAT = 1


def id_of(value: Any) -> str:
    """Return the hash that names an engine or a comparison."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=repr).encode()).hexdigest()[:32]


def save(made: Mapping[str, Any], fingerprints: Mapping[str, Any]) -> str | None:
    """Store a comparison under each of its engines; return its id, or None where the cache cannot be written.

    Args:
        made: the comparison.
        fingerprints: by the name of each engine: what its answers depend on.
    """
    id_ = id_of(fingerprints)
    try:
        for fingerprint in fingerprints.values():
            store_json(_folder(id_of(fingerprint)) / f"{id_}.json", {"format": FORMAT, "id": id_, **made})
    except OSError as fault:
        logger.warning("the comparison is not stored: %s", fault)
        return None
    return id_


def comparisons_of(fingerprint: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what calls of an engine tell of its stored comparisons: id, engines, equal prompts and answers."""
    found = []
    for path in sorted(_folder(id_of(fingerprint)).glob("*.json")):
        try:
            one = json.loads(path.read_bytes())
            if one["format"] == FORMAT:
                fields = ("id", "made", "engines", "prompts", "equal_prompts", "equal_answers")
                found.append({name: one[name] for name in fields})
        except (OSError, ValueError, KeyError, TypeError) as fault:
            logger.warning("the stored comparison %s is not used: %s", path, fault)
    return found


def _folder(engine: str) -> Path:
    return cache_dir() / "comparisons" / engine
