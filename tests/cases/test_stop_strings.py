"""Where a local reply ends: stop strings with thinking, with beams and of the model's own; end tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from clemcore.backends.local.engine import Engine, Generated
from clemcore.backends.local.entry import read_entry
from clemcore.backends.local.tags import tags_of
from clemcore.backends.local.text import StopStrings, TextCutter
from clemcore.backends.local.thought import Limit, Thought
from clemcore.registry.spec import ModelSpec
from support.tiny import THINK, copy_of, load, think

ADDITION = [{"role": "user", "content": "What is two plus two?"}]
GREETING = [{"role": "user", "content": "Hello!"}]


class _Letters:
    """An engine whose tokens are letters."""

    def encode(self, text: str) -> list[int]:
        return list(map(ord, text))

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))


def cut(text: str, stops: Sequence[str], prompt: str = "", **config: Any) -> tuple[str, str | None, str]:
    """Return answer, thinking and finish reason of a reply that goes on until a stop string ends it."""
    config = {"cot_output": True, "cot_end_tag": "</think>", **config}
    engine = cast("Engine", _Letters())
    entry = read_entry(ModelSpec(model_name="m", huggingface_id="o/m", model_config=config))
    tags = tags_of(entry, None)
    assert tags is not None
    thought = Thought(tags, Limit(100), engine, prompt)
    cutter = TextCutter(entry, engine, ())
    stop = StopStrings(stops, engine, thought.answer_start)
    ids: list[int] = []
    for letter in map(ord, text):
        ids.append(letter)
        if stop(ids):
            generated = Generated(ids, "on_tokens")
            break
    else:
        generated = Generated(ids, "stop")
    answer = cutter.cut(generated, stops, thought)
    return answer.text, answer.thinking, answer.finish_reason


class TestThinking:
    THOUGHT = "Question: 2+2.\n\nIt is 4.\n</think>\n\nFour.\n\nReally."

    @pytest.mark.parametrize("config", [{}, {"cot_start_tag": "<think>"}])
    def test_a_stop_string_counts_after_the_thinking(self, config: dict[str, str]) -> None:
        answer = cut(self.THOUGHT, ["\n\n"], prompt="<think>\n", **config)
        assert answer == ("Four.", "Question: 2+2.\n\nIt is 4.\n", "stop_string")

    def test_it_is_not_looked_for_in_the_thinking_alone(self) -> None:
        assert cut(self.THOUGHT, ["Question"])[::2] == ("Four.\n\nReally.", "stop")
        assert cut("Four? No: 4.</think>4. Four!", ["Four"])[::2] == ("4.", "stop_string")

    def test_a_reply_without_thinking_stops_at_once(self) -> None:
        answer = cut("Four.\n\nReally.</think>!", ["\n\n"], cot_start_tag="<think>")
        assert answer == ("Four.", "", "stop_string")

    def test_without_a_start_tag_it_is_cut_at_the_end(self) -> None:
        assert cut("Four.\n\nReally.", ["\n\n"]) == ("Four.", "", "stop_string")

    def test_a_start_tag_is_waited_for(self) -> None:
        answer = cut("<think>a<b</think>c<d", ["<"], cot_start_tag="<think>")
        assert answer == ("c", "a<b", "stop_string")

    @pytest.mark.slow
    def test_of_a_model(self, tiny_chat: Path) -> None:
        model = think(tiny_chat, cot_start_tag="<think>")
        model.set_gen_args(stop=["four"])
        reply = model.generate_response(THINK)
        assert (reply.text, reply.response["finish_reason"]) == ("It is", "stop_string")
        assert reply.response["cot_content"] == "Three plus one is four."


def replies(model: Any) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return text and finish reason of two dialogues in a batch, and of each alone."""
    batch = model.generate_batch_response([ADDITION, GREETING])
    alone = [model.generate_response(ADDITION), model.generate_response(GREETING)]
    together, apart = ([(reply.text, reply.facts["finish_reason"]) for reply in some] for some in (batch, alone))
    return together, apart


@pytest.mark.slow
class TestBeams:
    @pytest.mark.parametrize(("beams", "stop"), [(3, [" plus"]), (2, ["can", "four"]), (4, ["nowhere"])])
    def test_each_dialogue_ends_by_its_own_stop_string(
        self, tiny_chat: Path, tmp_path: Path, beams: int, stop: list[str]
    ) -> None:
        folder = copy_of(tiny_chat, tmp_path / "tiny", generation_config={"num_beams": beams})
        model = load(folder)
        model.set_gen_args(stop=stop)
        together, apart = replies(model)
        assert together == apart
        assert {reason for _, reason in apart} <= {"stop", "stop_string"}
        assert all(text and not any(one in text for one in stop) for text, _ in apart)
        if stop == [" plus"]:
            assert apart == [("Two", "stop_string"), ("Hello! How can I help you?", "stop")]


@pytest.mark.slow
class TestOfTheModel:
    @pytest.mark.parametrize("own", [[" is"], " is"])
    def test_its_stop_strings_hold_unless_the_call_has_some(
        self, tiny_chat: Path, tmp_path: Path, own: object
    ) -> None:
        model = load(copy_of(tiny_chat, tmp_path / "tiny", generation_config={"stop_strings": own}))
        reply = model.generate_response(ADDITION)
        assert (reply.text, reply.facts["finish_reason"]) == ("Two plus two", "stop_string")
        assert reply.facts["sent"]["stop"] == [" is"]
        for stop, text in ((["four"], "Two plus two is"), ([], "Two plus two is four.")):
            model.set_gen_args(stop=stop)
            reply = model.generate_response(ADDITION)
            assert (reply.text, reply.facts["sent"]["stop"]) == (text, stop)

    @pytest.mark.parametrize("ends", [0, [0], [], None])
    def test_the_end_token_of_the_tokenizer_counts_too(self, tiny_chat: Path, tmp_path: Path, ends: object) -> None:
        folder = copy_of(
            tiny_chat, tmp_path / "tiny", config={"eos_token_id": ends}, generation_config={"eos_token_id": ends}
        )
        reply = load(folder).generate_response(GREETING)
        assert (reply.text, reply.facts["finish_reason"]) == ("Hello! How can I help you?", "stop")
        assert reply.facts["sent"]["eos_token_id"] in (2, [0, 2])

    def test_that_of_the_configuration_counts_as_before(self, tiny_chat: Path, tmp_path: Path) -> None:
        folder = copy_of(tiny_chat, tmp_path / "tiny")
        tokens = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps({**tokens, "eos_token": "<|pad|>"}))
        assert load(folder).generate_response(GREETING).facts["finish_reason"] == "stop"
