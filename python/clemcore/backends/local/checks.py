"""What the values of generation arguments of local models must be, and which arguments are refused, and why.

It knows no engine and no model. The names are clemcore's own, then those of transformers' ``GenerationConfig``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clemcore.arguments.parameter import NotExpressibleError
from clemcore.backends.local.constraints.forms import read_constraint

LARGEST_SEED = 2**63 - 1
_PAIR = 2
# As in OpenAI's API: the largest penalty, and how many alternatives are noted for a token.
_LARGEST_PENALTY = 2
_MOST_ALTERNATIVES = 20
_MOST_BEAMS = 1000
_LARGEST_POWER = 20


@dataclass(frozen=True)
class Check:
    """What the value of an argument must be."""

    words: str
    holds: Callable[[Any], bool]
    nearest: Callable[[Any], Any] = lambda _value: None

    def convert(self, value: Any) -> Any:
        """Return the value.

        Raises:
            NotExpressibleError: it is not what it must be.
        """
        if not self.holds(value):
            raise NotExpressibleError(f"must be {self.words}, not {value!r:.200}", self.nearest(value))
        return value


class _StopCheck(Check):
    """A single stop string may stand alone."""

    def convert(self, value: Any) -> Any:
        """Return the list of stop strings."""
        return super().convert([value] if isinstance(value, str) else value)


class _ConstraintCheck(Check):
    """A constraint has several forms, each with its own faults."""

    def convert(self, value: Any) -> Any:
        """Return the constraint."""
        try:
            read_constraint(value)
        except ValueError as fault:
            raise NotExpressibleError(str(fault)) from None
        return value


@dataclass(frozen=True)
class Refusal:
    """An argument that is not accepted, with the reason."""

    why: str

    def convert(self, _value: Any) -> Any:
        """Refuse it.

        Raises:
            NotExpressibleError: always.
        """
        raise NotExpressibleError(self.why)


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond a float
        return False


def is_integer(value: Any) -> bool:
    """Tell whether a value is an integer and not a truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_token(value: Any) -> bool:
    return is_integer(value) and value >= 0


def _are_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_token, value))


def _are_biases(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(pair, list) and len(pair) == _PAIR and _are_tokens(pair[0]) and is_number(pair[1])
            for pair in value
        )
    )


def _at_least(least: float) -> Callable[[Any], Any]:
    return lambda value: least if is_number(value) and value < least else None


def _within(low: float | None, high: float) -> Callable[[Any], Any]:
    """Return what finds the nearest value in a range; below a range without a lowest value there is none."""
    return lambda value: None if not is_number(value) else high if value > high else low


def _count(least: int) -> Check:
    return Check(f"an integer of at least {least}", lambda v: is_integer(v) and v >= least, _at_least(least))


def _flag() -> Check:
    return Check("true or false", lambda v: isinstance(v, bool))


def _penalty() -> Check:
    return Check(
        "a number from -2 to 2 (0 means none)",
        lambda v: is_number(v) and abs(v) <= _LARGEST_PENALTY,
        _within(-_LARGEST_PENALTY, _LARGEST_PENALTY),
    )


# Arguments of clemcore's own.
CHECKS: Mapping[str, Check] = {
    "constraint": _ConstraintCheck("a constraint", lambda _value: True),
    "temperature": Check("a number of at least 0", lambda v: is_number(v) and v >= 0, _at_least(0)),
    "max_tokens": _count(1),
    "top_p": Check("a number above 0 and up to 1", lambda v: is_number(v) and 0 < v <= 1, _within(None, 1)),
    "top_k": Check("an integer of at least 0 (0 means no limit)", lambda v: is_integer(v) and v >= 0, _at_least(0)),
    "min_p": Check("a number from 0 to 1", lambda v: is_number(v) and 0 <= v <= 1, _within(0, 1)),
    "repetition_penalty": Check("a number above 0 (1 means none)", lambda v: is_number(v) and v > 0),
    "presence_penalty": _penalty(),
    "frequency_penalty": _penalty(),
    "logit_bias": Check(
        "an object of numbers by the ids of tokens or the texts of one token",
        lambda v: isinstance(v, dict) and all(map(is_number, v.values())),
    ),
    "logprobs": _flag(),
    "top_logprobs": Check(
        "an integer from 0 to 20",
        lambda v: is_integer(v) and 0 <= v <= _MOST_ALTERNATIVES,
        _within(0, _MOST_ALTERNATIVES),
    ),
    "seed": Check(
        "an integer from 0 to 2**63 - 1",
        lambda v: is_integer(v) and 0 <= v <= LARGEST_SEED,
        lambda v: _within(0, LARGEST_SEED)(v) if is_integer(v) else None,
    ),
    "stop": _StopCheck(
        "a non-empty string or a list of such",
        lambda v: isinstance(v, list) and all(isinstance(text, str) and text for text in v),
    ),
}

