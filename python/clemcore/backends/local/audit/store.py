"""Audits are kept per machine in the user's cache, beside the proofs of prompts, one JSON file each.

A stored audit counts only for the very same weights, format, libraries, device, threads and flags: their hash is
its name. It does not know how an audit is made.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clemcore.backends.local.audit.result import Audit, OtherFormatError, fingerprint_of, id_of
from clemcore.backends.local.engine import Description
from clemcore.errors import SpecError
from clemcore.files import cache_dir, store_json

logger = logging.getLogger(__name__)


def stored_audit(described: Description, facts: Mapping[str, Any], *, level: int = logging.INFO) -> Audit | None:
    """Return the stored audit of a model as it is loaded here, or None.

    Args:
        described: what the engine says of itself.
        facts: what identifies the weights, as in the record of a call.
        level: how loudly an audit of another version of clemcore is named; most answers need none.
    """
    if described.weights_changed:
        return None  # they are not those of the files any more
    fingerprint = fingerprint_of(described, facts)
    audit = _read(path_of(id_of(fingerprint)), level)
    # A renamed file is not trusted.
    return audit if audit is not None and audit.id == id_of(fingerprint) else None


def required_audit(described: Description, facts: Mapping[str, Any], model_name: str) -> Audit:
    """Return the stored audit of a model as it is loaded here.

    Args:
        described: what the engine says of itself.
        facts: what identifies the weights, as in the record of a call.
        model_name: names the model in the error.

    Raises:
        SpecError: there is none; the message says in what an audit of the same weights differs, and names the
            command that makes one.
    """
    audit = stored_audit(described, facts, level=logging.WARNING)
    if audit is not None:
        return audit
    if described.weights_changed:
        raise SpecError(
            f"model '{model_name}': exactness 'certified' needs an audit, and an audit counts for the weights of "
            "files; these were changed since they were loaded. Save them as a model of their own, or use exact "
            "answers"
        )
    fingerprint = fingerprint_of(described, facts)
    others = [other for other in _all() if dict(other.fingerprint)["weights"] == fingerprint["weights"]]
    near = min((_differences(other.fingerprint, fingerprint) for other in others), key=len, default=[])
    why = f"; the one that is stored was made with {'; '.join(near)}" if near else ""
    raise SpecError(
        f"model '{model_name}': exactness 'certified' needs an audit of this model, format and device, and none is "
        f"stored{why}. Make one with `clem audit {model_name}`, and with the same --set options as the call"
    )


def save(audit: Audit) -> Path | None:
    """Store an audit; return where, or None where the cache cannot be written."""
    try:
        path = path_of(audit.id)
        store_json(path, audit.to_dict())
    except OSError as fault:
        logger.warning("the audit is not stored: %s", fault)
        return None
    return path


def path_of(id_: str) -> Path:
    """Return the file of an audit."""
    return cache_dir() / "audits" / f"{id_}.json"


def _all() -> Iterator[Audit]:
    for path in sorted((cache_dir() / "audits").glob("*.json")):
        audit = _read(path, logging.INFO)
        if audit is not None:
            yield audit


def _read(path: Path, level: int) -> Audit | None:
    try:
        return Audit.from_dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except OtherFormatError as fault:
        logger.log(level, "the stored audit %s is not used: %s; make it again with `clem audit`", path, fault)
        return None
    except (OSError, ValueError) as fault:
        logger.warning("the stored audit %s is not used: %s", path, fault)
        return None


def _differences(stored: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return where two fingerprints differ, in words."""
    found = []
    for name, value in here.items():
        before = stored.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            found += [f"{name} {what}" for what in _differences(before, value)]
        elif before != value:
            found.append(f"{name} {before!r} (here {value!r})")
    return found
