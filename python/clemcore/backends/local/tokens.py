"""Arguments that name single tokens: by their ids or their texts, checked against the model's vocabulary."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from clemcore.arguments.ledger import Ledger
from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.engine import Engine

# Fields that hold token ids.
_FIELDS = ("bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "sequence_bias")


def with_token_ids(arguments: Arguments, ledger: Ledger, engine: Engine, vocabulary: int | None) -> Arguments:
    """Return the arguments with the ids of all tokens in place of their texts.

    Args:
        arguments: the checked arguments.
        ledger: decides what becomes of an argument that names a token that there is not.
        engine: has the tokens.
        vocabulary: how many tokens the model has, or None where that is not known.

    Raises:
        GenerationArgumentError: a text is not one token, a token is named twice, or an id is not in the vocabulary.
    """
    kept = []
    for name, value in arguments.further:
        ids = [pair[0] for pair in value] if name == "sequence_bias" else value
        try:
            if name in _FIELDS:
                for token in _numbers(ids):
                    _check(token, vocabulary)
            if name == "bad_words_ids":
                _check_bad_words(value, engine.rules(Arguments(temperature=0.0, max_tokens=1), [0]).ends)
        except ValueError as fault:
            ledger.unsupported(name, str(fault))
        else:
            kept.append((name, value))
    bias: dict[int, float] = {}
    try:
        bias = _bias(arguments, engine, vocabulary)
    except ValueError as fault:
        ledger.unsupported("logit_bias", str(fault))
    ledger.require()
    return dataclasses.replace(arguments, logit_bias=tuple(bias.items()), further=tuple(kept))


def _bias(arguments: Arguments, engine: Engine, vocabulary: int | None) -> dict[int, float]:
    """Return what is added to scores, by the id of the token; raise ValueError where that cannot be."""
    bias: dict[int, float] = {}
    for key, value in arguments.logit_bias:
        token = _token(str(key), engine)
        _check(token, vocabulary)
        if token in bias:
            raise ValueError(f"it names token {token} twice; keep one of them")
        bias[token] = value
    return bias


def _token(key: str, engine: Engine) -> int:
    """Return the token that a key names: digits are an id, anything else is the text of one token."""
    if key.isascii() and key.isdigit():
        return int(key)
    ids = engine.encode(key)
    if len(ids) != 1:
        raise ValueError(f"{key!r} is {len(ids)} tokens ({', '.join(map(str, ids))}), not one; name their ids")
    return ids[0]


def _check(token: int, vocabulary: int | None) -> None:
    if vocabulary is not None and token >= vocabulary:
        raise ValueError(f"token {token} does not exist; ids go up to {vocabulary - 1}")


def _check_bad_words(words: Sequence[Sequence[int]], ends: Collection[int]) -> None:
    """Refuse the end of a reply as a word: transformers skips it, so that it would have no effect."""
    skipped = [word[0] for word in words if len(word) == 1 and word[0] in ends]
    if skipped:
        raise ValueError(f"token {skipped[0]} ends a reply, and can only be excluded by suppress_tokens")


def _numbers(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    else:
        for each in value:
            yield from _numbers(each)