# Fields of GenerationConfig that are honoured under their own names.
FIELDS: Mapping[str, Check] = {
    "min_new_tokens": _count(0),
    "min_length": _count(0),
    "no_repeat_ngram_size": _count(0),
    "bad_words_ids": Check(
        "a list of lists of token ids", lambda v: isinstance(v, list) and bool(v) and all(map(_are_tokens, v))
    ),
    "suppress_tokens": Check("a list of token ids", _are_tokens),
    "begin_suppress_tokens": Check("a list of token ids", _are_tokens),
    "sequence_bias": Check("a list of pairs of token ids and a number, as [[[5, 6], -2.0]]", _are_biases),
    "exponential_decay_length_penalty": Check(
        "a list of a number of tokens and a factor",
        lambda v: isinstance(v, list) and len(v) == _PAIR and is_integer(v[0]) and v[0] >= 0 and is_number(v[1]),
    ),
    "remove_invalid_values": _flag(),
    "typical_p": Check("a number above 0 and up to 1", lambda v: is_number(v) and 0 < v <= 1, _within(None, 1)),
    "top_h": Check("a number above 0 and up to 1", lambda v: is_number(v) and 0 < v <= 1, _within(None, 1)),
    "epsilon_cutoff": Check("a number from 0 to below 1", lambda v: is_number(v) and 0 <= v < 1),
    "eta_cutoff": Check("a number from 0 to below 1", lambda v: is_number(v) and 0 <= v < 1),
    # Each beam takes the memory of an answer of its own.
    "num_beams": Check(
        f"an integer from 1 to {_MOST_BEAMS}",
        lambda v: is_integer(v) and 1 <= v <= _MOST_BEAMS,
        _within(1, _MOST_BEAMS),
    ),
    # A length is raised to this power.
    "length_penalty": Check(
        f"a number from -{_LARGEST_POWER} to {_LARGEST_POWER}",
        lambda v: is_number(v) and abs(v) <= _LARGEST_POWER,
        _within(-_LARGEST_POWER, _LARGEST_POWER),
    ),
    "early_stopping": Check('true, false or "never"', lambda v: isinstance(v, bool) or v == "never"),
    "prompt_lookup_num_tokens": _count(1),
    "max_matching_ngram_size": _count(1),
}

_TWICE = "it computes a second model beside this one"
_ASSISTED = "assistant models are not supported: their schedule remembers earlier calls"
_OUTPUT = "it changes what the library returns, not the answer; logprobs and top_logprobs give scores"
_MOVED = "transformers 5 does not have it any more"
_CACHE = "how states are cached is decided by exactness and kept_cache in model_config"
_LENGTH = "write max_tokens, which limits the new tokens"
# Fields of GenerationConfig that are not accepted.
REFUSED: Mapping[str, Refusal] = {
    name: Refusal(why)
    for why, names in {
        _LENGTH: "max_new_tokens max_length",
        "write stop": "stop_strings",
        "sampling follows temperature (0 is greedy)": "do_sample",
        "an answer must not depend on how busy the machine is; write max_tokens": "max_time",
        "a call has one answer; ask again with another seed": "num_return_sequences",
        _ASSISTED: "assistant_model num_assistant_tokens num_assistant_tokens_schedule "
        "assistant_confidence_threshold assistant_early_exit assistant_lookbehind target_lookbehind "
        "assistant_ensemble_weight is_assistant speculation_type use_mtp",
        _OUTPUT: "output_scores output_logits output_attentions output_hidden_states return_dict_in_generate",
        _MOVED: "penalty_alpha dola_layers num_beam_groups diversity_penalty constraints force_words_ids "
        "low_memory",
        _CACHE: "use_cache cache_implementation cache_config max_cache_len prefill_chunk_size "
        "continuous_batching_config",
        "it changes how the model is compiled, not the answer": "compile_config disable_compile",
        _TWICE: "guidance_scale",
        "it changes the prompt": "token_healing bos_token_id",
        "which tokens end a reply is a property of the model; write stop for a text of your own": "eos_token_id "
        "pad_token_id forced_eos_token_id",
        "it is for models with an encoder": "decoder_start_token_id encoder_repetition_penalty "
        "encoder_no_repeat_ngram_size forced_bos_token_id",
        "it does not change which token is taken": "renormalize_logits",
        "a watermark changes every answer by a secret key, so scores would measure the key": "watermarking_config",
    }.items()
    for name in names.split()
}
