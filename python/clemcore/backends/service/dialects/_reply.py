"""What the replies of all formats have in common: an object, a role, parts of text, counts of tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clemcore.backends.service.dialects.base import NoAnswerError


def object_of(body: Any) -> dict[str, Any]:
    """Return a reply's body.

    Raises:
        NoAnswerError: it is JSON, but no object.
    """
    if not isinstance(body, dict):
        raise NoAnswerError(f"the reply is JSON, but {type(body).__name__} instead of an object")
    return body


def check_role(part: Mapping[str, Any], what: str = "the reply's message") -> None:
    """Refuse what is said in another role than the assistant's; some services leave it out.

    Raises:
        NoAnswerError: it is.
    """
    if part.get("role") not in (None, "assistant"):
        raise NoAnswerError(f"{what} has the role {part['role']!r} instead of 'assistant'")


def parts_of(content: Any) -> list[dict[str, Any]]:
    """Return the parts of a content, which may be missing."""
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def texts_of(parts: Any, kind: str, field: str) -> list[str]:
    """Return what the parts of one type say, without those that say nothing.

    Examples:
        >>> texts_of([{"type": "text", "text": "Hi"}, {"type": "image"}], "text", "text")
        ['Hi']
    """
    found = (part.get(field) for part in parts_of(parts) if part.get("type") == kind)
    return [text for text in found if isinstance(text, str) and text]


def known(facts: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the facts that there are."""
    return {name: value for name, value in facts if value is not None}


def object_at(fields: Any, name: str) -> dict[str, Any]:
    """Return the object that stands in a field, or an empty one."""
    inside = fields.get(name) if isinstance(fields, dict) else None
    return inside if isinstance(inside, dict) else {}


def counts(found: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts that are numbers."""
    return {name: count for name, count in found.items() if count_of(count) is not None}


def count_of(value: Any) -> int | None:
    """Return a count, or None where there is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def total_of(usage: Mapping[str, int]) -> int | None:
    """Return what went in and what came out, where the service gives no sum; None where nothing was counted."""
    return usage.get("input_tokens", 0) + usage.get("output_tokens", 0) if usage else None
