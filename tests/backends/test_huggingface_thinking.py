"""Thinking of local models: budgets, tags in every place, and what the record says about thoughts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from clemcore.backends.local.engine import Engine
from clemcore.backends.local.tags import Tags, tags_of, text_of
from clemcore.backends.local.thought import Limit, Thought
from clemcore.errors import (
    ContextExceededError,
    GenerationArgumentError,
    ReasoningExceededError,
    SpecError,
)
from clemcore.model import Model
from support.tiny import CAPITAL, END, THINK, copy_of, load, think

slow = pytest.mark.slow  # importing torch and transformers alone takes seconds
TAGS: dict[str, Any] = {"cot_output": True, "cot_start_tag": "<think>", "cot_end_tag": "</think>"}
# A template that opens the thought.
OPENS = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
)


class Letters:
    """An engine whose tokens are letters."""

    def encode(self, text: str) -> list[int]:
        return list(map(ord, text))

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))


def thought_of(
    limit: Limit | None = None, prompt: str = "", start: str = "<think>", end: str = "</think>"
) -> Thought:
    import re

    tags = Tags(start, re.compile(end), text_of(end))
    return Thought(tags, Limit(100) if limit is None else limit, cast("Engine", Letters()), prompt)


def follow(thought: Thought, text: str) -> Thought:
    """Give the letters one after the other, as while a reply is generated."""
    for length in range(len(text) + 1):
        thought.follow(list(map(ord, text[:length])))
    return thought


class TestThought:
    @pytest.mark.parametrize(
        ("prompt", "reply", "is_cut", "split", "facts"),
        [
            ("", "<think>ab</think>c", False, ("ab", "c"), {"ended": "model", "tokens": 2}),
            ("<think>\n", "ab</think>\n\nc", False, ("ab", "c"), {"ended": "model", "tokens": 2}),
            ("", "abc", False, ("", "abc"), {"ended": None, "tokens": 0}),
            ("", "<think>abc", False, ("abc", ""), {"ended": "never", "tokens": 3}),
            ("<think>", "abc", True, ("abc", ""), {"ended": "never", "tokens": 3}),
            # closed twice: the last end tag counts
            ("", "<think>a</think>b</think>c", False, ("a</think>b", "c"), {"ended": "model", "tokens": 10}),
            ("<think></think>\n\n", "abc", False, ("", "abc"), {"ended": None, "tokens": 0}),
            ("", "<think></think>c", False, ("", "c"), {"ended": "model", "tokens": 0}),
            ("", "", False, ("", ""), {"ended": None, "tokens": 0}),
        ],
    )
    def test_where_it_begins_and_ends(
        self, prompt: str, reply: str, is_cut: bool, split: tuple[str, str], facts: dict[str, Any]
    ) -> None:
        thought = follow(thought_of(prompt=prompt), reply)
        assert thought.split(reply, is_cut=is_cut) == split
        assert thought.facts(is_cut=is_cut) == facts

    def test_without_a_start_tag(self) -> None:
        assert follow(thought_of(start=""), "ab</think>c").facts(is_cut=False) == {"ended": "model", "tokens": 2}
        assert follow(thought_of(start=""), "abc").split("abc", is_cut=False) == ("", "abc")
        assert follow(thought_of(start=""), "abc").split("abc", is_cut=True) == ("abc", "")

    def test_an_end_tag_after_the_budget_is_text_of_the_answer(self) -> None:
        limit = Limit(100, 3, "empty")
        thought = follow(thought_of(limit), "<think>ab</think>c d e</think>f")
        assert thought.split("<think>ab</think>c d e</think>f", is_cut=False) == ("ab", "c d e</think>f")
        assert thought.is_settled

    def test_a_reply_that_begins_anew_is_followed_anew(self) -> None:
        thought = follow(thought_of(), "<think>ab</think>c")
        thought.follow([])
        assert (thought.answer, thought.tokens(is_cut=True)) == (None, 0)
        thought.follow(list(map(ord, "<think>a</think>b")))
        assert (thought.answer, thought.tokens(is_cut=False)) == (16, 1)
        thought.follow(list(map(ord, "Hm")))
        assert thought.answer == 0

    def test_it_is_closed_to_the_token(self) -> None:
        tag = tuple(map(ord, "</think>"))
        thought = thought_of(Limit(100, 3, "close", tag, tag))
        ids: list[int] = []
        for free in "<think>abcdefgh":
            thought.follow(ids)
            token = thought.forced()
            ids.append(ord(free) if token is None else token)
        assert "".join(map(chr, ids)) == "<think>abc</thi"
        for _ in range(3):
            thought.follow(ids)
            ids.append(thought.forced() or ord("!"))
        assert "".join(map(chr, ids)) == "<think>abc</think>"
        thought.follow(ids)
        assert thought.forced() is None
        assert thought.facts(is_cut=False) == {
            "ended": "budget",
            "tokens": 3,
            "budget": 3,
            "on_exceed": "close",
            "forced_tokens": 8,
        }

    def test_a_tag_that_the_model_has_begun_is_finished(self) -> None:
        tag = tuple(map(ord, "</think>"))
        thought = follow(thought_of(Limit(100, 3, "close", tag, tag)), "<think>a</")
        assert thought.forced() == ord("t")
        follow(thought, "<think>a</think>b")
        assert (thought.tokens(is_cut=False), thought.split("<think>a</think>b", is_cut=False)) == (1, ("a", "b"))

    @pytest.mark.parametrize(
        ("pattern", "text"),
        [
            ("</think>", "</think>"),
            (r"(</(think)>)+", "</think>"),
            (r"\n</think>\s*", "\n</think>"),
            (r"<\|end\|><\|start\|>assistant(<\|channel\|>commentary to=assistant)*<\|channel\|>final<\|message\|>",
             "<|end|><|start|>assistant<|channel|>final<|message|>"),
            (r"</think>|\[END\]", "</think>"),
            (r"[ab]{2}", None),
        ],
    )  # fmt: skip
    def test_a_text_that_an_end_pattern_matches(self, pattern: str, text: str | None) -> None:
        assert text_of(pattern) == text


class TestTags:
    def entry(self, **config: Any) -> Any:
        from clemcore.backends.local.entry import read_entry
        from clemcore.registry.spec import ModelSpec

        return read_entry(ModelSpec(model_name="m", huggingface_id="o/m", model_config=config))

    def tokenizer(self, **field: Any) -> Any:
        from types import SimpleNamespace

        return SimpleNamespace(response_template={"version": 1, "fields": {"reasoning_content": field}})

    def test_those_of_the_entry_come_first(self) -> None:
        tags = tags_of(self.entry(**TAGS), self.tokenizer(open="<a>", close="</a>"))
        assert tags is not None
        assert (tags.start, tags.end.pattern, tags.closing) == ("<think>", "</think>", "</think>")

    def test_those_of_a_response_template(self) -> None:
        tags = tags_of(self.entry(), self.tokenizer(open="<|channel>thought\n", close=["<channel|>", "<x>"]))
        assert tags is not None
        assert (tags.start, tags.closing) == ("<|channel>thought", "<channel|>")
        assert tags.end.fullmatch("<x>")
        pattern = tags_of(self.entry(), self.tokenizer(open="<think>", close_pattern=r"\s*</think>"))
        assert pattern is not None
        assert pattern.closing == "</think>"

    def test_where_there_are_none(self) -> None:
        for tokenizer in (None, self.tokenizer(open="<think>"), self.tokenizer(close_pattern="(")):
            assert tags_of(self.entry(), tokenizer) is None


def ids_of(model: Any, text: str) -> list[int]:
    ids: list[int] = model.tokenizer(text, add_special_tokens=False).input_ids
    return ids


@slow
class TestBudget:
    @pytest.mark.parametrize("n", [0, 1, 2, 5])
    def test_it_is_met_to_the_token(self, tiny_chat: Path, n: int) -> None:
        """The thought of the model, cut after n tokens, then the end tag, then the answer."""
        model: Model = think(tiny_chat, **TAGS)
        free = model.generate_response(THINK)
        reply = model.generate_response(THINK, gen_args={"reasoning": {"budget": n}, "max_tokens": 7})
        start, end = ids_of(model, "<think>"), ids_of(model, "</think>")
        assert len(end) > 1  # ordinary tokens
        ids = reply.response["output_ids"]
        assert ids[: len(start) + n] == free.response["output_ids"][: len(start) + n]
        assert ids[len(start) + n :][: len(end)] == end
        assert len(ids) <= len(start) + n + len(end) + 7
        assert reply.facts["thinking"] == {
            "ended": "budget", "tokens": n, "budget": n, "on_exceed": "close", "forced_tokens": len(end),
        }  # fmt: skip
        assert reply.facts["usage"]["reasoning_tokens"] == n
        assert reply.response["cot_content"] == model.tokenizer.decode(ids[len(start) : len(start) + n])  # type: ignore[attr-defined]
        assert reply.facts["sent"]["thinking_budget"] == n

    def test_a_thought_that_ends_earlier_is_the_models_own(self, tiny_chat: Path) -> None:
        model: Model = think(tiny_chat, **TAGS)
        free = model.generate_response(THINK)
        reply = model.generate_response(THINK, gen_args={"reasoning": {"budget": 50}})
        assert (reply.text, reply.response) == ("It is four.", free.response)
        assert reply.facts["thinking"]["ended"] == free.facts["thinking"]["ended"] == "model"
        assert reply.facts["usage"]["reasoning_tokens"] == len(ids_of(model, "Three plus one is four."))

    def test_opened_by_the_prompt_with_a_tag_of_one_token(self, tiny_chat: Path, tmp_path: Path) -> None:
        from transformers import AutoTokenizer

        folder = copy_of(tiny_chat, tmp_path / "tiny")
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.add_tokens(["<think>", "</think>"], special_tokens=True)
        tokenizer.save_pretrained(folder)
        _grow(folder, len(tokenizer))
        model: Model = think(folder, **TAGS, custom_chat_template=OPENS, premade_chat_template=False)
        (close,) = ids_of(model, "</think>")
        for n in (0, 1, 4):
            reply = model.generate_response(THINK, gen_args={"reasoning": {"budget": n}, "max_tokens": 3})
            ids = reply.response["output_ids"]
            assert ids.index(close) == n
            assert ids.count(close) == 1
            assert reply.facts["thinking"]["ended"] == "budget"
            assert len(ids) <= n + 1 + 3

    @pytest.mark.parametrize("tags_are_tokens", [False, True])
    @pytest.mark.parametrize("is_opened", [False, True])
    def test_sampled_in_a_batch(
        self, tiny_chat: Path, tmp_path: Path, tags_are_tokens: bool, is_opened: bool
    ) -> None:
        """Whatever the model samples: at most n tokens, then the end tag, then at most max_tokens."""
        from transformers import AutoTokenizer

        folder = copy_of(tiny_chat, tmp_path / "tiny")
        if tags_are_tokens:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            tokenizer.add_tokens(["</think>"], special_tokens=True)
            tokenizer.save_pretrained(folder)
            _grow(folder, len(tokenizer))
        template = {"custom_chat_template": OPENS, "premade_chat_template": False} if is_opened else {}
        model = think(folder, **TAGS, **template)
        close = ids_of(model, "</think>")
        assert len(close) == (1 if tags_are_tokens else 4)
        budgets = [0, 1, 3, 8, 13, 21] * 2
        heat = 2.0 if is_opened else 0.5  # the model must write the start tag itself
        asked = [
            {"reasoning": {"budget": n}, "max_tokens": 5, "temperature": heat, "seed": seed}
            for seed, n in enumerate(budgets)
        ]
        closed = 0
        for n, reply in zip(budgets, model.generate_batch_response([THINK] * 12, gen_args=asked), strict=True):
            facts, ids = reply.facts, reply.response["output_ids"]
            assert facts["thinking"]["tokens"] <= n
            if facts["thinking"]["ended"] == "budget":
                closed += 1
                begin = len(ids) - 5 - len(close) - n
                opening = 0 if is_opened else len(ids_of(model, "<think>"))
                assert begin <= opening
                assert ids[opening + n :][: len(close)] == close or facts["thinking"]["tokens"] < n
        assert closed >= 3

    def test_each_item_of_a_batch_has_its_own(self, tiny_chat: Path) -> None:
        model: Model = think(tiny_chat, **TAGS)
        budgets: list[dict[str, Any]] = [{"reasoning": {"budget": n}, "max_tokens": 4} for n in (1, 3, 60)]
        batch = model.generate_batch_response([THINK] * 3, gen_args=budgets)
        alone = [model.generate_response(THINK, gen_args=gen_args) for gen_args in budgets]
        assert [reply.response for reply in batch] == [reply.response for reply in alone]
        assert [reply.facts["thinking"]["ended"] for reply in batch] == ["budget", "budget", "model"]
        assert [reply.facts["usage"]["reasoning_tokens"] for reply in batch[:2]] == [1, 3]

    def test_a_closing_sentence(self, tiny_chat: Path) -> None:
        model: Model = think(tiny_chat, **TAGS)
        wish = {"budget": 2, "closing": " That is enough."}
        reply = model.generate_response(THINK, gen_args={"reasoning": wish, "max_tokens": 3})
        assert " That is enough.</think>" in reply.response["response"]
        assert reply.response["cot_content"].endswith(" That is enough.")
        assert reply.facts["usage"]["reasoning_tokens"] == 2
        assert reply.facts["thinking"]["forced_tokens"] == len(ids_of(model, " That is enough.</think>"))

    def test_empty_and_error(self, tiny_chat: Path, caplog: pytest.LogCaptureFixture) -> None:
        model: Model = think(tiny_chat, **TAGS)
        reply = model.generate_response(THINK, gen_args={"reasoning": {"budget": 2, "on_exceed": "empty"}})
        assert (reply.text, reply.facts["finish_reason"], reply.facts["outcome"]) == ("", "budget", "length")
        assert reply.facts["thinking"]["ended"] == "budget"
        assert "more than the 2 tokens of its budget" in reply.facts["reasoning_exceeded"]
        assert "more than the 2 tokens of its budget" in caplog.text
        with pytest.raises(
            ReasoningExceededError, match=r"model 'tiny': it thought for more than the 2 tokens"
        ) as e:
            model.generate_response(THINK, gen_args={"reasoning": {"budget": 2, "on_exceed": "error"}})
        assert e.value.response["cot_content"]
        # Exactly what the model needs is no excess.
        need = len(ids_of(model, "Three plus one is four."))
        enough = {"reasoning": {"budget": need, "on_exceed": "error"}}
        assert model.generate_response(THINK, gen_args=enough).text == "It is four."

    def test_a_thought_that_never_ends(self, tiny_chat: Path) -> None:
        model: Model = think(tiny_chat, **TAGS | {"cot_end_tag": "<never>"})
        reply = model.generate_response(THINK)
        assert (reply.text, reply.facts["thinking"]["ended"], reply.facts["outcome"]) == (
            "",
            "never",
            "reasoning_only",
        )
        assert reply.facts["usage"]["reasoning_tokens"] == reply.facts["thinking"]["tokens"] > 0
        with pytest.raises(ReasoningExceededError, match="its thinking has left no answer"):
            model.generate_response(THINK, gen_args={"reasoning": {"on_exceed": "error"}})

    def test_close_without_a_budget_leaves_room_for_the_answer(self, tiny_chat: Path) -> None:
        model: Model = think(tiny_chat, **TAGS | {"cot_end_tag": "<never>", "cot_start_tag": ""})
        asked = {"reasoning": {"on_exceed": "close"}, "max_tokens": 450}
        reply = model.generate_response(CAPITAL, gen_args=asked)
        budget = 512 - len(reply.prompt["input_ids"]) - 450 - len(ids_of(model, "<never>"))
        assert budget > 0
        assert reply.facts["thinking"]["budget"] == budget

    def test_a_closing_sentence_without_a_budget(self, tiny_chat: Path) -> None:
        model: Model = think(tiny_chat, **TAGS | {"cot_end_tag": "<never>", "cot_start_tag": ""})
        asked = {"reasoning": {"closing": "So:"}, "max_tokens": 490}
        reply = model.generate_response(CAPITAL[:1], gen_args=asked)
        closing = len(ids_of(model, "So:<never>"))
        assert reply.facts["thinking"]["budget"] == 512 - len(reply.prompt["input_ids"]) - 490 - closing
        assert "So:<never>" in reply.response["response"]
        too_long = {"reasoning": {"closing": "So: " * 100}, "max_tokens": 490}
        with pytest.raises(ContextExceededError, match=r"shorten max_tokens or reasoning.closing"):
            model.generate_response(CAPITAL[:1], gen_args=too_long)

    def test_thoughts_of_the_entry(self, tiny_chat: Path) -> None:
        model: Model = think(tiny_chat, **TAGS, reasoning={"budget": 3, "on_exceed": "close"})
        assert model.generate_response(THINK).facts["usage"]["reasoning_tokens"] == 3
        other = model.generate_response(THINK, gen_args={"reasoning": {"budget": 1}})
        assert other.facts["usage"]["reasoning_tokens"] == 1

    def test_a_stream_gives_the_answer_once_it_is_certain(self, tiny_chat: Path) -> None:
        model: Model = think(tiny_chat, **TAGS)
        asked = {"reasoning": {"budget": 2}, "max_tokens": 30}
        whole = model.generate_response(THINK, gen_args=asked)
        pieces = list(model.stream_response(THINK, gen_args=asked))
        assert "".join(pieces) == whole.text

    def test_tags_of_the_response_template(self, tiny_chat: Path, tmp_path: Path) -> None:
        template = {
            "version": 1,
            "start_anchor": "<|im_start|>assistant\n",
            "fields": {
                "reasoning_content": {"open": "<think>", "close": "</think>"},
                "content": {"content": "text"},
            },
        }
        folder = copy_of(tiny_chat, tmp_path / "tiny", tokenizer_config={"response_template": template})
        model: Model = load(folder, {"premade_chat_template": True, "eos_to_cull": END})
        plain = model.generate_response(THINK)
        assert plain.text == "<think>Three plus one is four.</think>It is four."  # nothing was asked for
        reply = model.generate_response(THINK, gen_args={"reasoning": {"budget": 100}})
        assert (reply.text, reply.response["cot_content"]) == ("It is four.", "Three plus one is four.")


def _grow(folder: Path, size: int) -> None:
    """Give the weights of a folder rows for added tokens."""
    from transformers import AutoModelForCausalLM

    weights = AutoModelForCausalLM.from_pretrained(folder)
    weights.resize_token_embeddings(size, mean_resizing=False)
    weights.save_pretrained(folder)


@slow
class TestEffort:
    READS = "{{ reasoning_effort }}{% if enable_thinking is defined %}{{ enable_thinking }}{% endif %}" + OPENS

    def test_it_is_a_variable_of_the_template(self, tiny_chat: Path) -> None:
        model: Model = load(tiny_chat, {"custom_chat_template": self.READS, "cot_effort": "high"})
        assert model.generate_response(CAPITAL).prompt["inputs"].startswith("high<")
        reply = model.generate_response(CAPITAL, gen_args={"reasoning": {"effort": "low"}})
        assert reply.prompt["inputs"].startswith("low<")
        assert reply.facts["sent"]["chat_template_kwargs"] == {"reasoning_effort": "low"}
        assert model.generate_response(CAPITAL, gen_args={"reasoning_effort": "low"}).prompt == reply.prompt
        off = model.generate_response(CAPITAL, gen_args={"reasoning": {"effort": "none"}})
        assert off.prompt["inputs"].startswith("highFalse<")
        assert model.generate_response(CAPITAL).prompt["inputs"].startswith("high<")

    def test_a_template_without_it(self, tiny_chat: Path) -> None:
        model: Model = think(tiny_chat, **TAGS)
        with pytest.raises(GenerationArgumentError, match="reads no variable 'reasoning_effort'"):
            model.generate_response(THINK, gen_args={"reasoning": {"effort": "low"}})
        near: Model = think(tiny_chat, **TAGS, on_unsupported="nearest")
        reply = near.generate_response(THINK, gen_args={"reasoning": {"effort": "none"}})
        assert reply.facts["usage"]["reasoning_tokens"] == 0
        assert reply.facts["parameters"]["clamped"]["reasoning"]["sent"] == {"budget": 0}


@slow
class TestErrors:
    @pytest.mark.parametrize(
        ("wish", "message"),
        [
            ({"budget": -1}, "'budget' must be a number of tokens"),
            ({"budget": 1, "on_exceed": "cut"}, "'on_exceed' must be 'close', 'empty' or 'error', not 'cut'"),
            ({"budget": 1, "closing": 3}, "'closing' must be a sentence, not 3"),
            ({"budget": 1, "limit": 3}, "reasoning: it must be .* if wanted; it has 'limit'"),
            ({"budjet": 1}, r"reasoning: it must be .*; it has 'budjet' \(did you mean 'budget'\?\)"),
            ({}, r"reasoning: it must be \{'effort': word\} or \{'budget': tokens\}, .*, not \{\}"),
            (5, r"reasoning: it must be \{'effort': word\} or \{'budget': tokens\}, .*, not 5"),
        ],
    )
    def test_a_wrong_wish(self, tiny_chat: Path, wish: Any, message: str) -> None:
        with pytest.raises(GenerationArgumentError, match=message):
            think(tiny_chat, **TAGS).generate_response(THINK, gen_args={"reasoning": wish})  # type: ignore[call-arg]

    def test_a_model_of_which_no_tag_is_known(self, tiny_chat: Path) -> None:
        model: Model = load(tiny_chat)
        with pytest.raises(
            GenerationArgumentError, match=r"how the model ends a thought: set model_config.cot_end_tag"
        ):
            model.generate_response(THINK, gen_args={"reasoning": {"budget": 3}})
        for wish in ({"closing": "So:"}, {"on_exceed": "close"}, {"on_exceed": "error"}):
            with pytest.raises(GenerationArgumentError, match=r"reasoning: it is not known how the model ends"):
                model.generate_response(THINK, gen_args={"reasoning": wish})
            with pytest.raises(SpecError, match=r"model_config.reasoning: it is not known how the model ends"):
                load(tiny_chat, {"premade_chat_template": True, "reasoning": wish}).generate_response(THINK)

    def test_what_cannot_be_done_is_left_out_where_the_entry_says_so(self, tiny_chat: Path) -> None:
        model: Model = load(tiny_chat, {"premade_chat_template": True, "on_unsupported": "drop"})
        reply = model.generate_response(THINK, gen_args={"reasoning": {"budget": 2, "on_exceed": "empty"}})
        assert "how the model ends a thought" in reply.facts["parameters"]["dropped"]["reasoning"]

    def test_a_closing_sentence_of_a_thought_that_is_not_closed(self, tiny_chat: Path) -> None:
        model: Model = think(tiny_chat, **TAGS)
        with pytest.raises(GenerationArgumentError, match=r"'closing' has no effect with 'on_exceed' 'empty'"):
            model.generate_response(THINK, gen_args={"reasoning": {"closing": "So:", "on_exceed": "empty"}})

    def test_a_budget_larger_than_the_room(self, tiny_chat: Path) -> None:
        model: Model = think(tiny_chat, **TAGS)
        asked = {"reasoning": {"budget": 400}, "max_tokens": 100}
        with pytest.raises(
            ContextExceededError,
            match=r"model 'tiny': a thinking budget of 400 .* shorten reasoning.budget or max_tokens",
        ) as caught:
            model.generate_response(THINK, gen_args=asked)
        assert caught.value.tokens_left is not None
        assert caught.value.tokens_left < 0
        assert caught.value.context_size == 512

    def test_a_pattern_without_a_text(self, tiny_chat: Path) -> None:
        model: Model = think(tiny_chat, cot_end_tag="[<]/(?=think)think>")
        with pytest.raises(
            GenerationArgumentError, match=r"write the text that ends a thought into reasoning.closing"
        ):
            model.generate_response(THINK, gen_args={"reasoning": {"budget": 3}})
        wish = {"budget": 3, "closing": "</think>"}
        assert model.generate_response(THINK, gen_args={"reasoning": wish}).facts["usage"]["reasoning_tokens"] == 3

    def test_beams(self, tiny_chat: Path, tmp_path: Path) -> None:
        folder = copy_of(tiny_chat, tmp_path / "tiny", generation_config={"num_beams": 2})
        with pytest.raises(GenerationArgumentError, match="tokens of beams"):
            think(folder, **TAGS).generate_response(THINK, gen_args={"reasoning": {"budget": 3}})  # type: ignore[call-arg]

    def test_an_entry(self, tiny_chat: Path) -> None:
        with pytest.raises(
            SpecError, match=r'model_config.reasoning.budget must be a number of tokens, not "much"'
        ):
            think(tiny_chat, **TAGS, reasoning={"budget": "much"})


@slow
def test_the_record_has_it(tiny_chat: Path, tmp_path: Path) -> None:
    from clemcore import backends

    model: Model = think(tiny_chat, **TAGS)
    with backends.record(tmp_path / "r.json"):
        model.generate_response(THINK, gen_args={"reasoning": {"budget": 2}})
    (call,) = json.loads((tmp_path / "r.json").read_text())
    assert call["clemcore"]["thinking"]["ended"] == "budget"
    assert call["clemcore"]["usage"]["reasoning_tokens"] == 2
