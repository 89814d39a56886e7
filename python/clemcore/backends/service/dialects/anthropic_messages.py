"""The Messages format: that of Anthropic, and of gateways that speak its protocol."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clemcore.arguments.ledger import Ledger, make_room, value_at
from clemcore.arguments.parameter import NotExpressibleError, Parameter
from clemcore.arguments.reasoning import Reasoning, thinking_of
from clemcore.backends.service.dialects._reply import (
    answered,
    check_role,
    count_of,
    counts,
    known,
    object_at,
    object_of,
    parts_of,
    texts_of,
    total_of,
)
from clemcore.backends.service.dialects._turns import (
    alone,
    check_not_empty,
    continues,
    listed,
    no_prefill,
    split_system,
)
from clemcore.backends.service.dialects.base import Dialect, Fault, NoAnswerError, fault_in
from clemcore.backends.service.streaming.anthropic_messages import AnthropicJoiner
from clemcore.errors import MessagesError, SpecError
from clemcore.images import Image, images_of, text_of
from clemcore.keys import Key
from clemcore.messages import Message, Messages
from clemcore.model import DEFAULT_GEN_ARGS
from clemcore.registry.spec import ModelSpec

# The two versions of the protocol: sampling parameters and `x-api-key`; neither, and a bearer token.
SAMPLING_VERSION = "2023-06-01"
BEARER_VERSION = "2026-10-21"
# What a body may hold beside our own fields, as the SDK lists it (a test compares).
NATIVE = (
    "cache_control",
    "container",
    "diagnostics",
    "inference_geo",
    "metadata",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "thinking",
    "tool_choice",
    "tools",
)
EFFORTS = ("low", "medium", "high", "xhigh", "max")
# 3.7.2's budget if no budget is given, and the least that the service takes.
DEFAULT_BUDGET = 4000
LEAST_BUDGET = 1024
_THINKS = ("enabled", "adaptive")
_SAMPLING = ("temperature", "top_p", "top_k")
_LEAST_TOP_P = 0.95
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")

_KIND_OF_CODE = {
    "contract_spend_limit_reached": "quota",
    "enforced_spend_limit_reached": "quota",
    "linked_organization_billing_unavailable": "quota",
    "linked_organization_spend_limit_reached": "quota",
    "organization_on_hold": "permission",
    "user_profile_billing_not_authorized": "permission",
    "user_profile_not_billable": "permission",
}
_KIND_OF_TYPE = {
    "authentication_error": "authentication",
    "billing_error": "quota",
    "not_found_error": "not_found",
    "overloaded_error": "overloaded",
    "permission_error": "permission",
    "rate_limit_error": "rate_limit",
}


class AnthropicMessages(Dialect):
    """The Messages format.

    Args:
        version: the version of the protocol, a date.
    """

    name = "anthropic-messages"
    joiner = AnthropicJoiner
    address = "without /v1, which is added"
    own_fields = frozenset({"model", "messages", "system"})
    parameters: Mapping[str, Parameter] = {
        "temperature": Parameter(("temperature",), 0, 1),
        "max_tokens": Parameter(("max_tokens",), 1, whole=True),
        "top_p": Parameter(("top_p",), 0, 1),
        "top_k": Parameter(("top_k",), 0, whole=True),
        "stop": Parameter(("stop_sequences",), convert=listed),
        **{name: Parameter((name,)) for name in NATIVE},
    }

    def __init__(self, version: str = SAMPLING_VERSION) -> None:
        self.version = version

    def path(self, spec: ModelSpec, model_id: str) -> str:  # noqa: ARG002 - the same for all
        """Return the path of the one call."""
        return "/v1/messages"

    def headers(self, spec: ModelSpec) -> Mapping[str, str]:  # noqa: ARG002 - the entry has decided about the version
        """Return the version of the protocol."""
        return {"anthropic-version": self.version}

    def key_headers(self, key: Key) -> Mapping[str, str]:
        """Return the key's header, which has another name since 2026-10-21."""
        if self.version < BEARER_VERSION:
            return {"x-api-key": (key.api_key or "").strip()}
        return super().key_headers(key)

    def body(self, spec: ModelSpec, model_id: str, messages: Messages, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Write the request: all system messages in one field of their own, images as blocks behind the text."""
        system, turns = split_system(messages)
        _check_last(turns, spec, fields)
        written: dict[str, Any] = {"model": model_id}
        if system:
            written["system"] = system
        written["messages"] = [_encoded(message, index, spec) for index, message in turns]
        return {**written, **fields}

    def read(self, body: Any, spec: ModelSpec) -> tuple[str, dict[str, Any]]:
        """Join the text blocks; thinking is reasoning, never part of the answer."""
        blocks = object_of(body).get("content")
        if not isinstance(blocks, list):
            raise NoAnswerError("the reply has no list of content blocks")
        check_role(body, "the reply")
        redacted = sum(block.get("type") == "redacted_thinking" for block in parts_of(blocks))
        stop = body.get("stop_reason")
        more = (
            ("stop_sequence", body.get("stop_sequence")),
            ("refusal", _refusal(body.get("stop_details")) if stop == "refusal" else None),
            ("reasoning", "\n\n".join(texts_of(blocks, "thinking", "thinking")) or None),
            ("redacted_reasoning_blocks", redacted or None),
        )
        facts: dict[str, Any] = {
            "usage": _usage(body.get("usage")),
            "served_model": body.get("model"),
            "finish_reason": stop,
            **known(more),
        }
        return answered("".join(texts_of(blocks, "text", "text")), facts, spec, reasoned=redacted > 0)

    def fault(self, body: Any) -> Fault | None:
        """Read an error body; its type and code say what kind of error it is."""
        if not isinstance(body, dict) or not (body.get("error") or body.get("type") == "error"):
            return None
        common = fault_in(body)
        code = object_at(body.get("error"), "details").get("error_code")
        codes = common.codes | {code} if isinstance(code, str) else common.codes
        return Fault(codes=codes, message=common.message, status=common.status, kind=_kind(codes))

    def reasoning(self, wish: Reasoning, spec: ModelSpec) -> Mapping[str, Any]:
        """Ask for thinking in the way that the model takes: with a budget of tokens, or adaptive with an effort."""
        thinking = thinking_of(spec)
        if wish.is_off:
            return {"thinking": {"type": thinking.get("off", "disabled")}}
        if thinking.get("style") == "adaptive":
            return {"thinking": {"type": "adaptive"}, **_effort(wish)}
        fields: dict[str, Any] = {}
        if wish.effort is not None:
            if "efforts" not in thinking:
                nearest = wish.as_budget() or Reasoning(budget=DEFAULT_BUDGET)
                raise NotExpressibleError("the model takes a number of tokens, no effort", nearest)
            fields = _effort(wish)
        tokens = DEFAULT_BUDGET if wish.budget is None else wish.budget
        if tokens < LEAST_BUDGET:
            raise NotExpressibleError(
                f"the budget must be at least {LEAST_BUDGET} tokens, not {tokens}", Reasoning(budget=LEAST_BUDGET)
            )
        return {"thinking": {"type": "enabled", "budget_tokens": tokens}, **fields}

    def reasoning_in(self, fields: Mapping[str, Any]) -> Reasoning | None:
        """Read what the service's own field asks for."""
        thinking = fields.get("thinking")
        if not isinstance(thinking, dict):
            return None
        if thinking.get("type") not in _THINKS:
            return Reasoning("none")
        effort, budget = value_at(fields, ("output_config", "effort")), thinking.get("budget_tokens")
        if isinstance(budget, int):
            return Reasoning(budget=budget)
        return Reasoning(effort if isinstance(effort, str) else None)

    def settle(self, ledger: Ledger, spec: ModelSpec) -> None:
        """Fit together version, thinking, sampling and the limit on tokens."""
        thinking = ledger.fields.get("thinking")
        listed = spec.get("sampling_parameters")
        # What the entry does not list was decided about before.
        taken = [name for name in _SAMPLING if name in ledger and (listed is None or name in listed)]
        if self.version >= BEARER_VERSION:
            for name in taken:
                ledger.unsupported(
                    name,
                    f"the service refuses it under anthropic-version {self.version}; an entry with "
                    f'"api_version": "{SAMPLING_VERSION}" sends it, for models that take it',
                )
        elif isinstance(thinking, dict) and thinking.get("type") in _THINKS:
            _fit_sampling_to_thinking(ledger, taken)
        if "top_p" in ledger and "temperature" in ledger and not ledger.was_asked("temperature"):
            ledger.drop("temperature", "default; top_p was asked for, and most models take one of both")
        _fit_limit(ledger, spec, thinking.get("budget_tokens") if isinstance(thinking, dict) else None)

    def tokens_used(self, reply: Any) -> int | None:
        """Return what went in and what came out."""
        return total_of(_usage(reply.get("usage"))) if isinstance(reply, dict) else None


def api_version_of(spec: ModelSpec) -> str:
    """Return the entry's ``api_version``; without one, the newer for models that take no sampling parameters.

    Raises:
        SpecError: it is not a date.
    """
    version = spec.get("api_version")
    if version is None:
        return BEARER_VERSION if spec.get("sampling_parameters") == [] else SAMPLING_VERSION
    if not isinstance(version, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", version):
        raise SpecError(
            f"model '{spec['model_name']}': 'api_version' must be a date such as '{SAMPLING_VERSION}', sent as "
            f"anthropic-version, not {version!r}"
        )
    return version


def _encoded(message: Message, index: int, spec: ModelSpec) -> Message:
    alone(message, index)
    role = message["role"]
    if role not in ("user", "assistant"):
        raise MessagesError(f"messages[{index}] has the role '{role}': Anthropic takes system, user and assistant")
    images = images_of(message, index, spec)
    content = message["content"]
    if not images:
        check_not_empty(message, index, "Anthropic")
    if isinstance(content, list):
        for n, part in enumerate(content):
            if part.get("type") in (None, "image_url", "input_text", "input_image"):
                raise MessagesError(
                    f"messages[{index}]['content'][{n}]: the Messages format has no part of type "
                    f"{part.get('type')!r}; put images into the message's 'image'"
                )
        return {"role": role, "content": [*content, *(_block(image) for image in images)]}
    if not images:
        return {"role": role, "content": content}
    text = text_of(message)
    # The service refuses empty text blocks.
    texts = [{"type": "text", "text": text}] if text.strip() else []
    return {"role": role, "content": [*texts, *(_block(image) for image in images)]}


def _block(image: Image) -> dict[str, Any]:
    if image.url is not None:
        return {"type": "image", "source": {"type": "url", "url": image.url}}
    if image.kind not in IMAGE_TYPES:
        raise MessagesError(
            f"{image.where} is {image.kind}, but Anthropic takes {', '.join(IMAGE_TYPES)}: convert it"
        )
    return {"type": "image", "source": {"type": "base64", "media_type": image.kind, "data": image.base64}}


def _check_last(turns: list[tuple[int, Message]], spec: ModelSpec, fields: Mapping[str, Any]) -> None:
    if not turns:
        raise MessagesError("messages hold nothing but system messages; Anthropic needs a user message")
    if continues(*turns[-1], spec) and object_at(fields, "thinking").get("type") in _THINKS:
        raise no_prefill(turns[-1][0], "a model that thinks continues no message")


def _effort(wish: Reasoning) -> dict[str, Any]:
    if wish.budget is not None:
        raise NotExpressibleError("the model takes an effort, no number of tokens", wish.as_effort())
    if wish.effort is None:
        return {}
    if wish.effort not in EFFORTS:
        nearest = Reasoning("low") if wish.effort == "minimal" else None
        raise NotExpressibleError(f"must be one of {', '.join(EFFORTS)}, not {wish.effort!r}", nearest)
    return {"output_config": {"effort": wish.effort}}


def _fit_sampling_to_thinking(ledger: Ledger, taken: list[str]) -> None:
    temperature, top_p = ledger.value("temperature"), ledger.value("top_p")
    if "temperature" in taken and temperature != 1:
        if ledger.was_asked("temperature"):
            ledger.unsupported("temperature", f"must be 1 while the model thinks, not {temperature!r}", 1)
        else:
            ledger.drop("temperature", f"default {temperature!r}; it must be 1 while the model thinks")
    if "top_p" in taken and isinstance(top_p, (int, float)) and top_p < _LEAST_TOP_P:
        ledger.unsupported("top_p", f"must be at least {_LEAST_TOP_P} while the model thinks", _LEAST_TOP_P)
    if "top_k" in taken:
        ledger.unsupported("top_k", "is not taken while the model thinks")


def _fit_limit(ledger: Ledger, spec: ModelSpec, budget: Any) -> None:
    """Send a limit in any case; thinking counts in it, so what it may have is added to what the answer may have."""
    if not isinstance(ledger.value("max_tokens"), int):
        ledger.put("max_tokens", ("max_tokens",), DEFAULT_GEN_ARGS["max_tokens"])
    is_native = "thinking" in ledger and ledger.was_asked("max_tokens")
    if isinstance(budget, int) and not is_native:
        make_room(ledger, spec, budget)


def _refusal(details: Any) -> str:
    details = details if isinstance(details, dict) else {}
    said = details.get("explanation") or details.get("category")
    return said if isinstance(said, str) else "refusal"


def _usage(usage: Any) -> dict[str, int]:
    if not isinstance(usage, dict):
        return {}
    fresh, read, wrote = (
        usage.get(name) for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    )
    return counts(
        {
            # The service counts what it read from the cache, and wrote to it, apart.
            "input_tokens": sum(count_of(part) or 0 for part in (fresh, read, wrote))
            if count_of(fresh) is not None
            else None,
            "output_tokens": usage.get("output_tokens"),
            "reasoning_tokens": object_at(usage, "output_tokens_details").get("thinking_tokens"),
            "cached_tokens": read,
            "cache_write_tokens": wrote,
        }
    )


def _kind(codes: frozenset[str]) -> str | None:
    tables = (_KIND_OF_CODE, _KIND_OF_TYPE)
    return next((table[code] for table in tables for code in sorted(codes) if code in table), None)
