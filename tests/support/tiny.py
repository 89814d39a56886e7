"""The tiny chat model behind backend huggingface_local: how tests load it, and dialogues that it knows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from clemcore.backends.huggingface_local import HuggingfaceLocal, HuggingfaceLocalModel
from clemcore.registry.spec import ModelSpec

END = r"<\|im_end\|>"
CAPITAL = [
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Hello! How can I help you?"},
    {"role": "user", "content": "Tell me the name of the capital of Australia."},
]
CANBERRA = "The capital of Australia is Canberra."
THINK = [{"role": "user", "content": "Think first. What is three plus one?"}]
PIRATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}{% if shout %}!{% endif %}{{ '\n' }}{% endfor %}"


def load(folder: Path, config: dict[str, Any] | None = None, **fields: Any) -> HuggingfaceLocalModel:
    config = {"premade_chat_template": True, "eos_to_cull": END} if config is None else config
    spec = ModelSpec(model_name="tiny", huggingface_id=str(folder), model_config=config, **fields)
    model = HuggingfaceLocal().get_model_for(spec)
    assert isinstance(model, HuggingfaceLocalModel)
    return model


def think(folder: Path, **config: Any) -> HuggingfaceLocalModel:
    return load(folder, {"cot_output": True, "cot_end_tag": "</think>", "eos_to_cull": END, **config})


def change(path: Path, **values: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **values}), encoding="utf-8")


def copy_of(folder: Path, to: Path, **changes: dict[str, Any]) -> Path:
    """Copy a model's folder and change fields of its JSON files, each named without its suffix."""
    shutil.copytree(folder, to)
    for name, values in changes.items():
        change(to / f"{name}.json", **values)
    return to


def with_own_code(folder: Path, to: Path, name: str, code: str) -> Path:
    """Copy a model's folder and give it code of its own, a class ``<Name>ForCausalLM`` derived from that of Llama.

    Args:
        folder: the model.
        to: where its copy goes.
        name: the model type, in small letters.
        code: the module of the class; it imports ``<Name>Config`` from ``.configuration_<name>``.
    """
    title = name.capitalize()
    maps = {
        "AutoConfig": f"configuration_{name}.{title}Config",
        "AutoModelForCausalLM": f"modeling_{name}.{title}ForCausalLM",
    }
    copy_of(folder, to, config={"model_type": name, "auto_map": maps})
    (to / f"configuration_{name}.py").write_text(
        f"from transformers import LlamaConfig\n\nclass {title}Config(LlamaConfig):\n    model_type = {name!r}\n"
    )
    (to / f"modeling_{name}.py").write_text(code)
    return to
