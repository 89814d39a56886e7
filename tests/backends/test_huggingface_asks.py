"""Local models asked several dialogues at once: each has its own arguments, and each fails alone."""

from __future__ import annotations

from typing import Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from clemcore.backends.local.asking import Ask
from clemcore.errors import ContextExceededError, GenerationArgumentError, MessagesError
from clemcore.model import Reply
from clemcore.registry.spec import ModelSpec
from support.tiny import CANBERRA, CAPITAL, THINK, load, think

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

HOT = [{"role": "user", "content": "Hello! Who?"}]


def answers(model: HuggingfaceLocalModel, asks: list[Ask]) -> list[Reply | Exception]:
    found = dict(model.answer_all(asks))
    assert sorted(found) == list(range(len(asks)))
    return [found[index] for index in range(len(asks))]


def reply(result: Reply | Exception) -> Reply:
    assert isinstance(result, Reply)
    return result


class TestEachFailsAlone:
    def test_what_cannot_be_asked(self, model: HuggingfaceLocalModel) -> None:
        malformed: Any = [{"role": "user"}]
        asks = [
            Ask(CAPITAL),
            Ask(malformed),
            Ask([{"role": "user", "content": "a", "image": "x.png"}]),
            Ask([{"role": "user", "content": "Hello! " * 300}]),
            Ask(CAPITAL, {"beams": 2}),
            Ask(CAPITAL[:1]),
        ]
        good, malformed_one, seen, long, unknown, last = answers(model, asks)
        assert (reply(good).text, reply(last).text) == (CANBERRA, "Hello! How can I help you?")
        assert isinstance(malformed_one, MessagesError)
        assert isinstance(seen, MessagesError)
        assert isinstance(long, ContextExceededError)
        assert "at batch index 3 " in str(long)
        assert isinstance(unknown, GenerationArgumentError)

    def test_it_comes_before_anything_is_generated(
        self, model: HuggingfaceLocalModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(model.model, "generate", None)
        with pytest.raises(GenerationArgumentError):
            raise next(model.answer_all([Ask(CAPITAL), Ask(CAPITAL, {"beams": 2})]))[1]  # type: ignore[misc]
        with pytest.raises(MessagesError):
            model.generate_batch_response([[{"role": "user", "content": ["a"]}], CAPITAL])

    def test_what_fails_while_it_is_generated(
        self, model: HuggingfaceLocalModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, size = model.model.generate, model.count_tokens(THINK)

        def refuse(**inputs: Any) -> Any:
            if inputs["attention_mask"].sum(1).eq(size).any():
                raise RuntimeError("out of memory")
            return real(**inputs)

        monkeypatch.setattr(model.model, "generate", refuse)
        monkeypatch.setattr(model._engine.together, "_is_able", False)  # type: ignore[attr-defined]
        one, two, three = answers(model, [Ask(CAPITAL), Ask(THINK), Ask(CAPITAL)])
        assert isinstance(two, RuntimeError)
        assert (reply(one).text, reply(three).text) == (CANBERRA, CANBERRA)
        with pytest.raises(RuntimeError, match="out of memory"):
            model.generate_response(THINK)

    def test_none_at_all(self, model: HuggingfaceLocalModel) -> None:
        assert list(model.answer_all([])) == []


class TestOwnArguments:
    def test_each_is_as_if_it_were_alone(self, model: HuggingfaceLocalModel) -> None:
        model.set_gen_args(temperature=2.0, max_tokens=20)
        asks = [
            Ask(HOT, {"seed": 1}),
            Ask(HOT, {"seed": 2}),
            Ask(CAPITAL, {"temperature": 0, "stop": "Australia"}),
            Ask(HOT, {"seed": 1, "top_k": 5}),
        ]
        together = [reply(result) for result in answers(model, asks)]
        alone = [reply(answers(model, [ask])[0]) for ask in asks]
        assert [tuple(one) for one in together] == [tuple(one) for one in alone]
        assert [one.facts["sent"].get("seed") for one in together] == [1, 2, None, 1]
        assert together[2].text == "The capital of"
        assert together[0].text != together[1].text
        assert together[3].facts["sent"]["top_k"] == 5

    def test_the_models_own_stay(self, model: HuggingfaceLocalModel) -> None:
        model.set_gen_args(max_tokens=20)
        answers(model, [Ask(CAPITAL, {"max_tokens": 3})])
        assert model.gen_args == {"max_tokens": 20}

    def test_thinking_models(self, tiny_chat: Any) -> None:
        model = think(tiny_chat, cot_start_tag="<think>")
        one, two, three = (
            reply(r) for r in answers(model, [Ask(THINK), Ask(CAPITAL), Ask(THINK, {"max_tokens": 2})])
        )
        for answer in (one, two, three):
            assert answer.prompt["max_new_tokens"] == 512 - len(answer.prompt["input_ids"])
        assert (one.facts["sent"]["max_tokens"], three.facts["sent"]["max_tokens"]) == (300, 2)
        assert (one.text, two.text, three.response["finish_reason"]) == ("It is four.", CANBERRA, "length")


class TestAccount:
    """What became of the arguments stands in the facts, as for services."""

    def test_renamed(self, model: HuggingfaceLocalModel) -> None:
        found = model.generate_response(CAPITAL).facts
        assert found["parameters"] == {"renamed": {"max_tokens": "max_new_tokens"}, "dropped": {}, "clamped": {}}
        assert found["sent"]["max_new_tokens"] == 300

    def test_of_a_model_that_thinks(self, tiny_chat: Any) -> None:
        assert think(tiny_chat).generate_response(THINK).facts["parameters"]["renamed"] == {}

    def test_left_out_and_fitted(self, tiny_chat: Any) -> None:
        config = {"premade_chat_template": True, "on_unsupported": "nearest"}
        model = load(tiny_chat, config)
        model.set_gen_args(verbosity="low", max_tokens=0)
        found = model.generate_response(CAPITAL).facts
        assert found["parameters"]["dropped"].keys() == {"verbosity"}
        assert found["parameters"]["clamped"] == {
            "max_tokens": {"asked": 0, "sent": 1, "why": "must be an integer of at least 1, not 0"}
        }
        assert found["sent"]["max_new_tokens"] == 1

    def test_the_same_without_weights(self, tiny_chat: Any) -> None:
        from clemcore.backends.huggingface_local import HuggingfaceLocal

        config = {"premade_chat_template": True, "on_unsupported": "drop"}
        spec = ModelSpec(model_name="tiny", huggingface_id=str(tiny_chat), model_config=config)
        assert "Hello!" in HuggingfaceLocal.render(spec, CAPITAL, {"beams": 2}, ["beams"])
