"""Backend huggingface_local: models of the same weights share them; the last one gives them back."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.errors import GenerationError, ModelLoadError
from clemcore.registry.spec import ModelSpec
from support.tiny import CANBERRA, CAPITAL, END, change, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds


def test_the_same_weights_are_loaded_once_with_separate_settings(tiny_chat: Path) -> None:
    one, two = load(tiny_chat), load(tiny_chat, {"eos_to_cull": END, "cot_output": True, "cot_end_tag": "</think>"})
    assert one.model is two.model
    one.set_gen_args(max_tokens=1)
    two.set_gen_args(temperature=0.0)
    assert one.generate_response(CAPITAL).text == "The"
    assert two.generate_response(CAPITAL).text == CANBERRA


@pytest.mark.parametrize(
    "config",
    [{"own_weights": True}, {"dtype": "bfloat16"}, {"attn_implementation": "eager"}, {"trust_remote_code": True}],
    ids=str,
)
def test_other_weights_are_not_shared(tiny_chat: Path, config: dict[str, Any]) -> None:
    assert load(tiny_chat).model is not load(tiny_chat, config).model


def test_a_format_that_is_named_is_the_one_that_is_stored(tiny_chat: Path) -> None:
    one = load(tiny_chat)
    assert one.model is load(tiny_chat, {"dtype": "torch.float32"}).model


@pytest.mark.parametrize(
    "config",
    [
        {"device": "cpu"},
        {"attn_implementation": "sdpa"},
        {"dtype": "float"},
        {"device_map": {"": "cpu"}},
        {"revision": None, "kept_cache": 0},
    ],
    ids=str,
)
def test_a_default_that_is_written_out_is_the_default(tiny_chat: Path, config: dict[str, Any]) -> None:
    import torch

    if torch.accelerator.is_available() and not {"dtype", "attn_implementation"} & config.keys():
        pytest.skip("the default is not the CPU")
    one = load(tiny_chat)
    assert one.model is load(tiny_chat, {name: value for name, value in config.items() if value is not None}).model


def test_one_quantization_in_two_spellings_is_one(tiny_chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clemcore.backends.local.entry import read_entry
    from clemcore.backends.local.transformers import formats, loading
    from clemcore.backends.local.transformers.identity import key_of

    def key(**config: Any) -> Any:
        entry = read_entry(ModelSpec(model_name="m", huggingface_id=str(tiny_chat), model_config=config))
        return key_of(entry, loading.load_config(entry, loading.hub_options(entry)))

    monkeypatch.setattr(formats, "require_package", lambda *_: None)  # nothing is loaded
    assert key(load_in_8bit=True) == key(quantization_config={"load_in_8bit": True}) != key()
    more = {"load_in_8bit": True, "llm_int8_threshold": 5.0}
    assert key(load_in_8bit=True) != key(quantization_config=more)


def test_a_folder_that_has_changed_is_loaded_anew(altered: Path) -> None:
    one = load(altered)
    change(altered / "generation_config.json", max_length=100)
    assert load(altered).model is not one.model


def test_the_last_one_frees_them(tiny_chat: Path) -> None:
    one, two = load(tiny_chat), load(tiny_chat)
    third = copy.deepcopy(two)
    weights = weakref.ref(next(one.model.parameters()))
    gc.disable()
    try:
        del one
        assert third.generate_response(CAPITAL).text == CANBERRA
        del two
        assert weights() is not None
        del third
        assert weights() is None
    finally:
        gc.enable()


def test_threads_that_load_at_once_share(tiny_chat: Path) -> None:
    models: list[Any] = [None] * 4

    def one(index: int) -> None:
        models[index] = load(tiny_chat)

    threads = [threading.Thread(target=one, args=(index,)) for index in range(len(models))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(model.model) for model in models}) == 1


def test_an_error_names_all_models_of_the_weights(tiny_chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = load(tiny_chat)
    spec = ModelSpec(model_name="other", backend="huggingface_local", huggingface_id=str(tiny_chat))
    two = backends.get_model_for(spec)

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(one.model, "forward", fails)
    with pytest.raises(GenerationError, match=r"model 'tiny', 'other': .*on purpose"):
        two.generate_response(CAPITAL)


def test_a_block_ends_with_the_memory_given_back(tiny_chat: Path) -> None:
    spec = ModelSpec(model_name="tiny", backend="huggingface_local", huggingface_id=str(tiny_chat))
    with backends.get_model_for(spec) as model:
        assert CANBERRA in model.generate_response(CAPITAL).text
        weights = weakref.ref(next(model.model.parameters()))  # type: ignore[attr-defined]
        other = load(tiny_chat)
    assert weights() is not None  # another model still has them
    with pytest.raises(ModelLoadError, match="model 'tiny' was closed, and its weights are gone: load it again"):
        model.generate_response(CAPITAL)
    assert other.generate_response(CAPITAL).text == CANBERRA
    other.close()
    assert weights() is None


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_model_is_not_pickled(tiny_chat: Path, is_closed: bool) -> None:
    model = load(tiny_chat)
    if is_closed:
        model.close()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(
            TypeError, match=r"model 'tiny' cannot be pickled: .* load it in the other process; copy"
        ):
            pickle.dumps([model], protocol)


def test_a_copy_outlives_its_model_and_a_closed_model_has_no_copy(tiny_chat: Path) -> None:
    model = load(tiny_chat)
    model.set_gen_args(max_tokens=3)
    other = copy.deepcopy({"models": [model]})["models"][0]
    other.set_gen_args(max_tokens=30)
    assert other.model is model.model
    assert model.max_tokens == 3
    model.close()
    for duplicate in (copy.copy, copy.deepcopy):
        with pytest.raises(
            ModelLoadError, match="model 'tiny' was closed, and its weights are gone: load it again"
        ):
            duplicate(model)
    assert other.generate_response(CAPITAL).text == CANBERRA


def test_every_model_has_blocks() -> None:
    with backends.get_model_for("mock") as model:
        assert model.generate_response(CAPITAL).text
