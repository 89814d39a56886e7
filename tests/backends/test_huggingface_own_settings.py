"""Backend huggingface_local: what a model's own configurations ask for."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.local.diagnosis import examine
from clemcore.backends.local.transformers.generation_config import for_one_call
from clemcore.errors import GenerationArgumentError, ModelLoadError
from clemcore.model import Model
from clemcore.registry.spec import ModelSpec
from support.tiny import CANBERRA, CAPITAL, END, copy_of, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds


def spec_of(folder: Path) -> ModelSpec:
    return ModelSpec(model_name="tiny", backend="huggingface_local", huggingface_id=str(folder))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("repetition_penalty", "1.1"),
        ("repetition_penalty", 0),
        ("bad_words_ids", [86]),
        ("bad_words_ids", []),
        ("suppress_tokens", ["a"]),
        ("no_repeat_ngram_size", -1),
        ("stop_strings", [5]),
        ("stop_strings", {"a": 1}),
        ("num_beams", "2"),
        ("min_length", 1.5),
        ("stop_strings", [""]),
        ("eos_token_id", True),
        ("encoder_repetition_penalty", "a"),
    ],
)
def test_a_wrong_value_is_named_when_the_model_is_loaded(
    tiny_chat: Path, tmp_path: Path, field: str, value: Any
) -> None:
    folder = copy_of(tiny_chat, tmp_path / "model", generation_config={field: value})
    with pytest.raises(ModelLoadError, match=rf"'tiny': .* {field} must be .*; correct generation_config.json"):
        load(folder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"guidance_scale": 1.5}, "guidance_scale 1.5 is not supported .it computes a second model"),
        ({"penalty_alpha": 0.6, "top_k": 4}, "penalty_alpha 0.6 is not supported .transformers 5 does not have it"),
        ({"dola_layers": "low"}, "dola_layers 'low' is not supported"),
        ({"force_words_ids": [[5]]}, "force_words_ids .* is not supported"),
        ({"num_beams": 4, "num_beam_groups": 2}, "num_beam_groups 2 is not supported"),
        (
            {"cache_implementation": "quantized"},
            "cache_implementation 'quantized' is not supported .how states are",
        ),
        ({"is_assistant": True, "use_mtp": True}, "is_assistant True is .*: remove is_assistant; use_mtp True is"),
        ({"token_healing": True}, "token_healing True is not supported .it changes the prompt"),
    ],
    ids=str,
)
def test_what_is_not_computed_is_refused_before_weights_are_read(
    tiny_chat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], message: str
) -> None:
    from transformers import AutoModelForCausalLM

    monkeypatch.delattr(AutoModelForCausalLM, "from_pretrained")
    folder = copy_of(tiny_chat, tmp_path / "model", generation_config=fields)
    with pytest.raises(
        ModelLoadError, match=rf"'tiny': the generation configuration that came with it .*{message}"
    ):
        load(folder)


@pytest.mark.parametrize("field", ["sequence_bias", "bad_words_ids"])
def test_tokens_that_the_model_does_not_have(tiny_chat: Path, tmp_path: Path, field: str) -> None:
    value = {"sequence_bias": [[[5, 99999], 1.0]], "bad_words_ids": [[5], [99999]]}[field]
    folder = copy_of(tiny_chat, tmp_path / "model", generation_config={field: value})
    with pytest.raises(ModelLoadError, match=rf"{field} has ids of tokens \(99999\) that the model does not have"):
        load(folder)


def test_integers_where_the_library_wants_floats(tiny_chat: Path, tmp_path: Path) -> None:
    fields = {"sequence_bias": [[[5], -3]], "encoder_repetition_penalty": 1}
    model: Model = load(copy_of(tiny_chat, tmp_path / "model", generation_config=fields))
    assert model.generate_response(CAPITAL).text == CANBERRA
    assert model.generate_response(CAPITAL, gen_args={"sequence_bias": [[[5], 2]]}).text == CANBERRA


def test_what_the_library_refuses_at_each_call_is_refused_once(tiny_chat: Path, tmp_path: Path) -> None:
    mark = {"bias": 2.0, "greenlist_ratio": 1}
    folder = copy_of(tiny_chat, tmp_path / "model", generation_config={"watermarking_config": mark})
    with pytest.raises(
        ModelLoadError, match=r"'tiny': the generation configuration .* cannot be used: .*greenlist"
    ):
        load(folder)


def test_the_doctor_names_it(tiny_chat: Path, tmp_path: Path) -> None:
    folder = copy_of(tiny_chat, tmp_path / "model", generation_config={"guidance_scale": 1.5})
    (row,) = [row for row in examine(spec_of(folder)) if row.state == "fault"]
    assert row.name == "generation configuration"
    assert "guidance_scale 1.5 is not supported" in row.advice


def test_a_configuration_that_is_changed_later_is_checked_again(tiny_chat: Path) -> None:
    model = load(tiny_chat, {"premade_chat_template": True, "own_weights": True})
    model.model.generation_config.guidance_scale = 2.0
    with pytest.raises(ModelLoadError, match=r"guidance_scale 2.0 is not supported"):
        model.generate_response(CAPITAL)


@pytest.mark.parametrize(("field", "value"), [("top_p", "0.9"), ("min_p", 2), ("typical_p", [1])])
def test_wrong_values_for_sampling_matter_only_to_sampled_answers(
    tiny_chat: Path, tmp_path: Path, field: str, value: Any
) -> None:
    model: Model = load(copy_of(tiny_chat, tmp_path / "model", generation_config={field: value}))
    assert model.generate_response(CAPITAL).text == CANBERRA
    model.set_gen_args(temperature=0.5, max_tokens=5)
    with pytest.raises(
        GenerationArgumentError, match=rf"'tiny': .* {field} must be .*, or set {field} with the call"
    ):
        model.generate_response(CAPITAL)
    assert model.generate_response(CAPITAL, gen_args={field: 0.9}).facts["sent"][field] == 0.9


def test_a_search_names_the_field_that_asks_for_it(tiny_chat: Path, tmp_path: Path) -> None:
    fields = {"prompt_lookup_num_tokens": 3}
    model: Model = load(copy_of(tiny_chat, tmp_path / "model", generation_config=fields))
    with pytest.raises(
        GenerationArgumentError, match=r"asks for prompt_lookup_num_tokens 3, which excludes temperature: .* remove"
    ):
        model.generate_response(CAPITAL, gen_args={"temperature": 1})


def test_no_limit_in_the_words_of_other_programs(tiny_chat: Path, tmp_path: Path) -> None:
    """The configurations of some models say -1, as vLLM does; as a count it excludes the least likely token."""
    answers = []
    for top_k in (-1, 0):
        folder = copy_of(tiny_chat, tmp_path / str(top_k), generation_config={"top_k": top_k})
        model = load(folder)
        model.set_gen_args(temperature=5.0, max_tokens=20, seed=1)
        answers.append(model.generate_response(CAPITAL))
        assert answers[-1].facts["sent"]["top_k"] == 0
    assert answers[0].text == answers[1].text


@pytest.mark.parametrize("kind", ["dynamic", "hybrid"])
def test_names_of_the_usual_cache_keep_prefixes(tiny_chat: Path, tmp_path: Path, kind: str) -> None:
    """Gemma 2 and 3 say "hybrid", which generate() takes as its default."""
    folder = copy_of(tiny_chat, tmp_path / "model", generation_config={"cache_implementation": kind})
    model = load(folder, {"premade_chat_template": True, "eos_to_cull": END, "prefill_block": 8})
    model.generate_response(CAPITAL)
    assert model.generate_response(CAPITAL).facts["prefill"]["kept"] > 0


def test_a_watermark_is_the_same_in_all_modes_and_json_in_the_record(tiny_chat: Path, tmp_path: Path) -> None:
    mark = {"bias": 8.0, "greenlist_ratio": 0.25}
    model = load(copy_of(tiny_chat, tmp_path / "model", generation_config={"watermarking_config": mark}))
    model.set_gen_args(max_tokens=12)
    alone = model.generate_response(CAPITAL)
    assert alone.text != CANBERRA
    batch = model.generate_batch_response([CAPITAL, CAPITAL[:1]])
    assert batch[0].text == alone.text
    sent = json.loads(json.dumps(alone.facts["sent"]))
    assert sent["watermarking_config"].items() >= mark.items()


def test_outputs_without_names(tiny_chat: Path, tmp_path: Path) -> None:
    """``return_dict: false`` stands in config.json of models that were exported once."""
    folder = copy_of(tiny_chat, tmp_path / "model", config={"return_dict": False})
    model = load(folder)
    assert model.generate_response(CAPITAL).text == CANBERRA
    assert [reply.text for reply in model.generate_batch_response([CAPITAL, CAPITAL])] == [CANBERRA] * 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("no_repeat_ngram_size", 0), ("suppress_tokens", []), ("begin_suppress_tokens", []), ("top_k", None)],
)
def test_values_that_switch_a_field_off(tiny_chat: Path, tmp_path: Path, field: str, value: Any) -> None:
    folder = copy_of(tiny_chat, tmp_path / "model", generation_config={field: value})
    assert load(folder).generate_response(CAPITAL).text == CANBERRA


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"do_sample": True, "top_k": 5, "top_p": 0.9, "temperature": 2.0},
        {"num_beams": 2, "length_penalty": 0.5, "bad_words_ids": [[86]]},
        {"bad_words_ids": [[86], [5, 6]], "no_repeat_ngram_size": 3, "repetition_penalty": 1.2},
        {"sequence_bias": [[[86], -2.0]], "min_new_tokens": 2, "suppress_tokens": [7], "eos_token_id": [2, 3]},
        {"prompt_lookup_num_tokens": 2},
        {"watermarking_config": {"bias": 8.0, "greenlist_ratio": 0.25}},
        {"cache_implementation": "static"},
    ],
    ids=lambda fields: ",".join(fields) or "greedy",
)
def test_generate_does_not_change_values_that_its_calls_share(tiny_chat: Path, fields: dict[str, Any]) -> None:
    """It copies what it is given without its values; for the oracle, it copies the values as well."""
    import torch
    from transformers import GenerationConfig

    model = load(tiny_chat).model
    model.generation_config = GenerationConfig()
    row = torch.tensor([[305, 351, 300, 350, 267, 399, 16]])
    inputs = {"input_ids": row, "attention_mask": torch.ones_like(row)}
    config = GenerationConfig(**{"pad_token_id": 0, "eos_token_id": 2, **fields})
    before = copy.deepcopy(vars(config))
    torch.manual_seed(1)
    expected = model.generate(**inputs, generation_config=GenerationConfig(**{**before, "max_new_tokens": 12}))
    for _ in range(2):
        torch.manual_seed(1)
        assert model.generate(**inputs, generation_config=for_one_call(config, 12)).equal(expected)
        assert repr(vars(config)) == repr(before)
