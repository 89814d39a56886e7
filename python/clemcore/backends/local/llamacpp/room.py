"""Whether a GGUF file fits the memory, with the context that llama.cpp allots when it is loaded.

It knows the head of a file and a size of memory.
"""

from __future__ import annotations

from clemcore.backends.local.llamacpp.head import Head
from clemcore.backends.local.memory import Free, size_text
from clemcore.backends.local.needs import LayerState, Needs
from clemcore.errors import ModelLoadError

_BYTES = {"f16": 2, "f32": 4}
# A context that is too small for any dialogue is no advice.
_LEAST_CONTEXT = 512


def needs_of(head: Head, cache_type: str) -> Needs:
    """Return what a model needs; keys and values are not counted where the head does not give all their sizes.

    Args:
        head: the head of its file.
        cache_type: the format of keys and values.
    """
    per_token = _state_bytes(head, _BYTES[cache_type])
    layers = None if per_token is None else (LayerState("attention", 0, per_token),)
    return Needs(head.bytes, head.format, layers, parameters=head.parameters)


def require_room(name: str, head: Head, context: int, cache_type: str, free: Free) -> None:
    """Refuse a model that does not fit.

    Args:
        name: its name, for the error.
        head: the head of its file.
        context: tokens of the context.
        cache_type: the format of keys and values.
        free: the memory that is free.

    Raises:
        ModelLoadError: it does not; the message has the sizes, and the context that would fit.
    """
    needs = needs_of(head, cache_type)
    if needs.total(context) <= free.bytes:
        return
    longest = needs.tokens_within(free.bytes) if needs.layers else 0
    advice = (
        f"set context_size to {longest // 256 * 256} or less"
        if longest >= _LEAST_CONTEXT
        else "free memory, or choose a smaller file"
    )
    states = f", {context} tokens of context {size_text(needs.state(context))}" if needs.layers else ""
    total, weights = size_text(needs.total(context)), size_text(needs.weights)
    raise ModelLoadError(
        f"model '{name}' does not fit: it needs {total} (weights {weights} in {needs.format}{states}), and "
        f"{size_text(free.bytes)} are free: {advice}, or set model_config.preflight to false"
    )


def _state_bytes(head: Head, size: int) -> int | None:
    """Return the bytes that llama.cpp allots for each token of the context, or None where that is not known."""

    def number(key: str) -> int | None:
        found = head.metadata.values.get(f"{head.architecture}.{key}")
        return found if isinstance(found, int) and found > 0 else None

    layers, heads, width = number("block_count"), number("attention.head_count"), number("embedding_length")
    compressed = number("attention.kv_lora_rank") is not None or number("ssm.state_size") is not None
    if layers is None or heads is None or width is None or compressed:
        return None
    key_heads = head.metadata.values.get(f"{head.architecture}.attention.head_count_kv", heads)
    if not isinstance(key_heads, int):  # a number for each layer
        return None
    key = number("attention.key_length") or width // heads
    value = number("attention.value_length") or width // heads
    return layers * key_heads * (key + value) * size
