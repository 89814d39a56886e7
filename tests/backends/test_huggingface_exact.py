"""Exact answers of models of the backend: blocks and kept prefixes by the entry, and what the facts report."""

from __future__ import annotations

import copy
import gc
import random
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from clemcore.backends.local.memory import Free
from clemcore.errors import ContextExceededError, SpecError
from support.architectures import save
from support.tiny import load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

BLOCK = 16
WORDS = ["two", "plus", "four", "Hello", "capital", "Texas", "series", "won"]
CONFIG: dict[str, Any] = {"premade_chat_template": True, "prefill_block": BLOCK, "own_weights": True}
Messages = list[dict[str, str]]


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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_template_that_rewrites_history_shares_only_equal_ids(
    tiny_chat: Path, dtype: str, logits: Callable[[Any, Messages], tuple[Any, list[Any]]]
) -> None:
    """Thinking of earlier turns is removed, so the prompt differs from what was fed and generated before."""
    import torch

    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content.split('</think>')[-1] if not loop.last else "
        "m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
    )
    config = {**CONFIG, "custom_chat_template": template, "missing_text": "record", "dtype": dtype}
    del config["premade_chat_template"]
    keeping, scratch = load(tiny_chat, config), load(tiny_chat, {**config, "kept_cache": 0})
    messages = dialogue(3)
    messages[-1]["content"] = f"Hello plus four</think>{messages[-1]['content']}"
    for more in ([], dialogue(1, seed=1)):
        asked = [*messages, *([{"role": "assistant", "content": "four"}, *more] if more else [])]
        reply, scores = logits(keeping, asked)
        other, expected = logits(scratch, asked)
        assert reply.response == other.response
        assert len(scores) == len(reply.response["output_ids"])
        assert all(map(torch.equal, scores, expected))
    assert other.facts["prefill"]["kept"] == 0
    assert 0 < reply.facts["prefill"]["kept"] < len(reply.prompt["input_ids"]) - BLOCK


@pytest.fixture
def logits() -> Callable[[Any, Messages], tuple[Any, list[Any]]]:
    """Return what asks a model for up to 8 tokens, and returns the reply with the logits of each token."""
    rows: list[Any] = []
    hooked: set[int] = set()

    def ask(model: Any, messages: Messages) -> tuple[Any, list[Any]]:
        if id(model.model) not in hooked:  # what is kept is forgotten when hooks change
            hooked.add(id(model.model))
            model.model.register_forward_hook(lambda _, __, made: rows.append(made.logits[0, -1].clone()))
        rows.clear()
        reply = model.generate_response(messages, gen_args={"max_tokens": 8})
        return reply, rows[-len(reply.response["output_ids"]) :]

    return ask


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


@pytest.mark.parametrize("format_", [{"dtype": "float32"}, {"dtype": "bfloat16"}, {"load_in_8bit": True}])
def test_a_block_of_0_is_a_bare_generate(tiny_chat: Path, tmp_path: Path, format_: dict[str, Any]) -> None:
    """Oracle: ``generate`` of transformers, loaded without us, on prompts of 300 to 1,500 tokens."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    if "load_in_8bit" in format_:
        pytest.importorskip("bitsandbytes")
        theirs: dict[str, Any] = {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    else:
        theirs = format_
    folder = save("llama", tmp_path / "model", tiny_chat, max_position_embeddings=2048)
    config = {"premade_chat_template": True, "missing_text": "record", "prefill_block": 0, **format_}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bitsandbytes, about kernels
        model = load(folder, config)
        bare = AutoModelForCausalLM.from_pretrained(folder, **theirs)
        model.set_gen_args(max_tokens=12)
        lengths = []
        for turns in (10, 25, 46):
            reply = model.generate_response(dialogue(turns))
            ids = reply.prompt["input_ids"]
            lengths.append(len(ids))
            row = torch.tensor([ids])
            made = bare.generate(row, attention_mask=torch.ones_like(row), max_new_tokens=12, do_sample=False)
            assert reply.response["output_ids"] == made[0, len(ids) :].tolist()
            assert reply.facts["prefill"] == {"block": 0, "kept": 0, "computed": len(ids)}
    assert 300 <= lengths[0] < 400
    assert 1400 < lengths[-1] <= 1500
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
