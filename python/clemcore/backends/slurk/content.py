"""From a dialogue to the events that go into a room: what the person has not seen yet, text and images.

It knows the form of slurk's events and no connection.
"""

from __future__ import annotations

import json
from typing import Any

from clemcore.errors import MessagesError
from clemcore.images import images_of
from clemcore.messages import Message, Messages, ensure_alternating_roles
from clemcore.registry.spec import ModelSpec

# A slurk server closes the connection at a larger packet (the default of its Socket.IO library is 1,000,000).
LARGEST_EVENT = 990_000
_IMAGES = {"single_image": True, "multiple_images": True}

Event = dict[str, Any]


class Shown:
    """What the person in a room has seen and said since the episode began."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._seen: set[tuple[str, str]] = set()
        self._has_answered = False

    def new_in(self, messages: Messages) -> list[int]:
        """Return the places of the messages that the person has to be shown.

        That is what stands behind the last message of the assistant, and before it what was not shown in this
        episode: a system message, the beginning of a dialogue. Messages of the assistant are the person's own,
        unless the person has not said anything yet.
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
        """Note that a dialogue was shown and answered."""
        self._seen.update(_identity(message) for message in messages)
        self._has_answered = True


def events_of(messages: Messages, spec: ModelSpec, shown: Shown, room: int | None) -> list[Event]:
    """Return the events that show what is new in a dialogue; at least one.

    Args:
        messages: the dialogue.
        spec: the entry; ``multimodality`` limits images where it is there.
        shown: what was shown before.
        room: the room's number.

    Raises:
        MessagesError: something cannot be shown; the message says what.
    """
    messages = ensure_alternating_roles(messages) or messages
    if spec.get("multimodality") is None and (spec.get("model_config") or {}).get("multimodality") is None:
        spec = ModelSpec.from_dict({**spec.to_dict(), "multimodality": _IMAGES})
    events: list[Event] = []
    for place in shown.new_in(messages):
        events += _events(messages[place], place, spec, room)
    return events


def has_images(events: list[Event]) -> bool:
    """Tell whether an image is among events."""
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
                f"messages[{place}]: {what} has {size} bytes as it is sent, and a slurk server takes "
                f"{LARGEST_EVENT}: shorten it, or give an image's http(s) address"
            )
    return events


def _parts(message: Message, place: int) -> tuple[list[str], list[str]]:
    """Return the texts and the addresses of the images in a content."""
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
                "text and image_url can"
            )
    return texts, images


def _identity(message: Message) -> tuple[str, str]:
    shown = {name: message.get(name) for name in ("content", "image")}
    return message["role"], json.dumps(shown, sort_keys=True, default=repr)
