"""Names that custom backends of 3.7.2 import from here; each lives in its own module."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

from clemcore.errors import ContextExceededError
from clemcore.messages import ensure_alternating_roles

__all__ = [
    "ContextExceededError",
    "augment_response_object",
    "check_context_limit_generic",
    "ensure_alternating_roles",
    "ensure_messages_format",
]

logger = logging.getLogger(__name__)


def ensure_messages_format(generate_response_fn: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate ``generate_response`` or ``generate_batch_response``: neighbouring roles are merged before it.

    Apply it below :func:`augment_response_object`.
    """

    @functools.wraps(generate_response_fn)
    def wrapped(self: Any, messages: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(messages, list) and all(isinstance(item, list) for item in messages):
            return generate_response_fn(
                self, [ensure_alternating_roles(item) for item in messages], *args, **kwargs
            )
        return generate_response_fn(self, ensure_alternating_roles(messages), *args, **kwargs)

    return wrapped


def augment_response_object(generate_response_fn: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate ``generate_response`` or ``generate_batch_response``: for backends written for 3.7.2.

    Every response now answers ``["clem_player"]`` by itself (``clemcore.model.ReceivedBody``), so there is
    nothing left to add; the decorator stays so that such backends need no change.
    """
    return generate_response_fn


def check_context_limit_generic(
    context_size: int, prompt_tokens: Sequence[Any], model_name: str, max_new_tokens: int = 100
) -> tuple[bool, int, int, int]:
    """Check that a prompt and its reply fit the context window.

    Args:
        context_size: size of the window in tokens.
        prompt_tokens: the prompt's token ids.
        model_name: named in the error.
        max_new_tokens: the most tokens that the reply may have.

    Returns:
        ``(True, tokens used, tokens left, context size)``.

    Raises:
        ContextExceededError: they do not fit.
    """
    tokens_used = len(prompt_tokens) + max_new_tokens
    tokens_left = context_size - tokens_used
    if tokens_left < 0:
        raise ContextExceededError(
            f"Context token limit for {model_name} exceeded",
            tokens_used=tokens_used,
            tokens_left=tokens_left,
            context_size=context_size,
        )
    return True, tokens_used, tokens_left, context_size
