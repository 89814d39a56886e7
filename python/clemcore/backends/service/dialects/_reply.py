"""What the replies of all formats have in common: an object, a role, parts of text, counts, and how they end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clemcore.arguments.outcome import outcome_of
from clemcore.backends.service.dialects.base import NoAnswerError
from clemcore.backends.service.dialects.finish_reasons import FINISH_REASONS, Ending
from clemcore.backends.service.streaming.joiner import whole_characters
from clemcore.registry.spec import ModelSpec

# No reply has more tokens; a number above it is a fault of the service. It is also the largest exact float.
_MOST_TOKENS = 2**53
# Endings that bring no answer: what to say, the kind of error, and whether the same request may be sent again.
_FAILED: Mapping[Ending, tuple[str, str, bool]] = {
    "failed": ("the service ended the answer with an error", "bad_reply", True),
    "overloaded": ("the service has run out of resources for the answer", "overloaded", True),
    "timeout": ("the service took too long for the answer", "timeout", True),
    "stopped": ("the answer was stopped before its end", "bad_reply", False),
    "paused": ("the service has paused, and would go on only in a further request", "bad_reply", False),
}


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
        raise NoAnswerError(f"{what} has the role {part['role']!r:.80} instead of 'assistant'")


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


def counts(found: Mapping[str, Any], total: Any = None) -> dict[str, int]:
    """Return the counts of tokens that are known, with what the reply itself proves.

    Some services count reasoning neither as output nor as input: then their total is greater than both together.
    What is missing was generated. Where the total leaves no room, nothing is added.

    Args:
        found: the counts as the service gives them.
        total: the service's count of all tokens, if it gives one.

    Examples:
        >>> counts({"input_tokens": 32, "output_tokens": 9, "reasoning_tokens": 94}, total=135)
        {'input_tokens': 32, 'output_tokens': 103, 'reasoning_tokens': 94}
        >>> counts({"input_tokens": 12.0, "output_tokens": -1})
        {'input_tokens': 12}
    """
    usage = {name: number for name, count in found.items() if (number := count_of(count)) is not None}
    given, made, everything = usage.get("input_tokens"), usage.get("output_tokens"), count_of(total)
    if everything is None:
        if made is not None and usage.get("reasoning_tokens", 0) > made:  # it cannot be a part of the output
            usage["output_tokens"] = made + usage["reasoning_tokens"]
    elif given is None:
        if made is not None and everything >= made:
            usage["input_tokens"] = everything - made
    elif everything > given + (made or 0):
        usage["output_tokens"] = everything - given
    return usage


def count_of(value: Any) -> int | None:
    """Return a count of tokens, or None if it is unknown, which some services say by a negative number.

    Gateways in languages without large integers write counts as text.
    """
    if value is None:  # most of what is asked for
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < len(str(_MOST_TOKENS)):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None


def number_in(fields: Mapping[str, Any], name: str) -> int:
    """Return a number of answers that a body asks for; 1 where it names none, or none that a service would take."""
    try:
        return max(int(fields.get(name) or 1), 1)
    except (TypeError, ValueError, OverflowError):
        return 1


def total_of(usage: Mapping[str, int]) -> int | None:
    """Return what went in and what came out, where the service gives no sum; None where nothing was counted."""
    return usage.get("input_tokens", 0) + usage.get("output_tokens", 0) if usage else None


def ending_of(reason: object) -> Ending | None:
    """Return what a finish reason means; None where it is not known, or the service gives none.

    Examples:
        >>> ending_of("MAX_TOKENS"), ending_of("content_filter: RECITATION"), ending_of("whatever"), ending_of(None)
        ('cut', 'filtered', None, None)
    """
    if not isinstance(reason, str):
        return None
    return FINISH_REASONS.get(reason) or FINISH_REASONS.get(
        reason.partition(":")[0].strip().lower().replace("-", "_")
    )


def answered(
    text: str,
    facts: dict[str, Any],
    spec: ModelSpec,
    *,
    refused: bool = False,
    filtered: bool = False,
    reasoned: bool = False,
) -> tuple[str, dict[str, Any]]:
    """Return what a dialect has read, with its outcome.

    Args:
        text: the answer.
        facts: what else was read; ``finish_reason`` says how the reply ended.
        spec: the entry, which may say by which tags the model marks its thoughts.
        refused: the model says that it refuses, by something else than the finish reason.
        filtered: the service says the same of its filter.
        reasoned: there is reasoning beside the text, perhaps unreadable.

    Raises:
        NoAnswerError: the service says that it has not finished the answer.
    """
    finish = facts.get("finish_reason")
    ending = ending_of(finish)
    if ending is not None and ending in _FAILED:
        why, kind, may_repeat = _FAILED[ending]
        raise NoAnswerError(f"{why} (finish_reason {finish!r})", kind=kind, may_repeat=may_repeat, facts=facts)
    if not text.isascii():
        text = _whole(text, facts)
    if has_tags(spec):
        from clemcore.backends.service.dialects import thoughts

        text = thoughts.split_off(text, facts, spec, is_cut=ending == "cut")
    text = text.strip()
    facts["outcome"] = outcome_of(
        text,
        refused=refused or ending == "refused",
        filtered=filtered or ending == "filtered",
        cut=ending == "cut",
        reasoned=reasoned or facts.get("reasoning") is not None,
        unknown=ending is None,
    )
    return text, facts


def has_tags(spec: ModelSpec) -> bool:
    """Tell whether an entry names the tags of thoughts; what they are is read only then."""
    config = getattr(spec, "model_config", None)
    return hasattr(spec, "cot_end_tag") or (isinstance(config, dict) and "cot_end_tag" in config)


def _whole(text: str, facts: dict[str, Any]) -> str:
    """Return a text that can be sent again; halves of a character that are replaced are counted."""
    whole = whole_characters(text)
    replaced = whole.count("\ufffd") - text.count("\ufffd") if whole != text else 0
    if replaced:
        facts["replaced_surrogates"] = replaced
    return whole
