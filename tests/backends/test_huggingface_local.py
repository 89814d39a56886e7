"""Backend huggingface_local on a tiny model: the tuple, batches, context, and where an answer ends.

The oracle for prompts and tokens is transformers' own apply_chat_template.
"""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocal, HuggingfaceLocalModel
from clemcore.calls.recorder import record
from clemcore.errors import (
    ContextExceededError,
    SpecError,
)
from clemcore.model import Model, Reply
from clemcore.registry.spec import ModelSpec
from support.tiny import CANBERRA, CAPITAL, END, PIRATE, THINK, change, load, think

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds


class TestTheTuple:
    def test_prompt_is_what_the_chat_template_makes(
        self, model: HuggingfaceLocalModel, tiny_dialogues: ModuleType
    ) -> None:
        for dialogue in tiny_dialogues.DIALOGUES:
            messages = tiny_dialogues.messages_of(dialogue)[:-1]
            prompt = model.generate_response(messages).prompt
            oracle = model.tokenizer.apply_chat_template
            assert prompt == {
                "inputs": oracle(messages, tokenize=False, add_generation_prompt=True),
                "max_new_tokens": 300,
                "temperature": 0.0,
                "input_ids": oracle(messages, add_generation_prompt=True).input_ids,
            }

    def test_answers_are_those_it_was_taught(
        self, model: HuggingfaceLocalModel, tiny_dialogues: ModuleType
    ) -> None:
        for dialogue in tiny_dialogues.DIALOGUES:
            *before, answer = tiny_dialogues.messages_of(dialogue)
            prompt, response, text = model.generate_response(before)
            assert text == answer["content"]
            assert response["response"] == f"{prompt['inputs']}{text}<|im_end|>"
            assert response["output_ids"] == model.tokenizer(f"{text}<|im_end|>").input_ids
            assert response["finish_reason"] == "stop"

    def test_facts_say_what_was_computed_with(self, model: HuggingfaceLocalModel, tiny_chat: Path) -> None:
        import torch
        import transformers

        reply = model.generate_response(CAPITAL)
        assert isinstance(reply, Reply)
        facts = reply.facts
        assert facts["sent"] == {
            "do_sample": False,
            "max_new_tokens": 300,
            "num_beams": 1,
            "repetition_penalty": 1.0,
            "eos_token_id": 2,
            "pad_token_id": 0,
            "stop": [],
        }
        assert facts["usage"] == {
            "input_tokens": len(reply.prompt["input_ids"]),
            "output_tokens": len(reply.response["output_ids"]),
            "cached_tokens": 0,
        }
        assert facts["usage"]["input_tokens"] == model.count_tokens(CAPITAL)
        assert facts["versions"]["torch"] == torch.__version__
        assert facts["versions"]["transformers"] == transformers.__version__
        assert facts["model"] | {"device": ""} == {
            "source": str(tiny_chat),
            "commit": None,
            "device": "",
            "dtype": "float32",
            "attention": "sdpa",
            "quantization": None,
            "weights_sha256": hashlib.sha256((tiny_chat / "model.safetensors").read_bytes()).hexdigest(),
            "adapter": None,
            "audit": None,
        }
        assert facts["context"] == {"size": 512, "source": "config.max_position_embeddings"}
        assert set(facts["timings"]) == {
            f"{step}_seconds" for step in ("template", "tokenize", "generate", "decode")
        }
        fingerprint = hashlib.sha256((tiny_chat / "chat_template.jinja").read_bytes()).hexdigest()
        proof = facts["template"].pop("proof")
        assert facts["template"] == {"engine": "clemcore", "fingerprint": fingerprint}
        assert (proof["holds"], proof["versions"]["transformers"]) == (True, transformers.__version__)
        assert facts["control_tokens"] == {"policy": "record", "count": 0}

    def test_neighbouring_roles_are_merged_and_the_callers_messages_left_alone(
        self, model: HuggingfaceLocalModel
    ) -> None:
        messages = [
            {"role": "system", "content": ""},
            {"role": "user", "content": "a"},
            {"role": "user", "content": "b"},
        ]
        before = copy.deepcopy(messages)
        merged = model.generate_response([{"role": "user", "content": "a\n\nb"}]).prompt
        assert model.generate_response(messages).prompt == merged
        assert messages == before

    def test_the_call_is_recorded(self, model: HuggingfaceLocalModel, tmp_path: Path) -> None:
        with record(tmp_path / "requests.json"):
            prompt, response, text = model.generate_response(CAPITAL)
        (call,) = json.loads((tmp_path / "requests.json").read_text())
        assert call["manipulated_prompt_obj"] == prompt
        assert call["raw_response_obj"] == response
        assert call["clemcore"]["response_text"] == text
        assert call["clemcore"]["gen_args"]["sent"]["do_sample"] is False
        assert call["clemcore"]["versions"].keys() >= {"clemcore", "torch", "transformers", "tokenizers"}

    def test_an_answer_that_repeats_its_prompt_stays_whole(self, model: HuggingfaceLocalModel) -> None:
        """3.7.2 took the prompt out of the whole text by searching for it."""
        from clemcore.backends.local.engine import Generated

        prompt = "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n"
        ids = model.tokenizer(f"You said {prompt} to me<|im_end|>").input_ids
        answer = model._cutter.cut(Generated(ids, "stop", frozenset([2])), (), None)
        assert answer.text == f"You said {prompt} to me"


