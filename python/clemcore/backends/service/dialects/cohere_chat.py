"""Cohere's chat format in its second version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clemcore.arguments.parameter import NotExpressibleError, Parameter
from clemcore.arguments.reasoning import Reasoning
from clemcore.backends.service.dialects._reply import (
    answered,
    check_role,
    counts,
    known,
    object_of,
    texts_of,
    total_of,
)
from clemcore.backends.service.dialects._turns import alone, listed, no_prefill
from clemcore.backends.service.dialects.base import Dialect, Fault, NoAnswerError, fault_in
from clemcore.backends.service.streaming.cohere_chat import CohereJoiner
from clemcore.errors import MessagesError
from clemcore.images import images_of, text_of
from clemcore.messages import Message, Messages
from clemcore.registry.spec import ModelSpec

# What a body may hold beside our own fields, as the SDK lists it (a test compares).
NATIVE = (
    "citation_options",
    "documents",
    "k",
    "p",
    "priority",
    "response_format",
    "safety_mode",
    "stop_sequences",
    "strict_tools",
    "thinking",
    "tool_choice",
    "tools",
)
_MOST_STOPS = 5


class CohereChat(Dialect):
    """Cohere's chat format."""

    name = "cohere-chat"
    joiner = CohereJoiner
    address = "without /v2, which is added"
    # Bounds as the SDK's description of the call gives them.
    parameters: Mapping[str, Parameter] = {
        **{name: Parameter((name,)) for name in NATIVE},
        "temperature": Parameter(("temperature",), 0),
        "max_tokens": Parameter(("max_tokens",), 1, whole=True),
        "top_p": Parameter(("p",), 0.01, 0.99),
        "top_k": Parameter(("k",), 0, 500, whole=True),
        "stop": Parameter(("stop_sequences",), convert=lambda value: _few(listed(value))),
        "seed": Parameter(("seed",), 0, whole=True),
        "presence_penalty": Parameter(("presence_penalty",), 0, 1),
        "frequency_penalty": Parameter(("frequency_penalty",), 0, 1),
        "logprobs": Parameter(("logprobs",), choices=(False, True)),
    }

    def path(self, spec: ModelSpec, model_id: str) -> str:  # noqa: ARG002 - the same for all
        """Return the path of the one call."""
        return "/v2/chat"

    def body(self, spec: ModelSpec, model_id: str, messages: Messages, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Write the request; images become blocks behind the text."""
        if messages[-1]["role"] == "assistant":
            raise no_prefill(len(messages) - 1, "Cohere's models continue no message")
        encoded = [_encoded(message, index, spec) for index, message in enumerate(messages)]
        return {"model": model_id, "messages": encoded, **fields}

    def read(self, body: Any, spec: ModelSpec) -> tuple[str, dict[str, Any]]:
        """Join the text blocks; thinking is reasoning, never part of the answer."""
        message = object_of(body).get("message")
        if not isinstance(message, dict):
            raise NoAnswerError("the reply has no message")
        check_role(message)
        blocks = message.get("content")
        if isinstance(blocks, str):
            blocks = [{"type": "text", "text": blocks}]
        if blocks is not None and not isinstance(blocks, list):
            raise NoAnswerError("the reply's message has no list of content blocks")
        facts: dict[str, Any] = {
            "usage": _usage(body.get("usage")),
            # The service does not say which model has answered.
            "served_model": body.get("model"),
            "finish_reason": body.get("finish_reason"),
            **known([("reasoning", "\n\n".join(texts_of(blocks, "thinking", "thinking")) or None)]),
        }
        return answered("".join(texts_of(blocks, "text", "text")), facts, spec)

    def fault(self, body: Any) -> Fault | None:
        """Read an error body: an id and a message."""
        if not isinstance(body, dict) or isinstance(body.get("message"), dict):
            return None
        if not isinstance(body.get("message"), str) and not body.get("error"):
            return None
        return fault_in(body)

    def reasoning(self, wish: Reasoning, spec: ModelSpec) -> Mapping[str, Any]:  # noqa: ARG002 - the same for all
        """Switch thinking on or off, with a budget of tokens where one is asked for."""
        if wish.is_off:
            return {"thinking": {"type": "disabled"}}
        if wish.effort is not None:
            raise NotExpressibleError("the service takes a number of tokens, no effort", wish.as_budget())
        if wish.budget is None:
            return {"thinking": {"type": "enabled"}}
        return {"thinking": {"type": "enabled", "token_budget": wish.budget}}

    def reasoning_in(self, fields: Mapping[str, Any]) -> Reasoning | None:
        """Read what the service's own field asks for."""
        thinking = fields.get("thinking")
        if not isinstance(thinking, dict):
            return None
        if thinking.get("type") != "enabled":
            return Reasoning("none")
        budget = thinking.get("token_budget")
        return Reasoning(budget=budget if isinstance(budget, int) else None)

    def tokens_used(self, reply: Any) -> int | None:
        """Return what went in and what came out."""
        return total_of(_usage(reply.get("usage"))) if isinstance(reply, dict) else None


def _few(stops: list[str]) -> list[str]:
    if len(stops) > _MOST_STOPS:
        raise NotExpressibleError(f"must be at most {_MOST_STOPS} texts, not {len(stops)}")
    return stops


def _encoded(message: Message, index: int, spec: ModelSpec) -> Message:
    alone(message, index)
    role, content = message["role"], message["content"]
    if role not in ("system", "user", "assistant"):
        raise MessagesError(f"messages[{index}] has the role '{role}': Cohere takes system, user and assistant")
    images = images_of(message, index, spec)
    if not images:
        return {"role": role, "content": content}
    if role != "user":
        raise MessagesError(f"messages[{index}] has an image: Cohere takes images from the user's role alone")
    texts = list(content) if isinstance(content, list) else [{"type": "text", "text": text_of(message)}]
    return {
        "role": role,
        "content": [*texts, *({"type": "image_url", "image_url": {"url": image.address}} for image in images)],
    }


def _usage(usage: Any) -> dict[str, int]:
    """Return the counts of all tokens, and of those that are billed: the service does not bill what it adds."""
    if not isinstance(usage, dict):
        return {}
    tokens, billed = (usage.get(name) for name in ("tokens", "billed_units"))
    billed = billed if isinstance(billed, dict) else {}
    counted = tokens if isinstance(tokens, dict) else billed
    return counts(
        {
            "input_tokens": counted.get("input_tokens"),
            "output_tokens": counted.get("output_tokens"),
            "cached_tokens": usage.get("cached_tokens"),
            "billed_input_tokens": billed.get("input_tokens"),
            "billed_output_tokens": billed.get("output_tokens"),
        }
    )
