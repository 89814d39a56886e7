"""From generation arguments to the fields of a Chat Completions body, with an account of every change.

Nothing asked for is dropped: an argument that cannot be sent as asked is an error before anything is sent. Only
defaults that nobody asked for are left out, and that is written down. It does not know messages or the wire.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from clemcore.backends._remote.endpoint import setting
from clemcore.errors import GenerationArgumentError, SpecError
from clemcore.spec import ModelSpec

# The fields of a Chat Completions body as OpenAI's SDK lists them (a test compares), and `extra_body`.
CHAT_FIELDS = frozenset(
    {
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "moderation",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
        "extra_body",
    }
)
# Fields of the body that clemcore writes itself.
_OURS = ("model", "messages")
# Arguments of the SDK's own call that never were part of the body.
_NOT_IN_BODY = ("extra_headers", "extra_query", "timeout")


@dataclass
class Ledger:
    """What became of the generation arguments.

    Attributes:
        fields: the fields of the body, under the names and with the values that are sent.
        asked: which of ``fields`` somebody asked for.
        renamed: asked name → sent name.
        dropped: name → why its default was not sent.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, dict[str, str]]:
        """The account of changes, for the record."""
        return {"renamed": dict(self.renamed), "dropped": dict(self.dropped)}


def ledger_of(
    gen_args: Mapping[str, Any],
    asked: Collection[str],
    spec: ModelSpec,
    *,
    known: Collection[str] | None,
) -> Ledger:
    """Decide which fields the body gets.

    Args:
        gen_args: all generation arguments, defaults included.
        asked: names of those that somebody asked for.
        spec: the entry; ``extra_body``, ``reasoning_effort`` and ``reasoning_model`` are read from it.
        known: names that the service knows; an unknown one must stand in ``extra_body``. None for services
            whose names nobody lists: every name is sent.

    Raises:
        GenerationArgumentError: an argument cannot be sent as asked.
        SpecError: ``extra_body`` or ``reasoning_model`` of the entry is wrong.
    """
    extra = _extra_body(spec)
    given = {name: value for name, value in gen_args.items() if name != "extra_body"}
    asked_names = set(asked) & given.keys()
    from_caller = gen_args.get("extra_body") or {}
    if not isinstance(from_caller, Mapping):
        raise GenerationArgumentError(f"'extra_body' must be a dict, not {type(from_caller).__name__}")
    _check_names(given, spec, known, extra)
    if twice := sorted(asked_names & from_caller.keys()):
        raise GenerationArgumentError(f"asked for twice, by name and in 'extra_body': {', '.join(twice)}")
    ledger = Ledger()
    for name, value in extra.items():
        ledger.fields[name] = _as_json(name, value)
    for name, value in {**given, **from_caller}.items():
        if name in asked_names or name in from_caller:
            if name in extra and ledger.fields[name] != value:
                ledger.dropped[f"extra_body.{name}"] = "asked for with another value as a generation argument"
            ledger.asked.add(name)
        elif name in extra:
            ledger.dropped[name] = "default; model_config.extra_body of the entry gives another value"
            continue
        ledger.fields[name] = _as_json(name, value)
    _check_ours(ledger.fields)
    _fit_token_limit(ledger, spec, reasoning=_is_reasoning(spec))
    return ledger


def _extra_body(spec: ModelSpec) -> dict[str, Any]:
    extra: dict[str, Any] = setting(spec, "extra_body", {})
    effort = (spec.get("model_config") or {}).get("reasoning_effort")
    if effort is not None:
        extra = {"reasoning_effort": effort, **extra}
    if taken := [name for name in (*_OURS, "stream") if name in extra]:
        raise SpecError(f"model '{spec['model_name']}': extra_body must not hold {', '.join(taken)}")
    return extra


def _is_reasoning(spec: ModelSpec) -> bool:
    return bool(setting(spec, "reasoning_model", False))


def _check_names(
    given: Mapping[str, Any], spec: ModelSpec, known: Collection[str] | None, extra: Mapping[str, Any]
) -> None:
    if outside := sorted(name for name in given if name in _NOT_IN_BODY):
        raise GenerationArgumentError(
            f"{', '.join(outside)}: no generation argument of model '{spec['model_name']}'; "
            "a time limit is model_config.timeout in the entry"
        )
    if known is None:
        return
    unknown = sorted(name for name in given if name not in known and name not in extra)
    if unknown:
        import difflib

        near = [match for name in unknown for match in difflib.get_close_matches(name, sorted(known), n=1)]
        hint = f"did you mean {' or '.join(repr(name) for name in near)}? " if near else ""
        raise GenerationArgumentError(
            f"backend '{spec.get('backend', 'openai')}' does not know the generation argument(s) "
            f"{', '.join(repr(name) for name in unknown)} of model '{spec['model_name']}': {hint}"
            "if the service takes it, list it with a value in model_config.extra_body of the entry"
        )


def _check_ours(fields: Mapping[str, Any]) -> None:
    if taken := [name for name in _OURS if name in fields]:
        raise GenerationArgumentError(
            f"{', '.join(taken)}: no generation argument: the entry's model_id and the call's messages are sent"
        )
    if fields.get("stream"):
        raise GenerationArgumentError("'stream' is not available: replies are read whole; leave it out")


def _fit_token_limit(ledger: Ledger, spec: ModelSpec, *, reasoning: bool) -> None:
    """Send one token limit under the name that the service takes; fit the temperature of reasoning models."""
    fields = ledger.fields
    if "max_tokens" in fields and "max_completion_tokens" in fields:
        if "max_tokens" in ledger.asked and reasoning:
            raise GenerationArgumentError(
                f"'max_tokens' and 'max_completion_tokens' both limit the reply of model '{spec['model_name']}': "
                "ask for one of them"
            )
        if "max_tokens" not in ledger.asked:
            del fields["max_tokens"]
            ledger.dropped["max_tokens"] = "default; max_completion_tokens was given"
    if not reasoning:
        return
    if "max_tokens" in fields:
        # These models count hidden reasoning and visible answer together, under this name alone.
        ledger.fields = {
            "max_completion_tokens" if name == "max_tokens" else name: value for name, value in fields.items()
        }
        ledger.renamed["max_tokens"] = "max_completion_tokens"
        if "max_tokens" in ledger.asked:
            ledger.asked = (ledger.asked - {"max_tokens"}) | {"max_completion_tokens"}
    temperature = ledger.fields.get("temperature")
    if "temperature" not in ledger.fields or _is_positive(temperature):
        return
    if "temperature" in ledger.asked:
        raise GenerationArgumentError(
            f"model '{spec['model_name']}' is a reasoning model (model_config.reasoning_model): its temperature "
            f"must be greater than 0, not {temperature!r}; leave it out or set it, for instance to 1"
        )
    del ledger.fields["temperature"]
    ledger.dropped["temperature"] = f"default {temperature!r}; reasoning models refuse it"


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _as_json(name: str, value: Any) -> Any:
    """Return the value as JSON will carry it (tuples become lists, keys become text), or refuse it."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as fault:
        reason = str(fault)
    raise GenerationArgumentError(f"generation argument '{name}' cannot be written as JSON: {reason}")
