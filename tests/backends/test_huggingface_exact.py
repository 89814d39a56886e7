"""Exact answers of models of the backend: blocks and kept prefixes by the entry, and what the facts report."""

from __future__ import annotations

import copy
import gc
import random
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from clemcore.backends.local.memory import Free
from clemcore.errors import ContextExceededError, SpecError
from support.tiny import load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

BLOCK = 16
WORDS = ["two", "plus", "four", "Hello", "capital", "Texas", "series", "won"]
CONFIG = {"premade_chat_template": True, "prefill_block": BLOCK, "own_weights": True}


def dialogue(turns: int, seed: int = 0) -> list[dict[str, str]]:
    draw = random.Random(seed)
    return [
        {"role": ("user", "assistant")[turn % 2], "content": " ".join(draw.choices(WORDS, k=8))}
        for turn in range(2 * turns - 1)
    ]


def test_turns_go_on_from_the_turn_before(tiny_chat: Path) -> None:
    """Computed is at most what is new since the last prompt, plus a block; and the answers are the same without."""
    keeping, scratch = load(tiny_chat, CONFIG), load(tiny_chat, {**CONFIG, "kept_cache": 0})
    for model in (keeping, scratch):
        model.set_gen_args(max_tokens=8)
    before = 0
    for turn in range(1, 8):
        messages = dialogue(turn)
        reply, plain = keeping.generate_response(messages), scratch.generate_response(messages)
        length = len(reply.prompt["input_ids"])
        prefill = reply.facts["prefill"]
        assert prefill["block"] == BLOCK
        assert prefill["kept"] + prefill["computed"] == length
        assert prefill["computed"] <= length - before + BLOCK
        assert reply.facts["usage"]["cached_tokens"] == prefill["kept"]
        assert plain.facts["prefill"] == {"block": BLOCK, "kept": 0, "computed": length}
        assert reply.response == plain.response
        before = length
    assert prefill["kept"] > 0


def test_a_template_that_rewrites_history_shares_only_equal_ids(tiny_chat: Path) -> None:
    """Thinking of earlier turns is removed, so the prompt differs from what was fed and generated before."""
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content.split('</think>')[-1] if not loop.last else "
        "m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
    )
    config = {"custom_chat_template": template, "prefill_block": BLOCK, "missing_text": "record"}
    keeping, scratch = load(tiny_chat, config), load(tiny_chat, {**config, "kept_cache": 0})
    messages = dialogue(3)
    messages[-1]["content"] = f"Hello plus four</think>{messages[-1]['content']}"
    for more in ([], dialogue(1, seed=1)):
        asked = [*messages, *([{"role": "assistant", "content": "four"}, *more] if more else [])]
        for model in (keeping, scratch):
            model.set_gen_args(max_tokens=8)
        reply = keeping.generate_response(asked)
        assert reply.response == scratch.generate_response(asked).response
    assert 0 < reply.facts["prefill"]["kept"] < len(reply.prompt["input_ids"]) - BLOCK


