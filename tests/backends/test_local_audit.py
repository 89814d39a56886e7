"""Audits as values and in the store: which one counts for a model, and what is said where none does."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from clemcore.backends.local.audit.result import Audit, Comparison, FirstDifference, fingerprint_of
from clemcore.backends.local.audit.store import path_of, required_audit, save, stored_audit
from clemcore.backends.local.engine import Description
from clemcore.errors import SpecError

WEIGHTS = {"weights_sha256": "ab" * 32, "adapter": None}


def described(**changes: Any) -> Description:
    plain = Description(
        device="cpu",
        dtype="bfloat16",
        threads=1,
        libraries={"torch": "2.15.0"},
        context_size=512,
        state_bytes={},
        arguments={},
        ways=("alone",),
        hooks=frozenset(),
        hardware={"processor": "A", "instructions": "AVX512", "flags": {"mkldnn": True}},
    )
    return dataclasses.replace(plain, **changes)


def audit(**changes: Any) -> Audit:
    comparisons = (
        Comparison("again", 2, 2, None, 0.0),
        Comparison("batches of 2", 2, 1, FirstDifference(prompt=1, token=3, margin=0.01), 0.25),
        Comparison("warm prefixes", 2, 2, None, 0.0, {"kept": [256, 512]}),
    )
    return Audit(fingerprint_of(described(**changes), WEIGHTS), "2026-01-01", "m", 2, 4, comparisons, 0.5, 1.5)


def test_an_audit_is_found_for_the_same_model_on_the_same_machine() -> None:
    made = audit()
    assert stored_audit(described(), WEIGHTS) is None
    assert save(made) == path_of(made.id)
    found = stored_audit(described(), WEIGHTS)
    assert found == made
    assert found is not None
    assert found.shift == 0.25
    assert [one.equal_share for one in found.comparisons] == [1.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dtype": "float32"}, "dtype 'bfloat16' (here 'float32')"),
        ({"threads": 2}, "threads 1 (here 2)"),
        ({"libraries": {"torch": "2.16.0"}}, "libraries torch '2.15.0' (here '2.16.0')"),
        ({"device": "cuda:0"}, "device name 'cpu' (here 'cuda:0')"),
        (
            {"hardware": {"processor": "A", "instructions": "AVX2", "flags": {"mkldnn": True}}},
            "device instructions 'AVX512' (here 'AVX2')",
        ),
        (
            {"hardware": {"processor": "A", "instructions": "AVX512", "flags": {"mkldnn": False}}},
            "device flags mkldnn True (here False)",
        ),
    ],
)
def test_an_audit_of_something_else_does_not_count(changes: dict[str, Any], words: str) -> None:
    save(audit())
    with pytest.raises(SpecError) as caught:
        required_audit(described(**changes), WEIGHTS, "m")
    assert f"none is stored; the one that is stored was made with {words}. Make one with `clem audit m`" in str(
        caught.value
    )


def test_without_any_audit_the_command_is_named() -> None:
    save(audit())
    with pytest.raises(SpecError, match=r"none is stored\. Make one with `clem audit m`"):
        required_audit(described(), {**WEIGHTS, "weights_sha256": "cd" * 32}, "m")


def test_what_was_changed_by_hand_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    made = audit()
    path = save(made)
    assert path is not None
    content = json.loads(path.read_bytes())
    content["comparisons"][1]["largest_shift"] = 0.1
    path.write_text(json.dumps(content))
    assert stored_audit(described(), WEIGHTS) is None
    assert "an audit that contradicts itself" in caplog.text
