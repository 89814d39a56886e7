"""Builds a chat model of a few thousand random weights for each family of tokenizers: as a folder and as GGUF.

The tokenizers are trained on a few sentences, and split texts as the large models of their family do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.tokenizer_kinds import TEXTS

_CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_HEADERS = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' "
    "+ m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
_INST = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
_TURNS = (
    "{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else "
    "m['role']) + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UNKNOWN = "<unk>"
_ENDINGS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"


@dataclass(frozen=True)
class Family:
    """A family of tokenizers.

    Attributes:
        kind: ``gpt2`` (byte-level BPE) or ``llama`` (SentencePiece), as GGUF calls it.
        pre: how texts are split before, as GGUF calls it.
        core: makes the tokenizer of the library tokenizers.
        special: its control tokens.
        template: its chat template.
        bos, eos: the tokens around a sequence.
        space_first: whether a text begins with a blank.
    """

    kind: str
    pre: str
    core: Callable[[tuple[str, ...]], Any]
    special: tuple[str, ...]
    template: str
    bos: str | None
    eos: str
    space_first: bool = False


def _byte_level(
    pre_tokenizers: Callable[[Any, Any], list[Any]], *, composes: bool = False, **options: Any
) -> Callable[..., Any]:
    def make(special: tuple[str, ...]) -> Any:
        import tokenizers as t

        core = t.Tokenizer(t.models.BPE(**options))
        if composes:
            core.normalizer = t.normalizers.NFC()
        core.pre_tokenizer = t.pre_tokenizers.Sequence(pre_tokenizers(t.pre_tokenizers, t.Regex))
        core.decoder = t.decoders.ByteLevel()
        trainer = t.trainers.BpeTrainer(
            vocab_size=450,
            special_tokens=list(special),
            initial_alphabet=t.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        core.train_from_iterator(TEXTS, trainer)
        return core

    return make


def _sentence_piece(*, space_first: bool) -> Callable[..., Any]:
    def make(special: tuple[str, ...]) -> Any:
        import tokenizers as t

        normalizers = [t.normalizers.Prepend("\u2581")] if space_first else []
        trained = t.Tokenizer(t.models.BPE())
        trained.normalizer = t.normalizers.Replace(" ", "\u2581")
        trained.pre_tokenizer = t.pre_tokenizers.Split("\u2581", "merged_with_next")
        trained.train_from_iterator(TEXTS, t.trainers.BpeTrainer(vocab_size=300, show_progress=False))
        learnt = sorted(trained.get_vocab(), key=trained.get_vocab().__getitem__)
        fixed = [_UNKNOWN, *special, *(f"<0x{byte:02X}>" for byte in range(256))]
        vocabulary = {
            token: number for number, token in enumerate([*fixed, *(x for x in learnt if x not in fixed)])
        }
        core = t.Tokenizer(
            t.models.BPE(vocabulary, _merges(vocabulary), unk_token=_UNKNOWN, byte_fallback=True, fuse_unk=True)
        )
        core.normalizer = t.normalizers.Sequence([*normalizers, t.normalizers.Replace(" ", "\u2581")])
        blanks = [t.decoders.Replace("\u2581", " "), t.decoders.ByteFallback(), t.decoders.Fuse()]
        core.decoder = t.decoders.Sequence(blanks + ([t.decoders.Strip(" ", 1, 0)] if space_first else []))
        return core

    return make


def _merges(vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """Return all pairs that make a token, as SentencePiece merges them: the better the lower the token's id."""
    found = []
    for token, number in vocabulary.items():
        pairs = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        found += [(number, a, b) for a, b in pairs if a in vocabulary and b in vocabulary]
    return [
        (a, b) for _, a, b in sorted(found, key=lambda each: (each[0], vocabulary[each[1]], vocabulary[each[2]]))
    ]


FAMILIES: dict[str, Family] = {
    "SmolLM2": Family(
        "gpt2",
        "smollm",
        _byte_level(lambda p, _: [p.Digits(individual_digits=True), p.ByteLevel(add_prefix_space=False)]),
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        _CHATML,
        "<|im_start|>",
        "<|im_end|>",
    ),
    "Llama 3": Family(
        "gpt2",
        "llama-bpe",
        _byte_level(
            lambda p, regex: [
                p.Split(regex(_ENDINGS + _WORDS % r"\p{N}{1,3}"), "isolated"),
                p.ByteLevel(add_prefix_space=False, use_regex=False),
            ],
            ignore_merges=True,
        ),
        ("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"),
        _HEADERS,
        "<|begin_of_text|>",
        "<|eot_id|>",
    ),
    "Qwen": Family(
        "gpt2",
        "qwen2",
        _byte_level(
            lambda p, regex: [
                p.Split(regex(_ENDINGS + _WORDS % r"\p{N}"), "isolated"),
                p.ByteLevel(add_prefix_space=False, use_regex=False),
            ],
            composes=True,
        ),
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        _CHATML,
        None,
        "<|im_end|>",
    ),
    "Llama 2": Family(
        "llama",
        "default",
        _sentence_piece(space_first=True),
        ("<s>", "</s>"),
        _INST,
        "<s>",
        "</s>",
        space_first=True,
    ),
    "Gemma": Family(
        "llama",
        "default",
        _sentence_piece(space_first=False),
        ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        _TURNS,
        "<bos>",
        "<end_of_turn>",
    ),
}


def build(name: str, folder: Path) -> None:
    """Write a model of a family into a folder that transformers loads."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    family = FAMILIES[name]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=family.core(family.special),
        bos_token=family.bos,
        eos_token=family.eos,
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(family.special)})
    tokenizer.chat_template = family.template
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=1,
            num_key_value_heads=1,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def add_tokenizer(writer: Any, name: str, folder: Path) -> None:
    """Write the tokenizer of a family into a GGUF file, as llama.cpp's own converter does."""
    import gguf

    family = FAMILIES[name]
    described = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    added = {token["content"]: token["id"] for token in described["added_tokens"]}
    vocabulary = {**described["model"]["vocab"], **added}
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    writer.add_tokenizer_model(family.kind)
    writer.add_tokenizer_pre(family.pre)
    writer.add_token_list(tokens)
    writer.add_token_types([_kind(token, family, added, gguf.TokenType) for token in tokens])
    if family.kind == "gpt2":
        merges = described["model"]["merges"]
        writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    else:
        writer.add_token_scores([-float(number) for number in range(len(tokens))])
        writer.add_add_space_prefix(family.space_first)
        writer.add_unk_token_id(vocabulary[_UNKNOWN])
    if family.bos is not None:
        writer.add_bos_token_id(vocabulary[family.bos])
    writer.add_eos_token_id(vocabulary[family.eos])
    writer.add_add_bos_token(family.bos is not None)
    writer.add_chat_template((folder / "chat_template.jinja").read_text(encoding="utf-8"))


def as_smollm2(writer: Any, folder: Path) -> None:
    """Write the tokenizer of the demo's model."""
    add_tokenizer(writer, "SmolLM2", folder)


def _kind(token: str, family: Family, added: Collection[str], kinds: Any) -> Any:
    if token == _UNKNOWN:
        return kinds.UNKNOWN
    if family.kind == "llama" and token.startswith("<0x") and len(token) == len("<0x00>"):
        return kinds.BYTE
    return kinds.CONTROL if token in added else kinds.NORMAL