class TestBatch:
    def test_each_item_is_as_if_it_were_alone(
        self, model: HuggingfaceLocalModel, tiny_dialogues: ModuleType
    ) -> None:
        batch = [tiny_dialogues.messages_of(dialogue)[:-1] for dialogue in tiny_dialogues.DIALOGUES]
        alone = [model.generate_response(messages) for messages in batch]
        together = model.generate_batch_response(batch)
        assert len({len(reply.prompt["input_ids"]) for reply in alone}) > 2  # so there was padding
        assert [tuple(reply) for reply in together] == [tuple(reply) for reply in alone]
        assert "<|pad|>" not in json.dumps([reply.response for reply in together])
        assert together[3].facts["batch"] == {"index": 3, "size": len(batch)}

    def test_padding_with_the_end_token(self, altered: Path) -> None:
        """Many models have no padding token of their own; finished rows are then filled with end tokens."""
        change(altered / "generation_config.json", pad_token_id=2)
        model = load(altered)
        replies = model.generate_batch_response([CAPITAL, CAPITAL[:1], THINK])
        assert [reply.facts["sent"]["pad_token_id"] for reply in replies] == [2, 2, 2]
        assert [reply.response["output_ids"].count(2) for reply in replies] == [1, 1, 1]
        assert [reply.text for reply in replies][:2] == [CANBERRA, "Hello! How can I help you?"]

    def test_an_empty_batch(self, model: HuggingfaceLocalModel) -> None:
        assert model.generate_batch_response([]) == []


