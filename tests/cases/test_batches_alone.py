"""A dialogue of a local batch gets what it gets alone; copies share weights, and the record identifies them."""

from __future__ import annotations

import copy
import gc
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.local.weight_files import sha256_of_weights, weight_files
from clemcore.errors import ModelLoadError
from support.tiny import CANBERRA, CAPITAL, THINK, copy_of, load, think

ADDITION = [{"role": "user", "content": "What is two plus two?"}]
GREETING = [{"role": "user", "content": "Hello!"}]
pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds


class TestRoom:
    def test_thinking_has_the_room_of_its_own_prompt(self, tiny_chat: Path) -> None:
        model = think(tiny_chat, cot_start_tag="<think>")
        batch = model.generate_batch_response([THINK, CAPITAL, GREETING])
        for reply in batch:
            assert reply.prompt["max_new_tokens"] == 512 - len(reply.prompt["input_ids"])
            assert reply.facts["sent"]["max_new_tokens"] == reply.prompt["max_new_tokens"]
        assert [reply.text for reply in batch] == ["It is four.", CANBERRA, "Hello! How can I help you?"]

    def test_limits_of_their_own(self, tiny_chat: Path) -> None:
        limits = [{"max_tokens": 2}, {"max_tokens": 5}, {}]
        batch = load(tiny_chat).generate_batch_response([CAPITAL, GREETING, ADDITION], gen_args=limits)
        assert [len(reply.response["output_ids"]) for reply in batch[:2]] == [2, 5]
        assert [reply.facts["finish_reason"] for reply in batch] == ["length", "length", "stop"]


def _rwkv() -> Any:
    from transformers import RwkvConfig, RwkvForCausalLM

    return RwkvForCausalLM, RwkvConfig(hidden_size=32, num_hidden_layers=2, context_length=256)


def _mamba() -> Any:
    from transformers import MambaConfig, MambaForCausalLM

    return MambaForCausalLM, MambaConfig(hidden_size=32, num_hidden_layers=2, state_size=8)


def _gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel, GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=256)


class TestMask:
    """Whether an architecture ignores hidden tokens is tried, not looked up."""

    @pytest.mark.parametrize(("make", "honours"), [(_rwkv, False), (_mamba, True), (_gpt2, True)])
    def test_a_batch_gives_what_each_gives_alone(
        self, tiny_chat: Path, tmp_path: Path, make: Callable[[], Any], honours: bool
    ) -> None:
        import torch

        from clemcore.backends.local.transformers.masking import honours_mask

        folder = copy_of(tiny_chat, tmp_path / "tiny")
        architecture, config = make()
        config.update({"vocab_size": 400, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0})
        torch.manual_seed(0)
        made = architecture(config).eval()
        made.generation_config.do_sample = False
        made.save_pretrained(folder)
        model = load(folder)
        model.set_gen_args(max_tokens=12)
        batch = model.generate_batch_response([ADDITION, GREETING])
        alone = [model.generate_response(ADDITION), model.generate_response(GREETING)]
        assert [r.response["output_ids"] for r in batch] == [r.response["output_ids"] for r in alone]
        assert honours_mask(model.model, alone[0].prompt["input_ids"]) is honours


class TestCopies:
    def test_a_copy_shares_the_weights_and_has_its_own_settings(self, tiny_chat: Path) -> None:
        model = load(tiny_chat, {"custom_chat_template": "{{ shout }}{{ messages[0].content }}"})
        model.set_gen_args(max_tokens=3, stop=["x"])
        other = copy.deepcopy(model)
        assert other.model is model.model
        other.set_gen_arg("max_tokens", 5)
        other.gen_args["stop"].append("y")
        other.chat_template_kwargs = {"shout": "!"}
        other.template_now = "2026-01-01"
        assert model.gen_args == {"max_tokens": 3, "stop": ["x"]}
        assert (model.chat_template_kwargs, model.template_now) == ({}, None)
        assert other.generate_response(GREETING).prompt["inputs"] == "!Hello!"
        assert model.generate_response(GREETING).prompt["inputs"] == "Hello!"

    @pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy])
    def test_either_may_go_first(self, tiny_chat: Path, copied: Callable[[Any], Any]) -> None:
        model = load(tiny_chat)
        other = copied(model)
        del model
        gc.collect()
        assert other.generate_response(CAPITAL).text == CANBERRA
        third = copied(other)
        del other
        assert third.generate_response(CAPITAL).text == CANBERRA

    def test_players_of_one_game_stay_one_model(self, tiny_chat: Path) -> None:
        model = load(tiny_chat)
        first, second = copy.deepcopy([model, model])
        assert first is second
        assert first == model


