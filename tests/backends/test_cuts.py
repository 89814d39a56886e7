"""Encoding in pieces: the ids are always those of the whole text, for every kind of tokenizer."""

from __future__ import annotations

import functools
import gzip
import json
import pickle
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clemcore.backends.local.cuts import Added, PieceEncoder, is_safe, safe_tokens
from support.tokenizer_kinds import FRAGMENTS, KINDS, SAFE, added_tokens, tokenizer_of

pytestmark = pytest.mark.slow

tokenizer = functools.cache(tokenizer_of)
ADDED = [token.content for token in added_tokens()]
PARTS = st.sampled_from([*FRAGMENTS, *ADDED])


def whole(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    return ids


@pytest.mark.parametrize("kind", KINDS)
def test_these_tokens_are_safe(kind: str) -> None:
    # Where nothing else is written as the unknown token, it is one like others.
    assert safe_tokens(tokenizer(kind)).keys() - {"<unk>"} == set(SAFE)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=50)
@given(texts=st.lists(st.lists(PARTS, max_size=12).map("".join), min_size=1, max_size=4))
def test_the_ids_are_those_of_the_whole_text(kind: str, texts: list[str]) -> None:
    encoder = PieceEncoder(tokenizer(kind))
    dialogue = ""
    for text in texts:
        dialogue += text
        for _ in range(2):  # the second time from what is remembered
            assert encoder.encode(dialogue) == whole(tokenizer(kind), dialogue), dialogue


@pytest.mark.parametrize("kind", KINDS)
def test_the_rule_for_one_cut(kind: str) -> None:
    rng = random.Random(7)
    one = tokenizer(kind)
    for _ in range(200):
        before, after = ("".join(rng.choices([*FRAGMENTS, *ADDED], k=rng.randint(0, 6))) for _ in range(2))
        token = rng.choice(SAFE)
        ids = whole(one, before + token) + whole(one, token + after)[1:]
        assert ids == whole(one, before + token + after), (before, token, after)


@pytest.mark.parametrize(
    ("before", "token", "after", "kind"),
    [
        ("", "Word", "s", "byte-level"),  # it has to stand alone
        ("a", "<part>", "b", "byte-level"),  # a part of another
        ("x", "<|late|>", "|", "word level"),  # its beginning is the end of another
        ("ab", "aba", "ba", "byte-level"),  # its beginning is its own end
        ("\n", "\n\n", "\n", "byte-level"),
    ],
)
def test_after_other_tokens_the_rule_does_not_hold(before: str, token: str, after: str, kind: str) -> None:
    one = tokenizer(kind)
    text = before + token + after
    assert whole(one, before + token) + whole(one, token + after)[1:] != whole(one, text)
    assert PieceEncoder(one).encode(text) == whole(one, text)


