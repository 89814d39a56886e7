"""Backend huggingface_local: buffers that a model's own code computes, and that are in no file."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.tiny import CANBERRA, CAPITAL, END, copy_of, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

_CONFIGURATION = """
from transformers import LlamaConfig

class TimesConfig(LlamaConfig):
    model_type = "times"
"""
_MODEL = """
import torch
from transformers import LlamaForCausalLM
from .configuration_times import TimesConfig

class TimesForCausalLM(LlamaForCausalLM):
    config_class = TimesConfig

    def __init__(self, config):
        super().__init__(config)
        self.register_buffer("factor", torch.full((3,), 2.5), persistent=False)

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.logits = output.logits * self.factor[0]
        return output
"""


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_they_have_the_values_that_the_code_computes(tiny_chat: Path, tmp_path: Path, dtype: str) -> None:
    import torch

    maps = {
        "AutoConfig": "configuration_times.TimesConfig",
        "AutoModelForCausalLM": "modeling_times.TimesForCausalLM",
    }
    folder = copy_of(tiny_chat, tmp_path / "times", config={"model_type": "times", "auto_map": maps})
    (folder / "configuration_times.py").write_text(_CONFIGURATION)
    (folder / "modeling_times.py").write_text(_MODEL)
    state = torch.random.get_rng_state()
    config = {"premade_chat_template": True, "eos_to_cull": END, "trust_remote_code": True, "dtype": dtype}
    model = load(folder, config)
    assert model.model.factor.tolist() == [2.5] * 3
    assert model.generate_response(CAPITAL).text == CANBERRA
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_default_dtype() == torch.float32
