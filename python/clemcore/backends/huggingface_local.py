r"""Backend ``huggingface_local``: chat models that run in this process, by torch and transformers.

It puts the pipeline of local models (``local/model.py``) and the engine of transformers
(``local/transformers/engine.py``) together. It does not know the registry, and imports torch and transformers only
when a model is loaded.

Examples:
    An entry, and what it answers (`docs/backends/huggingface_local.md` lists every setting)::

        {"model_name": "smollm2", "backend": "huggingface_local",
         "huggingface_id": "~/models/SmolLM2-135M-Instruct",
         "model_config": {"premade_chat_template": true, "eos_to_cull": "<\\\\|im_end\\\\|>"}}
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clemcore.backends.base import Backend, require
from clemcore.backends.local.arguments import read_arguments
from clemcore.backends.local.entry import read_entry
from clemcore.backends.local.model import LocalModel
from clemcore.backends.local.sharing import HeldWeights, hold
from clemcore.backends.local.transformers import adapters, loading, weights
from clemcore.backends.local.transformers.context import FALLBACK_CONTEXT_SIZE, own_context_size
from clemcore.backends.local.transformers.engine import TransformersEngine
from clemcore.backends.local.transformers.generation_config import NAMES
from clemcore.backends.local.transformers.identity import key_of
from clemcore.backends.local.transformers.opening import frontend_of, open_frontend
from clemcore.backends.local.transformers.parts import (
    load_config_and_tokenizer,
    load_model,
    split_and_clean_cot_output,
)
from clemcore.backends.local.window import check_context_limit, check_messages
from clemcore.diagnosis import Row
from clemcore.messages import Messages
from clemcore.model import Model
from clemcore.prompts import proof
from clemcore.prompts.proof import Case, Proof
from clemcore.registry.spec import ModelSpec

__all__ = [
    "FALLBACK_CONTEXT_SIZE",
    "HuggingfaceLocal",
    "HuggingfaceLocalModel",
    "HuggingfaceLocalMultimodalModel",
    "check_context_limit",
    "check_messages",
    "load_config_and_tokenizer",
    "load_model",
    "logger",
    "split_and_clean_cot_output",
]

logger = logging.getLogger("clemcore.backends.local")
"""The parent of the loggers of local models; older code sets its level."""


class HuggingfaceLocal(Backend):
    """Loads chat models into this process."""

    def get_model_for(self, model_spec: ModelSpec) -> Model:
        """Load the model; models with the same weights share them, unless an entry sets ``own_weights``.

        Raises:
            SpecError: the entry has a setting that is wrong or not honoured.
            MissingExtraError: torch or transformers are not installed.
            ModelLoadError: the model is not there, not whole, or cannot be read.
        """
        if read_entry(model_spec).multimodal:
            return HuggingfaceLocalMultimodalModel(model_spec)
        return HuggingfaceLocalModel(model_spec)

    @classmethod
    def render(
        cls,
        model_spec: ModelSpec,
        messages: Messages,
        gen_args: Mapping[str, Any],
        asked: Collection[str],
    ) -> str:
        """Return the prompt's text; tokenizer and configuration are loaded, no weights.

        Raises:
            ContextExceededError: prompt and reply would not fit.
            GenerationArgumentError: the call would refuse a generation argument.
        """
        _require_libraries()
        arguments, _ = read_arguments(gen_args, asked, model_spec, {**NAMES, "stop": "stop"})
        return frontend_of(model_spec).fitting_text(messages, arguments.max_tokens)

    @classmethod
    def argument_names(cls, model_spec: ModelSpec) -> Collection[str]:  # noqa: ARG003 - the same for all
        """Return the names that the engine knows."""
        return {*NAMES, "stop"}

    @classmethod
    def examine(cls, model_spec: ModelSpec) -> list[Row]:
        """Return files, context and proof; tokenizer and configuration are loaded, no weights."""
        from clemcore.backends.local.diagnosis import examine

        return examine(model_spec)

    @classmethod
    def prove(cls, model_spec: ModelSpec, cases: Sequence[Case], now: datetime | None) -> Proof:
        """Compare the prompts of a model with those that transformers makes; the proof is stored for later runs."""
        _require_libraries()
        front = frontend_of(model_spec)
        front.prove()
        made = proof.prove(front.subject(), now=now or front.template_now, more_cases=cases)
        proof.save(made)
        return made


def _require_libraries() -> None:
    require("torch", backend="huggingface_local", extra="huggingface")
    require("transformers", backend="huggingface_local", extra="huggingface")
    require("jinja2", backend="huggingface_local", extra="huggingface")


def import_libraries() -> None:
    """Import torch and the parts of transformers that every model needs, so that a load can be timed without them.

    What one kind of model needs in addition (its own module, bitsandbytes, peft) is imported when it is loaded.

    Raises:
        MissingExtraError: torch or transformers are not installed.
    """
    _require_libraries()
    import transformers

    for name in ("AutoConfig", "AutoTokenizer", "AutoModelForCausalLM", "PreTrainedModel", "GenerationMixin"):
        getattr(transformers, name)  # imported when it is first used


class _WhileOpen:
    """What a model has until it is closed; its own attribute hides this until then."""

    def __get__(self, model: Any, owner: type) -> Any:
        """Refuse to give it.

        Raises:
            ModelLoadError: the model was closed.
            AttributeError: it is asked of the class.
        """
        if model is not None:
            model._require_engine()
        raise AttributeError(f"only a loaded {owner.__name__} has it")


class HuggingfaceLocalModel(LocalModel):
    """A loaded chat model; ``del model`` gives its memory back, once no other model shares its weights.

    ``copy.deepcopy`` gives a model with its own settings that shares the weights. So does loading it again.

    Attributes:
        model: the transformers model.
        tokenizer: its tokenizer.
        config: its configuration.
        device: where its first weights are.
    """

    if not TYPE_CHECKING:
        model = _WhileOpen()

    def __init__(self, model_spec: ModelSpec) -> None:
        """Read the entry, then load configuration, tokenizer and weights, in this order."""
        _require_libraries()
        entry = read_entry(model_spec)
        options = loading.hub_options(entry)
        front = open_frontend(entry, options)
        front.prove()
        adapters.warn_of_template(entry, front.template_source)

        def load() -> HeldWeights[TransformersEngine]:
            loaded = weights.load_model(entry, options, front.config)
            own = own_context_size(front.config)  # an entry may make it smaller for one of its models
            size = front.context_size if own is None else own[0]
            engine = TransformersEngine(loaded.model, front.tokenizer, entry.model_name, size)
            return HeldWeights(engine, loaded.facts, loaded.model)

        held = hold(key_of(entry, front.config), load)
        held.engine.also_called(entry.model_name)
        self._forget_pages = held.engine.together.forget
        held.engine.together.kept_bytes = entry.kept_cache
        held.engine.together.free_kept = held.prefixes.forget
        super().__init__(model_spec, front, held)
        self.model = held.model
        self.tokenizer = front.tokenizer
        self.config = front.config
        self.device = next(self.model.parameters()).device

    def forget_kept(self) -> None:
        """Forget what is kept of earlier prompts, also of those that were computed together."""
        super().forget_kept()
        self._forget_pages()

    def close(self) -> None:
        """Give the memory back at once, unless another model shares the weights."""
        self.__dict__.pop("model", None)
        super().close()


class HuggingfaceLocalMultimodalModel(HuggingfaceLocalModel):
    """A loaded vision-language model: an entry with ``multimodal``. Dialogues may have images, or none.

    Attributes:
        processor: the transformers processor.
    """

    def __init__(self, model_spec: ModelSpec) -> None:
        """Read the entry, then load configuration, processor and weights, in this order."""
        super().__init__(model_spec)
        self.processor: Any = getattr(self._front.sight, "processor", None)
