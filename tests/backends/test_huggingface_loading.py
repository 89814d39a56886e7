"""Backend huggingface_local: loading a model, and giving its memory back."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from clemcore.calls.recorder import record
from clemcore.errors import (
    MissingKeyError,
    ModelLoadError,
    SpecError,
)
from support.tiny import CANBERRA, CAPITAL, END, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds


class TestLoading:
    def test_number_format(self, tiny_chat: Path) -> None:
        assert (
            load(tiny_chat, {"dtype": "bfloat16"}).generate_response(CAPITAL).facts["model"]["dtype"] == "bfloat16"
        )
        assert str(load(tiny_chat, {"torch_dtype": "torch.float64"}).model.dtype) == "torch.float64"
        with pytest.raises(SpecError, match=r"dtype must be 'auto' or one of torch's, .* not 'float7'"):
            load(tiny_chat, {"dtype": "float7"})

    def test_attention_implementation(self, tiny_chat: Path) -> None:
        model = load(tiny_chat, {"attn_implementation": "eager"})
        assert model.config.model_type == "llama"
        assert model.model.config._attn_implementation == "eager"

    def test_weights_that_are_missing_are_not_made_up(self, altered: Path) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(altered / "model.safetensors")
        del weights["model.layers.1.mlp.up_proj.weight"]
        save_file(weights, altered / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(
            ModelLoadError, match=r"'tiny': 1 weights are missing in .*: model.layers.1.mlp.up_proj"
        ):
            load(altered)

    @pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
    def test_a_folder_that_is_not_whole(self, altered: Path, name: str) -> None:
        (altered / name).unlink()
        with pytest.raises(
            ModelLoadError, match=r"model 'tiny': cannot load the (configuration|tokenizer|weights) of"
        ):
            load(altered)

    def test_adapters_and_quantization_need_their_packages(
        self, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import importlib.util

        monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
        with pytest.raises(
            SpecError, match="load_in_4bit needs the package 'bitsandbytes': pip install bitsandbytes"
        ):
            load(tiny_chat, {"load_in_4bit": True})
        with pytest.raises(SpecError, match="peft_model needs the package 'peft': pip install peft"):
            load(tiny_chat, {"peft_model": "adapter"})

    def test_threads_only_by_the_entry(self, tiny_chat: Path) -> None:
        import torch

        before = torch.get_num_threads()
        load(tiny_chat)
        assert torch.get_num_threads() == before
        load(tiny_chat, {"torch_num_threads": before + 1})
        assert torch.get_num_threads() == before + 1
        torch.set_num_threads(before)

    def test_a_key_that_is_required(self, tiny_chat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(MissingKeyError, match="HF_TOKEN"):
            load(tiny_chat, {"requires_api_key": True})
        monkeypatch.setenv("HF_TOKEN", "hf_secret_of_the_test")
        model = load(tiny_chat, {"requires_api_key": True, "eos_to_cull": END})
        with record(tmp_path / "requests.json"):
            assert model.generate_response(CAPITAL).text == CANBERRA
        assert "hf_secret_of_the_test" not in (tmp_path / "requests.json").read_text()
        assert "hf_secret_of_the_test" not in f"{vars(model)!r} {model!r}"

    def test_progress_is_shown_on_a_terminal_only(self, tiny_chat: Path) -> None:
        code = (
            "import sys\n"
            "from clemcore.backends.huggingface_local import HuggingfaceLocal\n"
            "from clemcore.registry.spec import ModelSpec\n"
            "from transformers.utils.logging import is_progress_bar_enabled\n"
            "for terminal in (False, True):\n"
            "    sys.stderr.isatty = lambda: terminal\n"
            "    HuggingfaceLocal().get_model_for(ModelSpec(model_name='m', huggingface_id=sys.argv[1]))\n"
            "    assert is_progress_bar_enabled()\n"
            "    print('|', file=sys.stderr)\n"
        )
        run = [sys.executable, "-c", code, str(tiny_chat)]
        done = subprocess.run(run, capture_output=True, text=True, check=True)
        piped, terminal = done.stderr.split("|\n", maxsplit=1)
        assert piped == ""
        assert "Loading weights: 100%" in terminal


MEMORY = """
import gc, json, sys, weakref
from pathlib import Path
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from clemcore.backends.huggingface_local import HuggingfaceLocal
from clemcore.registry.spec import ModelSpec

def resident():
    status = Path("/proc/self/status").read_text()
    megabytes = int(status.split("VmRSS:")[1].split()[0]) / 1024
    return megabytes + (torch.cuda.memory_allocated() / 2**20 if torch.cuda.is_available() else 0)

def load(folder):
    return HuggingfaceLocal().get_model_for(ModelSpec(model_name="m", huggingface_id=str(folder)))

tiny, big = map(Path, sys.argv[1:])
tokenizer = AutoTokenizer.from_pretrained(tiny)
config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=1024, intermediate_size=2816, num_hidden_layers=4,
                     num_attention_heads=8, bos_token_id=1, eos_token_id=2, pad_token_id=0)
LlamaForCausalLM(config).save_pretrained(big)
tokenizer.save_pretrained(big)
messages = [{"role": "user", "content": "Hello!"}]
warm = load(tiny)  # what the libraries load on their first use is not the model's
warm.set_gen_args(max_tokens=4)
warm.generate_response(messages)
del warm
gc.collect()
gc.disable()  # it must be gone without the collector's help
before = resident()
model = load(big)
model.set_gen_args(max_tokens=4)
reply = model.generate_response(messages)
loaded = resident()
dead = [weakref.ref(model), weakref.ref(model.model), weakref.ref(next(model.model.parameters()))]
del model
alive = sum(reference() is not None for reference in dead)
print(json.dumps({"before": before, "loaded": loaded, "after": resident(), "alive": alive}))
"""


def test_deleting_the_model_gives_its_memory_back(tiny_chat: Path, tmp_path: Path) -> None:
    """In a process of its own, with 206 MB of weights: MB resident before, with and after the model."""
    run = [sys.executable, "-c", MEMORY, str(tiny_chat), str(tmp_path / "big")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    print(seen)
    assert seen["alive"] == 0
    assert seen["loaded"] - seen["before"] > 180
    assert seen["after"] - seen["before"] < 20


def test_hooks_that_form_cycles_do_not_keep_it(tiny_chat: Path) -> None:
    """accelerate puts such hooks on every layer of a model that is spread over several devices."""
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module

    model = load(tiny_chat)
    for module in list(model.model.modules()):
        add_hook_to_module(module, AlignDevicesHook(io_same_device=True))
    del module
    assert model.generate_response(CAPITAL).text == CANBERRA
    weights = weakref.ref(next(model.model.parameters()))
    gc.disable()
    try:
        del model
        assert weights() is None
    finally:
        gc.enable()
