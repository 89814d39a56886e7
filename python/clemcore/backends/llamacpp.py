r"""Backend ``llamacpp``: chat models in GGUF files that run in this process, by llama.cpp.

It puts the pipeline of local models (``local/model.py``) and the engine of llama.cpp together.

Examples:
    An entry (`docs/backends/llamacpp.md` lists every setting)::

        {"model_name": "smollm2-gguf", "backend": "llamacpp", "huggingface_id": "~/models/smollm2.gguf",
         "model_config": {"premade_chat_template": true, "eos_to_cull": "<\\\\|im_end\\\\|>"}}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from clemcore.backends.base import Backend, require
from clemcore.backends.local.arguments import read_arguments
from clemcore.backends.local.llamacpp.settings import LlamaSettings, read_settings
from clemcore.backends.local.model import LocalModel
from clemcore.messages import Messages
from clemcore.model import Model
from clemcore.registry.spec import ModelSpec


class Llamacpp(Backend):
    """Loads GGUF files into this process."""

    def get_model_for(self, model_spec: ModelSpec) -> Model:
        """Load the model; models of the same file and settings share their weights.

        Raises:
            SpecError: the entry has a setting that is wrong, or contradicts the file.
            MissingExtraError: llama-cpp-python is not installed.
            ModelLoadError: the file is not there, not whole, or cannot be read.
        """
        return LlamacppModel(model_spec)

    @classmethod
    def render(
        cls,
        model_spec: ModelSpec,
        messages: Messages,
        gen_args: Mapping[str, Any],
        asked: Collection[str],
    ) -> str:
        """Return the prompt's text. The whole model is loaded, because its file has the tokenizer.

        Raises:
            ContextExceededError: prompt and reply would not fit.
            GenerationArgumentError: the call would refuse a generation argument.
        """
        settings = _ready(model_spec)
        from clemcore.backends.local.llamacpp import engine, files, loading

        arguments, _ = read_arguments(gen_args, asked, model_spec, {**engine.NAMES, "stop": "stop"})
        front, held = loading.load(settings, loading.open_file(settings, files.find_file(settings)))
        prompt = front.write(messages)
        front.check_context(front.encode(prompt), arguments.max_tokens, messages)
        del held
        return prompt.text

    @classmethod
    def argument_names(cls, model_spec: ModelSpec) -> Collection[str]:  # noqa: ARG003 - the same for all
        """Return the names that the engine knows."""
        from clemcore.backends.local.llamacpp.engine import NAMES

        return {*NAMES, "stop"}


def _ready(model_spec: ModelSpec) -> LlamaSettings:
    """Read the entry, and check that all packages are there."""
    require("llama_cpp", backend="llamacpp", extra="llamacpp")
    require("gguf", backend="llamacpp", extra="llamacpp")
    require("transformers", backend="llamacpp", extra="llamacpp")
    require("jinja2", backend="llamacpp", extra="llamacpp")
    return read_settings(model_spec)


class LlamacppModel(LocalModel):
    """A loaded chat model; ``del model`` gives its memory back, once no other model shares its weights."""

    def __init__(self, model_spec: ModelSpec) -> None:
        """Read the entry and the head of the file, then load the weights."""
        settings = _ready(model_spec)
        from clemcore.backends.local.llamacpp import files, loading

        opened = loading.open_file(settings, files.find_file(settings))
        front, held = loading.load(settings, opened)
        front.prove()
        super().__init__(model_spec, front, held)
