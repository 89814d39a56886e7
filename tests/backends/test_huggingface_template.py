"""Backend huggingface_local: from messages to the prompt. The oracle is transformers' own apply_chat_template."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocal, HuggingfaceLocalModel
from clemcore.errors import (
    ContextExceededError,
    GenerationArgumentError,
    MessagesError,
    SpecError,
    TemplateError,
)
from clemcore.spec import ModelSpec
from support.tiny import CANBERRA, CAPITAL, PIRATE, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds


class TestClemcoresOwnEngine:
    """Its text is used where it is proven equal at this very call, and nowhere else."""

    @pytest.fixture
    def facts(self, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], dict[str, Any]]:
        def ask(engine: Any) -> dict[str, Any]:
            if engine is not None:
                monkeypatch.setattr("clemcore.backends._huggingface.prompt.ChatTemplate", engine)
            model = load(tiny_chat)
            reply = model.generate_response(CAPITAL)
            oracle = model.tokenizer.apply_chat_template(CAPITAL, tokenize=False, add_generation_prompt=True)
            assert reply.prompt["inputs"] == oracle
            facts: dict[str, Any] = reply.facts["template"]
            return facts

        return ask

    @staticmethod
    def engine(render: Callable[..., str]) -> Any:
        facts = {"engine": "clemcore", "engine_reason": "", "variables": frozenset()}
        return lambda _source, special_tokens: SimpleNamespace(render=render, tokens=special_tokens, **facts)

    @staticmethod
    def chatml(messages: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
        return text + "<|im_start|>assistant\n" * add_generation_prompt

    def test_equal(self, facts: Callable[[Any], dict[str, Any]]) -> None:
        for engine in (None, self.engine(self.chatml)):  # the real one, and a stand-in
            found = facts(engine)
            assert (found["engine"], "reason" in found) == ("clemcore", False)

    def test_another_text(self, facts: Callable[[Any], dict[str, Any]]) -> None:
        found = facts(self.engine(lambda m, **k: self.chatml(m, **k).replace("Australia", "Austria")))
        place = self.chatml(CAPITAL, add_generation_prompt=True).index("Australia") + len("Austr")
        assert found["engine"] == "transformers"
        assert found["reason"] == f"clemcore's engine gave another text, from character {place} on"

    def test_shorter(self, facts: Callable[[Any], dict[str, Any]]) -> None:
        found = facts(self.engine(lambda *_a, **_k: ""))
        assert found["reason"] == "clemcore's engine gave another text, from character 0 on"

    def test_it_fails(self, facts: Callable[[Any], dict[str, Any]]) -> None:
        def fail(*_: Any, **__: Any) -> str:
            raise TemplateError("no such filter")

        assert facts(self.engine(fail))["reason"] == "clemcore's engine failed: TemplateError: no such filter"

    def test_it_cannot_read_the_template(self, facts: Callable[[Any], dict[str, Any]]) -> None:
        def refuse(*_: Any, **__: Any) -> Any:
            raise TemplateError("unknown tag")

        reason = facts(refuse)["reason"]
        assert reason == "clemcore's engine cannot read the template: unknown tag"


class TestTemplates:
    def test_a_fault_is_named_with_its_place_when_the_model_is_loaded(self, tiny_chat: Path) -> None:
        with pytest.raises(TemplateError, match=r"the chat template of 'tiny' has a fault: ") as caught:
            load(tiny_chat, {"custom_chat_template": "one\n{% for m in messages %}"})
        assert caught.value.line is not None

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
