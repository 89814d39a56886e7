"""What a reply brought, in one word. It does not know how a provider says it."""

from __future__ import annotations

from typing import Literal

Outcome = Literal["answer", "refusal", "content_filter", "length", "reasoning_only", "empty", "unknown"]


def outcome_of(
    text: str,
    *,
    refused: bool = False,
    filtered: bool = False,
    cut: bool = False,
    reasoned: bool = False,
    unknown: bool = False,
) -> Outcome:
    """Name what a reply with a good status brought.

    Args:
        text: the answer.
        refused: the model says that it refuses.
        filtered: the service's filter ended the answer.
        cut: the limit on tokens ended it.
        reasoned: there is reasoning beside it.
        unknown: the service does not say, in any word that is known, how the reply ended.

    Examples:
        >>> outcome_of("Canberra."), outcome_of("", cut=True, reasoned=True), outcome_of("", reasoned=True)
        ('answer', 'length', 'reasoning_only')
    """
    if filtered:
        return "content_filter"
    if refused:
        return "refusal"
    if unknown:
        return "unknown"
    if text:
        return "answer"
    if cut:
        return "length"
    return "reasoning_only" if reasoned else "empty"
