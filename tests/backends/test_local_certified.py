"""Certified answers: those of the exact mode, computed together where no other choice was near."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from clemcore.backends.local.modes.certified import bound_of
from clemcore.errors import SpecError
from clemcore.model import Model
from support.tiny import CANBERRA, CAPITAL, END, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

SHIFT = 1e-4
WORDS = ("Hello!", "What is two plus two?", "Who won?", "Say something long about the sea.", "a b c", "7 * 6 = ?")


def questions() -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": word * (1 + n % 3)}] for n, word in enumerate(WORDS * 2)]


@pytest.fixture(scope="module")
def certified(tiny_chat: Path) -> HuggingfaceLocalModel:
    config = {"premade_chat_template": True, "eos_to_cull": END, "exactness": "certified", "own_weights": True}
    return load(tiny_chat, config)


@pytest.fixture
def shift(certified: HuggingfaceLocalModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The shift that an audit found; a test may change it."""
    found = [SHIFT]
    monkeypatch.setattr(certified._modes["certified"], "_shift", lambda: found[0])
    certified.set_gen_args(max_tokens=12)
    yield found
    certified.set_gen_args()


def exact_answers(model: HuggingfaceLocalModel, **gen_args: Any) -> list[Any]:
    from clemcore.backends.local.asking import Ask

    asks = [Ask(messages, gen_args) for messages in questions()]
    return [reply for _, reply in sorted(model.answer_all(asks, model._modes["exact"]), key=lambda pair: pair[0])]


@pytest.mark.parametrize(
    "gen_args", [{}, {"temperature": 1.0, "top_p": 0.9, "seed": 3}, {"repetition_penalty": 1.2}]
)
def test_answers_are_the_exact_ones(
    certified: HuggingfaceLocalModel, shift: list[float], gen_args: dict[str, Any]
) -> None:
    model: Model = certified
    replies = model.generate_batch_response(questions(), gen_args=gen_args)
    exact = exact_answers(certified, **gen_args)
    assert [reply.response["output_ids"] for reply in replies] == [reply.response["output_ids"] for reply in exact]
    assert {reply.facts["exactness"] for reply in replies} == {"certified"}
    for reply in replies:
        facts = reply.facts["certified"]
        assert facts["bound"] == bound_of(SHIFT) == 4 * SHIFT
        assert facts["recomputed"] == (facts["margin"] is not None and facts["margin"] < facts["bound"])
        assert reply.facts["grouping"]["way"] == "continuous" or facts["recomputed"]


def test_disturbed_scores_are_caught(
    certified: HuggingfaceLocalModel, shift: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores that move together by less than the audit's shift change no answer."""
    import torch

    from clemcore.backends.local.transformers import continuous

    shift[0] = 2.0
    noise = torch.Generator().manual_seed(1)

    def disturbed() -> Any:
        rows = real()
        choose = type(rows).__call__

        class Disturbed(type(rows)):  # type: ignore[misc]
            def __call__(self, scores: Any, tensor_arg: Any) -> Any:
                moved = (torch.rand(scores.shape, generator=noise) * 2 - 1).to(scores.device)
                return choose(self, scores + shift[0] * moved, tensor_arg)

        return Disturbed()

    real = continuous._chooser_of_rows
    monkeypatch.setattr(continuous, "_chooser_of_rows", disturbed)
    certified.forget_kept()
    fast = [reply for _, reply in sorted(certified.answer_all(_asks(), certified._modes["fast"]))]
    exact = exact_answers(certified)
    assert [reply.text for reply in fast] != [reply.text for reply in exact]  # type: ignore[union-attr]
    replies = certified.generate_batch_response(questions())
    assert [reply.text for reply in replies] == [reply.text for reply in exact]
    assert any(reply.facts["certified"]["recomputed"] for reply in replies)


def _asks() -> list[Any]:
    from clemcore.backends.local.asking import Ask

    return [Ask(messages) for messages in questions()]


def test_all_is_computed_again_where_nothing_is_certain(
    certified: HuggingfaceLocalModel, shift: list[float]
) -> None:
    shift[0] = 1e6
    replies = certified.generate_batch_response(questions())
    assert all(reply.facts["certified"]["recomputed"] for reply in replies)
    assert [reply.text for reply in replies] == [reply.text for reply in exact_answers(certified)]


def test_single_and_awaited_calls(certified: HuggingfaceLocalModel, shift: list[float]) -> None:
    certified.set_gen_args(max_tokens=30)
    assert certified.generate_response(CAPITAL).facts["certified"]["bound"] == bound_of(SHIFT)
    reply = asyncio.run(certified.agenerate_response(CAPITAL))
    assert (reply.text, reply.facts["exactness"]) == (CANBERRA, "certified")


def test_pieces_are_given_out_when_they_are_certain(certified: HuggingfaceLocalModel, shift: list[float]) -> None:
    certified.set_gen_args(max_tokens=30)
    assert list(certified.stream_response(CAPITAL)) == [CANBERRA]


def test_beams_are_always_computed_alone(certified: HuggingfaceLocalModel, shift: list[float]) -> None:
    own = certified.model.generation_config
    own.num_beams = 2
    try:
        (reply,) = certified.generate_batch_response([CAPITAL])
    finally:
        own.num_beams = 1
    assert reply.facts["certified"] == {"margin": None, "bound": bound_of(SHIFT), "recomputed": True}


def test_without_an_audit(certified: HuggingfaceLocalModel) -> None:
    message = "exactness 'certified' needs an audit of this model.* Make one with `clem audit tiny`"
    with pytest.raises(SpecError, match=message):
        certified.generate_response(CAPITAL)
    with pytest.raises(SpecError, match=message):
        certified.generate_batch_response([CAPITAL])
    with pytest.raises(SpecError, match=message):
        asyncio.run(certified.agenerate_response(CAPITAL))
