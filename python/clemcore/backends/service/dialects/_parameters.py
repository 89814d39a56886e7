"""Generation arguments that many services share: their ranges, and what compatible servers take beside OpenAI's.

Ranges are those that hold everywhere; a service that takes less says so itself. The names are those that the
documentation of the servers and gateways in ``docs/backends/gateways.md`` lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clemcore.arguments.parameter import NotExpressibleError, Parameter


def _stops(value: Any) -> Any:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise NotExpressibleError(f"must be a text or a list of texts, not {value!r}")
    return value


def _is_flag(value: Any) -> Any:
    """Pass a value on that is true or false.

    Raises:
        NotExpressibleError: it is neither.
    """
    if not isinstance(value, bool):
        raise NotExpressibleError(f"must be true or false, not {value!r}")
    return value


def _object(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise NotExpressibleError(f"must be an object, not {value!r}")
    return value


def _list(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        raise NotExpressibleError(f"must be a list, not {value!r}")
    return value


def _flag(name: str) -> tuple[str, Parameter]:
    return name, Parameter((name,), convert=_is_flag)


def _number(name: str, low: float | None = None, high: float | None = None) -> tuple[str, Parameter]:
    return name, Parameter((name,), low, high)


def _whole(name: str, low: float | None = None) -> tuple[str, Parameter]:
    return name, Parameter((name,), low, whole=True)


# Of OpenAI's own fields.
RANGES: Mapping[str, Parameter] = dict(
    (
        _number("temperature", 0),
        _number("top_p", 0, 1),
        _number("presence_penalty", -2, 2),
        _number("frequency_penalty", -2, 2),
        _whole("max_tokens", 1),
        _whole("max_completion_tokens", 1),
        _whole("n", 1),
        _whole("seed"),
        _whole("top_logprobs", 0),
        _flag("logprobs"),
        _flag("parallel_tool_calls"),
        _flag("store"),
        ("response_format", Parameter(("response_format",), convert=_object)),
        ("tools", Parameter(("tools",), convert=_list)),
        ("stop", Parameter(("stop",), convert=_stops)),
    )
)

_NAMES = """
    add_generation_prompt add_special_tokens allowed_token_ids bad_words cache_control cache_prompt cache_salt
    chat_template chat_template_kwargs citation_options clear_thinking compound_custom
    context_length_exceeded_behavior continue_final_message custom_logit_processor custom_params debug
    disable_reasoning disable_search disable_tool_validation do_sample documents dry_allowed_length dry_base
    dry_multiplier dry_penalty_last_n dry_sequence_breakers dynatemp_exponent dynatemp_range ebnf echo echo_last
    enable_search enable_search_classifier enable_thinking exclude_domains format generation_config grammar
    guided_choice guided_decoding_backend guided_grammar guided_json guided_regex guided_whitespace_pattern id_slot
    ignore_eos image_config image_domain_filter image_format_filter include_domains include_reasoning
    include_stop_str_in_output json_schema keep_alive kv_transfer_params language_preference
    last_updated_after_filter last_updated_before_filter length_penalty logits_processors lora lora_path
    max_new_tokens max_output_tokens max_thinking_tokens media_io_kwargs media_response min_keep min_new_tokens
    min_thinking_tokens mirostat mirostat_eta mirostat_lr mirostat_target mirostat_tau mm_processor_kwargs models
    n_keep n_predict n_probs no_stop_trim num_ctx num_predict nvext options parse_tool_calls penalize_nl
    perf_metrics_in_response plugins post_sampling_probs preset priority prompt_cache_isolation_key prompt_logprobs
    prompt_truncate_len provider raw_output reasoning reasoning_budget reasoning_format reasoning_history
    reasoning_split regex repeat_last_n repeat_penalty request_id return_hidden_states return_images
    return_related_questions return_token_ids return_tokens return_tokens_as_token_ids route safety_model samplers
    search_after_date_filter search_before_date_filter search_domain_filter search_mode search_parameters
    search_recency_filter search_settings separate_reasoning session_id skip_special_tokens
    spaces_between_special_tokens speculation stop_regex stop_token_ids stream_reasoning structural_tag
    structured_outputs tfs_z think thinking thinking_budget thinking_forced_open timings_per_token tool_stream top_a
    top_n_sigma transforms truncate_prompt_tokens usage use_beam_search user_id vllm_xargs
    xtc_probability xtc_threshold
"""

# Of these, the ones that every server knows as true or false.
_FLAGS = (
    "add_generation_prompt",
    "add_special_tokens",
    "continue_final_message",
    "do_sample",
    "echo",
    "enable_thinking",
    "ignore_eos",
    "include_reasoning",
    "include_stop_str_in_output",
    "return_token_ids",
    "return_tokens_as_token_ids",
    "separate_reasoning",
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "use_beam_search",
)

# Beside OpenAI's fields: sent under their own names by formats that take any name. A name that is nearly one of
# these is refused, so one that is missing here is refused only where it looks like a misspelling.
EXTENSIONS: Mapping[str, Parameter] = {
    **{name: Parameter((name,)) for name in _NAMES.split()},
    **dict(
        (
            _number("min_p", 0, 1),
            _number("typical_p", 0, 1),
            _number("repetition_penalty", 0),
            _whole("top_k", -1),
            _whole("min_tokens", 0),
            _whole("best_of", 1),
            *map(_flag, _FLAGS),
        )
    ),
}
