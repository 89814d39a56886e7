"""Arguments that name single tokens: by their ids or their texts, checked against the model's vocabulary."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.engine import Engine
from clemcore.errors import GenerationArgumentError

# Fields that hold token ids.
_FIELDS = ("bad_words_ids", "suppress_tokens", "begin_suppress_tokens")


def with_token_ids(arguments: Arguments, engine: Engine, vocabulary: int | None, name: str) -> Arguments:
    """Return the arguments with the ids of all tokens in place of their texts.

    Args:
        arguments: the checked arguments.
        engine: has the tokens.
        vocabulary: how many tokens the model has, or None where that is not known.
        name: the model's name, for messages.

    Raises:
        GenerationArgumentError: a text is not one token, a token is named twice, or an id is not in the vocabulary.
    """
    further = dict(arguments.further)
    for field in _FIELDS:
        for token in _numbers(further.get(field, ())):
            _check(token, vocabulary, f"model '{name}': {field}")
    for ids, _ in further.get("sequence_bias", ()):
        for token in ids:
            _check(token, vocabulary, f"model '{name}': sequence_bias")
    if not arguments.logit_bias:
        return arguments
    bias: dict[int, float] = {}
    for key, value in arguments.logit_bias:
        token = _token(str(key), engine, f"model '{name}': logit_bias")
        _check(token, vocabulary, f"model '{name}': logit_bias")
        if token in bias:
            raise GenerationArgumentError(f"model '{name}': logit_bias names token {token} twice; keep one of them")
        bias[token] = value
    return dataclasses.replace(arguments, logit_bias=tuple(bias.items()))


def _token(key: str, engine: Engine, what: str) -> int:
    """Return the token that a key names: digits are an id, anything else is the text of one token."""
    if key.isascii() and key.isdigit():
        return int(key)
    ids = engine.encode(key)
    if len(ids) != 1:
        raise GenerationArgumentError(
            f"{what}: {key!r} is {len(ids)} tokens ({', '.join(map(str, ids))}), not one; name their ids"
        )
    return ids[0]


def _check(token: int, vocabulary: int | None, what: str) -> None:
    if vocabulary is not None and token >= vocabulary:
        raise GenerationArgumentError(f"{what}: token {token} does not exist; ids go up to {vocabulary - 1}")


def _numbers(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    else:
        for each in value:
            yield from _numbers(each)
