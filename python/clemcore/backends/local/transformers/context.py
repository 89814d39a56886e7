"""The size of a model's context window, as its configuration, its entry or its tokenizer states it.

It knows settings and numbers, and loads nothing.
"""

from __future__ import annotations

import logging
from typing import Any

from clemcore.backends.local.entry import LocalEntry

logger = logging.getLogger(__name__)

FALLBACK_CONTEXT_SIZE = 256
# Tokenizers without a limit say 10**30.
_NO_LIMIT = 1_000_000


def own_context_size(config: Any) -> tuple[int, str] | None:
    """Return the size of the context window as a configuration states it, and where; None if it does not."""
    for owner, where in ((config, "config"), (getattr(config, "text_config", None), "config.text_config")):
        for field in ("max_position_embeddings", "n_positions", "max_seq_len"):
            size = getattr(owner, field, None)
            if isinstance(size, int) and size > 0:
                return size, f"{where}.{field}"
    return None


def stated_context_size(config: Any, entry: LocalEntry) -> tuple[int, str] | None:
    """Return the size of the context window as configuration or entry state it, and where; None if neither does.

    An entry can make the window of a model smaller, and not larger.
    """
    own, asked = own_context_size(config), entry.context_size
    if asked is not None and (own is None or asked < own[0]):
        return asked, "entry.context_size"
    return own


def find_context_size(config: Any, entry: LocalEntry, tokenizer: Any) -> tuple[int, str]:
    """Return the size of the context window in tokens, and where it was found.

    It is that of the model's own configuration, or the entry's ``context_size`` if that is smaller; then that of
    the tokenizer.
    """
    stated = stated_context_size(config, entry)
    if stated is not None:
        if entry.context_size is not None and entry.context_size > stated[0]:
            logger.warning(
                "model '%s': context_size of its entry is %d tokens, but the model's own configuration says %d "
                "(%s), which is used: correct context_size, or remove it",
                entry.model_name,
                entry.context_size,
                *stated,
            )
        return stated
    size = getattr(tokenizer, "model_max_length", None)
    if isinstance(size, int) and 0 < size < _NO_LIMIT:
        return size, "tokenizer.model_max_length"
    logger.warning(
        "model '%s' does not say how large its context is; taken as %d tokens: set context_size in its entry",
        entry.model_name,
        FALLBACK_CONTEXT_SIZE,
    )
    return FALLBACK_CONTEXT_SIZE, "fallback"
