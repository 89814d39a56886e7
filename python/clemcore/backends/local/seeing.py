"""Dialogues with images: how their messages are written for a template, and what turns images into token ids.

It knows messages and images, and neither a library's processors nor what computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from clemcore.backends.local.engine import Media
from clemcore.errors import MessagesError
from clemcore.images import Image, check_number, images_of, text_of
from clemcore.messages import Message, Messages, texts_of
from clemcore.registry.spec import ModelSpec


@dataclass(frozen=True)
class Picture:
    """One image of a dialogue, decoded.

    Attributes:
        image: where it stands in the messages, and its data.
        pixels: the image as the processor takes it.
        facts: its place, type, size and hash, for the record.
    """

    image: Image
    pixels: Any
    facts: Mapping[str, Any]


class Sight(Protocol):
    """A processor: turns the text of a prompt and its images into what a model computes with."""

    def marks_in(self, text: str) -> str | None:
        """Return the first text in which the processor would see an image, or None if there is none."""

    def decoded(self, image: Image) -> Picture:
        """Decode an image.

        Raises:
            MessagesError: its data is not an image, or is cut off.
        """

    def encode(self, text: str, pictures: Sequence[Picture]) -> tuple[list[int], Media]:
        """Return the token ids of a prompt with images, and what the model is given beside them.

        Raises:
            MessagesError: the processor does not take these images.
        """

    def adds_tokens(self, text: str) -> bool:
        """Tell whether the processor puts tokens around a prompt without images that its template did not write."""

    def check_prompts(self, source: str, kwargs: Mapping[str, Any], render: Callable[[Messages], str]) -> int:
        """Compare prompts with the processor's own, and return how many.

        Args:
            source: the text of the chat template.
            kwargs: further variables of the template.
            render: makes the text of a prompt, of messages whose contents are parts.

        Raises:
            TemplateError: a prompt differs, or the template takes no image at all.
        """


def pictures_of(messages: Messages, sight: Sight, spec: ModelSpec) -> list[Picture]:
    """Return the images of a dialogue, read and decoded.

    Args:
        messages: the dialogue; images stand in ``image`` of a message.
        sight: decodes.
        spec: name and ``multimodality`` of the entry.

    Raises:
        MessagesError: an image is not one, is at an address, or is more than the entry allows; a content is not a
            text; or a text holds what the processor would take for an image.
    """
    check_number(messages, spec)
    found: list[Picture] = []
    for index, message in enumerate(messages):
        if not isinstance(message["content"], str) and message["content"] is not None:
            kind = type(message["content"]).__name__
            raise MessagesError(
                f"messages[{index}]['content'] must be a string for '{spec['model_name']}', not {kind}: put images "
                "into 'image'"
            )
        for image in images_of(message, index, spec):
            if image.url is not None:
                raise MessagesError(
                    f"{image.where} is an address, but '{spec['model_name']}' runs here, where no images are "
                    "downloaded: save the image, and give its path"
                )
            found.append(sight.decoded(image))
    for index, place, text in texts_of(_texts(messages)):
        mark = sight.marks_in(text)
        if mark is not None:
            raise MessagesError(
                f"messages[{index}]{place} has {mark!r}, in whose place '{spec['model_name']}' puts an image: "
                "remove it, and give the image in 'image'"
            )
    return found


def _texts(messages: Messages) -> Messages:
    """Return messages without their images, and with the texts that are sent."""
    return [
        {**{name: value for name, value in message.items() if name != "image"}, "content": _text(message)}
        for message in messages
    ]


def counted(message: Message) -> Message:
    """Return a message with the number of its images in place of them.

    Examples:
        >>> counted({"role": "user", "content": "Compare.", "image": ["a.png", "b.png"]})
        {'role': 'user', 'content': 'Compare.', 'image': 2}
    """
    images = message.get("image")
    rest = {name: value for name, value in message.items() if name != "image"}
    if not images:
        return rest
    return {**rest, "content": _text(message), "image": len(images) if isinstance(images, list) else 1}


def _text(message: Message) -> Any:
    return text_of(message) if message.get("image") else message["content"]


def in_parts(dialogue: Messages) -> Messages:
    """Return a dialogue in which all contents are parts, images before the text, if one of its messages has images.

    Args:
        dialogue: messages of :func:`counted`.
    """
    if not any(message.get("image") for message in dialogue):
        return dialogue
    return [_with_parts(message) for message in dialogue]


def _with_parts(message: Message) -> Message:
    content = message["content"]
    texts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    rest = {name: value for name, value in message.items() if name != "image"}
    return {**rest, "content": [*({"type": "image"} for _ in range(message.get("image", 0))), *texts]}
