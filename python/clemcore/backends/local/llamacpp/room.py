"""Whether a GGUF file fits the memory, with the context that llama.cpp allots when it is loaded.

It knows the head of a file and a size of memory.
"""

from __future__ import annotations

from clemcore.backends.local.llamacpp.head import Head
from clemcore.backends.local.llamacpp.settings import LlamaSettings
from clemcore.backends.local.memory import Free, size_text
from clemcore.backends.local.needs import LayerState, Needs
from clemcore.errors import ModelLoadError
from clemcore.prompts.templates.gguf import read_tokens

_BYTES = {"f16": 2, "f32": 4}
# A context that is too small for any dialogue is no advice.
_LEAST_CONTEXT = 512
# Vectors of the model's width that are alive at once for each token of a piece: as measured, with llama.cpp 0.3.36.
_VECTORS = 6


def needs_of(head: Head, cache_type: str, piece: int) -> Needs:
    """Return what a model needs; what the head does not give all the sizes of is not counted.

    Args:
        head: the head of its file.
        cache_type: the format of keys and values.
        piece: the most tokens that are fed at once.
    """
    per_token = _state_bytes(head, _BYTES[cache_type])
    layers = None if per_token is None else (LayerState("attention", 0, per_token),)
    fixed, growing = _computing(head, piece)
    return Needs(head.bytes, head.format, layers, fixed, head.parameters, working_per_token=growing)


def require_room(settings: LlamaSettings, head: Head, context: int, free: Free) -> None:
    """Refuse a model that does not fit.

    Args:
        settings: the entry.
        head: the head of its file.
        context: tokens of the context.
        free: the memory that is free.

    Raises:
        ModelLoadError: it does not; the message has the sizes, and the context that would fit.
    """
    needs = needs_of(head, settings.cache_type, min(settings.piece, context))
    if needs.total(context) <= free.bytes:
        return
    longest = needs.tokens_within(free.bytes) if needs.layers else 0
    advice = (
        f"set context_size to {longest // 256 * 256} or less"
        if longest >= _LEAST_CONTEXT
        else "free memory, or choose a smaller file"
    )
    states = f", {context} tokens of context {size_text(needs.state(context))}" if needs.layers else ""
    computing = f", computing about {size_text(needs.computing(context))}" if needs.working else ""
    total, weights = size_text(needs.total(context)), size_text(needs.weights)
    raise ModelLoadError(
        f"model '{settings.local.model_name}' does not fit: it needs {total} (weights {weights} in {needs.format}"
        f"{states}{computing}), and {size_text(free.bytes)} are free: {advice}, or set model_config.preflight to "
        "false"
    )


def _computing(head: Head, piece: int) -> tuple[int | None, int]:
    """Return about how many bytes computing takes, and how many more for each token of the context.

    llama.cpp reserves them when it loads the model: for each token of a piece the scores of all tokens of the
    vocabulary, some vectors, and without flash attention the attention of each head to the whole context. The
    largest of these counts there; here they are added, so that it is never too little.
    """
    heads, width = _number(head, "attention.head_count"), _number(head, "embedding_length")
    if heads is None or width is None:
        return None, 0
    vocabulary = _number(head, "vocab_size") or len(read_tokens(head.path))
    return 4 * piece * (vocabulary + _VECTORS * width), 4 * piece * (heads + 1)


def _number(head: Head, key: str) -> int | None:
    found = head.metadata.values.get(f"{head.architecture}.{key}")
    return found if isinstance(found, int) and found > 0 else None


def _state_bytes(head: Head, size: int) -> int | None:
    """Return the bytes that llama.cpp allots for each token of the context, or None where that is not known."""
    layers, width = _number(head, "block_count"), _number(head, "embedding_length")
    heads = _number(head, "attention.head_count")
    compressed = _number(head, "attention.kv_lora_rank") is not None or _number(head, "ssm.state_size") is not None
    if layers is None or heads is None or width is None or compressed:
        return None
    key_heads = head.metadata.values.get(f"{head.architecture}.attention.head_count_kv", heads)
    if not isinstance(key_heads, int):  # a number for each layer
        return None
    key = _number(head, "attention.key_length") or width // heads
    value = _number(head, "attention.value_length") or width // heads
    return layers * key_heads * (key + value) * size
