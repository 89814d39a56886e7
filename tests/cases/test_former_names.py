"""Code of 3.7.2 that uses a backend's module by itself works, or one error says what to do."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.errors import SpecError
from support.tiny import END, think


def _local() -> Any:
    pytest.importorskip("transformers")
    return importlib.import_module("clemcore.backends.huggingface_local_api")


def _spec(folder: Path, **config: Any) -> backends.ModelSpec:
    config = {"premade_chat_template": True, "eos_to_cull": END, **config}
    return backends.ModelSpec(
        model_name="tiny", backend="huggingface_local", huggingface_id=str(folder), model_config=config
    )


# -- parts of a local model --------------------------------------------------------------------------------------
@pytest.mark.slow
def test_tokenizer_and_configuration_are_loaded_without_weights(tiny_chat: Path) -> None:
    tokenizer, config = _local().load_config_and_tokenizer(_spec(tiny_chat))
    assert config.model_type
    assert tokenizer.padding_side == "left"
    assert tokenizer.pad_token_id is not None
    assert len(tokenizer(["a", "a longer one"], padding=True).input_ids) == 2
    other, _ = _local().load_config_and_tokenizer(_spec(tiny_chat))
    other.chat_template = "changed"  # as training code does
    assert tokenizer.chat_template != "changed"


@pytest.mark.slow
def test_the_tokenizer_has_the_template_of_the_entry(tiny_chat: Path) -> None:
    template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    spec = _spec(tiny_chat, premade_chat_template=False, custom_chat_template=template)
    tokenizer, _ = _local().load_config_and_tokenizer(spec)
    assert tokenizer.apply_chat_template([{"role": "user", "content": "Hello!"}], tokenize=False) == "Hello!"


@pytest.mark.slow
def test_weights_are_loaded_by_themselves(tiny_chat: Path) -> None:
    model = _local().load_model(_spec(tiny_chat))
    assert sum(parameter.numel() for parameter in model.parameters()) > 0
    assert not model.training
    with pytest.raises(SpecError, match=r"did you mean .padding_side."):
        _local().load_model(_spec(tiny_chat, padding_sid="left"))


@pytest.mark.slow
def test_thinking_is_split_off_a_reply(tiny_chat: Path) -> None:
    model = think(tiny_chat, cot_start_tag="<think>")
    model.set_gen_args(max_tokens=3, temperature=0.0)
    split = _local().split_and_clean_cot_output
    thinking, answer = split("<think>Three plus one.</think> Four. Surely, it is four.", model)
    assert thinking == "Three plus one."
    assert answer
    assert "Surely, it is four." not in answer  # cut to max_tokens
    assert split("<think>without an end", model) == ("without an end", "")
    plain = _local().HuggingfaceLocal().get_model_for(_spec(tiny_chat))
    with pytest.raises(SpecError, match=r"does not set model_config.cot_output"):
        split("Four.", plain)


def test_names_that_are_not_functions() -> None:
    local = _local()
    assert local.FALLBACK_CONTEXT_SIZE == 256
    from clemcore.backends.local.transformers import loading

    before = local.logger.level
    try:
        local.logger.setLevel(logging.ERROR)
        assert not loading.logger.isEnabledFor(logging.WARNING)
    finally:
        local.logger.setLevel(before)


# -- backends of no model ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["HumanModelBackend", "CustomResponseModelBackend"])
@pytest.mark.parametrize(
    "fields",
    [
        {"model_name": "gpt-4o", "backend": "openai"},
        {"model_name": "gpt-4o"},
        {"model_name": "mock", "backend": "openai"},
        {"model_name": "human", "backend": "slurk"},
    ],
)
def test_they_refuse_models_of_other_backends(name: str, fields: dict[str, str]) -> None:
    backend = getattr(importlib.import_module("clemcore.backends.backend_registry"), name)()
    with pytest.raises(ValueError, match=f"'{fields['model_name']}' (is a model of the backend|names no backend)"):
        backend.get_model_for(backends.ModelSpec(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"model_name": "mock"},
        {"model_name": "programmatic"},
        {"model_name": "scripted", "backend": "mock"},
        {"model_name": "mock", "backend": "_player_programmed"},
        {"model_name": "terminal"},
        {"model_name": "Ada", "backend": "human"},
    ],
)
def test_they_take_their_own(fields: dict[str, str]) -> None:
    is_human = fields["model_name"] in ("terminal", "Ada")
    former = importlib.import_module("clemcore.backends.backend_registry")
    backend = former.HumanModelBackend() if is_human else former.CustomResponseModelBackend()
    model = backend.get_model_for(backends.ModelSpec(**fields))
    assert isinstance(model, backends.HumanModel if is_human else backends.CustomResponseModel)


def test_a_backend_derived_from_one_has_a_name_of_its_own() -> None:
    Path("lab_api.py").write_text(
        "from clemcore.backends.backend_registry import CustomResponseModelBackend\n"
        "class Lab(CustomResponseModelBackend):\n"
        "    pass\n"
    )
    model = backends.get_model_for({"model_name": "m", "backend": "lab"})
    assert model.generate_response([{"role": "user", "content": "Hi"}])[2] == "Hi"
