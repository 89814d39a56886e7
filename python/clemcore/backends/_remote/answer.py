"""Reading a Chat Completions reply: the answer's text, and the facts beside it.

It reads the JSON that came and knows nothing of how it came.
"""

from __future__ import annotations

from typing import Any


class NoAnswerError(ValueError):
    """A reply that holds no answer; the message says what is wrong with it."""


def read_answer(body: Any) -> tuple[str, dict[str, Any]]:
    """Return the first choice's text, stripped as in 3.7.2, and what else is known.

    Raises:
        NoAnswerError: the reply has not the form of a chat completion.
    """
    if not isinstance(body, dict):
        raise NoAnswerError(f"the reply is JSON, but {type(body).__name__} instead of an object")
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise NoAnswerError("the reply has no choices")
    choice = choices[0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise NoAnswerError("the reply's first choice has no message")
    role = message.get("role")
    if role not in (None, "assistant"):
        raise NoAnswerError(f"the reply's message has the role {role!r} instead of 'assistant'")
    facts = {
        "usage": _usage(body.get("usage")),
        "served_model": body.get("model"),
        "system_fingerprint": body.get("system_fingerprint"),
        "finish_reason": choice.get("finish_reason"),
        "refusal": message.get("refusal"),
        "reasoning": _reasoning(message),
    }
    always = ("usage", "served_model", "finish_reason")
    return _text(message.get("content")).strip(), {
        name: value for name, value in facts.items() if value is not None or name in always
    }


def _text(content: Any) -> str:
    """Return the content's text; some servers send a list of parts, reasoning among them."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") for part in content if isinstance(part, dict) and part.get("type") in ("text", None))
    return "".join(part for part in parts if isinstance(part, str))


def _reasoning(message: dict[str, Any]) -> str | None:
    for name in ("reasoning_content", "reasoning"):
        if isinstance(message.get(name), str) and message[name]:
            text: str = message[name]
            return text
    return None


def _usage(usage: Any) -> dict[str, int]:
    if not isinstance(usage, dict):
        return {}
    counts = {
        "input_tokens": usage.get("prompt_tokens"),
        "output_tokens": usage.get("completion_tokens"),
        "reasoning_tokens": _inside(usage, "completion_tokens_details", "reasoning_tokens"),
        "cached_tokens": _inside(usage, "prompt_tokens_details", "cached_tokens"),
    }
    return {name: count for name, count in counts.items() if isinstance(count, int)}


def _inside(usage: dict[str, Any], outer: str, inner: str) -> Any:
    details = usage.get(outer)
    return details.get(inner) if isinstance(details, dict) else None
