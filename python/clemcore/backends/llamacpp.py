r"""Backend ``llamacpp``: chat models in GGUF files that run in this process, by llama.cpp.

It puts the pipeline of local models (``local/model.py``) and the engine of llama.cpp together.

Examples:
    An entry (`docs/backends/llamacpp.md` lists every setting)::

        {"model_name": "smollm2-gguf", "backend": "llamacpp", "huggingface_id": "~/models/smollm2.gguf",
         "model_config": {"premade_chat_template": true, "eos_to_cull": "<\\\\|im_end\\\\|>"}}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from clemcore.backends.base import Backend, require
from clemcore.backends.local.arguments import read_arguments
from clemcore.backends.local.frontend import Frontend
from clemcore.backends.local.llamacpp.settings import LlamaSettings, read_settings
from clemcore.backends.local.model import LocalModel
from clemcore.diagnosis import Row, sends_nothing
from clemcore.messages import Messages
from clemcore.model import Model
from clemcore.prompts import proof
from clemcore.prompts.proof import Case, Proof
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
        """Return the prompt's text; the head and the vocabulary of the file are read, no weights.

        Raises:
            ContextExceededError: prompt and reply would not fit.
            GenerationArgumentError: the call would refuse a generation argument.
        """
        from clemcore.backends.local.llamacpp.engine import NAMES

        arguments, _ = read_arguments(gen_args, asked, model_spec, {**NAMES, "stop": "stop"})
        return _front_of(model_spec).fitting_text(messages, arguments.max_tokens)

    @classmethod
    def examine(cls, model_spec: ModelSpec) -> list[Row]:
        """Return file, memory, context and proof; no weights are read, and the hub is not asked."""
        from clemcore.backends.local.llamacpp.diagnosis import examine

        return examine(model_spec)

    @classmethod
    def prove(cls, model_spec: ModelSpec, cases: Sequence[Case], now: datetime | None) -> Proof:
        """Compare the prompts of a model with those that transformers makes; the proof is stored for later runs."""
        front = _front_of(model_spec)
        made = proof.prove(front.subject(), now=now or front.template_now, more_cases=cases)
        proof.save(made)
        return made

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


def _front_of(model_spec: ModelSpec) -> Frontend:
    """Open all of a model but its weights."""
    settings = _ready(model_spec)
    from clemcore.backends.local.llamacpp import files, loading

    path = files.find_file(settings, offline=sends_nothing())
    return loading.open_front(settings, loading.open_file(settings, path))


class LlamacppModel(LocalModel):
    """A loaded chat model; ``del model`` gives its memory back, once no other model shares its weights."""

    def __init__(self, model_spec: ModelSpec) -> None:
        """Read the entry, the head of the file and its vocabulary, then load the weights."""
        settings = _ready(model_spec)
        from clemcore.backends.local.llamacpp import files, loading

        opened = loading.open_file(settings, files.find_file(settings))
        front = loading.open_front(settings, opened)
        front.prove()
        super().__init__(model_spec, front, loading.load(settings, opened, front))
