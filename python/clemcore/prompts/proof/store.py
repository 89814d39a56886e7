"""Proofs are kept per machine in the user's cache, one JSON file each, and made where there is none.

A stored proof is used only for the very same template, tokens, variables, tokenizer and versions: their hash is its
name. What cannot be read is made anew; what cannot be written is not kept.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path

from clemcore.files import cache_dir, store_json
from clemcore.prompts.proof.make import prove
from clemcore.prompts.proof.result import Proof
from clemcore.prompts.proof.subject import Subject

logger = logging.getLogger(__name__)


def proof_for(subject: Subject, now: datetime | None = None) -> Proof:
    """Return the stored proof, or make and store one.

    Args:
        subject: what is to be proven.
        now: the pinned clock, or None.
    """
    stored = load(subject)
    if stored is not None and _is_of_the_day(stored, subject, now):
        return stored
    proof = prove(subject, now=now)
    save(proof)
    return proof


def load(subject: Subject) -> Proof | None:
    """Return the stored proof of a subject, or None."""
    try:
        proof = Proof.from_dict(json.loads(path_of(subject.id).read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as fault:
        logger.info("the stored proof %s is made anew: %s", subject.id, fault)
        return None
    # A renamed file is not trusted.
    return proof if (proof.id, proof.fingerprint) == (subject.id, subject.fingerprint) else None


def save(proof: Proof) -> Path | None:
    """Store a proof; return where, or None where the cache cannot be written."""
    try:
        path = path_of(proof.id)
        store_json(path, proof.to_dict())
    except OSError as fault:
        logger.info("the proof is not stored: %s", fault)
        return None
    return path


def path_of(id_: str) -> Path:
    """Return the file of a proof."""
    return cache_dir() / "proofs" / f"{id_}.json"


def _is_of_the_day(proof: Proof, subject: Subject, now: datetime | None) -> bool:
    """Whether the proof saw the date that prompts will show; a template without a clock shows none."""
    return not subject.uses_clock or proof.clock[:10] == (now or datetime.now()).isoformat()[:10]
