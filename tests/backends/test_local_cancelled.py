"""Awaited calls that are cancelled stop computing: at the next token, or at the next block of their prompt."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from support.tiny import END, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

BLOCK = 16
LONG = [{"role": "user", "content": "one two three four five six seven eight nine ten " * 6}]
SETTINGS = {"premade_chat_template": True, "eos_to_cull": END, "prefill_block": BLOCK, "own_weights": True}


class Passes:
    """Counts what the model computes, and holds the thread that computes at one pass."""

    def __init__(self, model: HuggingfaceLocalModel) -> None:
        self.lengths: list[int] = []
        self.hold_at = -1
        self.is_held = threading.Event()
        self.go_on = threading.Event()
        model.model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, _module: Any, _args: Any, kwargs: Any) -> None:
        self.lengths.append(kwargs["input_ids"].shape[1])
        if len(self.lengths) - 1 == self.hold_at:
            self.is_held.set()
            assert self.go_on.wait(60)

    def hold(self, at: int) -> None:
        """Hold the pass of this number, counted from now."""
        self.lengths.clear()
        self.is_held.clear()
        self.go_on.clear()
        self.hold_at = at


@pytest.fixture(scope="module")
def parts(tiny_chat: Path) -> tuple[HuggingfaceLocalModel, Passes]:
    model = load(tiny_chat, SETTINGS)
    model.set_gen_args(max_tokens=40)
    passes = Passes(model)
    model.generate_response(LONG)  # the model is tried once
    return model, passes


def cancelled_at(
    model: HuggingfaceLocalModel, passes: Passes, at: int, by: Callable[[Any], None] | None = None
) -> None:
    """Cancel an awaited call while the model computes the pass of this number, and wait for its thread to end."""

    async def ask() -> None:
        task = asyncio.ensure_future(model.agenerate_response(LONG))
        await asyncio.to_thread(passes.is_held.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        passes.go_on.set()

    passes.hold(at)
    asyncio.run(ask())  # it waits for its threads
    passes.hold_at = -1


def test_it_stops_at_the_next_token(parts: tuple[HuggingfaceLocalModel, Passes]) -> None:
    model, passes = parts
    model.forget_kept()
    model.set_gen_args(max_tokens=200, min_new_tokens=150)
    blocks = (model.count_tokens(LONG) - 1) // BLOCK
    cancelled_at(model, passes, blocks + 3)
    assert len(passes.lengths) == blocks + 4, "the pass that was under way is the last one"


def test_it_stops_at_the_next_block_and_keeps_only_whole_blocks(
    parts: tuple[HuggingfaceLocalModel, Passes],
) -> None:
    model, passes = parts
    model.set_gen_args(max_tokens=40)
    model.forget_kept()
    expected = model.generate_response(LONG)
    model.forget_kept()
    cancelled_at(model, passes, 2)
    assert passes.lengths == [BLOCK] * 3
    after = model.generate_response(LONG)
    assert after.facts["prefill"]["kept"] == 3 * BLOCK, "what was computed is whole, so it is of use"
    assert after.response["output_ids"] == expected.response["output_ids"]


def test_one_that_waits_for_another_call_computes_nothing(parts: tuple[HuggingfaceLocalModel, Passes]) -> None:
    model, passes = parts
    model.set_gen_args(max_tokens=2)

    async def ask() -> None:
        first = asyncio.ensure_future(model.agenerate_response(LONG))
        await asyncio.to_thread(passes.is_held.wait, 60)
        second = asyncio.ensure_future(model.agenerate_response([*LONG, *LONG]))
        await asyncio.sleep(0.3)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        passes.go_on.set()
        await first

    model.forget_kept()
    passes.hold(0)
    asyncio.run(ask())
    passes.hold_at = -1
    assert sum(passes.lengths) == model.count_tokens(LONG) + 1


def test_a_timeout_stops_it_and_is_recorded(parts: tuple[HuggingfaceLocalModel, Passes], tmp_path: Path) -> None:
    model, passes = parts
    model.set_gen_args(max_tokens=250, min_new_tokens=240)
    model.model.register_forward_pre_hook(slow := lambda *_: time.sleep(0.01))
    passes.hold(-1)
    record = tmp_path / "calls.json"

    async def ask() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(model.agenerate_response(LONG), 0.2)

    with backends.record(record):
        asyncio.run(ask())
    for number, hook in list(model.model._forward_pre_hooks.items()):
        if hook is slow:
            del model.model._forward_pre_hooks[number]
    assert len(passes.lengths) < 100
    (entry,) = json.loads(record.read_text(encoding="utf-8"))
    assert entry["clemcore"]["error"]["type"] == "CancelledError"


def test_a_model_that_was_trained_on_answers_as_before_and_stays_in_training_mode(tiny_chat: Path) -> None:
    from torch import nn

    model = load(tiny_chat, SETTINGS)
    inner = model.model
    inner.model.layers[0].mlp.down_proj = nn.Sequential(inner.model.layers[0].mlp.down_proj, nn.Dropout(0.9))
    inner.eval()
    ask = [{"role": "user", "content": "What is two plus two?"}]
    alone, together = model.generate_response(ask).text, model.generate_batch_response([ask, ask])[0][2]
    score = model.score_answers(ask, ["Two plus two is four."])[0].sum
    inner.train()
    inner.model.layers[1].eval()  # a part that is frozen stays so
    assert model.generate_response(ask).text == alone
    assert model.generate_batch_response([ask, ask])[0][2] == together
    assert model.score_answers(ask, ["Two plus two is four."])[0].sum == score
    assert inner.training
    assert inner.model.layers[0].mlp.down_proj[1].training
    assert not inner.model.layers[1].training