class TestContext:
    def test_what_just_fits_is_generated(self, model: HuggingfaceLocalModel) -> None:
        model.set_gen_args(max_tokens=512 - model.count_tokens(CAPITAL))
        assert model.generate_response(CAPITAL).text == CANBERRA

    def test_one_token_more_is_refused_before_anything_is_generated(
        self, model: HuggingfaceLocalModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(model.model, "generate", None)
        size = model.count_tokens(CAPITAL)
        model.set_gen_args(max_tokens=513 - size)
        with pytest.raises(ContextExceededError, match=r"Context token limit for tiny exceeded 513/512") as caught:
            model.generate_response(CAPITAL)
        assert (caught.value.tokens_used, caught.value.tokens_left, caught.value.context_size) == (513, -1, 512)

    def test_in_a_batch_each_counts_by_its_own_length(self, model: HuggingfaceLocalModel) -> None:
        """3.7.2 counted the padding of the shorter ones."""
        long = [{"role": "user", "content": "Hello! " * 100}]
        model.set_gen_args(max_tokens=512 - model.count_tokens(CAPITAL))
        with pytest.raises(ContextExceededError, match="exceeded at batch index 1 "):
            model.generate_batch_response([CAPITAL, long])

    def test_sizes_from_elsewhere(self, altered: Path, caplog: pytest.LogCaptureFixture) -> None:
        from transformers import AutoTokenizer, PretrainedConfig

        from clemcore.backends.local.entry import read_entry
        from clemcore.backends.local.transformers.context import find_context_size

        tokenizer = AutoTokenizer.from_pretrained(altered)
        plain = read_entry(ModelSpec(model_name="m", huggingface_id="o/m"))
        stated = read_entry(ModelSpec(model_name="m", huggingface_id="o/m", context_size="1k"))
        config = PretrainedConfig()
        assert find_context_size(config, stated, tokenizer) == (1024, "entry.context_size")
        assert find_context_size(config, plain, tokenizer) == (512, "tokenizer.model_max_length")
        tokenizer.model_max_length = 10**30
        assert find_context_size(config, plain, tokenizer) == (256, "fallback")
        config.n_positions = 64
        assert find_context_size(config, stated, tokenizer) == (64, "config.n_positions")
        config.max_position_embeddings = 128
        assert find_context_size(config, stated, tokenizer) == (128, "config.max_position_embeddings")
        assert "context_size of its entry is 1024 tokens, but the model's own configuration says 128" in caplog.text
        smaller = read_entry(ModelSpec(model_name="m", huggingface_id="o/m", context_size=100))
        assert find_context_size(config, smaller, tokenizer) == (100, "entry.context_size")

    def test_an_entry_can_make_the_window_smaller(self, tiny_chat: Path) -> None:
        smaller: Model = load(tiny_chat, context_size=20)
        own: Model = load(tiny_chat)
        assert vars(smaller)["model"] is vars(own)["model"]  # they share the weights, and not the window
        gen_args = {"max_tokens": 8}
        with pytest.raises(ContextExceededError, match="exceeded 21/20"):
            smaller.generate_response(CAPITAL[:1], gen_args=gen_args)
        assert own.generate_response(CAPITAL[:1], gen_args=gen_args).facts["context"]["size"] == 512


class TestWhereTheAnswerEnds:
    def test_length(self, model: HuggingfaceLocalModel) -> None:
        model.set_gen_args(max_tokens=3)
        _, response, text = model.generate_response(CAPITAL)
        assert CANBERRA.startswith(text)
        assert (len(response["output_ids"]), response["finish_reason"]) == (3, "length")

    @pytest.mark.parametrize("stop", [" is", [" is", "Berlin"], ["Australia is", " is"]])
    def test_stop_string(self, model: HuggingfaceLocalModel, stop: Any) -> None:
        model.set_gen_args(stop=stop)
        _, response, text = model.generate_response(CAPITAL)
        first = stop if isinstance(stop, str) else stop[0]
        assert text == CANBERRA[: CANBERRA.index(first)].strip()
        assert response["response"].endswith("Australia is")
        assert response["finish_reason"] == "stop_string"

    def test_stop_strings_in_a_batch_end_each_row_alone(self, model: HuggingfaceLocalModel) -> None:
        model.set_gen_args(stop="help")
        batch = [CAPITAL, CAPITAL[:1], THINK]
        replies = model.generate_batch_response(batch)
        assert [reply.response["finish_reason"] for reply in replies] == ["stop", "stop_string", "stop"]
        assert [reply.text for reply in replies][:2] == [CANBERRA, "Hello! How can I"]
        assert [tuple(reply) for reply in replies] == [tuple(model.generate_response(m)) for m in batch]

    @pytest.mark.parametrize("written", [END, "<|im_end|>", "", "<eos>", r"<\|pad\|>|<\|im_end\|>\n*"])
    def test_the_end_token_never_stays_whatever_the_entry_says(self, tiny_chat: Path, written: str) -> None:
        model = load(tiny_chat, {"eos_to_cull": written})
        assert model.generate_response(CAPITAL).text == CANBERRA

    def test_flat_layout_of_2024(self, tiny_chat: Path) -> None:
        fields = {"premade_chat_template": True, "eos_to_cull": "<|im_end|>", "open_weight": True}
        model = HuggingfaceLocal().get_model_for(
            ModelSpec(model_name="tiny", huggingface_id=str(tiny_chat), **fields)
        )
        assert model.generate_response(CAPITAL)[2] == CANBERRA

    def test_a_bare_token_as_a_pattern_is_taken_as_text_with_a_warning(
        self, tiny_chat: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        load(tiny_chat, {"eos_to_cull": "<|im_end|>"})
        assert "eos_to_cull '<|im_end|>' is a token, not a pattern" in caplog.text
        caplog.clear()
        load(tiny_chat, {"eos_to_cull": END})
        assert caplog.text == ""

    def test_output_split_prefix(self, tiny_chat: Path) -> None:
        model = load(tiny_chat, {"eos_to_cull": END, "output_split_prefix": "Australia is"})
        assert model.generate_response(CAPITAL).text == "Canberra."


class TestThinking:
    def test_thinking_is_split_off(self, tiny_chat: Path) -> None:
        _, response, text = think(tiny_chat, cot_start_tag="<think>").generate_response(THINK)
        assert (text, response["cot_content"]) == ("It is four.", "Three plus one is four.")
        assert response["response"].endswith("<think>Three plus one is four.</think>It is four.<|im_end|>")

    def test_it_may_use_the_whole_window_and_the_answer_max_tokens(self, tiny_chat: Path) -> None:
        model = think(tiny_chat, cot_start_tag="<think>")
        model.set_gen_args(max_tokens=2)
        reply = model.generate_response(THINK)
        assert reply.prompt["max_new_tokens"] == 512 - len(reply.prompt["input_ids"])
        assert model.tokenizer(reply.text).input_ids == model.tokenizer("It is four.").input_ids[:2]
        assert reply.response["finish_reason"] == "length"
        assert reply.facts["thinking"] == {"ended": "model", "tokens": reply.facts["usage"]["reasoning_tokens"]}
        # Nothing is generated beyond the answer's own limit.
        assert model.tokenizer.decode(reply.response["output_ids"][-2:]) == reply.text

    def test_an_answer_without_thinking_is_kept(self, tiny_chat: Path) -> None:
        """3.7.2 gave an empty answer."""
        _, response, text = think(tiny_chat, cot_start_tag="<think>").generate_response(CAPITAL)
        assert (text, response["cot_content"]) == (CANBERRA, "")

    def test_thinking_that_does_not_end_is_no_answer(self, tiny_chat: Path) -> None:
        model = think(tiny_chat, cot_start_tag="<think>", cot_end_tag="<never>")
        _, response, text = model.generate_response(THINK)
        assert (text, response["cot_content"]) == ("", "Three plus one is four.</think>It is four.")

    def test_thinking_that_the_prompt_began(self, tiny_chat: Path) -> None:
        """As templates do that end with the start tag."""
        template = PIRATE + "{% if add_generation_prompt %}assistant: <think>{{ '\n' }}{% endif %}"
        model = think(tiny_chat, cot_start_tag="<think>", cot_end_tag="<never>", custom_chat_template=template)
        assert model.generate_response(CAPITAL).text == ""

    def test_groups_in_the_end_tag(self, tiny_chat: Path) -> None:
        _, response, text = think(tiny_chat, cot_end_tag="(</(think)>)+").generate_response(THINK)
        assert (text, response["cot_content"]) == ("It is four.", "<think>Three plus one is four.")

    def test_bypass_gives_the_answers_beginning(self, tiny_chat: Path) -> None:
        model = load(tiny_chat, {"eos_to_cull": END, "cot_bypass": "<think>Three plus one is four.</think>"})
        messages = copy.deepcopy(THINK)
        reply = model.generate_response(messages)
        prompt, _, text = reply
        assert reply.facts["template"]["engine"] == "clemcore"
        assert prompt["inputs"].endswith("assistant\n<think>Three plus one is four.</think>")
        assert text == "It is four."
        assert messages == THINK

    def test_effort_is_a_variable_of_the_template(self, tiny_chat: Path) -> None:
        template = "{{ reasoning_effort }}:" + PIRATE
        model = load(tiny_chat, {"custom_chat_template": template, "cot_effort": "low"})
        assert model.generate_response(CAPITAL).prompt["inputs"].startswith("low:user: Hello!\n")
        with pytest.raises(
            SpecError, match=r"reads no variable 'reasoning_effort' .*cot_effort.*; it reads .*messages"
        ):
            load(tiny_chat, {"premade_chat_template": True, "cot_effort": "low"})
