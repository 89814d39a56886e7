"""What is known of a transformers model without computing: libraries, the size of its states, the bytes of tokens.

It reads configurations and tokenizers; it loads and computes nothing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

# Layers that keep a key and a value of each head for each token.
_ATTENTION = ("full_attention", "sliding_attention", "chunked_attention")
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that compute."""
    import tokenizers
    import torch
    import transformers

    return {module.__name__: str(module.__version__) for module in (torch, transformers, tokenizers)}


def state_numbers(config: Any) -> dict[str, int | None]:
    """Return how many numbers a token adds to a state, by the type of layer; None where that is not known.

    Args:
        config: the model's configuration.
    """
    text = config.get_text_config()
    layers = getattr(text, "num_hidden_layers", None)
    heads = getattr(text, "num_key_value_heads", None) or getattr(text, "num_attention_heads", None)
    types = getattr(text, "layer_types", None) or ["full_attention"] * (layers or 0)
    # Multi-head latent attention keeps something else than keys and values of the heads.
    if not heads or getattr(text, "kv_lora_rank", None) is not None:
        return dict.fromkeys(types)
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    each = 2 * heads * width
    return {kind: each * count if kind in _ATTENTION else None for kind, count in Counter(types).items()}


def quantization_of(config: Any) -> dict[str, Any] | None:
    """Return how a model's weights are quantized, or None: ``method``, and ``bits`` if they are known.

    Args:
        config: the configuration of the loaded model.
    """
    found = getattr(config, "quantization_config", None)
    if found is None:
        return None
    fields = found if isinstance(found, dict) else found.to_dict()
    bits = 4 if fields.get("load_in_4bit") else 8 if fields.get("load_in_8bit") else fields.get("bits")
    return {"method": str(getattr(fields.get("quant_method"), "value", fields.get("quant_method"))), "bits": bits}


def vocabulary_of(model: Any) -> int:
    """Return how many tokens a model has embeddings for.

    Args:
        model: a transformers model.
    """
    try:
        return int(model.get_input_embeddings().weight.shape[0])
    except (NotImplementedError, AttributeError):
        return int(model.config.get_text_config().vocab_size)


def decoder_of(tokenizer: Any) -> Callable[..., str]:
    """Return what decodes lists of ids: the tokenizer's ``decode``, without its search for tensors in them."""
    from transformers import PreTrainedTokenizerBase

    is_common = type(tokenizer).decode is PreTrainedTokenizerBase.decode
    found: Callable[..., str] = tokenizer._decode if is_common else tokenizer.decode
    return found


class TokenBytes:
    """Tells what single tokens add to the UTF-8 of a text."""

    def __init__(self, tokenizer: Any) -> None:
        """Look at how the tokenizer writes bytes.

        Args:
            tokenizer: a transformers tokenizer.
        """
        self._tokenizer = tokenizer
        self._added = {number: str(token) for number, token in tokenizer.added_tokens_decoder.items()}
        decoder = json.loads(tokenizer.backend_tokenizer.to_str())["decoder"]
        self._byte_of = _byte_level() if "ByteLevel" in _types(decoder) else None

    def __call__(self, token: int) -> bytes:
        """Return the bytes of a token."""
        added = self._added.get(token)
        if added is not None:
            return added.encode()
        text = str(self._tokenizer.convert_ids_to_tokens(token))
        if self._byte_of is not None:
            return bytes(self._byte_of[character] for character in text)
        byte = _BYTE_TOKEN.fullmatch(text)
        return bytes([int(byte[1], 16)]) if byte else text.replace("\u2581", " ").encode()


def _types(decoder: Any) -> Iterator[str]:
    if isinstance(decoder, dict):
        yield str(decoder.get("type"))
        for inside in decoder.get("decoders") or ():
            yield from _types(inside)


def _byte_level() -> dict[str, int]:
    """Return the byte of each character of a byte-level vocabulary, in which every byte is a visible character."""
    visible = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(0x100) if byte not in visible)
    return {**{chr(byte): byte for byte in visible}, **{chr(0x100 + n): byte for n, byte in enumerate(others)}}
