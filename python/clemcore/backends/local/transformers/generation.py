"""From token ids to new token ids: generation arguments, the generation configuration, and one call of generate().

Every argument that is asked for is honoured or refused; what the model computed with goes into the record. This
module knows token ids and transformers' ``generate``; it knows neither messages nor how text is cut.
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clemcore.errors import GenerationArgumentError

SUPPORTED = ("temperature", "max_tokens", "top_p", "top_k", "min_p", "repetition_penalty", "seed", "stop")

# Fields of a generation configuration that choose among likely tokens; greedy decoding has no use for them.
_SAMPLING_FIELDS = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "top_h",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
)
# Fields that the record always shows; others only where they differ from the library's defaults.
_ALWAYS_RECORDED = (
    "do_sample",
    "max_new_tokens",
    "num_beams",
    "repetition_penalty",
    "eos_token_id",
    "pad_token_id",
)
_LARGEST_SEED = 2**63 - 1

# torch has one random state per process: sampled replies of two threads must not draw from it in turns.
_random_state = threading.Lock()


@dataclass(frozen=True)
class Arguments:
    """Generation arguments, checked; None means that the model's own default holds."""

    temperature: float
    max_tokens: int
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generated:
    """The new tokens of one dialogue.

    Attributes:
        ids: new token ids, up to and with the one that ended the reply, without padding.
        finish_reason: "stop" (the model ended its reply), "stop_string" or "length".
    """

    ids: list[int]
    finish_reason: str


def read_arguments(gen_args: Mapping[str, Any], model_name: str) -> Arguments:
    """Check generation arguments.

    Raises:
        GenerationArgumentError: one is unknown, has a value that cannot be honoured, or would have no effect; the
            message names it.
    """
    given = {name: value for name, value in gen_args.items() if value is not None}
    unknown = [name for name in given if name not in SUPPORTED]
    if unknown:
        raise GenerationArgumentError(
            f"'{model_name}' (huggingface_local) cannot honour the generation argument "
            f"{', '.join(repr(name) for name in unknown)}; it knows {', '.join(SUPPORTED)}"
        )
    stop = given.pop("stop", ())
    given["stop"] = (stop,) if isinstance(stop, str) else tuple(stop) if isinstance(stop, (list, tuple)) else stop
    for name, value in given.items():
        if not _CHECKS[name][0](value):
            raise GenerationArgumentError(f"'{model_name}': {name} must be {_CHECKS[name][1]}, not {value!r}")
    arguments = Arguments(**given)
    if arguments.temperature == 0:
        _check_greedy(arguments, model_name)
    return arguments


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_CHECKS: dict[str, tuple[Any, str]] = {
    "temperature": (lambda v: _is_number(v) and v >= 0, "a number of at least 0"),
    "max_tokens": (lambda v: _is_integer(v) and v >= 1, "an integer of at least 1"),
    "top_p": (lambda v: _is_number(v) and 0 < v <= 1, "a number above 0 and up to 1"),
    "top_k": (lambda v: _is_integer(v) and v >= 0, "an integer of at least 0 (0 means no limit)"),
    "min_p": (lambda v: _is_number(v) and 0 <= v <= 1, "a number from 0 to 1"),
    "repetition_penalty": (lambda v: _is_number(v) and v > 0, "a number above 0 (1 means none)"),
    "seed": (lambda v: _is_integer(v) and 0 <= v <= _LARGEST_SEED, "an integer from 0 to 2**63 - 1"),
    "stop": (
        lambda v: isinstance(v, tuple) and all(isinstance(text, str) and text for text in v),
        "a non-empty string or a list of such",
    ),
}


def _check_greedy(arguments: Arguments, model_name: str) -> None:
    without_effect = {"top_p": 1, "top_k": 0, "min_p": 0}
    for name, neutral in without_effect.items():
        value = getattr(arguments, name)
        if value is not None and value != neutral:
            raise GenerationArgumentError(
                f"'{model_name}': {name}={value!r} has no effect at temperature 0 (greedy decoding): "
                f"set a temperature above 0 or leave {name} out"
            )


def build_config(arguments: Arguments, model: Any, tokenizer: Any, max_new_tokens: int) -> Any:
    """Return the whole generation configuration of a call: what was asked over the model's own defaults.

    Args:
        arguments: the checked generation arguments.
        model: the transformers model, for the defaults that came with it.
        tokenizer: its tokenizer, for the end and padding tokens where the model names none.
        max_new_tokens: the most tokens to generate.

    Returns:
        A ``transformers.GenerationConfig``; for what it leaves open, the library's defaults hold.
    """
    config = copy.deepcopy(model.generation_config)
    config.do_sample = arguments.temperature > 0
    config.max_new_tokens = max_new_tokens
    for field, value in (
        ("max_length", None),  # max_new_tokens says it
        ("max_time", None),  # a reply is not to depend on how busy the machine is
        ("stop_strings", None),  # cut by ourselves, see _StopStrings
        ("num_return_sequences", 1),
        ("return_dict_in_generate", False),
    ):
        setattr(config, field, value)
    if arguments.repetition_penalty is not None:
        config.repetition_penalty = arguments.repetition_penalty
    for field in _SAMPLING_FIELDS:
        if not config.do_sample:
            setattr(config, field, None)
        elif getattr(arguments, field, None) is not None:
            setattr(config, field, getattr(arguments, field))
    if config.eos_token_id is None:
        config.eos_token_id = tokenizer.eos_token_id
    if config.pad_token_id is None:
        ends = end_tokens(config)
        config.pad_token_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(ends, default=0)
    return config