class Counted:
    """A tokenizer that notes what it is asked to encode."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.texts: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __len__(self) -> int:
        return len(self.inner)

    def __call__(self, text: str, **more: Any) -> Any:
        self.texts.append(text)
        return self.inner(text, **more)


def counted(kind: str) -> tuple[PieceEncoder, Counted]:
    encoder = PieceEncoder(tokenizer(kind))
    encoder._tokenizer = counting = Counted(tokenizer(kind))
    return encoder, counting


def turn(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}<|im_end|>\n"


def test_only_new_text_is_encoded() -> None:
    encoder, counting = counted("byte-level")
    ask = "<|im_start|>assistant\n"
    dialogue = turn("system", "Be brief.") + turn("user", "Hello!")
    encoder.encode(dialogue + ask)
    dialogue += turn("assistant", "Hello.") + turn("user", "Where was it played?")
    counting.texts.clear()
    assert encoder.encode(dialogue + ask) == whole(tokenizer("byte-level"), dialogue + ask)
    assert counting.texts == [
        "<|im_start|>assistant\nHello.<|im_end|>",
        "<|im_start|>user\nWhere was it played?<|im_end|>",
    ]
    # Another dialogue with the same instructions shares them.
    counting.texts.clear()
    encoder.encode(turn("system", "Be brief.") + turn("user", "Bye!") + ask)
    assert counting.texts == ["<|im_start|>user\nBye!<|im_end|>"]


def test_what_is_remembered_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clemcore.backends.local.cuts._REMEMBERED", 200)
    encoder, counting = counted("byte-level")
    system = turn("system", "Be brief.")
    for number in range(50):
        encoder.encode(system + turn("user", f"Question {number}?"))
    assert sum(len(piece) for kept in (encoder._new, encoder._old) for piece in kept) <= 400
    # What is used again and again stays.
    assert sum(text.count("Be brief.") for text in counting.texts) == 1


def test_a_token_that_stands_for_unknown_text_is_no_place_to_cut() -> None:
    one = tokenizer("word level")
    text = "日本語 <unk> [INST] 日本語 </s> zzz"
    assert whole(one, text).count(one.convert_tokens_to_ids("<unk>")) > 1
    assert PieceEncoder(one).encode(text) == whole(one, text)


@pytest.mark.parametrize("change", ["split_special_tokens", "dropout", "more tokens", "own class", "own code"])
def test_where_the_rule_does_not_hold_texts_are_encoded_whole(change: str) -> None:
    from tokenizers import pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    class Special(PreTrainedTokenizerFast):  # type: ignore[misc]
        def _encode_plus(self, text: Any, *args: Any, **kwargs: Any) -> Any:
            return super()._encode_plus(text[::-1], *args, **kwargs)

    class Words:
        def pre_tokenize(self, text: Any) -> None:
            text.split(lambda _, piece: piece.split(" ", "removed"))

    one = pickle.loads(pickle.dumps(tokenizer("byte-level")))  # noqa: S301 - our own bytes
    encoder = PieceEncoder(one)
    text = turn("user", "thethethe") * 2
    encoder.encode(text)
    if change == "own class":
        one = Special(tokenizer_object=one.backend_tokenizer)
        encoder = PieceEncoder(one)
    elif change == "own code":
        one.backend_tokenizer.pre_tokenizer = pre_tokenizers.PreTokenizer.custom(Words())
        encoder = PieceEncoder(one)
    elif change == "split_special_tokens":
        one.split_special_tokens = True
    elif change == "more tokens":
        one.add_tokens(["thethe"])
    else:
        one.backend_tokenizer.model.dropout = 0.5
        assert len({tuple(encoder.encode(text)) for _ in range(20)}) > 1
        return
    assert encoder.encode(text) == whole(one, text)
    if change != "more tokens":
        assert not safe_tokens(one)


@pytest.mark.parametrize(
    ("token", "others", "safe"),
    [
        (Added("<s>"), [], True),
        (Added("<s>"), [Added("<s>x")], False),
        (Added("<s>"), [Added("x<s")], False),
        (Added("<s>"), [Added("s>x"), Added("<")], True),
        (Added("aba"), [], False),
        (Added(" <s>"), [], False),
        (Added("<s>", normalized=True), [], False),
        (Added("<s>", rstrip=True), [], False),
        (Added("<s>", single_word=True), [], False),
    ],
)
def test_which_tokens_are_safe(token: Added, others: list[Added], safe: bool) -> None:
    assert is_safe(token, [token, *others]) is safe


def test_the_demo_model(smollm2: Path) -> None:
    from transformers import AutoTokenizer

    real = AutoTokenizer.from_pretrained(smollm2)
    assert {"<|im_start|>", "<|im_end|>"} <= safe_tokens(real).keys()
    rng = random.Random(3)
    encoder = PieceEncoder(real)
    tokens = list(real.get_added_vocab())
    for _ in range(200):
        text = "".join(rng.choices([*FRAGMENTS, *tokens], k=rng.randint(0, 30)))
        assert encoder.encode(text) == whole(real, text)


# What templates write around messages, as far as it looks like a token.
_MARKS = re.compile(
    r"<\|[^|<>'\"\s]{1,30}\|>|\[/?[A-Z_]{3,30}\]|</?[a-z_]{1,30}>|<[|\uff5c][^<>'\"\s]{1,40}[|\uff5c]>"
)


@pytest.mark.parametrize("kind", ["byte-level", "llama 2", "metaspace first"])
def test_every_prompt_of_the_corpus(kind: str, shared: Path) -> None:
    """transformers encodes its rendered text as a whole (apply_chat_template with tokenize=True)."""
    from transformers import PreTrainedTokenizerFast

    corpus = shared / "corpus" / "chat-templates"
    goldens = json.loads(gzip.decompress((corpus / "goldens.json.gz").read_bytes()))["goldens"]
    core = KINDS[kind]()
    cut = compared = 0
    for name, cases in goldens.items():
        source = (corpus / "templates" / f"{name.removesuffix('.jinja')}.jinja").read_bytes().decode()
        one = PreTrainedTokenizerFast(tokenizer_object=core, clean_up_tokenization_spaces=False)
        one.add_special_tokens({"additional_special_tokens": sorted({"<s>", "</s>", *_MARKS.findall(source)})})
        encoder = PieceEncoder(one)
        for text in sorted({case["out"] for case in cases.values() if case.get("out")}):
            assert encoder.encode(text) == whole(one, text), (name, text)
            compared += 1
            cut += len(encoder._new) > 1
    assert compared > 4000
    assert cut > compared / 2


def test_ids_are_those_of_apply_chat_template(smollm2: Path) -> None:
    from transformers import AutoTokenizer

    real = AutoTokenizer.from_pretrained(smollm2)
    encoder = PieceEncoder(real)
    messages: list[dict[str, str]] = []
    for number in range(6):
        messages += [
            {"role": "user", "content": f"Question {number}: <|im_end|> or not?\\n"},
            {"role": "assistant", "content": "Yes. " * number},
        ]
        text = real.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = real.apply_chat_template(messages, tokenize=True, add_generation_prompt=True, return_dict=False)
        assert encoder.encode(text) == ids
