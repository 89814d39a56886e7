"""Checks the generation configuration that came with a model: wrong values, and what cannot be computed for it.

It knows the fields of the configuration, and neither arguments of calls nor weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from clemcore.backends.local.arguments import as_lists
from clemcore.backends.local.checks import CHECKS, FIELDS, REFUSED, Check, is_integer, is_number
from clemcore.backends.local.entry import LocalEntry
from clemcore.backends.local.transformers.loading import loading
from clemcore.backends.local.weight_files import folder_of
from clemcore.errors import GenerationArgumentError, ModelLoadError

# Fields that choose among likely tokens; greedy decoding has no use for them, so they are checked with a call.
SAMPLING: Mapping[str, Check] = {
    "temperature": Check("a number", is_number),
    # transformers keeps only the most likely token at 0, and filters nothing from 1 on.
    "top_p": Check("a number of at least 0", lambda v: is_number(v) and v >= 0),
    # Other programs write -1 for "no limit".
    "top_k": Check("an integer", is_integer),
    "min_p": CHECKS["min_p"],
    "top_h": FIELDS["top_h"],
    "typical_p": Check("a number above 0", lambda v: is_number(v) and v > 0),
    "epsilon_cutoff": Check("a number", is_number),
    "eta_cutoff": Check("a number", is_number),
}
# Fields that hold for every call.
_ALWAYS: Mapping[str, Check] = {
    "repetition_penalty": CHECKS["repetition_penalty"],
    **{name: check for name, check in FIELDS.items() if name not in SAMPLING},
    "encoder_repetition_penalty": CHECKS["repetition_penalty"],
    "encoder_no_repeat_ngram_size": FIELDS["no_repeat_ngram_size"],
    "stop_strings": CHECKS["stop"],
}
# Where transformers takes an empty list as "none".
_MAY_BE_EMPTY = ("suppress_tokens", "begin_suppress_tokens", "stop_strings")


def _is_missing_cache(value: Any) -> bool:
    """Tell whether a kind of cache is not there: it is quantized, or needs an accelerator."""
    import torch

    return value == "quantized" or (str(value).startswith("offloaded") and not torch.accelerator.is_available())


# Fields that ask for what is not computed here, and with which values they do.
_UNSUPPORTED: Mapping[str, Callable[[Any], bool]] = {
    "guidance_scale": lambda value: value != 1,
    "penalty_alpha": bool,
    "dola_layers": bool,
    "num_beam_groups": lambda value: value != 1,
    "constraints": bool,
    "force_words_ids": bool,
    "is_assistant": bool,
    "assistant_early_exit": lambda _value: True,
    "use_mtp": bool,
    "token_healing": bool,
    "cache_implementation": _is_missing_cache,
}
_CORRECT = "correct generation_config.json, or config.json if there is none"


def check_file(entry: LocalEntry) -> None:
    """Check the file of a model whose files are on this machine, before its weights are read.

    Raises:
        ModelLoadError: it cannot be read (the library would go on without it and say nothing), or has a fault.
    """
    folder = folder_of(entry)
    path = None if folder is None else folder / "generation_config.json"
    if path is None or not path.is_file():
        return
    _check_readable(path, entry.model_name)
    from transformers import GenerationConfig

    with loading(entry, "generation configuration"):
        own = GenerationConfig.from_pretrained(str(folder), local_files_only=True)
    check_own_config(own, entry.model_name)


def _check_readable(path: Path, name: str) -> None:
    try:
        content = json.loads(path.read_bytes())
        fault = None if isinstance(content, dict) else "it must be an object"
    except (OSError, ValueError, RecursionError) as error:
        fault = str(error)
    if fault is not None:
        raise ModelLoadError(
            f"model '{name}': {path} cannot be read: {fault}; correct it, or download it again. It says which "
            "tokens end a reply"
        )


def check_own_config(own: Any, name: str, vocabulary: int | None = None) -> None:
    """Check the generation configuration that came with a model.

    Args:
        own: the configuration.
        name: the model's name, for messages.
        vocabulary: number of tokens that the model has embeddings for, if that is known.

    Raises:
        ModelLoadError: a field that holds for every call has a wrong value, or asks for what is not computed here;
            the message names all of them.
    """
    faults = [*_faults(own), *_beyond(own, vocabulary)]
    if faults:
        raise ModelLoadError(
            f"model '{name}': the generation configuration that came with it has a fault: {'; '.join(faults)}; "
            f"{_CORRECT}"
        )


def check_for_sampling(own: Any, config: Any, name: str) -> None:
    """Check what a model's own configuration says about sampling, before an answer is sampled.

    Args:
        own: the configuration that came with the model.
        config: the configuration of a call, whose own arguments have been checked.
        name: the model's name, for messages.

    Raises:
        GenerationArgumentError: a field has a wrong value; the message names all of them.
    """
    wrong = [
        (field, f"{field} must be {check.words}, not {value!r}")
        for field, check in SAMPLING.items()
        if (value := getattr(own, field, None)) is not None
        and getattr(config, field, None) == value
        and not check.holds(value)
    ]
    if wrong:
        fields = ", ".join(field for field, _ in wrong)
        raise GenerationArgumentError(
            f"model '{name}': the generation configuration that came with it has a fault: "
            f"{'; '.join(words for _, words in wrong)}; {_CORRECT}, or set {fields} with the call"
        )


def _faults(own: Any) -> Iterator[str]:
    for field, asks in _UNSUPPORTED.items():
        value = getattr(own, field, None)
        if value is not None and asks(value):
            yield f"{field} {value!r} is not supported ({REFUSED[field].why}): remove {field}"
    for field, check in _ALWAYS.items():
        value = as_lists(getattr(own, field, None))
        if field == "stop_strings" and isinstance(value, str):
            value = [value]
        if value is None or (value == [] and field in _MAY_BE_EMPTY) or check.holds(value):
            continue
        yield f"{field} must be {check.words}, not {value!r}"
    for field in ("eos_token_id", "pad_token_id"):
        value = getattr(own, field, None)
        ids = value if isinstance(value, list) and field == "eos_token_id" else [value]
        if value is not None and not all(map(is_integer, ids)):
            yield f"{field} must be the id of a token (an integer), not {value!r}"


def _beyond(own: Any, vocabulary: int | None) -> Iterator[str]:
    """Name ids that the model does not have, where transformers refuses them at each call."""
    if vocabulary is None:
        return
    biased = [ids for ids, _ in as_lists(getattr(own, "sequence_bias", None)) or []]
    for field, lists in (("sequence_bias", biased), ("bad_words_ids", getattr(own, "bad_words_ids", None) or [])):
        ids = sorted({token for each in lists for token in each if token >= vocabulary})
        if ids:
            yield f"{field} has ids of tokens ({ids[0]}) that the model does not have: it has {vocabulary}"
