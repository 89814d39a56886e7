"""Odd calls of local models: each is refused in our own words, with what is wrong and what to do."""

from __future__ import annotations

import copy
import datetime
from pathlib import Path
from typing import Any

import numpy
import pytest

from clemcore import backends
from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from clemcore.errors import (
    GenerationArgumentError,
    MessagesError,
    ModelLoadError,
    NotSupportedError,
    ScopeError,
    SpecError,
)
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


@pytest.mark.parametrize(
    ("gen_args", "words"),
    [
        ({"min_new_tokens": "5"}, "min_new_tokens: must be an integer of at least 0, not '5'"),
        ({"sequence_bias": []}, "sequence_bias: must be a list of pairs"),
        ({"num_beams": 100_000}, "num_beams: must be an integer from 1 to 1000, not 100000"),
        (
            {"num_beams": 2, "length_penalty": 1e308},
            r"length_penalty: must be a number from -20 to 20",
        ),
        (
            {"bad_words_ids": [[5], [2]]},
            "bad_words_ids: token 2 ends a reply, .* by suppress_tokens",
        ),
        ({"max_tokens": numpy.int64(5)}, r"max_tokens: must be a text, a number, .* not numpy.int64: convert it"),
        ({"tempreature": 1}, r"'tempreature': did you mean 'temperature'\?;"),
    ],
    ids=str,
)
def test_a_value_that_a_library_would_stumble_over(model: Model, gen_args: dict[str, Any], words: str) -> None:
    with pytest.raises(GenerationArgumentError, match=words) as caught:
        model.generate_response(HELLO, gen_args=gen_args)
    assert len(str(caught.value)) < 350


def test_an_item_of_a_batch_with_odd_arguments_is_named(model: Model) -> None:
    with pytest.raises(GenerationArgumentError, match=r"^batch index 1: gen_args must be a dict, not int"):
        model.generate_batch_response([HELLO, HELLO], gen_args=[None, 5])
    with pytest.raises(ScopeError, match=r"^batch index 1: scope must be what backends.scope"):
        model.generate_batch_response([HELLO, HELLO], scopes=[None, 5])


@pytest.mark.parametrize("messages", [None, 5, "x", [], [{"role": "user"}]], ids=str)
def test_messages_that_cannot_be_counted(loaded: HuggingfaceLocalModel, messages: Any) -> None:
    with pytest.raises(MessagesError, match="messages"):
        loaded.count_tokens(messages)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lengths": ()}, "lengths must be integers of at least 1"),
        ({"lengths": 5}, "lengths must be integers of at least 1, not 5"),
        ({"lengths": (8, "a")}, "lengths must be integers of at least 1"),
        ({"batches": (0,)}, "batches must be integers of at least 1"),
        ({"new_tokens": 1}, "new_tokens must be integers of at least 2, not 1"),
        ({"lengths": (600,)}, "prompts of 600 tokens and 32 new ones do not fit the 512 tokens"),
    ],
    ids=str,
)
def test_a_bench_of_odd_numbers(loaded: HuggingfaceLocalModel, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        list(loaded.bench(**settings))


@pytest.mark.parametrize("value", [5, datetime.date(2026, 1, 1)])
def test_a_clock_of_another_type(loaded: HuggingfaceLocalModel, value: Any) -> None:
    with pytest.raises(SpecError, match="template_now must be a datetime, an ISO time"):
        loaded.template_now = value
