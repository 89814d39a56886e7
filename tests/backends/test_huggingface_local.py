"""Backend huggingface_local on a tiny model that knows a few dialogues by heart (tests/models/tiny_chat.py).

The oracle for prompts and tokens is transformers' own apply_chat_template, for sampled replies its own generate().
"""

from __future__ import annotations

import copy
import importlib
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocal, HuggingfaceLocalModel
from clemcore.errors import (
    ContextExceededError,
    GenerationArgumentError,
    MessagesError,
    MissingKeyError,
    ModelLoadError,
    SpecError,
    TemplateError,
)
from clemcore.model import Reply
from clemcore.recording import record
from clemcore.spec import ModelSpec

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

END = r"<\|im_end\|>"
CAPITAL = [
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Hello! How can I help you?"},
    {"role": "user", "content": "Tell me the name of the capital of Australia."},
]
CANBERRA = "The capital of Australia is Canberra."
THINK = [{"role": "user", "content": "Think first. What is three plus one?"}]
PIRATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}{% if shout %}!{% endif %}{{ '\n' }}{% endfor %}"


def load(folder: Path, config: dict[str, Any] | None = None, **fields: Any) -> HuggingfaceLocalModel:
    config = {"premade_chat_template": True, "eos_to_cull": END} if config is None else config
    spec = ModelSpec(model_name="tiny", huggingface_id=str(folder), model_config=config, **fields)
    model = HuggingfaceLocal().get_model_for(spec)
    assert isinstance(model, HuggingfaceLocalModel)
    return model


def think(folder: Path, **config: Any) -> HuggingfaceLocalModel:
    return load(folder, {"cot_output": True, "cot_end_tag": "</think>", "eos_to_cull": END, **config})


@pytest.fixture(scope="module")
def loaded(tiny_chat: Path) -> HuggingfaceLocalModel:
    return load(tiny_chat)


@pytest.fixture
def model(loaded: HuggingfaceLocalModel) -> HuggingfaceLocalModel:
    """The tiny model with no generation arguments set."""
    loaded.set_gen_args()
    return loaded


