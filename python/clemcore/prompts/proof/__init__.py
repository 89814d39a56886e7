"""Proofs that our prompts are the official ones: a corpus of conversations, rendered by us and by transformers.

``prove(Subject.of_model(source, tokenizer))`` makes a proof, :func:`proof_for` finds a stored one or makes it;
``clem prove`` shows one. It knows templates and tokenizers, and neither registries nor backends.
"""

from __future__ import annotations

from clemcore.prompts.proof.cases import Case, corpus, read_cases
from clemcore.prompts.proof.compare import Comparison, PromptDifference, compare
from clemcore.prompts.proof.cover import Features
from clemcore.prompts.proof.make import prove
from clemcore.prompts.proof.oracle import Transformers, pinned_clock
from clemcore.prompts.proof.result import Proof
from clemcore.prompts.proof.store import load, proof_for, save
from clemcore.prompts.proof.subject import Subject

__all__ = [
    "Case",
    "Comparison",
    "Features",
    "PromptDifference",
    "Proof",
    "Subject",
    "Transformers",
    "compare",
    "corpus",
    "load",
    "pinned_clock",
    "proof_for",
    "prove",
    "read_cases",
    "save",
]
