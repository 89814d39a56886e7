"""Mistral's chat format: Chat Completions with other names, parts for thinking, and a mark on what is continued."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clemcore.arguments.ledger import Ledger
from clemcore.arguments.parameter import Parameter
from clemcore.backends.service.dialects._parameters import RANGES
from clemcore.backends.service.dialects._turns import check_not_empty, continues
from clemcore.backends.service.dialects.base import Dialect, Fault, fault_in
from clemcore.backends.service.dialects.chat_completions import ChatCompletions
from clemcore.keys import Key
from clemcore.messages import Messages
from clemcore.registry.spec import ModelSpec

# What a body may hold beside our own fields under its own name, as the SDK lists it (a test compares); the limits
# on temperature and top_p are those of Mistral's API description.
NATIVE = (
    "frequency_penalty",
    "guardrails",
    "logprobs",
    "max_tokens",
    "metadata",
    "min_tokens",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_logprobs",
    "prompt_mode",
    "random_seed",
    "reasoning_effort",
    "repetition_penalty",
    "response_format",
    "safe_prompt",
    "service_tier",
    "stop",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_prompt_logprobs",
)
_RANGED = (
    "frequency_penalty",
    "logprobs",
    "max_tokens",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "response_format",
    "stop",
    "tools",
    "top_logprobs",
    "top_p",
)
_KIND_OF_TYPE = {
    "invalid_model": "not_found",
    "service_tier_capacity_exceeded": "overloaded",
}


class MistralChat(ChatCompletions):
    """Mistral's chat format."""

    name = "mistral-chat"
    parameters: Mapping[str, Parameter] = {
        **{name: Parameter((name,)) for name in NATIVE},
        "temperature": Parameter(("temperature",), 0, 1.5),
        **{name: RANGES[name] for name in _RANGED},
        "min_tokens": Parameter(("min_tokens",), 0, whole=True),
        "random_seed": Parameter(("random_seed",), 0, whole=True),
        "seed": Parameter(("random_seed",), 0, whole=True),
    }

    def key_headers(self, key: Key) -> Mapping[str, str]:
        """Return the key's header alone."""
        return Dialect.key_headers(self, key)

    def body(self, spec: ModelSpec, model_id: str, messages: Messages, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Write the request; a last message of the assistant is marked as one that the model continues."""
        for index, message in enumerate(messages):
            if message["role"] == "assistant" and not message.get("tool_calls") and not message.get("image"):
                check_not_empty(message, index, "Mistral")
        body = super().body(spec, model_id, messages, fields)
        turns = body["messages"]
        last = turns[-1]
        if "prefix" not in last and continues(len(turns) - 1, last, spec):
            turns[-1] = {**last, "prefix": True}
        return body

    def fault(self, body: Any) -> Fault | None:
        """Read an error body: flat, with a type, or with FastAPI's list of what is wrong."""
        if not isinstance(body, dict) or body.get("choices"):
            return None
        if not (body.get("object") == "error" or body.get("error") or body.get("detail") or "message" in body):
            return None
        common = fault_in(body)
        kind = next((_KIND_OF_TYPE[code] for code in sorted(common.codes) if code in _KIND_OF_TYPE), None)
        return Fault(codes=common.codes, message=common.message, status=_status(body), kind=kind)

    def streamed(self, path: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Ask for pieces; the last one always has the counts of tokens."""
        return Dialect.streamed(self, path, body)

    def settle(self, ledger: Ledger, spec: ModelSpec) -> None:
        """Nothing has to be fitted together: the limit on tokens has one name for all models."""


def _status(body: Mapping[str, Any]) -> int | None:
    status = body.get("raw_status_code")
    return status if isinstance(status, int) else None
