"""Backend huggingface_local: GGUF files, adapters, 8 and 4 bits; each on a model that is built in seconds."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.local.diagnosis import examine
from clemcore.errors import ModelLoadError, SpecError
from clemcore.registry.spec import ModelSpec
from support.architectures import save
from support.gguf_files import write_gguf
from support.tiny import CANBERRA, CAPITAL, END, change, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

CONFIG = {"premade_chat_template": True, "eos_to_cull": END}


class TestGguf:
    def test_by_file_and_by_folder(
        self, tiny_chat: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """The prompt's ids are those of the model's own tokenizer, and so are the answers."""
        file = write_gguf(tiny_chat, tmp_path / "tiny.gguf")
        own = load(tiny_chat).generate_response(CAPITAL)
        capfd.readouterr()
        for model in (load(file), load(tmp_path, {**CONFIG, "filename": "tiny.gguf"})):
            reply = model.generate_response(CAPITAL)
            assert reply.text == CANBERRA
            assert reply.prompt["input_ids"] == own.prompt["input_ids"]
            assert len(reply.facts["model"]["weights_sha256"]) == 64
        assert capfd.readouterr().err == ""

    def test_a_tokenizer_that_is_not_that_of_the_file(self, altered: Path, tmp_path: Path) -> None:
        write_gguf(altered, altered / "tiny.gguf")
        assert load(altered, {**CONFIG, "filename": "tiny.gguf"}).generate_response(CAPITAL).text == CANBERRA
        tokenizer = altered / "tokenizer.json"
        described = json.loads(tokenizer.read_text())
        ids = described["model"]["vocab"]
        ids["a"], ids["b"] = ids["b"], ids["a"]
        tokenizer.write_text(json.dumps(described))
        with pytest.raises(ModelLoadError, match=r"'tiny': .*tiny.gguf has another tokenizer than tokenizer.json"):
            load(altered, {**CONFIG, "filename": "tiny.gguf"})

    def test_files_that_are_none(self, tiny_chat: Path, tmp_path: Path) -> None:
        with pytest.raises(SpecError, match=r"the folder .* is empty: download or copy the model into it"):
            load(tmp_path)
        write_gguf(tiny_chat, tmp_path / "tiny.gguf")
        with pytest.raises(SpecError, match=r"has GGUF files and no config.json: name one .* \(tiny.gguf\)"):
            load(tmp_path)
        with pytest.raises(SpecError, match=r"filename 'other.gguf' is not in .*: it has tiny.gguf"):
            load(tmp_path, {**CONFIG, "filename": "other.gguf"})
        with pytest.raises(SpecError, match=r"'.*model.safetensors' is a file: name its folder, or a GGUF file"):
            load(tiny_chat / "model.safetensors")
        with pytest.raises(SpecError, match=r"filename must name a GGUF file .*, not 'x.bin'"):
            load(tmp_path, {**CONFIG, "filename": "x.bin"})
        whole = (tmp_path / "tiny.gguf").read_bytes()
        (tmp_path / "tiny.gguf").write_bytes(b"GGUX" + whole[4:])
        with pytest.raises(ModelLoadError, match="not a GGUF file"):
            load(tmp_path / "tiny.gguf")

    @pytest.mark.parametrize("share", [0.0001, 0.01, 0.5, 0.99999])
    def test_a_file_that_is_cut_off(self, tiny_chat: Path, tmp_path: Path, share: float) -> None:
        whole = write_gguf(tiny_chat, tmp_path / "tiny.gguf").read_bytes()
        (tmp_path / "tiny.gguf").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(
            ModelLoadError, match=r"'tiny': cannot load the configuration: .*tiny.gguf.*: copy or|; copy"
        ):
            load(tmp_path / "tiny.gguf")

    def test_the_doctor_knows_it(self, tiny_chat: Path, tmp_path: Path) -> None:
        file = write_gguf(tiny_chat, tmp_path / "tiny.gguf")
        spec = ModelSpec(model_name="tiny", backend="huggingface_local", huggingface_id=str(file))
        rows = examine(spec)
        assert [(row.name, row.state) for row in rows if row.state == "fault"] == []
        assert rows[0].value["bytes"] == file.stat().st_size
        file.write_bytes(file.read_bytes()[:200_000])
        assert "it is cut off" in examine(spec)[0].advice

    def test_a_name_in_capitals(self, tiny_chat: Path, tmp_path: Path) -> None:
        """transformers takes such a file for a pickle."""
        write_gguf(tiny_chat, tmp_path / "TINY.GGUF")
        for source, config in ((tmp_path / "TINY.GGUF", CONFIG), (tmp_path, {**CONFIG, "filename": "TINY.GGUF"})):
            with pytest.raises(SpecError, match=r"rename TINY.GGUF to TINY.gguf, or use the backend llamacpp"):
                load(source, config)
        with pytest.raises(SpecError, match=r"has GGUF files and no config.json: name one .* \(TINY.GGUF\)"):
            load(tmp_path)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of peft, about names in transformers
class TestAdapters:
    @pytest.fixture
    def adapter(self, tiny_chat: Path, tmp_path: Path) -> Path:
        peft = pytest.importorskip("peft")
        import torch
        from transformers import AutoModelForCausalLM

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
            model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_chat), config)
        model.save_pretrained(tmp_path / "adapter")
        return tmp_path / "adapter"

    def test_it_changes_the_scores_as_peft_does(self, tiny_chat: Path, adapter: Path) -> None:
        import peft
        import torch
        from transformers import AutoModelForCausalLM

        plain, model = load(tiny_chat), load(tiny_chat, {**CONFIG, "peft_model": str(adapter)})
        ids = torch.tensor([plain.generate_response(CAPITAL).prompt["input_ids"]])
        direct = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_chat), adapter).eval()
        with torch.no_grad():
            scores = [each(input_ids=ids).logits for each in (plain.model, model.model, direct)]
        assert not torch.equal(scores[0], scores[1])
        assert torch.equal(scores[1], scores[2])
        facts = model.generate_response(CAPITAL).facts["model"]["adapter"]
        assert facts["source"] == str(adapter)
        assert len(facts["weights_sha256"]) == 64

    def test_one_with_a_template_of_its_own(
        self, tiny_chat: Path, adapter: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Trainers save the template that they trained with beside the adapter; nothing reads it there."""
        own = (tiny_chat / "chat_template.jinja").read_text()
        for text, is_other in ((own, False), (own.replace("user", "USER") + " ", True)):
            (adapter / "chat_template.jinja").write_text(text)
            caplog.clear()
            load(tiny_chat, {**CONFIG, "peft_model": str(adapter)})
            assert (f"peft_model '{adapter}' comes with another chat template" in caplog.text) is is_other
        config = {"premade_chat_template": False, "custom_chat_template": str(adapter)}
        caplog.clear()
        model = load(tiny_chat, {"peft_model": str(adapter), **config})
        assert "another chat template" not in caplog.text
        assert str(model.generate_response(CAPITAL).prompt["inputs"]).endswith(" ")

    def test_one_of_another_model(self, tiny_chat: Path, adapter: Path, tmp_path: Path) -> None:
        other = save("llama", tmp_path / "other", tiny_chat, vocab_size=512, hidden_size=32, head_dim=8)
        with pytest.raises(ModelLoadError, match=r"was made for another model \('.*'\), not for .*: its '.*' has"):
            load(other, {"premade_chat_template": True, "peft_model": str(adapter)})

    def test_one_of_which_weights_are_missing(self, tiny_chat: Path, adapter: Path) -> None:
        from safetensors.torch import load_file, save_file

        file = adapter / "adapter_model.safetensors"
        save_file({name: value for name, value in load_file(file).items() if "lora_B" not in name}, file)
        with pytest.raises(ModelLoadError, match=r"'tiny': .* is not whole: weights are missing \(.*lora_B.*, …\)"):
            load(tiny_chat, {**CONFIG, "peft_model": str(adapter)})

    def test_one_of_which_weights_would_not_be_used(self, tiny_chat: Path, adapter: Path) -> None:
        change(adapter / "adapter_config.json", target_modules=["q_proj"])
        with pytest.raises(
            ModelLoadError, match=r"would not be used \(.*v_proj.*, …\): its adapter_config.json .* does not belong"
        ):
            load(tiny_chat, {**CONFIG, "peft_model": str(adapter)})

    def test_names_that_no_layer_has(self, tiny_chat: Path, adapter: Path) -> None:
        from safetensors.torch import load_file, save_file

        file = adapter / "adapter_model.safetensors"
        save_file({name.replace(".layers.", ".blocks."): value for name, value in load_file(file).items()}, file)
        with pytest.raises(ModelLoadError, match=r"does not fit the model: the model has no layer 'model.blocks"):
            load(tiny_chat, {**CONFIG, "peft_model": str(adapter)})

    def test_a_folder_that_is_none(self, tiny_chat: Path, adapter: Path) -> None:
        (adapter / "adapter_config.json").unlink()
        (adapter / "other.safetensors").write_bytes(b"what else is there is not looked at")
        with pytest.raises(
            ModelLoadError, match=r"has no adapter_config.json that can be read .*: name the folder"
        ):
            load(tiny_chat, {**CONFIG, "peft_model": str(adapter)})


