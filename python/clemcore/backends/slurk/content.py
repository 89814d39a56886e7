"""Turns a dialogue into the events of a room: the texts and images that the person has not seen yet.

It knows the form of slurk's events. It does not know the connection.
"""

from __future__ import annotations

import json
from typing import Any

from clemcore.errors import MessagesError
from clemcore.images import images_of
from clemcore.messages import Message, Messages, ensure_alternating_roles
from clemcore.registry.spec import ModelSpec

# A slurk server closes the connection at a larger packet: its Socket.IO library allows 1,000,000 bytes.
LARGEST_EVENT = 990_000
_IMAGES = {"single_image": True, "multiple_images": True}

Event = dict[str, Any]


class Shown:
    """What the person in a room has seen and said since the episode began."""

    def __init__(self) -> None:
        """Begin an episode: nothing was shown yet."""
        self._seen: set[tuple[str, str]] = set()
        self._has_answered = False

    def new_in(self, messages: Messages) -> list[int]:
        """Return the places of the messages that the person still has to see.

        These are all messages after the last one of the assistant, and earlier ones that were not shown in this
        episode, such as a system message. The messages of the assistant are the person's own answers. They are
        shown only if the person has not answered yet.
        """
        last = max((place for place, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
        new = []
        for place, message in enumerate(messages):
            if message["role"] == "assistant":
                is_new = not self._has_answered
            else:
                is_new = place > last or _identity(message) not in self._seen
            if is_new or place == len(messages) - 1:
                new.append(place)
        return new

    def answered(self, messages: Messages) -> None:
        """Note that the person has seen and answered a dialogue."""
        self._seen.update(_identity(message) for message in messages)
        self._has_answered = True


def events_of(messages: Messages, spec: ModelSpec, shown: Shown, room: int | None) -> list[Event]:
    """Return the events that show the new part of a dialogue; there is at least one.

    Args:
        messages: the dialogue.
        spec: the entry. If it has ``multimodality``, this limits the images.
        shown: what the person has seen before.
        room: the room's number.

    Raises:
        MessagesError: a message cannot be shown; the error names the part and the reason.
    """
    messages = ensure_alternating_roles(messages) or messages
    if spec.get("multimodality") is None and (spec.get("model_config") or {}).get("multimodality") is None:
        spec = ModelSpec.from_dict({**spec.to_dict(), "multimodality": _IMAGES})
    events: list[Event] = []
    for place in shown.new_in(messages):
        events += _events(messages[place], place, spec, room)
    return events


def has_images(events: list[Event]) -> bool:
    """Return whether one of the events is an image."""
    return any(event["event"] == "image" for event in events)


def _events(message: Message, place: int, spec: ModelSpec, room: int | None) -> list[Event]:
    texts, images = _parts(message, place)
    if images:
        given = message.get("image")
        before = [] if given is None else given if isinstance(given, list) else [given]
        message = {**message, "image": [*before, *images]}
    addresses = [image.address for image in images_of(message, place, spec)]
    text = "\n\n".join(texts)
    if message["role"] == "assistant":
        text = f"[assistant] {text}"
    events: list[Event] = [{"event": "image", "data": {"url": address, "room": room}} for address in addresses]
    if text or not addresses:
        events.append({"event": "text", "data": {"message": text, "room": room}})
    for event in events:
        size = len(json.dumps(event["data"]))
        if size > LARGEST_EVENT:
            what = "an image" if event["event"] == "image" else "the text"
            raise MessagesError(
                f"messages[{place}]: {what} has {size} bytes when it is sent, but a slurk server takes at most "
                f"{LARGEST_EVENT}; shorten it, or give an image by its http(s) address"
            )
    return events


def _parts(message: Message, place: int) -> tuple[list[str], list[str]]:
    """Return the texts and the image addresses of a message."""
    content = message["content"]
    if not isinstance(content, list):
        return [content or ""], []
    texts, images = [], []
    for number, part in enumerate(content):
        kind, image = part.get("type"), part.get("image_url")
        address = image.get("url") if isinstance(image, dict) else image
        if kind in ("text", "input_text") and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in ("image_url", "input_image") and isinstance(address, str):
            images.append(address)
        else:
            raise MessagesError(
                f"messages[{place}]['content'][{number}]: a part of type {kind!r} cannot be shown in a slurk room; "
                "use text or image_url"
            )
    return texts, images


def _identity(message: Message) -> tuple[str, str]:
    shown = {name: message.get(name) for name in ("content", "image")}
    return message["role"], json.dumps(shown, sort_keys=True, default=repr)
