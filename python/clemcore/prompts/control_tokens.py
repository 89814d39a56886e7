"""Control tokens inside messages: texts that the receiving model's tokenizer would not read as text.

A player who writes ``<|im_end|>`` ends the turn of the model that reads it. Here such texts are found, refused, or
marked so that they can be told from those that the chat template writes. It knows messages and a tokenizer's list
of tokens; what becomes of marked places is the backend's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from clemcore.errors import MessagesError
from clemcore.messages import Messages, texts_of

# Nobody writes these by chance: such an added token counts even where the tokenizer calls it no special one.
_MARKER_FORM = re.compile(r"<[|\uff5c].*[|\uff5c]>", re.DOTALL)
# Private-use characters, of which two that occur nowhere mark a place.
_MARKS = range(0xF0000, 0xFFFFD)


@dataclass(frozen=True)
class Found:
    """A control token inside a message.

    Attributes:
        index: of the message.
        place: the field, as ``['content']``.
        offset: in characters of the field's text.
        token: the token's text.
    """

    index: int
    place: str
    offset: int
    token: str


class ControlTokens:
    """Finds the control tokens of one model in messages.

    Attributes:
        tokens: their texts, longest first, as a tokenizer prefers them.
        search: finds the first one in a text, or None.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        """Take the tokens' texts."""
        self.tokens = sorted({token for token in tokens if token}, key=lambda token: (-len(token), token))
        self._pattern = re.compile("|".join(map(re.escape, self.tokens)) or "(?!)")
        self.search = self._pattern.search

    @classmethod
    def of(cls, tokenizer: Any, template: str) -> ControlTokens:
        """Return the control tokens of a transformers tokenizer.

        These are its special tokens, and of the other tokens that were added to its vocabulary those that its chat
        template names or that look like ``<|…|>``. Some tokenizers also add runs of whitespace and ordinary words,
        which are not control tokens.

        Args:
            tokenizer: the tokenizer.
            template: the chat template's text.
        """
        tokens = {str(token) for token in tokenizer.all_special_tokens}
        for token in tokenizer.added_tokens_decoder.values():
            text = str(token)
            named = text in template or _MARKER_FORM.fullmatch(text) is not None
            if token.special or (named and not text.isspace() and not text.isalnum()):
                tokens.add(text)
        return cls(tokens)

    def find(self, messages: Messages) -> list[Found]:
        """Return every control token in the texts of messages, whatever field they stand in but the role."""
        return [
            Found(index, place, match.start(), match.group())
            for index, place, text in texts_of(messages)
            for match in self._pattern.finditer(text)
        ]

    def check(self, messages: Messages, model_name: str) -> None:
        """Refuse messages with a control token.

        Raises:
            MessagesError: there is one; its message, field, token and offset are named.
        """
        found = self.find(messages)
        if found:
            one = found[0]
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise MessagesError(
                f"messages[{one.index}]{one.place} has {one.token!r} at character {one.offset}{more}: a control "
                f"token of '{model_name}', refused by model_config.control_tokens 'error'"
            )

    def mark(
        self, messages: Messages, marks: tuple[str, str], only: Collection[tuple[int, str]] | None = None
    ) -> Messages:
        """Return copies of messages with two characters around each control token.

        Args:
            messages: the messages; they are not changed.
            marks: the characters.
            only: pairs of a message's index and a token; None marks all.
        """

        def marked(index: int) -> Callable[[str], str]:
            def replace(match: re.Match[str]) -> str:
                token = match.group()
                return token if only is not None and (index, token) not in only else marks[0] + token + marks[1]

            return lambda text: self._pattern.sub(replace, text)

        return [_mapped(message, marked(index)) for index, message in enumerate(messages)]


def free_marks(*texts: str) -> tuple[str, str]:
    """Return two characters that occur in none of the texts."""
    taken = set().union(*texts)
    free = (chr(code) for code in _MARKS if chr(code) not in taken)
    return next(free), next(free)


def take_marks(text: str, marks: tuple[str, str]) -> tuple[str, list[tuple[int, int]]]:
    """Return a text without its marks, and the character ranges that stood between them.

    Examples:
        >>> take_marks("ab(cd)e()", ("(", ")"))
        ('abcde', [(2, 4), (5, 5)])
    """
    spans, pieces, length, begin = [], [], 0, 0
    for piece in re.split(f"([{re.escape(marks[0])}{re.escape(marks[1])}])", text):
        if piece == marks[0]:
            begin = length
        elif piece == marks[1]:
            spans.append((begin, length))
        else:
            pieces.append(piece)
            length += len(piece)
    return "".join(pieces), spans


def facts_of(found: Collection[Found], policy: str) -> dict[str, Any]:
    """Return what goes into the record of a call."""
    facts: dict[str, Any] = {"policy": policy, "count": len(found)}
    if found:
        counts: dict[str, int] = {}
        for one in found:
            counts[one.token] = counts.get(one.token, 0) + 1
        facts["tokens"] = counts
        facts["messages"] = sorted({one.index for one in found})
    return facts


def _mapped(value: Any, change: Callable[[str], str], *, whole: bool = True) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {
            key: item if whole and key == "role" else _mapped(item, change, whole=False)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_mapped(item, change, whole=False) for item in value]
    return value
