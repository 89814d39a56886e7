"""Attention for continuous batching on a CPU: each prompt attends to its own tokens, and to nothing else.

transformers computes one attention over the tokens of all prompts, and masks those of other prompts. That work
grows with the square of the number of prompts, and each step copies keys and values once per head that shares them.
Here torch's attention is called for each prompt by itself. It knows the paged cache of the library and no jobs.

Source: https://huggingface.co/docs/transformers/attention_interface
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

# The name under which the library knows it.
ROWWISE = "clemcore_rowwise"
# The paged cache of the step that is computed; it knows the sliding window of each layer.
PAGES: ContextVar[Any] = ContextVar("PAGES")


def register() -> None:
    """Make the attention known to transformers, so that a model can be set to it."""
    from transformers import AttentionInterface

    AttentionInterface.register(ROWWISE, attend)


def attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    *,
    cu_seq_lens_q: Any,
    cache: Any = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[Any, None]:
    """Compute the attention of one layer for all prompts of a step.

    Args:
        module: the layer.
        query: of the tokens of this step, prompt after prompt, shape (1, heads, tokens, size).
        key: the same, shape (1, key heads, tokens, size).
        value: the same, shape (1, key heads, tokens, value size).
        attention_mask: always None; the library makes no masks for an attention that it does not know.
        cu_seq_lens_q: where the tokens of each prompt begin, and where the last one ends, shape (prompts + 1,).
        cache: the paged cache, which takes the keys and values and returns those of all tokens of these prompts;
            None since transformers 5.24, where the layer has asked it before.
        dropout: the share of weights to drop in training.
        scaling: the factor of the scores; None is torch's own.
        **rest: the library's other arguments, with which the cache is asked, and in which it says where the keys of
            each prompt begin. Some models leave out their sliding window, which they have in their masks; the cache
            always knows it.

    Returns:
        The values that each token sees, shape (1, tokens, heads, value size), and None.

    Raises:
        ValueError: the layer changes the scores in a way that torch's attention does not know.
    """
    import torch

    unknown = [name for name in ("softcap", "s_aux", "position_bias") if rest.get(name) is not None]
    if unknown or attention_mask is not None:
        raise ValueError(f"{type(module).__name__} asks for {', '.join(unknown) or 'a mask of its own'}")
    if cache is not None:
        key, value = cache.update(key_states=key, value_states=value, layer_idx=module.layer_idx, kwargs=rest)
    queries, keys = cu_seq_lens_q.tolist(), rest["cu_seq_lens_k"].tolist()
    sliding_window = getattr(PAGES.get().layer_to_allocator[module.layer_idx], "sliding_window", None)
    rows = []
    for row, (begin, first) in enumerate(zip(queries[:-1], keys[:-1], strict=True)):
        tokens, seen = queries[row + 1] - begin, keys[row + 1] - first
        is_plain = tokens in (1, seen)
        window = sliding_window if sliding_window is not None and sliding_window < seen else None
        rows.append(
            torch.nn.functional.scaled_dot_product_attention(
                query[:, :, begin : begin + tokens],
                key[:, :, first : first + seen],
                value[:, :, first : first + seen],
                attn_mask=None if is_plain and window is None else _mask(tokens, seen, window, query),
                dropout_p=dropout,
                is_causal=tokens > 1 and is_plain and window is None,
                scale=scaling,
                enable_gqa=query.shape[1] != key.shape[1],
            )
        )
    return torch.cat(rows, dim=2).transpose(1, 2).contiguous(), None


def _mask(tokens: int, seen: int, window: int | None, like: Any) -> Any:
    """Return what is added to the scores of the last ``tokens`` of ``seen`` tokens, shape (tokens, seen)."""
    import torch

    before = seen - tokens
    visible = torch.ones(tokens, seen, dtype=torch.bool, device=like.device).tril(before)
    if window is not None:
        visible = visible.triu(before - window + 1)
    return torch.zeros(tokens, seen, dtype=like.dtype, device=like.device).masked_fill_(~visible, float("-inf"))
