"""A prompt of a local model: as text, and in token ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from clemcore.backends.local.engine import Media
from clemcore.backends.local.seeing import Picture


@dataclass(frozen=True)
class Prompt:
    """A rendered prompt.

    Attributes:
        text: exactly what the tokenizer is given.
        facts: which engine made the text, and why that one.
        control: what is known of control tokens inside the messages.
        as_text: character ranges of control tokens that are to be read as text.
        pictures: the images of the messages.
        is_whole: whether it begins where a prompt begins; False for a text that follows one.
    """

    text: str
    facts: dict[str, Any]
    control: dict[str, Any] = field(default_factory=dict)
    as_text: tuple[tuple[int, int], ...] = ()
    pictures: tuple[Picture, ...] = ()
    is_whole: bool = True


class Encoded(NamedTuple):
    """A prompt in token ids.

    Attributes:
        ids: the token ids.
        control: facts about control tokens inside the messages.
        media: the images, or None.
    """

    ids: list[int]
    control: dict[str, Any]
    media: Media | None = None