@pytest.fixture
def altered(tiny_chat: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model to change."""
    return Path(shutil.copytree(tiny_chat, tmp_path / "tiny"))


def change(path: Path, **values: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **values}), encoding="utf-8")


@pytest.fixture
def library_warnings() -> Iterator[list[str]]:
    """What transformers and torch log at WARNING and above."""
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Handler(logging.WARNING)
    for name in ("transformers", "torch"):
        logging.getLogger(name).addHandler(handler)
    yield lines
    for name in ("transformers", "torch"):
        logging.getLogger(name).removeHandler(handler)


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
        }
        assert facts["usage"]["input_tokens"] == model.count_tokens(CAPITAL)
        assert facts["versions"]["torch"] == torch.__version__
        assert facts["versions"]["transformers"] == transformers.__version__
        assert facts["model"] | {"device": ""} == {
            "source": str(tiny_chat),
            "commit": None,
            "device": "",
            "dtype": "float32",
        }
        assert facts["context"] == {"size": 512, "source": "config.max_position_embeddings"}
        assert set(facts["timings"]) == {
            f"{step}_seconds" for step in ("template", "tokenize", "generate", "decode")
        }
        assert facts["template"]["engine"] in ("clemcore", "transformers")

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
        from clemcore.backends._huggingface.generation import Generated

        prompt = "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n"
        ids = model.tokenizer(f"You said {prompt} to me<|im_end|>").input_ids
        answer = model._cutter.cut(Generated(ids, "stop"), frozenset([2]), (), prompt, 300)
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


class TestGreedyDecoding:
    def test_sampling_settings_of_the_model_play_no_part(self, altered: Path, library_warnings: list[str]) -> None:
        """Many models ship sampling defaults; at temperature 0 they are put aside without a word."""
        defaults = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 3, "min_p": 0.1, "typical_p": 0.5}
        change(altered / "generation_config.json", **defaults, max_length=30)
        model = load(altered)
        shipped = model.model.generation_config.to_dict()
        reply = model.generate_response(CAPITAL)
        assert reply.text == CANBERRA
        assert not reply.facts["sent"].keys() & (defaults.keys() - {"do_sample"})
        assert library_warnings == []
        assert model.model.generation_config.to_dict() == shipped

    def test_no_warning_on_a_plain_model(self, model: HuggingfaceLocalModel, library_warnings: list[str]) -> None:
        model.generate_batch_response([CAPITAL, THINK])
        assert library_warnings == []

    def test_repetition_penalty_reaches_the_model(self, model: HuggingfaceLocalModel) -> None:
        model.set_gen_args(repetition_penalty=50.0, max_tokens=20)
        reply = model.generate_response(CAPITAL)
        assert reply.text != CANBERRA
        assert reply.facts["sent"]["repetition_penalty"] == 50.0


class TestSampling:
    HOT = ({"role": "user", "content": "Hello! Who?"},)

    def sampled(self, model: HuggingfaceLocalModel, **gen_args: Any) -> Reply:
        model.set_gen_args(temperature=2.0, max_tokens=20, **gen_args)
        return model.generate_response(list(self.HOT))

    def test_a_seed_makes_it_repeatable(self, model: HuggingfaceLocalModel) -> None:
        texts = {seed: self.sampled(model, seed=seed).text for seed in range(5)}
        assert len(set(texts.values())) > 1
        assert texts == {seed: self.sampled(model, seed=seed).text for seed in range(5)}

    def test_the_random_state_of_the_process_stays_as_it_was(self, model: HuggingfaceLocalModel) -> None:
        import torch

        before = torch.get_rng_state()
        self.sampled(model, seed=1)
        assert torch.equal(torch.get_rng_state(), before)

    def test_without_a_seed_one_is_drawn_and_noted(self, model: HuggingfaceLocalModel) -> None:
        import torch

        torch.manual_seed(7)
        first, second = self.sampled(model), self.sampled(model)
        torch.manual_seed(7)
        assert self.sampled(model).text == first.text
        assert first.facts["sent"]["seed"] != second.facts["sent"]["seed"]
        assert self.sampled(model, seed=second.facts["sent"]["seed"]).text == second.text

    def test_all_arguments_reach_generate(self, model: HuggingfaceLocalModel) -> None:
        """Oracle: transformers' generate() called by hand with the same arguments and the same seed."""
        import torch

        asked = {"top_p": 0.8, "top_k": 7, "min_p": 0.02, "repetition_penalty": 1.3}
        reply = self.sampled(model, seed=3, **asked)
        ids = torch.tensor([reply.prompt["input_ids"]], device=model.device)
        with torch.random.fork_rng():
            torch.manual_seed(3)
            made = model.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                temperature=2.0,
                max_new_tokens=20,
                **asked,
            )
        assert made[0, ids.shape[1] :].tolist() == reply.response["output_ids"]
        assert reply.facts["sent"].items() >= {**asked, "temperature": 2.0, "do_sample": True, "seed": 3}.items()

    def test_an_unknown_argument_is_refused(self, model: HuggingfaceLocalModel) -> None:
        with pytest.raises(GenerationArgumentError, match=r"'tiny' .* cannot honour .* 'presence_penalty'"):
            self.sampled(model, presence_penalty=0.1)


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

    def test_sizes_from_elsewhere(self, altered: Path) -> None:
        from transformers import AutoTokenizer, PretrainedConfig

        from clemcore.backends._huggingface.entry import read_entry
        from clemcore.backends._huggingface.loading import find_context_size

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
        assert reply.facts["cot"]["answer_tokens_cut"] > 0

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
        prompt, _, text = model.generate_response(messages)
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


