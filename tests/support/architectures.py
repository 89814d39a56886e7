"""Small random models of many architectures, built from configurations in milliseconds.

Each has another kind of layer, and so another kind of state: full, sliding, linear and recurrent layers,
convolution, latent attention, experts. :func:`build` makes one; :func:`save` writes one as a folder with the tiny
model's tokenizer.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

# What all of them have; the vocabulary is at least that of the tiny chat model.
_COMMON: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_LINEAR: dict[str, Any] = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
}
_LATENT: dict[str, Any] = {
    "kv_lora_rank": 16,
    "q_lora_rank": 24,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
    "head_dim": 8,
    "num_key_value_heads": 4,
    "first_k_dense_replace": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "n_group": 1,
    "topk_group": 1,
}
# Each architecture by its `model_type`, with what it has besides or in place of the common settings.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {"tie_word_embeddings": True},
    "gpt2": {"n_embd": 64, "n_layer": 4, "n_head": 4, "n_positions": 512},
    "gemma3_text": {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"] * 2},
    "mistral": {"sliding_window": 24},
    "qwen3": {},
    "qwen3_next": {
        **_LINEAR,
        "layer_types": ["linear_attention"] * 3 + ["full_attention"],
        "num_experts": 0,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [0, 1, 2, 3],
    },
    "lfm2": {"layer_types": ["conv", "conv", "full_attention", "conv"], "conv_L_cache": 3},
    "deepseek_v3": _LATENT,
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "mamba": {"state_size": 8, "conv_kernel": 4, "expand": 2},
}


def config_of(kind: str, **more: Any) -> Any:
    """Return the configuration of an architecture."""
    from transformers import AutoConfig

    names = {**_COMMON, **ARCHITECTURES[kind], **more}
    if kind == "gpt2":  # it has names of its own
        names = {name: value for name, value in names.items() if name not in ("head_dim", "num_key_value_heads")}
    return AutoConfig.for_model(kind, **names)


def build(kind: str, **more: Any) -> Any:
    """Return a random model, the same each time, in evaluation mode.

    Args:
        kind: one of ``ARCHITECTURES``.
        more: further settings of its configuration.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config_of(kind, **more)).eval()


def save(kind: str, folder: Path, tokenizer: Path, **more: Any) -> Path:
    """Write a random model as a folder that the backend loads.

    Args:
        kind: one of ``ARCHITECTURES``.
        folder: where to write it.
        tokenizer: a folder whose tokenizer and chat template it gets.
        more: further settings of its configuration.
    """
    build(kind, **more).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"):
        if (tokenizer / name).exists():
            shutil.copy(tokenizer / name, folder / name)
    return folder
