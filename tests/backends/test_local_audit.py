"""Audits as values and in the store: which one counts for a model, and what is said where none does."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from clemcore import backends
from clemcore.backends.local.audit.result import Audit, Comparison, FirstDifference, fingerprint_of
from clemcore.backends.local.audit.store import path_of, required_audit, save, stored_audit
from clemcore.backends.local.engine import Description
from clemcore.errors import ContextExceededError, GenerationArgumentError, MessagesError, SpecError
from support.tiny import load

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


def test_only_who_needs_an_audit_is_warned_of_one_of_another_version(caplog: pytest.LogCaptureFixture) -> None:
    path = save(audit())
    assert path is not None
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "format": 1}))
    assert stored_audit(described(), WEIGHTS) is None
    assert not caplog.records
    with pytest.raises(SpecError, match="clem audit m"):
        required_audit(described(), WEIGHTS, "m")
    assert "it has format 1, and this version of clemcore reads" in caplog.text


def test_what_was_changed_by_hand_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    made = audit()
    path = save(made)
    assert path is not None
    content = json.loads(path.read_bytes())
    content["comparisons"][1]["largest_shift"] = 0.1
    path.write_text(json.dumps(content))
    assert stored_audit(described(), WEIGHTS) is None
    assert "an audit that contradicts itself" in caplog.text


@pytest.mark.slow
class TestTheTinyModel:
    QUESTIONS: ClassVar = [
        [{"role": "user", "content": "Who won? " * count + "Tell me."}] for count in (1, 4, 9, 2, 20)
    ]

    def test_in_float32_answers_stay_and_scores_move(self, tiny_chat: Path, tmp_path: Path) -> None:
        model = load(tiny_chat)
        named: list[str] = []
        made = model.audit(self.QUESTIONS, 6, named.append)
        rows = {one.name: one for one in made.comparisons}
        assert [*rows] == named[1:]
        assert [*rows] == [
            *("again", "other order", "batches of 2", "batches of 4", "batches of 8", "padded"),
            *("cold prefixes", "warm prefixes"),
        ]
        assert all(one.equal == one.answers == 5 for one in made.comparisons)
        assert (rows["again"].largest_shift, rows["other order"].largest_shift) == (0.0, 0.0)
        assert 0 < rows["padded"].largest_shift < 1e-3
        assert 0 < made.shift < made.smallest_margin
        # Kept states were used, and they changed nothing.
        assert rows["cold prefixes"].proof == {"prompts_kept": 0, "tokens_kept": 0}
        assert rows["warm prefixes"].proof["prompts_kept"] >= 4
        assert rows["warm prefixes"].largest_shift == rows["cold prefixes"].largest_shift
        again = model.audit(self.QUESTIONS, 6)
        assert again.comparisons == made.comparisons
        with backends.record(tmp_path / "requests.json"):
            model.generate_response(self.QUESTIONS[0])
        (call,) = json.loads((tmp_path / "requests.json").read_text())
        assert call["clemcore"]["model"]["audit"] == {"id": made.id, "made": again.made, "shift": made.shift}

    def test_what_moves_is_seen(self, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Answers of a model that computes something else in batches differ, and the place is named."""
        model = load(tiny_chat)
        inner = model.model.forward

        def disturbed(*args: Any, **kwargs: Any) -> Any:
            made = inner(*args, **kwargs)
            if made.logits.shape[0] > 1:
                made.logits[:, -1, 7] += 1000.0
            return made

        monkeypatch.setattr(model.model, "forward", disturbed)
        made = model.audit(self.QUESTIONS, 3)
        rows = {one.name: one for one in made.comparisons}
        assert rows["again"].equal == 5
        assert rows["padded"].equal == 0
        assert rows["padded"].largest_shift == pytest.approx(1000.0, abs=1.0)
        first = rows["padded"].first
        assert first is not None
        assert (first.token, first.margin > 0) == (0, True)

    def test_the_default_prompts(self, tiny_chat: Path) -> None:
        from clemcore.backends.local.audit.prompts import default_prompts, prompts_of

        assert len(default_prompts()) == 16
        front = load(tiny_chat)._front
        prompts, left_out = prompts_of(front, None, 24)
        assert 0 < len(prompts) == 16 - left_out < 16  # the others do not fit its window
        with pytest.raises(MessagesError, match="at least one text or dialogue"):
            prompts_of(front, [], 24)
        assert prompts_of(front, ["Hello!"], 24) == prompts_of(
            front, iter([[{"role": "user", "content": "Hello!"}]]), 24
        )
        with pytest.raises(MessagesError, match=r"^dialogue 1: messages\[0\]\['content'\] must be a string"):
            prompts_of(front, ["Hello!", [{"role": "user"}]], 24)
        with pytest.raises(MessagesError, match=r"dialogues must hold a list of texts or dialogues, not int"):
            prompts_of(front, 3, 24)  # type: ignore[arg-type]
        with pytest.raises(ContextExceededError, match="by dialogue 1"):
            prompts_of(front, [self.QUESTIONS[0], [{"role": "user", "content": "long " * 600}]], 24)

    @pytest.mark.parametrize("count", [0, -1, "3", 2.5, True, None])
    def test_a_number_of_tokens_that_is_none(self, tiny_chat: Path, count: Any) -> None:
        with pytest.raises(
            GenerationArgumentError, match="new_tokens of an audit must be an integer of at least 1"
        ):
            load(tiny_chat).audit(["Hello!"], count)

    def test_the_result_says_how_many_prompts_were_left_out(self, tiny_chat: Path) -> None:
        made = load(tiny_chat).audit(new_tokens=1)
        assert made.left_out == 16 - made.prompts > 0
        assert Audit.from_dict(made.to_dict()) == made
        before = {name: value for name, value in made.to_dict().items() if name != "left_out"}
        assert Audit.from_dict(before).left_out == 0

    def test_speeds(self, tiny_chat: Path) -> None:
        speeds = list(load(tiny_chat).bench(lengths=(8, 600), batches=(1, 2), new_tokens=4))
        assert [(one.mode, one.length, one.batch) for one in speeds] == [
            *(("exact", 8, 1), ("fast", 8, 1), ("fast", 8, 2)),
        ]
        assert all(one.prefill > 0 for one in speeds)