def end_tokens(config: Any) -> frozenset[int]:
    """Return the ids of the tokens that end a reply."""
    ids = config.eos_token_id
    return frozenset() if ids is None else frozenset([ids] if isinstance(ids, int) else ids)


def sent_arguments(config: Any, arguments: Arguments, seed: int | None) -> dict[str, Any]:
    """Return what the model really computed with, for the record: the main fields, and all that are not default."""
    defaults = {**type(config)().to_dict(), **config._get_default_generation_params()}
    effective = {**defaults, **{name: value for name, value in config.to_dict().items() if value is not None}}
    sent = {name: effective.get(name) for name in _ALWAYS_RECORDED}
    if config.do_sample:
        sent |= {name: effective[name] for name in _SAMPLING_FIELDS if effective.get(name) is not None}
    hidden = ("bos_token_id", "transformers_version", "max_length", "_from_model_config")
    for name, value in effective.items():
        # False, 0 and None all say "not used".
        if (value or None) != (defaults.get(name) or None) and name not in sent and name not in hidden:
            sent[name] = value
    sent["stop"] = list(arguments.stop)
    if seed is not None:
        sent["seed"] = seed
    return sent


def generate(
    model: Any, tokenizer: Any, prompts: Sequence[list[int]], config: Any, arguments: Arguments
) -> tuple[list[Generated], int | None]:
    """Generate the replies of a batch.

    Args:
        model: the transformers model.
        tokenizer: its tokenizer, to look for stop strings.
        prompts: token ids of each prompt, of any lengths.
        config: what ``build_config`` made.
        arguments: stop strings and seed are taken from here.

    Returns:
        The new tokens of each prompt, and the seed of a sampled batch. Without a seed asked for, one is drawn from
        torch's random state, so that every sampled reply can be had again.
    """
    import torch

    longest = max(len(ids) for ids in prompts)
    device = next(model.parameters()).device
    pad = config.pad_token_id
    input_ids = torch.tensor([[pad] * (longest - len(ids)) + ids for ids in prompts], device=device)
    mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts], device=device)
    criterion = _StopStrings(arguments.stop, tokenizer, longest, end_tokens(config)) if arguments.stop else None
    if model.training:
        model.eval()
    inputs = {
        "input_ids": input_ids,
        "attention_mask": mask,
        "generation_config": config,
        "stopping_criteria": [criterion] if criterion else None,
    }
    if not config.do_sample:
        sequences, seed = _call(model, inputs), None
    else:
        with _random_state:
            seed = arguments.seed
            if seed is None:
                seed = int(torch.randint(_LARGEST_SEED, ()))
            with torch.random.fork_rng(devices=_cuda_devices(model)):
                torch.manual_seed(seed)
                sequences = _call(model, inputs)
    stopped = criterion.stopped if criterion else {}
    rows = [row[longest:] for row in sequences.tolist()]
    return [_finish(row, end_tokens(config), stopped.get(i)) for i, row in enumerate(rows)], seed


def _call(model: Any, inputs: dict[str, Any]) -> Any:
    """Call generate() with our configuration alone.

    It would fill fields that we left open from the model's own configuration, and warn of sampling fields there
    that greedy decoding has no use for; so the model's own is put aside meanwhile.
    """
    from transformers import GenerationConfig

    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        return model.generate(**inputs)
    finally:
        model.generation_config = own


def _cuda_devices(model: Any) -> list[int]:
    devices = {parameter.device for parameter in model.parameters()}
    return sorted({device.index or 0 for device in devices if device.type == "cuda"})


def _finish(row: list[int], ends: frozenset[int], stopped_after: int | None) -> Generated:
    """Cut what generate() appended to a row while others of the batch went on."""
    if stopped_after is not None:
        return Generated(row[:stopped_after], "stop_string")
    for index, token in enumerate(row):
        if token in ends:
            return Generated(row[: index + 1], "stop")
    return Generated(row, "length")


class _StopStrings:
    """Ends each row of a batch as soon as its new text holds a stop string, and notes after how many tokens.

    transformers has a criterion of its own; it first works through the whole vocabulary, and it does not tell
    which row ended by it.
    """

    def __init__(self, stops: Sequence[str], tokenizer: Any, prompt_length: int, ends: frozenset[int]) -> None:
        self.stopped: dict[int, int] = {}
        self._stops = stops
        self._tokenizer = tokenizer
        self._prompt_length = prompt_length
        self._ends = ends

    def __call__(self, input_ids: Any, _scores: Any, **_: Any) -> Any:
        """Return for each row, shape (batch,), whether it is done."""
        import torch

        rows = input_ids[:, self._prompt_length :].tolist()
        for index, row in enumerate(rows):
            # A row that has ended before now holds the end token and padding after it.
            if index in self.stopped or not self._ends.isdisjoint(row[:-1]):
                continue
            text = self._tokenizer.decode(row, skip_special_tokens=False)
            if any(stop in text for stop in self._stops):
                self.stopped[index] = len(row)
        return torch.tensor([index in self.stopped for index in range(len(rows))], device=input_ids.device)