@pytest.mark.parametrize(
    "settings",
    [
        {"load_in_8bit": True},
        {"load_in_4bit": True},
        {"quantization_config": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}},
    ],
    ids=["8 bits", "4 bits", "4 bits by a configuration"],
)
def test_bits(tiny_chat: Path, settings: dict[str, Any]) -> None:
    """The answer is that of transformers' own loading in the same format."""
    pytest.importorskip("bitsandbytes")
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bitsandbytes, about kernels
        model = load(tiny_chat, {**CONFIG, **settings})
        reply = model.generate_response(CAPITAL)
        asked = settings.get("quantization_config", settings)
        direct = AutoModelForCausalLM.from_pretrained(tiny_chat, quantization_config=BitsAndBytesConfig(**asked))
        ids = torch.tensor([reply.prompt["input_ids"]])
        made = direct.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=64
        )
    assert made[0, ids.shape[1] :].tolist() == reply.response["output_ids"]
    quantization = reply.facts["model"]["quantization"]
    assert quantization["bits"] == (8 if "load_in_8bit" in settings else 4)


class TestBadQuantization:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"load_in_8bit": True, "load_in_4bit": True}, "load_in_4bit and load_in_8bit exclude each other"),
            (
                {"quantization_config": {"quant_method": "guess"}},
                "quantization_config is not one that transformers",
            ),
            ({"dtype": "int8"}, r"dtype must be .* not 'int8' \(for int8 set load_in_8bit\)"),
        ],
        ids=["two", "unknown", "int8"],
    )
    def test_settings(self, tiny_chat: Path, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(SpecError, match=message):
            load(tiny_chat, {**CONFIG, **settings})

    def test_a_checkpoint_whose_package_is_missing(self, altered: Path) -> None:
        from support.tiny import change

        change(altered / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
        with pytest.raises(ModelLoadError, match=r"weights that are quantized \(gptq\) cannot be loaded here"):
            load(altered)


@pytest.mark.parametrize("dtype", [True, 1.5, "float15", "Tensor", [1, 2]])
def test_a_stored_format_that_torch_does_not_have(altered: Path, dtype: Any) -> None:
    change(altered / "config.json", dtype=dtype)
    with pytest.raises(ModelLoadError, match=r"'tiny': .*(config.json .* has the dtype|the configuration)"):
        load(altered)


def test_a_shard_that_is_missing(tiny_chat: Path, tmp_path: Path) -> None:
    folder = save("llama", tmp_path / "sharded", tiny_chat)
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder, max_shard_size="300KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    load(folder, {"premade_chat_template": True})
    kept = shutil.copy(shards[1], tmp_path / "kept")
    shards[1].unlink()
    with pytest.raises(ModelLoadError, match=rf"'tiny': cannot load the weights: {shards[1].name} is missing in"):
        load(folder, {"premade_chat_template": True})
    shards[1].write_bytes(Path(kept).read_bytes()[:-10])
    shards[0].unlink()
    message = rf"{shards[0].name} is missing in .*; .*{shards[1].name} has \d+ bytes, but its header promises"
    with pytest.raises(ModelLoadError, match=message):
        load(folder, {"premade_chat_template": True})
    shutil.copy(kept, shards[1])
    shutil.copy(kept, shards[0])
    message = rf"{shards[0].name} does not have \d+ weights that .*index.json says it has \(model.*shard of another"
    with pytest.raises(ModelLoadError, match=message):
        load(folder, {"premade_chat_template": True})
