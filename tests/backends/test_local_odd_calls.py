"""Odd calls of local models: each is refused in our own words, with what is wrong and what to do."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.errors import GenerationArgumentError, MessagesError, ModelLoadError, NotSupportedError
from clemcore.messages import Messages
from clemcore.model import Model, Reply
from clemcore.registry.spec import ModelSpec
from support.tiny import load

EMPTY = [{"role": "system", "content": ""}]
HELLO = [{"role": "user", "content": "Hello!"}]


@pytest.mark.parametrize("value", [10**400, 1 << 20_000, float("inf")], ids=["400", "20000 bits", "inf"])
def test_a_temperature_beyond_a_float(model: Model, value: float) -> None:
    with pytest.raises(GenerationArgumentError, match=r"model 'tiny' .* temperature: must be a (number|finite)"):
        model.generate_response(HELLO, gen_args={"temperature": value})


@pytest.mark.parametrize("depth", [250, 3000])
def test_a_schema_that_is_nested_without_end(model: Model, depth: int) -> None:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"items": schema}
    with pytest.raises(GenerationArgumentError, match=r"constraint: is nested more than 200 levels deep"):
        model.generate_response(HELLO, gen_args={"constraint": {"json_schema": schema}})


def test_nothing_but_an_empty_system_message(model: Model) -> None:
    with pytest.raises(MessagesError, match=r"the only message is a system message without text"):
        model.generate_response(EMPTY)
    assert model.generate_response([*EMPTY, *HELLO]).text == model.generate_response(HELLO).text


def test_a_closed_model_says_so(tiny_chat: Path) -> None:
    model = load(tiny_chat)
    with model as same:
        assert same is model
        assert model.model is not None
    for use in (lambda: model.model, model.__enter__, lambda: model.generate_response(HELLO)):
        with pytest.raises(ModelLoadError, match=r"model 'tiny' was closed, and its weights are gone: load it"):
            use()
    model.close()  # once more does no harm
    with pytest.raises(AttributeError, match=r"'HuggingfaceLocalModel' object has no attribute 'modle'"):
        model.modle  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", ["audit", "bench", "score_answers", "count_tokens"])
def test_what_only_local_models_can_do(name: str) -> None:
    mock = backends.get_model_for("mock")
    assert not hasattr(mock, name)
    with pytest.raises(
        NotSupportedError, match=rf"model 'mock' has no {name}: only models that run in this process"
    ):
        getattr(mock, name)
    assert isinstance(copy.deepcopy(mock), type(mock))


def test_a_faulty_property_of_somebody_s_own_model_keeps_its_error() -> None:
    class Own(Model):
        def generate_response(self, messages: Messages) -> Reply:
            return Reply(messages, {}, "")

        @property
        def client(self) -> object:
            return None.connect  # type: ignore[attr-defined]

    own = Own(ModelSpec.from_name("own"))
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'connect'"):
        own.client  # noqa: B018
