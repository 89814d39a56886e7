"""Backend huggingface_local: buffers that a model's own code computes, and that are in no file."""

from __future__ import annotations

import functools
import threading
from pathlib import Path

import pytest

from support.tiny import CANBERRA, CAPITAL, END, load, with_own_code

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

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

    folder = with_own_code(tiny_chat, tmp_path / "times", "times", _MODEL)
    state = torch.random.get_rng_state()
    config = {"premade_chat_template": True, "eos_to_cull": END, "trust_remote_code": True, "dtype": dtype}
    model = load(folder, config)
    assert model.model.factor.tolist() == [2.5] * 3
    assert model.generate_response(CAPITAL).text == CANBERRA
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_default_dtype() == torch.float32


def test_only_the_thread_that_builds_has_no_parameters() -> None:
    """Two threads that replaced a method and put back what they had found left it replaced for good."""
    from torch import nn

    from clemcore.backends.local.transformers.buffers import _without_parameters

    before = nn.Module.register_parameter
    built: dict[str, bool] = {}
    inside = threading.Event()

    def build(name: str) -> None:
        with _without_parameters():
            inside.set()
            built[name] = nn.Linear(2, 2).weight.is_meta

    with _without_parameters():
        second = threading.Thread(target=build, args=("second",))
        other = threading.Thread(target=lambda: built.update(other=nn.Linear(2, 2).weight.is_meta))
        second.start()
        other.start()
        other.join()
        built["first"] = nn.Linear(2, 2).weight.is_meta
        assert not inside.is_set()
    second.join()
    assert built == {"first": True, "second": True, "other": False}
    assert nn.Module.register_parameter is before
    assert not nn.Linear(2, 2).weight.is_meta


def test_whoever_keeps_the_method_of_the_block_keeps_an_ordinary_one() -> None:
    """accelerate puts back the method that it found, also after ours has gone."""
    from torch import nn

    from clemcore.backends.local.transformers.buffers import _without_parameters

    before = nn.Module.register_parameter
    with _without_parameters():
        nn.Module.register_parameter = theirs = functools.partialmethod(nn.Module.register_parameter)
    try:
        assert nn.Module.__dict__["register_parameter"] is theirs
        assert not nn.Linear(2, 2).weight.is_meta
    finally:
        nn.Module.register_parameter = before