class TestTemplates:
    def test_custom(self, tiny_chat: Path) -> None:
        kwargs = {"custom_chat_template": PIRATE, "chat_template_kwargs": {"shout": True}}
        model = load(tiny_chat, {"premade_chat_template": False, **kwargs})
        messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        prompt = model.generate_response(messages).prompt
        oracle = model.tokenizer.apply_chat_template
        assert prompt["inputs"] == "user: a!\nassistant: b!\n"
        assert prompt["inputs"] == oracle(messages, chat_template=PIRATE, tokenize=False, shout=True)
        model.chat_template_kwargs = {}
        assert model.generate_response(messages).prompt["inputs"] == "user: a\nassistant: b\n"

    def test_a_variable_that_the_template_does_not_read_is_refused(self, tiny_chat: Path) -> None:
        config = {"custom_chat_template": PIRATE, "chat_template_kwargs": {"shuot": True}}
        with pytest.raises(
            SpecError, match=r"its chat template reads no variable 'shuot'.*it reads messages, shout"
        ):
            load(tiny_chat, config)
        with pytest.raises(SpecError, match="may not set 'add_generation_prompt'"):
            load(tiny_chat, {**config, "chat_template_kwargs": {"add_generation_prompt": False}})

    def test_no_token_is_added_to_what_the_template_wrote(self, altered: Path) -> None:
        """A tokenizer that puts a first token before every text, as Llama's does: the prompt has it once."""
        path = altered / "tokenizer.json"
        content = json.loads(path.read_text())
        content["post_processor"] = {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<|im_start|>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [1], "tokens": ["<|im_start|>"]}},
        }
        path.write_text(json.dumps(content))
        model = load(altered)
        assert model.tokenizer("x").input_ids[0] == 1
        ids = model.generate_response(CAPITAL).prompt["input_ids"]
        assert ids[0] == 1
        assert ids[1] != 1
        assert ids == model.tokenizer.apply_chat_template(CAPITAL, add_generation_prompt=True).input_ids

    def test_messages_that_the_template_refuses(self, tiny_chat: Path) -> None:
        template = (
            "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + PIRATE
        )
        model = load(tiny_chat, {"custom_chat_template": template})
        with pytest.raises(TemplateError, match=r"of 'tiny' refuses .*roles: system, user.*: no system role"):
            model.generate_response([{"role": "system", "content": "s"}, *CAPITAL[:1]])

    def test_a_model_without_a_template(self, altered: Path) -> None:
        (altered / "chat_template.jinja").unlink()
        with pytest.raises(SpecError, match=r"comes without a chat template: .*custom_chat_template"):
            load(altered)

    def test_one_of_several_templates(self, altered: Path) -> None:
        (altered / "additional_chat_templates").mkdir()
        (altered / "additional_chat_templates" / "DE.jinja").write_text("Deutsch: " + PIRATE)
        model = load(altered, {"premade_chat_template": True, "chat_template_language": "DE"})
        assert model.generate_response(CAPITAL[:1]).prompt["inputs"] == "Deutsch: user: Hello!\n"
        assert load(altered).generate_response(CAPITAL).text == CANBERRA
        with pytest.raises(SpecError, match=r"chat_template_language must be one of .*DE"):
            load(altered, {"chat_template_language": "FR"})

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ({"image": "x.png"}, r"messages\[1\] has an 'image', but 'tiny' is a text model"),
            ({"content": [{"type": "text", "text": "a"}]}, r"messages\[1\]\['content'\] must be a string"),
        ],
    )
    def test_what_is_not_text_is_refused(
        self, model: HuggingfaceLocalModel, more: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(MessagesError, match=message):
            model.generate_response([{"role": "system", "content": "s"}, {"role": "user", "content": "a", **more}])


class TestLoading:
    def test_number_format(self, tiny_chat: Path) -> None:
        assert (
            load(tiny_chat, {"dtype": "bfloat16"}).generate_response(CAPITAL).facts["model"]["dtype"] == "bfloat16"
        )
        assert str(load(tiny_chat, {"torch_dtype": "torch.float64"}).model.dtype) == "torch.float64"
        with pytest.raises(SpecError, match=r"dtype must be 'auto' or one of torch's, .* not 'float7'"):
            load(tiny_chat, {"dtype": "float7"})

    def test_attention_implementation(self, tiny_chat: Path) -> None:
        model = load(tiny_chat, {"attn_implementation": "eager"})
        assert model.config.model_type == "llama"
        assert model.model.config._attn_implementation == "eager"

    def test_weights_that_are_missing_are_not_made_up(self, altered: Path) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(altered / "model.safetensors")
        del weights["model.layers.1.mlp.up_proj.weight"]
        save_file(weights, altered / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(
            ModelLoadError, match=r"'tiny': 1 weights are missing in .*: model.layers.1.mlp.up_proj"
        ):
            load(altered)

    @pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
    def test_a_folder_that_is_not_whole(self, altered: Path, name: str) -> None:
        (altered / name).unlink()
        with pytest.raises(
            ModelLoadError, match=r"model 'tiny': cannot load the (configuration|tokenizer|weights) of"
        ):
            load(altered)

    def test_adapters_and_quantization_need_their_packages(
        self, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import importlib.util

        monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
        with pytest.raises(
            SpecError, match="load_in_4bit needs the package 'bitsandbytes': pip install bitsandbytes"
        ):
            load(tiny_chat, {"load_in_4bit": True})
        with pytest.raises(SpecError, match="peft_model needs the package 'peft': pip install peft"):
            load(tiny_chat, {"peft_model": "adapter"})

    def test_threads_only_by_the_entry(self, tiny_chat: Path) -> None:
        import torch

        before = torch.get_num_threads()
        load(tiny_chat)
        assert torch.get_num_threads() == before
        load(tiny_chat, {"torch_num_threads": before + 1})
        assert torch.get_num_threads() == before + 1
        torch.set_num_threads(before)

    def test_a_key_that_is_required(self, tiny_chat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(MissingKeyError, match="HF_TOKEN"):
            load(tiny_chat, {"requires_api_key": True})
        monkeypatch.setenv("HF_TOKEN", "hf_secret_of_the_test")
        model = load(tiny_chat, {"requires_api_key": True, "eos_to_cull": END})
        with record(tmp_path / "requests.json"):
            assert model.generate_response(CAPITAL).text == CANBERRA
        assert "hf_secret_of_the_test" not in (tmp_path / "requests.json").read_text()
        assert "hf_secret_of_the_test" not in f"{vars(model)!r} {model!r}"

    def test_progress_is_shown_on_a_terminal_only(self, tiny_chat: Path) -> None:
        code = (
            "import sys\n"
            "from clemcore.backends.huggingface_local import HuggingfaceLocal\n"
            "from clemcore.spec import ModelSpec\n"
            "from transformers.utils.logging import is_progress_bar_enabled\n"
            "for terminal in (False, True):\n"
            "    sys.stderr.isatty = lambda: terminal\n"
            "    HuggingfaceLocal().get_model_for(ModelSpec(model_name='m', huggingface_id=sys.argv[1]))\n"
            "    assert is_progress_bar_enabled()\n"
            "    print('|', file=sys.stderr)\n"
        )
        run = [sys.executable, "-c", code, str(tiny_chat)]
        done = subprocess.run(run, capture_output=True, text=True, check=True)
        piped, terminal = done.stderr.split("|\n", maxsplit=1)
        assert piped == ""
        assert "Loading weights: 100%" in terminal


class TestWithoutWeights:
    """What can be asked of an entry before its weights are there."""

    @pytest.fixture
    def spec(self, altered: Path) -> ModelSpec:
        (altered / "model.safetensors").unlink()
        config = {"premade_chat_template": True, "requires_api_key": True}
        return ModelSpec(model_name="tiny", huggingface_id=str(altered), model_config=config)

    def test_the_prompt(self, spec: ModelSpec, model: HuggingfaceLocalModel) -> None:
        made = HuggingfaceLocal.render(spec, CAPITAL, {"temperature": 0.0, "max_tokens": 300})
        assert made == model.generate_response(CAPITAL).prompt["inputs"]

    def test_what_the_call_would_refuse_is_refused(self, spec: ModelSpec) -> None:
        with pytest.raises(ContextExceededError):
            HuggingfaceLocal.render(spec, CAPITAL, {"temperature": 0.0, "max_tokens": 500})
        with pytest.raises(GenerationArgumentError, match="'beams'"):
            HuggingfaceLocal.render(spec, CAPITAL, {"temperature": 0.0, "max_tokens": 5, "beams": 2})

    def test_context_limit_under_its_name_of_3_7_2(
        self, spec: ModelSpec, model: HuggingfaceLocalModel, capsys: pytest.CaptureFixture[str]
    ) -> None:
        check_context_limit = importlib.import_module("clemcore.backends.huggingface_local_api").check_context_limit
        used = model.count_tokens(CAPITAL) + 100
        assert check_context_limit(CAPITAL, spec) == (True, used, 512 - used, 512)
        assert capsys.readouterr().out == f"{used} tokens used, {512 - used} left of 512\n"
        too_many = check_context_limit(CAPITAL, spec, max_new_tokens=600, clean_messages=True, verbose=False)
        assert too_many == (False, used + 500, 12 - used, 512)

    def test_messages_under_its_name_of_3_7_2(self, spec: ModelSpec, capsys: pytest.CaptureFixture[str]) -> None:
        check_messages = importlib.import_module("clemcore.backends.huggingface_local_api").check_messages
        assert check_messages(CAPITAL, spec)
        assert capsys.readouterr().out == "The chat template of 'tiny' accepts these messages.\n"
        strict = "{% if messages[0].role == 'assistant' %}{{ raise_exception('user first') }}{% endif %}"
        config = {"custom_chat_template": strict}
        spec = ModelSpec(**{**spec.to_dict(), "model_config": config})
        assert not check_messages([CAPITAL[1], CAPITAL[1]], spec)
        shown = capsys.readouterr().out
        assert "starts with an assistant message" in shown
        assert "messages[1] has the role of the message before it (assistant)" in shown
        assert "ends with an assistant message" in shown
        assert "refuses these messages" in shown


MEMORY = """
import gc, json, sys, weakref
from pathlib import Path
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from clemcore.backends.huggingface_local import HuggingfaceLocal
from clemcore.spec import ModelSpec

def resident():
    status = Path("/proc/self/status").read_text()
    megabytes = int(status.split("VmRSS:")[1].split()[0]) / 1024
    return megabytes + (torch.cuda.memory_allocated() / 2**20 if torch.cuda.is_available() else 0)

def load(folder):
    return HuggingfaceLocal().get_model_for(ModelSpec(model_name="m", huggingface_id=str(folder)))

tiny, big = map(Path, sys.argv[1:])
tokenizer = AutoTokenizer.from_pretrained(tiny)
config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=1024, intermediate_size=2816, num_hidden_layers=4,
                     num_attention_heads=8, bos_token_id=1, eos_token_id=2, pad_token_id=0)
LlamaForCausalLM(config).save_pretrained(big)
tokenizer.save_pretrained(big)
messages = [{"role": "user", "content": "Hello!"}]
warm = load(tiny)  # what the libraries load on their first use is not the model's
warm.set_gen_args(max_tokens=4)
warm.generate_response(messages)
del warm
gc.collect()
gc.disable()  # it must be gone without the collector's help
before = resident()
model = load(big)
model.set_gen_args(max_tokens=4)
reply = model.generate_response(messages)
loaded = resident()
dead = [weakref.ref(model), weakref.ref(model.model), weakref.ref(next(model.model.parameters()))]
del model
alive = sum(reference() is not None for reference in dead)
print(json.dumps({"before": before, "loaded": loaded, "after": resident(), "alive": alive}))
"""


def test_deleting_the_model_gives_its_memory_back(tiny_chat: Path, tmp_path: Path) -> None:
    """In a process of its own, with 206 MB of weights: MB resident before, with and after the model."""
    run = [sys.executable, "-c", MEMORY, str(tiny_chat), str(tmp_path / "big")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    print(seen)
    assert seen["alive"] == 0
    assert seen["loaded"] - seen["before"] > 180
    assert seen["after"] - seen["before"] < 20


@pytest.fixture(scope="module")
def real(smollm2: Path) -> HuggingfaceLocalModel:
    return load(smollm2)


class TestTheRealModel:
    """SmolLM2-135M-Instruct, as the demo uses it, here and behind a server that others wrote."""

    def test_it_names_canberra(self, real: HuggingfaceLocalModel) -> None:
        prompt, response, text = real.generate_response(CAPITAL)
        assert text == CANBERRA
        assert (len(prompt["input_ids"]), len(response["output_ids"])) == (61, 8)

    def test_batch_is_as_single(self, real: HuggingfaceLocalModel) -> None:
        real.set_gen_args(max_tokens=16)
        batch = [CAPITAL, CAPITAL[:1]]
        together = [tuple(reply) for reply in real.generate_batch_response(batch)]
        assert together == [tuple(real.generate_response(messages)) for messages in batch]

    @pytest.mark.parametrize(
        "messages",
        [
            CAPITAL,
            [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Count:  1 22\n\n333 ä€"}],
        ],
    )
    def test_the_server_computes_the_same(
        self, real: HuggingfaceLocalModel, smollm2_server: Any, messages: list[dict[str, str]]
    ) -> None:
        from urllib.request import ProxyHandler, Request, build_opener

        real.set_gen_args(temperature=0.0, max_tokens=24)
        reply = real.generate_response(messages)
        body = {"model": smollm2_server.model, "messages": messages, "temperature": 0.0, "max_tokens": 24}
        request = Request(
            f"{smollm2_server.base_url}/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with build_opener(ProxyHandler({})).open(request) as answer:
            served = json.load(answer)
        assert served["choices"][0]["message"]["content"].strip() == reply.text
        assert served["usage"]["prompt_tokens"] == reply.facts["usage"]["input_tokens"]
        assert served["usage"]["completion_tokens"] == reply.facts["usage"]["output_tokens"]
