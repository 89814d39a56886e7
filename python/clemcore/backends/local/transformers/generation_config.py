"""From generation arguments to transformers' generation configuration, and what of it goes into the record.

What was asked for stands over the model's own defaults; for the rest the library's hold. It generates nothing.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from clemcore.backends.local.arguments import Arguments, as_lists
from clemcore.backends.local.checks import FIELDS, is_integer
from clemcore.backends.local.transformers.own_config import SAMPLING

# The arguments that are honoured, and what transformers calls them.
NAMES: Mapping[str, str] = {
    "temperature": "temperature",
    "max_tokens": "max_new_tokens",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logit_bias": "logit_bias",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "seed": "seed",
    **{name: name for name in FIELDS},
}
# Fields that say how to compute and not which token to take.
_COMPUTING_FIELDS = (
    "use_cache",
    "cache_implementation",
    "cache_config",
    "max_cache_len",
    "compile_config",
    "disable_compile",
    "prefill_chunk_size",
)
# Names of the cache that generate() makes anyway; configurations of Gemma 2 and 3 have "hybrid".
_DEFAULT_CACHES = ("dynamic", "hybrid")
# Ways in which transformers takes one token after the other; all others search for the whole answer.
_STEPWISE = ("greedy_search", "sample")
# Fields that the record always shows; others only where they differ from the library's defaults.
_ALWAYS_RECORDED = (
    "do_sample",
    "max_new_tokens",
    "num_beams",
    "repetition_penalty",
    "eos_token_id",
    "pad_token_id",
)
_NOT_RECORDED = ("bos_token_id", "transformers_version", "max_length", "_from_model_config")


def build_config(arguments: Arguments, own: Any, tokenizer: Any, vocabulary: int) -> Any:
    """Return the whole generation configuration of a call: what was asked over the model's own defaults.

    Args:
        arguments: the checked generation arguments.
        own: the configuration that came with the model.
        tokenizer: its tokenizer, whose end token ends a reply as well as those of the configuration.
        vocabulary: number of tokens that the model has embeddings for.

    Returns:
        A ``transformers.GenerationConfig``; for what it leaves open, the library's defaults hold.
    """
    config = copy.deepcopy(own)
    config.do_sample = arguments.temperature > 0
    config.max_new_tokens = arguments.max_tokens
    for field, value in (
        ("max_length", None),  # max_new_tokens says it
        ("max_time", None),  # a reply is not to depend on how busy the machine is
        ("stop_strings", None),  # the pipeline looks for them
        ("num_return_sequences", 1),
        ("return_dict_in_generate", False),
    ):
        setattr(config, field, value)
    if config.cache_implementation in _DEFAULT_CACHES:
        config.cache_implementation = None
    if arguments.repetition_penalty is not None:
        config.repetition_penalty = arguments.repetition_penalty
    for field, value in arguments.further:
        setattr(config, field, as_lists(value))
    for field in SAMPLING:
        if not config.do_sample:
            setattr(config, field, None)
        elif getattr(arguments, field, None) is not None:
            setattr(config, field, getattr(arguments, field))
    if is_integer(config.top_k) and config.top_k < 0:
        config.top_k = 0
    _as_floats(config)
    ends = end_tokens(config)
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ends:
        config.eos_token_id = [*sorted(ends), tokenizer.eos_token_id] if ends else tokenizer.eos_token_id
    # Padding is hidden from the model, so any token of its vocabulary will do.
    pads = (config.pad_token_id, tokenizer.pad_token_id, *sorted(ends), 0)
    config.pad_token_id = next(pad for pad in pads if pad is not None and 0 <= pad < vocabulary)
    return config


def _as_floats(config: Any) -> None:
    """Write numbers as transformers wants them: it refuses an integer in these places, at each call."""
    if config.sequence_bias is not None:
        config.sequence_bias = [[list(ids), float(bias)] for ids, bias in config.sequence_bias]
    if config.encoder_repetition_penalty is not None:
        config.encoder_repetition_penalty = float(config.encoder_repetition_penalty)


def plain_config(config: Any) -> Any:
    """Return a configuration that computes in the same way and takes the token with the highest score.

    Args:
        config: the whole configuration of a call.
    """
    fields = {name: getattr(config, name, None) for name in _COMPUTING_FIELDS}
    return type(config)(
        do_sample=False,
        num_beams=1,
        max_new_tokens=config.max_new_tokens,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
        **{name: value for name, value in fields.items() if value is not None},
    )


def for_one_call(config: Any, max_new_tokens: int) -> Any:
    """Return a configuration that ``generate`` may change, which it therefore need not copy in depth.

    Args:
        config: the configuration of all such calls. Its values are shared: ``generate`` replaces values in what it
            is given, and changes none.
        max_new_tokens: the most tokens of this call.
    """
    given: Any = type(config)
    return _with_values(_copied_once(given), {**vars(config), "max_new_tokens": max_new_tokens})


@functools.cache
def _copied_once(kind: Any) -> Any:
    """Return a class of configurations of which a deep copy is a shallow one of the class given."""
    return type(kind.__name__, (kind,), {"__deepcopy__": lambda self, _memo: _with_values(kind, vars(self))})


def _with_values(kind: Any, values: Mapping[str, Any]) -> Any:
    made = kind.__new__(kind)
    vars(made).update(values)
    return made


def without_values(kind: Any) -> Any:
    """Return a configuration that leaves all open, and that ``generate`` need not search for values.

    Args:
        kind: its class, ``transformers.GenerationConfig`` or one derived from it.
    """
    return type(kind.__name__, (kind,), {"to_dict": lambda _: {}})()


def sent_choices(arguments: Arguments) -> dict[str, Any]:
    """Return the arguments that no generation configuration has, for the record."""
    bias = {str(token): value for token, value in arguments.logit_bias}
    values = {
        "presence_penalty": arguments.presence_penalty,
        "frequency_penalty": arguments.frequency_penalty,
        "logit_bias": bias or None,
        "logprobs": arguments.logprobs or None,
        "top_logprobs": arguments.top_logprobs,
        "seed": arguments.seed if arguments.temperature > 0 else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def is_search(config: Any) -> bool:
    """Tell whether transformers searches for the whole answer, as with beams."""
    return config.get_generation_mode() not in _STEPWISE


def search_of(config: Any) -> tuple[str, str]:
    """Return what a configuration asks for where it asks for a search, and what to do to have none."""
    if (config.num_beams or 1) > 1:
        return f"num_beams {config.num_beams}", "set num_beams to 1"
    return (
        f"prompt_lookup_num_tokens {config.prompt_lookup_num_tokens}",
        "remove that from generation_config.json",
    )


def effective_arguments(arguments: Arguments, config: Any) -> Arguments:
    """Return what holds for an answer: what was asked over the model's own defaults over the library's.

    Args:
        arguments: what was asked for.
        config: the whole configuration of the call.
    """
    values = {"repetition_penalty": config.repetition_penalty}
    if arguments.temperature > 0:
        top_k = config._get_default_generation_params()["top_k"] if config.top_k is None else config.top_k
        values |= {"top_p": config.top_p, "min_p": config.min_p, "top_k": top_k}
    return dataclasses.replace(arguments, **values)


def why_in_one_call(config: Any) -> str | None:
    """Return why ``generate`` has to be given a whole prompt and make its cache by itself, or None."""
    if is_search(config):
        return f"{config.get_generation_mode().value.replace('_', ' ')} is one call of generate"
    unused = {"use_cache": (True, None), "cache_implementation": (None,), "prefill_chunk_size": (None,)}
    for field, values in unused.items():
        value = getattr(config, field, None)
        if value not in values:
            return f"the model's generation configuration sets {field} to {value!r}"
    return None


def end_tokens(config: Any) -> frozenset[int]:
    """Return the ids of the tokens that end a reply."""
    ids = config.eos_token_id
    return frozenset() if ids is None else frozenset([ids] if isinstance(ids, int) else ids)


def own_ends(own: Any, tokenizer: Any) -> frozenset[int]:
    """Return the ids of the tokens that end a reply by a model's configuration or its tokenizer."""
    eos = tokenizer.eos_token_id
    return end_tokens(own) if eos is None else end_tokens(own) | {eos}


def sent_arguments(config: Any) -> dict[str, Any]:
    """Return what the model really computes with, for the record: the main fields, and all that are not default."""
    defaults = {**type(config)().to_dict(), **config._get_default_generation_params()}
    effective = {**defaults, **{name: value for name, value in config.to_dict().items() if value is not None}}
    sent = {name: effective.get(name) for name in _ALWAYS_RECORDED}
    if config.do_sample:
        sent |= {name: effective[name] for name in SAMPLING if effective.get(name) is not None}
    for name, value in effective.items():
        # False, 0 and None all say "not used".
        if (value or None) != (defaults.get(name) or None) and name not in sent and name not in _NOT_RECORDED:
            sent[name] = value
    return {name: _plain(value) for name, value in sent.items()}


def _plain(value: Any) -> Any:
    """Return a value of a configuration as JSON has it; a part such as that of a watermark is an object."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return _plain(value.to_dict()) if hasattr(value, "to_dict") else str(value)
