"""Faults of entries and files of local models: each is refused before weights are read, with what to do."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocal
from clemcore.backends.local.entry import read_entry
from clemcore.backends.local.weight_files import fault_of
from clemcore.errors import GenerationArgumentError, ModelLoadError, SpecError
from clemcore.model import Model
from clemcore.registry.spec import ModelSpec
from support.tiny import CAPITAL, END, change, copy_of, load

CONFIG = {"premade_chat_template": True, "eos_to_cull": END}


def entry_of(source: Path | str, **config: Any) -> ModelSpec:
    return ModelSpec(model_name="m", huggingface_id=str(source), model_config={**CONFIG, **config})


def test_a_revision_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(
        SpecError, match=r"revision is a commit.* on the hub, and huggingface_id .* is on this machine"
    ):
        read_entry(entry_of(tmp_path, revision="main"))
    assert read_entry(entry_of("o/m", revision="main")).revision == "main"


@pytest.mark.parametrize("source", ["a b/c", "ä/b", "-a/b", "a/b-", "a--b/c", "a/b.git", "a/" + "b" * 97, "a\nb"])
def test_an_id_that_the_hub_cannot_have(source: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    with pytest.raises(HFValidationError):
        validate_repo_id(source)
    with pytest.raises(SpecError, match=r"is not a folder or file of this machine, and not an id of the hub"):
        read_entry(entry_of(source))
    with pytest.raises(SpecError, match=r"peft_model .* is not a folder of this machine, and not an id of the hub"):
        read_entry(entry_of("o/m", peft_model=source))


@pytest.mark.parametrize(
    "size",
    ["9" * 400, "9" * 5000, 1 << 20_000, "٣k", "1e3"],
    ids=lambda size: str(size)[:5] if isinstance(size, str) else "int",
)
def test_a_context_size_that_is_none(size: Any) -> None:
    with pytest.raises(SpecError, match=r'context_size must be like 8192, "8192" or "128k", not ') as caught:
        read_entry(ModelSpec(model_name="m", huggingface_id="o/m", context_size=size, model_config=CONFIG))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"device": 1}, r'model_config.device must be a string, not an integer; .* as "cuda:1"'),
        (
            {"device_map": 1},
            r'not an integer; write "auto", or .* one device for all layers in device, as "cuda:1"',
        ),
        ({"device_map": 1.5}, r'not a number; write "auto", or leave device_map out'),
    ],
)
def test_a_device_that_is_a_number(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        read_entry(entry_of("o/m", **setting))


def test_a_gguf_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match=r"the GGUF file '.*x.gguf' of huggingface_id is not there: correct the path"
    ):
        read_entry(entry_of(tmp_path / "x.gguf"))
    (tmp_path / "other.gguf").touch()
    with pytest.raises(SpecError, match=r"is not there: its folder has other.gguf"):
        read_entry(entry_of(tmp_path / "x.gguf"))


def test_a_folder_without_a_configuration(tmp_path: Path) -> None:
    from clemcore.backends.local.transformers.loading import load_config

    (tmp_path / "model.safetensors").touch()
    entry = read_entry(entry_of(tmp_path))
    with pytest.raises(ModelLoadError, match=r"cannot load the .* it has no config.json: copy or download"):
        load_config(entry, {})
    (tmp_path / "adapter_config.json").touch()
    with pytest.raises(
        ModelLoadError, match=r"has no config.json: it holds an adapter: .* model_config.peft_model"
    ):
        load_config(entry, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "has no weight_map that names a file for each weight"),
        ('{"weight_map": 5}', "has no weight_map that names a file for each weight"),
        ('{"weight_map": {"a": 5}}', "has no weight_map that names a file for each weight"),
        ('{"weight_map": {}}', "has no weight_map that names a file for each weight"),
        ('{"weight_map": {"a": "b.safetensors"}}', 'has no "metadata", which transformers needs'),
    ],
)
def test_an_index_that_says_nothing(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(content)
    assert re.search(message, str(fault_of(path)))


@pytest.mark.slow
class TestFiles:
    @pytest.fixture(autouse=True)
    def _unread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Weights that are read are a failure of the test."""
        from transformers import AutoModelForCausalLM

        def read(*_: Any, **__: Any) -> None:
            raise AssertionError("weights were read")

        monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", read)

    @pytest.mark.parametrize(
        ("map_", "message"),
        [
            ({"nothing": "cpu"}, r"names 'nothing', which is not a module .* its parts are 'model', 'lm_head'"),
            ({"model.layer": "cpu"}, r"names 'model.layer', .*: did you mean 'model.layers'\?"),
            ({"model.embed_tokens": "cpu"}, r"says no device for \d+ weights: model.layers.0"),
        ],
    )
    def test_a_map_of_other_modules(self, tiny_chat: Path, map_: dict[str, str], message: str) -> None:
        with pytest.raises(SpecError, match=message):
            load(tiny_chat, {**CONFIG, "device_map": map_})

    def test_max_memory_that_is_too_small_says_so(self, tiny_chat: Path) -> None:
        with pytest.raises(ModelLoadError, match=r"100 kB are free by max_memory. Raise the limits of .* by 66 MB"):
            load(tiny_chat, {**CONFIG, "device_map": "auto", "max_memory": {"cpu": "100kB"}})

    @pytest.mark.parametrize(
        ("dtype", "words"),
        [
            ("floatt", r"config.json of '.*' has the dtype 'floatt', which torch does not have: correct it there"),
            ("torch.float32", r"has the dtype 'torch.float32', which torch does not have"),
            ("nn", r"has the dtype 'nn', which torch does not have"),
            (["float32"], r"has the dtype \['float32'\], which torch does not have"),
            ("int8", r"config.json of '.*' has the dtype 'int8', in which models do not compute: say another one"),
            ("float8_e4m3fn", r"has the dtype 'float8_e4m3fn', in which models do not compute"),
        ],
        ids=str,
    )
    def test_a_number_format_that_is_none(self, tiny_chat: Path, tmp_path: Path, dtype: Any, words: str) -> None:
        other = copy_of(tiny_chat, tmp_path / "other", config={"dtype": dtype})
        with pytest.raises(ModelLoadError, match=words):
            load(other)

    def test_a_number_format_in_a_part_of_a_configuration(self, tiny_chat: Path, tmp_path: Path) -> None:
        from clemcore.backends.local.transformers.known_faults import cause_of

        other = copy_of(tiny_chat, tmp_path / "other", config={"a_config": [{"compute_dtype": "floatt"}]})
        error = AttributeError("module 'torch' has no attribute 'floatt'")
        assert cause_of(other, "weights", error, "0") == (
            f"{other / 'config.json'} has compute_dtype 'floatt', which torch does not have: correct it, or "
            "download it again"
        )

    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            ({"quant_method": 5}, "quantization_config.quant_method must be a text, not 5"),
            ({"bits": 4}, "quantization_config does not say how: add quant_method"),
        ],
        ids=str,
    )
    def test_a_quantization_without_a_method(self, tiny_chat: Path, asked: dict[str, Any], words: str) -> None:
        with pytest.raises(SpecError, match=words):
            load(tiny_chat, {**CONFIG, "quantization_config": asked})

    @pytest.mark.parametrize("changes", [{"intermediate_size": 64}, {"vocab_size": 300}], ids=str)
    def test_shapes_of_another_configuration(
        self, tiny_chat: Path, tmp_path: Path, changes: dict[str, int]
    ) -> None:
        other = copy_of(tiny_chat, tmp_path / "other", config=changes)
        with pytest.raises(ModelLoadError, match=r"have other shapes than its configuration says: model\."):
            load(other)

    @pytest.mark.parametrize(
        ("stored", "message"),
        [
            ({"quant_method": "frobnicate", "bits": 3}, r"says quant_method 'frobnicate', so .* known are aqlm, "),
            ({"bits": 3}, r"does not say its quant_method"),
            (
                {"quant_method": "awq", "bits": 4},
                r"\(awq\) cannot be loaded here: a package is missing: .*gptqmodel",
            ),
        ],
        ids=str,
    )
    def test_a_quantization_that_is_not_known(
        self, tiny_chat: Path, tmp_path: Path, stored: dict[str, Any], message: str
    ) -> None:
        other = copy_of(tiny_chat, tmp_path / "other", config={"quantization_config": stored})
        with pytest.raises(ModelLoadError, match=message):
            load(other)

    @pytest.mark.parametrize("values", [{"num_hidden_layers": 10**12}, {"text_config": {"n_routed_experts": 1e9}}])
    def test_a_number_of_modules_that_would_fill_the_memory(self, altered: Path, values: dict[str, Any]) -> None:
        change(altered / "config.json", **values)
        with pytest.raises(
            ModelLoadError, match=r"'tiny': config.json of .* has (num_hidden_layers 10{12}|n_routed_)"
        ):
            load(altered)

    @pytest.mark.parametrize("content", ["{", "[]"])
    def test_a_generation_configuration_that_is_broken(self, altered: Path, content: str) -> None:
        (altered / "generation_config.json").write_text(content)
        with pytest.raises(
            ModelLoadError, match=r"generation_config.json cannot be read: .* which tokens end a reply"
        ):
            load(altered)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"hidden_act": "silo"},
                r"says hidden_act 'silo', which transformers .* not know: did you mean 'silu'\?",
            ),
            (
                {"rope_parameters": {"rope_type": "spiral", "rope_theta": 10000.0}},
                r"says rope_parameters.rope_type 'spiral', which transformers 5.* does not know: correct",
            ),
        ],
        ids=str,
    )
    def test_names_that_the_library_does_not_know(
        self, tiny_chat: Path, tmp_path: Path, changes: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ModelLoadError, match=message):
            load(copy_of(tiny_chat, tmp_path / "other", config=changes))

    @pytest.mark.parametrize(
        ("kind", "message"),
        [
            ("T5Config", "has an encoder beside its decoder .T5Config."),
            ("BartConfig", "has an encoder beside its decoder .BartConfig."),
            ("BertConfig", "fills gaps in a text .BertConfig."),
            ("CLIPConfig", "is not one that continues a text .CLIPConfig."),
        ],
    )
    def test_models_that_do_not_continue_a_text(self, altered: Path, kind: str, message: str) -> None:
        import transformers

        getattr(transformers, kind)().save_pretrained(altered)
        with pytest.raises(
            ModelLoadError, match=rf"'tiny': .* {message}, so it is not a chat model of this backend"
        ):
            load(altered)

    def test_the_template_of_a_processor(self, altered: Path) -> None:
        text = (altered / "chat_template.jinja").read_text()
        (altered / "chat_template.jinja").unlink()
        older = altered / "chat_template.json"
        older.write_text(json.dumps({"chat_template": text}))
        with pytest.raises(
            SpecError, match=rf"{older} is the file of a processor: .* custom_chat_template to '{older}'"
        ):
            load(altered)
        spec = entry_of(altered, premade_chat_template=False, custom_chat_template=str(older))
        assert "<|im_start|>user" in HuggingfaceLocal.render(spec, CAPITAL, {}, ())

    @pytest.mark.parametrize(
        ("wanted", "message"),
        [
            (
                {"load_in_4bit": True, "bnb_4bit_quant_type": "nf5"},
                "bnb_4bit_quant_type must be 'nf4' or 'fp4', not 'nf5'",
            ),
            (
                {"load_in_4bit": True, "bnb_4bit_quan_type": "nf4"},
                "no 'bnb_4bit_quan_type': did you mean 'bnb_4bit_quant_",
            ),
            ({"load_in_4bitt": True}, r"no 'load_in_4bitt': did you mean 'load_in_4bit'\?"),
            (
                {"quant_method": "gptq", "bits": 4, "group_sise": 32},
                r"no 'group_sise': did you mean 'group_size'\?",
            ),
        ],
        ids=str,
    )
    def test_a_quantization_with_a_fault(self, tiny_chat: Path, wanted: dict[str, Any], message: str) -> None:
        pytest.importorskip("bitsandbytes")
        with pytest.raises(SpecError, match=f"'tiny': quantization_config.*{message}"):
            load(tiny_chat, {**CONFIG, "quantization_config": wanted})

    @pytest.mark.parametrize(
        ("attention", "message"),
        [
            ("paged|sdpa", "is for continuous batching alone, which clemcore sets up by itself: write 'sdpa'"),
            ("clemcore_rowwise", "is not one that transformers has: choose one of eager, "),
            ("spda", r"is not one that transformers has: did you mean 'sdpa'\?"),
            ("flash_attention_4", "needs the package 'flash-attn-4'"),
        ],
    )
    def test_attention_that_is_not_there(self, tiny_chat: Path, attention: str, message: str) -> None:
        with pytest.raises(SpecError, match=f"'tiny': attn_implementation '{re.escape(attention)}' {message}"):
            load(tiny_chat, {**CONFIG, "attn_implementation": attention})

    def test_a_broken_index(self, altered: Path) -> None:
        shutil.move(altered / "model.safetensors", altered / "model-00001-of-00001.safetensors")
        (altered / "model.safetensors.index.json").write_text(json.dumps({"weight_map": 5}))
        with pytest.raises(ModelLoadError, match=r"index.json has no weight_map that names a file"):
            load(altered)

    def test_an_adapter_of_the_hub_while_offline(self, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from huggingface_hub import constants

        pytest.importorskip("peft")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(
            ModelLoadError, match=r"adapter_config.json of 'someone/adapter' is not in .* peft_model"
        ):
            load(tiny_chat, {**CONFIG, "peft_model": "someone/adapter"})


@pytest.mark.slow
class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"seed": 3}, r"seed: has no effect at temperature 0 \(greedy decoding\): leave seed out"),
            ({"min_new_tokens": 30, "max_tokens": 10}, r"min_new_tokens: 30 is more than max_tokens \(10\)"),
        ],
    )
    def test_without_effect(self, tiny_chat: Path, arguments: dict[str, Any], message: str) -> None:
        strict: Model = load(tiny_chat)
        with pytest.raises(GenerationArgumentError, match=message):
            strict.generate_response(CAPITAL, gen_args=arguments)
        lenient: Model = load(tiny_chat, {**CONFIG, "on_unsupported": "drop"})
        parameters = lenient.generate_response(CAPITAL, gen_args=arguments).facts["parameters"]
        assert next(iter(arguments)) in parameters["dropped"]

    def test_of_a_model_that_thinks_max_tokens_limits_the_answer_alone(self, tiny_chat: Path) -> None:
        model: Model = load(tiny_chat, {**CONFIG, "cot_output": True, "cot_end_tag": "</think>"})
        model.generate_response(CAPITAL, gen_args={"min_new_tokens": 5, "max_tokens": 2})
