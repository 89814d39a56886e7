"""Encodes a prompt in pieces and remembers their ids, so that a dialogue that grows costs only its new text.

A text may be cut after certain added tokens: the ids before the cut and those after it are the ids of the whole
text. docs/decisions/0014-encoding-after-a-token.md gives the conditions and the reason. This module knows a
tokenizer and its added tokens, and neither templates nor messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

# Characters of text whose ids are remembered in each of two generations.
_REMEMBERED = 2**20


@dataclass(frozen=True)
class Added:
    """An added token of a tokenizer, as far as it decides where a text may be cut.

    Attributes:
        text: what it stands for.
        normalized: whether it is looked for in the normalised text.
        rstrip: whether it takes the whitespace on its right.
        single_word: whether it has to stand alone as a word.
    """

    text: str
    normalized: bool = False
    rstrip: bool = False
    single_word: bool = False


def is_safe(token: Added, all_tokens: Iterable[Added]) -> bool:
    """Tell whether a text may be cut after each occurrence of a token's text.

    Args:
        token: the token.
        all_tokens: all added tokens of the tokenizer.
    """
    text = token.text
    if token.normalized or token.rstrip or token.single_word or not text or text != text.strip():
        return False
    others = {other.text for other in all_tokens} - {text}
    return not any(text in other for other in others) and not any(
        _may_overlap(other, text) for other in (*others, text)
    )


def _may_overlap(earlier: str, text: str) -> bool:
    """Tell whether an occurrence of ``earlier`` can begin before one of ``text`` and end inside it."""
    longest = min(len(earlier), len(text)) - 1
    return any(earlier.endswith(text[:length]) for length in range(1, longest + 1))


def safe_tokens(tokenizer: Any) -> dict[str, int]:
    """Return the tokens after which texts may be cut, each with its id; none where that is not certain.

    Args:
        tokenizer: a transformers tokenizer.
    """
    from transformers import PreTrainedTokenizerFast as Fast

    if not isinstance(tokenizer, Fast) or not _is_plain(tokenizer, Fast):
        return {}
    # A model writes its unknown token for other texts, too.
    unknown = {tokenizer.unk_token, getattr(tokenizer.backend_tokenizer.model, "unk_token", None)}
    known = {
        number: Added(token.content, token.normalized, token.rstrip, token.single_word)
        for number, token in tokenizer.added_tokens_decoder.items()
    }
    return {
        token.text: number
        for number, token in known.items()
        if token.text not in unknown and is_safe(token, known.values())
    }


class PieceEncoder:
    """Makes ids of texts, and remembers those of the pieces between safe tokens. Threads may share one."""

    def __init__(self, tokenizer: Any) -> None:
        """Find the tokens after which texts may be cut.

        Args:
            tokenizer: a transformers tokenizer. Texts are encoded whole if it is changed later.
        """
        self._tokenizer = tokenizer
        self._size = len(tokenizer)
        self._safe = safe_tokens(tokenizer)
        self._safe_ids = frozenset(self._safe.values())
        self._pattern = re.compile("|".join(map(re.escape, self._safe))) if self._safe else None
        # Pieces that are used move to the new generation; the old one is dropped as a whole.
        self._new: dict[str, list[int]] = {}
        self._old: dict[str, list[int]] = {}
        self._characters = 0

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, with no token added."""
        if self._pattern is None or not self._is_unchanged():
            return self._whole(text)
        # Each piece but the first begins with the safe token that ends the one before it.
        matches = list(self._pattern.finditer(text))
        begins = [0, *(match.start() for match in matches)]
        ends = [*(match.end() for match in matches), len(text)]
        if matches and ends[-2] == len(text):
            del begins[-1], ends[-1]
        pieces = [text[begin:end] for begin, end in zip(begins, ends, strict=True)]
        found = [self._recall(piece) for piece in pieces]
        for first, end in _gaps(found):
            # Adjoining pieces are encoded at once, because each call of a tokenizer takes a while.
            expected = [self._safe[match.group()] for match in matches[max(first - 1, 0) : end]]
            made = self._encode_run(text[begins[first] : ends[end - 1]], expected, end - first, is_first=first == 0)
            if made is None:
                return self._whole(text)
            for index, ids in enumerate(made, start=first):
                found[index] = ids
                self._remember(pieces[index], ids)
        whole: list[int] = []
        for piece_ids in found:
            whole += piece_ids or ()
        return whole

    def _is_unchanged(self) -> bool:
        tokenizer = self._tokenizer
        return len(tokenizer) == self._size and not tokenizer.split_special_tokens and not _is_random(tokenizer)

    def _whole(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids

    def _encode_run(self, text: str, expected: list[int], count: int, *, is_first: bool) -> list[list[int]] | None:
        """Return the ids of adjoining pieces, each without the safe token that it begins with.

        Args:
            text: the pieces.
            expected: ids of their safe tokens.
            count: how many pieces there are.
            is_first: whether the first piece begins the whole text, so that no safe token is before it.

        Returns:
            None if the ids of safe tokens are not those that the text has.
        """
        ids = self._whole(text)
        places = [place for place, token in enumerate(ids) if token in self._safe_ids]
        if [ids[place] for place in places] != expected:
            return None
        bounds = [0] * is_first + [place + 1 for place in places]
        if len(bounds) == count:  # nothing ends the last piece
            bounds.append(len(ids))
        return [ids[begin:end] for begin, end in pairwise(bounds)]

    def _recall(self, piece: str) -> list[int] | None:
        ids = self._new.get(piece)
        if ids is None and (ids := self._old.get(piece)) is not None:
            self._remember(piece, ids)
        return ids

    def _remember(self, piece: str, ids: list[int]) -> None:
        if self._characters + len(piece) > _REMEMBERED:
            self._old, self._new, self._characters = self._new, {}, 0
        self._new[piece] = ids
        self._characters += len(piece)


def _gaps(found: Sequence[object | None]) -> list[tuple[int, int]]:
    """Return where runs of None begin and end."""
    edges = [
        index
        for index, (before, here) in enumerate(pairwise([True, *(one is not None for one in found), True]))
        if before != here
    ]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _is_plain(tokenizer: Any, fast: type) -> bool:
    """Tell whether a tokenizer does nothing but what its Rust core does, the same each time."""
    overridden = any(
        getattr(type(tokenizer), name) is not getattr(fast, name) for name in ("__call__", "_encode_plus")
    )
    if overridden or tokenizer.split_special_tokens or _is_random(tokenizer):
        return False
    core = tokenizer.backend_tokenizer
    try:
        # Parts that are written in Python have no state that could be read, and may look at anything.
        for part in (core.normalizer, core.pre_tokenizer):
            if part is not None:
                part.__getstate__()
    except Exception:  # noqa: BLE001 - the library raises a plain Exception
        return False
    return True


def _is_random(tokenizer: Any) -> bool:
    """Tell whether a text may get other ids each time (BPE dropout, sampling of Unigram)."""
    model = tokenizer.backend_tokenizer.model
    return any(getattr(model, name, None) for name in ("dropout", "alpha", "nbest_size"))
