"""Builds a small tokenizer of every kind that transformers loads, each with added tokens of every kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

# After these a text may be cut; those below are near them in every way that matters.
SAFE = ("<|im_start|>", "<|im_end|>", "</s>", "[INST]", "<mask>")
TEXTS = (
    "Hello there, how are you? Fine, thanks; and you?",
    "the capital of australia is canberra, isn't it?  Yes.\n\nIt was played in Arlington, Texas.",
    "Größe 42 ١٢ 日本語 👍🏽 \t naïve café … 3.14159 == 2**10",
    "user assistant system <|im_start| > [INST ] [x] 12345 67 89 the thetheth",
)
# What texts of the property test are made of, besides the added tokens.
FRAGMENTS = (
    *(" ", "  ", "\n", "\n\n", " \n ", "\t", "\u00a0", "\u2028", "\u2581"),
    *(
        "a",
        "the",
        "The",
        " the",
        "thethe",
        "12",
        "345",
        "don't",
        "'s",
        "user",
        "assistant\n",
        ".",
        "…",
        "🏽",
        "日本",
        "e\u0301",
    ),
    *("<", ">", "|", "<|", "|>", "<|im", "_start|>", "[", "INST]", "s>", "<un", "x<|im_end|>", "\u0130", "ﬁ"),
)


def added_tokens() -> list[Any]:
    """Return added tokens: safe ones, and those that hide, touch, widen or contain others."""
    from tokenizers import AddedToken

    plain = [
        AddedToken(text, normalized=False, special=True)
        for text in ("<|im_start|>", "<|im_end|>", "</s>", "[INST]")
    ]
    return [
        *plain,
        AddedToken("<mask>", normalized=False, lstrip=True, special=True),
        AddedToken("<unk>", normalized=False, special=True),
        AddedToken("<|right|>", normalized=False, rstrip=True, special=True),
        AddedToken("<|word|>", normalized=False, single_word=True),
        AddedToken("Word", normalized=False, single_word=True),
        AddedToken("the x", normalized=True),
        AddedToken("<T>", normalized=True),
        AddedToken("<part>", normalized=False),
        AddedToken("a<part>b", normalized=False),
        AddedToken("<|late|>", normalized=False),
        AddedToken("x<|la", normalized=False),
        AddedToken("\n\n", normalized=False),
        AddedToken("aba", normalized=False),
    ]


def _byte_level(**options: Any) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE(ignore_merges=options.pop("ignore_merges", False)))
    split = pre_tokenizers.Split(Regex(r"\p{N}{1,3}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"), "isolated")
    level = pre_tokenizers.ByteLevel(**options)
    core.pre_tokenizer = level if options.get("use_regex", True) else pre_tokenizers.Sequence([split, level])
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    )
    return core


def _metaspace(scheme: str) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))  # noqa: S106 - not that kind of token
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    core.decoder = decoders.Metaspace(prepend_scheme=scheme)
    core.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>"], show_progress=False)
    )
    return core


def _llama2() -> Any:
    """Blanks by normalisation, no pre-tokeniser, bytes for what is not known."""
    from tokenizers import Tokenizer, decoders, models, normalizers, trainers

    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))  # noqa: S106
    core.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    core.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    core.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=500, special_tokens=tokens, show_progress=False))
    # The trainer adds them as tokens to look for in texts; real models have them in the vocabulary alone.
    fields = json.loads(core.to_str())
    return Tokenizer.from_str(json.dumps({**fields, "added_tokens": []}))


def _unigram() -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    core = Tokenizer(models.Unigram())
    core.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip(left=False, right=True)])
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120,
        special_tokens=["<unk>"],
        unk_token="<unk>",  # noqa: S106
        show_progress=False,
    )
    core.train_from_iterator(TEXTS, trainer)
    return core


def _word_piece() -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    core = Tokenizer(models.WordPiece(unk_token="<unk>"))  # noqa: S106
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    core.train_from_iterator(
        TEXTS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=["<unk>"], show_progress=False)
    )
    return core


def _word_level() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    core = Tokenizer(models.WordLevel(unk_token="<unk>"))  # noqa: S106
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.train_from_iterator(TEXTS, trainers.WordLevelTrainer(special_tokens=["<unk>"], show_progress=False))
    return core


def _word_ends() -> Any:
    """As in CLIP: the end of a word is a part of its last token."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    core = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))  # noqa: S106
    core.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.decoder = decoders.BPEDecoder()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False
    )
    core.train_from_iterator(TEXTS, trainer)
    return core


KINDS: dict[str, Callable[[], Any]] = {
    "byte-level": lambda: _byte_level(add_prefix_space=False),
    "byte-level, blank first": lambda: _byte_level(add_prefix_space=True),
    "byte-level, own split": lambda: _byte_level(add_prefix_space=False, use_regex=False, ignore_merges=True),
    "metaspace first": lambda: _metaspace("first"),
    "metaspace always": lambda: _metaspace("always"),
    "metaspace never": lambda: _metaspace("never"),
    "llama 2": _llama2,
    "unigram": _unigram,
    "word piece": _word_piece,
    "word level": _word_level,
    "word ends": _word_ends,
}


def tokenizer_of(kind: str) -> Any:
    """Return a transformers tokenizer of a kind, with added tokens of every kind."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=KINDS[kind](), clean_up_tokenization_spaces=False)
    tokenizer.add_tokens(added_tokens())
    return tokenizer


def all_tokenizers() -> Iterator[tuple[str, Any]]:
    """Yield each kind with its tokenizer."""
    for kind in KINDS:
        yield kind, tokenizer_of(kind)
