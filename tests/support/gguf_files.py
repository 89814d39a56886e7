"""Writes the tiny chat model as a GGUF file, with its weights in float32 and its tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Tensors of a layer: their names here, and in GGUF.
_LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write_gguf(
    folder: Path, path: Path, add_tokenizer: Callable[[Any, Path], None] | None = None, *, tensors_per_part: int = 0
) -> Path:
    """Convert a Llama model, by default with the tokenizer of the tiny model (byte-level BPE).

    Args:
        folder: the model's folder.
        path: the file to write.
        add_tokenizer: writes another tokenizer.
        tensors_per_part: so many tensors are in each file; 0: all in one. The names of parts begin with that of the
            path.
    """
    import gguf
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text())
    heads, key_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(str(path), "llama", split_max_tensors=tensors_per_part)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(0)
    if add_tokenizer is not None:
        add_tokenizer(writer, folder)
    else:
        _add_tokenizer(writer, folder, config)
    tensors = load_file(folder / "model.safetensors")
    writer.add_tensor("token_embd.weight", tensors["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", tensors["model.norm.weight"])
    for layer in range(config["num_hidden_layers"]):
        for name, short in _LAYER.items():
            tensor = tensors[f"model.layers.{layer}.{name}.weight"]
            count = {"attn_q": heads, "attn_k": key_heads}.get(short)
            writer.add_tensor(f"blk.{layer}.{short}.weight", tensor if count is None else _rotated(tensor, count))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _rotated(tensor: Any, heads: int) -> Any:
    """Bring rows into the order in which GGUF rotates them: pairs side by side, not halves."""
    import numpy as np

    parts = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return np.ascontiguousarray(parts.swapaxes(1, 2).reshape(tensor.shape))


def _add_tokenizer(writer: Any, folder: Path, config: dict[str, Any]) -> None:
    import gguf

    described = json.loads((folder / "tokenizer.json").read_text())
    added = {token["content"]: token["id"] for token in described["added_tokens"]}
    vocabulary = {**described["model"]["vocab"], **added}
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    kinds = gguf.TokenType
    writer.add_token_types([kinds.CONTROL if token in added else kinds.NORMAL for token in tokens])
    merges = described["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text())
