"""Builds a GGUF model whose layers see only the last tokens (Gemma 3), with random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

_WIDTH, _LAYERS, _CONTEXT = 32, 2, 512


def write_windowed(path: Path, words: int, window: int, add_tokenizer: Callable[[Any], None]) -> Path:
    """Write a model.

    Args:
        path: the file to write.
        words: how many tokens the vocabulary has.
        window: how many tokens a layer sees.
        add_tokenizer: writes the tokenizer.
    """
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(str(path), "gemma3")
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_WIDTH)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_key_length(_WIDTH)
    writer.add_value_length(_WIDTH)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_sliding_window(window)
    writer.add_vocab_size(words)
    writer.add_file_type(0)
    add_tokenizer(writer)
    draw = np.random.default_rng(0)
    norms = ("attn", "attn_q", "attn_k", "ffn", "post_attention", "post_ffw")
    squares = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    tensors: dict[str, tuple[int, ...]] = {"token_embd": (words, _WIDTH), "output_norm": (_WIDTH,)}
    for layer in range(_LAYERS):
        tensors |= {f"blk.{layer}.{name}_norm": (_WIDTH,) for name in norms}
        tensors |= {f"blk.{layer}.{name}": (_WIDTH, _WIDTH) for name in squares}
    for name, shape in tensors.items():
        writer.add_tensor(f"{name}.weight", draw.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
