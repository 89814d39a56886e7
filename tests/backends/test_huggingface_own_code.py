"""Backend huggingface_local: models whose own code was written for another version of transformers."""

from __future__ import annotations

from pathlib import Path

import pytest

from clemcore.backends.local.transformers.states import NEW_NAME, OLD_NAME, cache_name
from clemcore.errors import ModelLoadError, SpecError
from support.tiny import CANBERRA, CAPITAL, END, load, with_own_code

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

_MODEL = """
from transformers import LlamaForCausalLM
from .configuration_named import NamedConfig

class NamedForCausalLM(LlamaForCausalLM):
    config_class = NamedConfig

    def forward(
        self, input_ids=None, attention_mask=None, position_ids=None, {name}=None, use_cache=None, **kwargs
    ):
        return super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=use_cache,
            logits_to_keep=kwargs.get("logits_to_keep", 0),
            return_dict=True,
            {library}={name},
        )
"""
_CONFIG = {"premade_chat_template": True, "eos_to_cull": END, "trust_remote_code": True, "prefill_block": 16}


def folder_with(name: str, tiny_chat: Path, to: Path) -> Path:
    """Return a model whose own code calls the argument for a cache so."""
    return with_own_code(tiny_chat, to, "named", _MODEL.format(name=name, library=cache_name()))


def test_code_of_the_installed_version(tiny_chat: Path, tmp_path: Path) -> None:
    model = load(folder_with(cache_name(), tiny_chat, tmp_path / "same_version"), _CONFIG)
    first, again = (model.generate_response(CAPITAL) for _ in range(2))
    assert first.text == again.text == CANBERRA
    assert again.facts["prefill"]["kept"] > 0


def test_code_of_another_version_is_refused_before_weights_are_read(
    tiny_chat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise ``generate`` of transformers 5.24 feeds it the last token alone, and nothing says so."""
    other = OLD_NAME if cache_name() == NEW_NAME else NEW_NAME
    folder = folder_with(other, tiny_chat, tmp_path / "other_version")
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", None)
    with pytest.raises(
        ModelLoadError, match=rf"'tiny': its code \(NamedForCausalLM\) calls the cache '{other}', but"
    ):
        load(folder, _CONFIG)


def test_code_without_post_init_is_refused_before_weights_are_read(
    tiny_chat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transformers 5 looks there for weights that are tied, after it has read them."""
    code = _MODEL.format(name=cache_name(), library=cache_name()) + "\n    def post_init(self):\n        pass\n"
    folder = with_own_code(tiny_chat, tmp_path / "without_post_init", "named", code)
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", None)
    with pytest.raises(
        ModelLoadError, match=r"'tiny': its code \(NamedForCausalLM\) was written for transformers 4"
    ):
        load(folder, _CONFIG)


def test_code_for_images_that_transformers_cannot_load_as_such(tiny_chat: Path, tmp_path: Path) -> None:
    """The code of InternVL3 and Phi-3.5-vision offers one for texts, with methods of its own for images."""
    folder = folder_with(cache_name(), tiny_chat, tmp_path / "sees_by_itself")
    with pytest.raises(SpecError, match=r"\(NamedConfig\): its own code offers none; choose a copy of it in"):
        load(folder, {**_CONFIG, "multimodal": True})