class TestRecord:
    def test_it_identifies_the_weights(self, tiny_chat: Path) -> None:
        facts = load(tiny_chat, {"attn_implementation": "eager"}).generate_response(GREETING).facts["model"]
        weights = (tiny_chat / "model.safetensors").read_bytes()
        assert facts["weights_sha256"] == hashlib.sha256(weights).hexdigest()
        assert (facts["attention"], facts["quantization"], facts["adapter"]) == ("eager", None, None)

    def test_changed_weights_have_another_hash(self, tmp_path: Path) -> None:
        one, two = tmp_path / "a.bin", tmp_path / "b.bin"
        one.write_bytes(b"1")
        assert sha256_of_weights(weight_files(tmp_path)) == hashlib.sha256(b"1").hexdigest()
        one.write_bytes(b"22")
        assert sha256_of_weights(weight_files(tmp_path)) == hashlib.sha256(b"22").hexdigest()
        two.write_bytes(b"3")
        lines = "".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in (one, two))
        assert sha256_of_weights(weight_files(tmp_path)) == hashlib.sha256(lines.encode()).hexdigest()
        assert sha256_of_weights([]) is None

    def test_how_weights_are_quantized(self) -> None:
        from types import SimpleNamespace

        from clemcore.backends.local.transformers.description import quantization_of

        assert quantization_of(SimpleNamespace()) is None
        for fields, found in (
            ({"quant_method": "gptq", "bits": 4}, {"method": "gptq", "bits": 4}),
            ({"quant_method": "bitsandbytes", "load_in_8bit": True}, {"method": "bitsandbytes", "bits": 8}),
            ({"quant_method": "fp8"}, {"method": "fp8", "bits": None}),
        ):
            assert quantization_of(SimpleNamespace(quantization_config=fields)) == found

    def test_nothing_is_written_to_standard_error(self, tiny_chat: Path, tmp_path: Path) -> None:
        folder = copy_of(
            tiny_chat,
            tmp_path / "tiny",
            config={"pad_token_id": -1},
            generation_config={"pad_token_id": -1, "top_p": 0.5, "do_sample": True},
            tokenizer_config={"model_max_length": 8},
        )
        code = (
            "import sys; from pathlib import Path; from support.tiny import load, CAPITAL, CANBERRA\n"
            "model = load(Path(sys.argv[1]))\n"
            "short = [{'role': 'user', 'content': 'Hello!'}]\n"
            "assert model.generate_batch_response([CAPITAL, short])[0].text == CANBERRA\n"
            "model.set_gen_args(max_tokens=480, temperature=1.0, seed=1)\n"
            "model.generate_response(short)\n"
        )
        path = {"PYTHONPATH": ":".join([str(Path(__file__).parent.parent), *sys.path])}
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **path},
            timeout=300,
        )
        assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


def test_a_configuration_with_fewer_layers_than_the_file(tiny_chat: Path, tmp_path: Path) -> None:
    folder = copy_of(tiny_chat, tmp_path / "tiny", config={"num_hidden_layers": 1})
    with pytest.raises(
        ModelLoadError, match=r"'tiny': 9 weights in .* would not be used: model.layers.1.input_lay"
    ):
        load(folder)


def test_weights_that_the_library_ignores_are_no_fault(tiny_chat: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder = copy_of(tiny_chat, tmp_path / "tiny")
    weights = load_file(folder / "model.safetensors")
    # Files of old versions have it, and transformers lists it.
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(16)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert load(folder).generate_response(CAPITAL).text == CANBERRA
    weights["model.layers.0.self_attn.own"] = torch.ones(16)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelLoadError, match=r"1 weights in .* would not be used: model.layers.0.self_attn.own"):
        load(folder)
