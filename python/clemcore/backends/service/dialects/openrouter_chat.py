"""Chat Completions as OpenRouter has it: one form of reasoning for all models, who served it, errors in choices."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clemcore.arguments.parameter import NotExpressibleError, Parameter
from clemcore.arguments.reasoning import Reasoning
from clemcore.backends.service.dialects.base import Fault, first_of
from clemcore.backends.service.dialects.chat_completions import ChatCompletions, error_of_choice
from clemcore.registry.spec import ModelSpec


class OpenRouterChat(ChatCompletions):
    """Chat Completions as OpenRouter has it."""

    name = "openrouter-chat"
    parameters: Mapping[str, Parameter] = {
        **ChatCompletions.parameters,
        "reasoning": Parameter(("reasoning",)),
        "reasoning_effort": Parameter(("reasoning", "effort")),
    }

    def __init__(self) -> None:
        super().__init__(takes_any=True)

    def reasoning(self, wish: Reasoning, spec: ModelSpec) -> Mapping[str, Any]:  # noqa: ARG002 - the same for all
        """Ask by effort, by budget, or just that there be reasoning."""
        if wish.effort is not None:
            return {"reasoning": {"effort": wish.effort}}
        if wish.budget is None:
            return {"reasoning": {"enabled": True}}
        if wish.budget == 0:
            raise NotExpressibleError("a budget of 0 tokens is said as an effort of 'none'", Reasoning("none"))
        return {"reasoning": {"max_tokens": wish.budget}}

    def reasoning_in(self, fields: Mapping[str, Any]) -> Reasoning | None:
        """Return what ``reasoning`` asks for."""
        wish = fields.get("reasoning")
        if not isinstance(wish, dict):
            return super().reasoning_in(fields)
        if wish.get("enabled") is False:
            return Reasoning("none")
        effort, budget = wish.get("effort"), wish.get("max_tokens")
        if isinstance(effort, str):
            return Reasoning(effort)
        if isinstance(budget, int) and not isinstance(budget, bool):
            return Reasoning(budget=budget)
        return Reasoning() if wish.get("enabled") else None

    def read(self, body: Any, spec: ModelSpec) -> tuple[str, dict[str, Any]]:
        """Read the answer, and who served it."""
        text, facts = super().read(body, spec)
        if isinstance(body.get("provider"), str):
            facts["served_by"] = body["provider"]
        return text, facts

    def fault(self, body: Any) -> Fault | None:
        """Read an error, also one that stands inside the first choice, with what the provider behind it said."""
        body = first_of(body)
        fault = super().fault(body)
        if fault is None or not isinstance(body, dict):
            return fault
        error = error_of_choice(body) if body.get("choices") else body.get("error")
        details = error.get("metadata") if isinstance(error, dict) else None
        if not isinstance(details, dict):
            return fault
        words = [fault.message or ""]
        words += [f"{name}: {details[name]}" for name in ("provider_name", "raw") if details.get(name)]
        fault = replace(fault, message="; ".join(word for word in words if word), retry_after=_reset_in(details))
        return replace(fault, kind="content_filter") if details.get("reasons") else fault


def _reset_in(details: Mapping[str, Any]) -> float | None:
    """Return the seconds until the limit is lifted, which the error names as a time in milliseconds."""
    headers = details.get("headers")
    reset = headers.get("X-RateLimit-Reset") if isinstance(headers, dict) else None
    if not isinstance(reset, str) or not re.fullmatch(r"[0-9]{13}", reset):
        return None
    return max(int(reset) / 1000 - time.time(), 0.0)