def test_an_answer_depends_on_nothing_but_its_question(tiny_chat: Path) -> None:
    """Random orders, neighbours and threads; greedy and sampled."""
    model: Any = load(tiny_chat, {**CONFIG, "exactness": "exact"})
    asks = [(dialogue(turns, seed), args) for turns in (1, 3, 4) for seed in (0, 1) for args in ARGUMENTS]
    expected = {}
    for index, (messages, args) in enumerate(asks):
        model.forget_kept()
        expected[index] = model.generate_response(messages, gen_args=args).response
    wrong: list[int] = []

    def ask(order: Sequence[int]) -> None:
        for index in order:
            messages, args = asks[index]
            if model.generate_response(messages, gen_args=args).response != expected[index]:
                wrong.append(index)

    orders = [random.Random(seed).sample(range(len(asks)), k=len(asks)) for seed in range(3)]
    threads = [threading.Thread(target=ask, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batch = model.generate_batch_response([asks[i][0] for i in orders[0]], gen_args=[asks[i][1] for i in orders[0]])
    assert not wrong
    assert [reply.response for reply in batch] == [expected[index] for index in orders[0]]


ARGUMENTS: list[dict[str, Any]] = [
    {"temperature": 0.0, "max_tokens": 6},
    {"temperature": 1.0, "max_tokens": 6, "seed": 3},
]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_block_of_0_is_a_bare_generate(tiny_chat: Path, dtype: str) -> None:
    """Oracle: ``generate`` of transformers on a prompt of 300 tokens."""
    import torch

    model = load(tiny_chat, {**CONFIG, "prefill_block": 0, "dtype": dtype})
    model.set_gen_args(max_tokens=12)
    reply = model.generate_response(dialogue(12))
    ids = reply.prompt["input_ids"]
    assert len(ids) > 250
    made = model.model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=12)
    assert reply.response["output_ids"] == made[0, len(ids) :].tolist()
    assert reply.facts["prefill"] == {"block": 0, "kept": 0, "computed": len(ids)}
    assert model._weights.prefixes.bytes == 0


def test_copies_share_what_is_kept(tiny_chat: Path) -> None:
    model = load(tiny_chat, CONFIG)
    model.set_gen_args(max_tokens=2)
    model.generate_response(dialogue(4))
    other = copy.deepcopy(model)
    assert other.generate_response(dialogue(4)).facts["prefill"]["kept"] > 0
    other.forget_kept()
    assert model.generate_response(dialogue(4)).facts["prefill"]["kept"] == 0


def test_the_last_model_takes_what_is_kept_with_it(tiny_chat: Path) -> None:
    model = load(tiny_chat, CONFIG)
    model.generate_response(dialogue(4))
    prefixes = model._weights.prefixes
    (child, *_) = prefixes._root(BLOCK).children.values()
    state = weakref.ref(child.state)
    del child
    gc.collect()
    gc.disable()
    try:
        del model
        assert prefixes.bytes == 0
        assert state() is None
    finally:
        gc.enable()


class TestLimits:
    def test_by_the_entry(self, tiny_chat: Path) -> None:
        model = load(tiny_chat, {**CONFIG, "kept_cache": "20kB"})
        model.set_gen_args(max_tokens=2)
        model.generate_response(dialogue(6))
        assert 0 < model._weights.prefixes.bytes <= 20_000
        first = model.generate_response(dialogue(6)).facts["prefill"]
        assert 0 < first["kept"] < 64

    def test_a_share_of_what_is_free(self, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("clemcore.backends.local.model.free_on", lambda _: Free(80_000, "machine"))
        assert load(tiny_chat, CONFIG)._exact._limit == 20_000

    def test_kept_states_go_first_where_memory_is_short(
        self, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = load(tiny_chat, {**CONFIG, "kept_cache": "1GB"})
        model.set_gen_args(max_tokens=2)
        expected = model.generate_response(dialogue(6)).response
        assert model._weights.prefixes.bytes > 0
        monkeypatch.setattr("clemcore.backends.local.model.free_on", lambda _: Free(0, "container"))
        assert model.generate_response(dialogue(6)).response == expected
        assert model._weights.prefixes.bytes == 0

    def test_after_a_failed_allocation_they_are_freed_and_it_is_tried_again(
        self, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = load(tiny_chat, CONFIG)
        model.set_gen_args(max_tokens=2)
        expected = model.generate_response(dialogue(6)).response
        real, kept = model.model.generate, list[int]()

        def short(**inputs: Any) -> Any:
            kept.append(model._weights.prefixes.bytes)
            if kept[-1]:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")
            return real(**inputs)

        monkeypatch.setattr(model.model, "generate", short)
        assert model.generate_response(dialogue(6)).response == expected
        assert len(kept) == 2
        assert (kept[0] > 0, kept[1]) == (True, 0)


class TestBadInput:
    @pytest.mark.parametrize("value", ["much", "-1", -1, "4XB", ""])
    def test_kept_cache(self, tiny_chat: Path, value: Any) -> None:
        with pytest.raises(SpecError, match=r"model 'tiny': .*kept_cache"):
            load(tiny_chat, {**CONFIG, "kept_cache": value})

    @pytest.mark.parametrize("value", [-1, "256", 2.5, True])
    def test_prefill_block(self, tiny_chat: Path, value: Any) -> None:
        with pytest.raises(SpecError, match=r"model 'tiny': .*prefill_block"):
            load(tiny_chat, {**CONFIG, "prefill_block": value})

    def test_a_prompt_that_is_too_long_names_its_longest_message(self, model: HuggingfaceLocalModel) -> None:
        messages = dialogue(2)
        messages[2]["content"] = "two " * 600
        count = len(model.tokenizer(messages[2]["content"]).input_ids)
        with pytest.raises(ContextExceededError) as caught:
            model.generate_response(messages)
        assert str(caught.value).endswith(
            f"/512: the longest message is messages[2] (user, {count} tokens), and max_tokens is 300"
        )
