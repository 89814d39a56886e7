"""Parts of a transformers model by themselves, for training code and cost estimators, by their names of 3.7.2.

``clemcore.backends.huggingface_local`` offers them. A model of that backend does not need this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clemcore.backends.local.entry import read_entry
from clemcore.backends.local.transformers import loading, weights
from clemcore.backends.local.transformers.opening import choose_template
from clemcore.registry.spec import ModelSpec

if TYPE_CHECKING:
    from clemcore.backends.local.model import LocalModel


def load_config_and_tokenizer(model_spec: ModelSpec) -> tuple[Any, Any]:
    """Load tokenizer and configuration of a model, and no weights.

    The tokenizer pads on the left, has a padding token, and has the chat template that the entry asks for. Each
    call loads its own, so that you can change it.

    Args:
        model_spec: the complete specification of a model of this backend.

    Returns:
        The tokenizer and the configuration, in this order.

    Raises:
        SpecError: the entry has a setting that is wrong or not honoured.
        ModelLoadError: they are not there or cannot be read.
    """
    entry = read_entry(model_spec)
    options = loading.hub_options(entry)
    tokenizer, _ = loading.load_tokenizer(entry, options)
    tokenizer.chat_template = choose_template(tokenizer, entry)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer, loading.load_config(entry, options)


def load_model(model_spec: ModelSpec) -> Any:
    """Load the weights of a model, with its adapter if the entry names one.

    Args:
        model_spec: the complete specification of a model of this backend.

    Returns:
        The transformers model (or the PEFT model), in evaluation mode.

    Raises:
        SpecError: the entry has a setting that is wrong or not honoured.
        ModelLoadError: weights are missing or cannot be read.
    """
    entry = read_entry(model_spec)
    return weights.load_model(entry, loading.hub_options(entry)).model


def split_and_clean_cot_output(response_text: str, model: LocalModel) -> tuple[str, str]:
    """Split a reply into thinking and answer, as the model itself does.

    Args:
        response_text: a reply with its tags.
        model: a loaded model whose entry sets ``cot_output``.

    Returns:
        The thinking without its start tag, and the answer: stripped, and cut to the model's ``max_tokens``.

    Raises:
        SpecError: the model's entry does not set ``cot_output``.
    """
    return model.split_thinking(response_text)
