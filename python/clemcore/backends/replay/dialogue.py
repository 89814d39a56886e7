"""Dialogues in one form, wherever they were written: asked messages, and the prompts of every recorded format.

Neighbours of one role are merged, images become digests of their bytes. Two dialogues of the same turns are sent as
the same messages. It does not know which dialogue belongs to which.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clemcore.messages import DELIMITER, Messages

_ROLES = {"model": "assistant", "developer": "system"}
_LISTS = ("messages", "contents", "input")
_SYSTEMS = ("system", "systemInstruction", "system_instruction", "instructions")
# As it is sent beside images.
_PLACEHOLDER = (" <image> ", " ")


@dataclass(frozen=True)
class Turn:
    """Neighbouring messages of one role, as one.

    Attributes:
        role: ``system``, ``user``, ``assistant`` or another.
        text: their text.
        images: SHA-256 of each image's bytes, or the address where only that is known.
        more: further fields as JSON, or an empty text.
        origins: index of each message and where its text begins; only of asked messages.
    """

    role: str
    text: str
    images: tuple[str, ...] = ()
    more: str = ""
    origins: tuple[tuple[int, int], ...] = ()

    def origin(self, position: int) -> tuple[int, int]:
        """Return the message that a character of the text stands in, and where in that message."""
        index, begin = next(origin for origin in reversed(self.origins) if origin[1] <= position)
        return index, position - begin


Turns = tuple[Turn, ...]


def asked_turns(messages: Messages, *, system_first: bool = False, with_system: bool = True) -> Turns:
    """Return the turns of messages.

    Args:
        messages: the dialogue.
        system_first: system messages are brought together in front, as formats with a field of its own do.
        with_system: keep system messages at all.
    """
    numbered = list(enumerate(messages))
    if messages[0]["role"] == "system" and not messages[0]["content"]:
        numbered = numbered[1:]
    if system_first:
        numbered.sort(key=lambda one: one[1]["role"] not in ("system", "developer"))
    if not with_system:
        numbered = [one for one in numbered if one[1]["role"] not in ("system", "developer")]
    return _merged(_turn(message, index) for index, message in numbered)


@dataclass(frozen=True)
class Dialogue:
    """The dialogue of a recorded prompt.

    Attributes:
        turns: its turns.
        system: where system texts stand: among the messages (``inside``), in a field of their own (``apart``), or
            nowhere, because the prompt was recorded without them (``lost``).
        is_last_only: only the last message was recorded.
    """

    turns: Turns
    system: str = "inside"
    is_last_only: bool = False

    def of(self, messages: Messages) -> Turns:
        """Return the turns of messages in the form of this dialogue."""
        if self.is_last_only:
            last = len(messages) - 1
            return (_turn(messages[last], last),)
        return asked_turns(messages, system_first=self.system == "apart", with_system=self.system != "lost")


def recorded_dialogue(prompt: Any, *, is_ours: bool) -> Dialogue | None:
    """Return the dialogue of a recorded prompt; None where it is not a list of messages.

    Args:
        prompt: the prompt.
        is_ours: whether clemcore 4 recorded it, which records all that was sent.
    """
    if _is_message(prompt):
        return Dialogue((_turn(prompt, 0),), is_last_only=True)
    body: Mapping[str, Any] = prompt if isinstance(prompt, Mapping) else {"messages": prompt}
    items = next((body[name] for name in _LISTS if name in body), None)
    turns = _turns([{"role": "user", "content": items}] if isinstance(items, str) else items)
    if turns is None:
        return None
    system = next((body[field] for field in _SYSTEMS if body.get(field)), None)
    if system is None:
        has_lost = body is not prompt and not is_ours and all(turn.role != "system" for turn in turns)
        return Dialogue(turns, "lost" if has_lost else "inside")
    content = system.get("parts") if isinstance(system, Mapping) else system
    return Dialogue(_merged([_turn({"role": "system", "content": content}, 0), *turns]), "apart")


def _turns(items: Any) -> Turns | None:
    if not isinstance(items, list) or not items or not all(_is_message(item) for item in items):
        return None
    return _merged(_turn(item, 0) for item in items)


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("role"), str)
        and ("content" in value or "parts" in value)
    )


def _turn(message: Mapping[str, Any], index: int) -> Turn:
    content = message["content"] if "content" in message else message.get("parts")
    texts, images, others = _parts(content)
    given = message.get("image")
    images += [_digest(image) for image in (given if isinstance(given, (list, tuple)) else [given]) if image]
    text = "".join(texts)
    if images:
        text = text.replace(*_PLACEHOLDER)
    fields = {k: v for k, v in message.items() if k not in ("role", "content", "parts", "image") and v is not None}
    more = [*([fields] if fields else []), *others]
    written = json.dumps(more, sort_keys=True, default=repr) if more else ""
    role = str(message["role"])
    return Turn(_ROLES.get(role, role), text, tuple(images), written, ((index, 0),))


def _merged(turns: Iterable[Turn]) -> Turns:
    merged: list[list[Turn]] = []
    for turn in turns:
        if merged and merged[-1][0].role == turn.role:
            merged[-1].append(turn)
        else:
            merged.append([turn])
    return tuple(run[0] if len(run) == 1 else _one(run) for run in merged)


def _one(run: list[Turn]) -> Turn:
    texts: list[str] = []
    origins: list[tuple[int, int]] = []
    at = 0
    for turn in run:
        origins += [(index, at + begin) for index, begin in turn.origins]
        texts.append(turn.text)
        at += len(turn.text) + len(DELIMITER)
    images = tuple(image for turn in run for image in turn.images)
    more = "".join(dict.fromkeys(turn.more for turn in run))
    return Turn(run[0].role, DELIMITER.join(texts), images, more, tuple(origins))


def _parts(content: Any) -> tuple[list[str], list[str], list[Any]]:
    """Return texts, images, and other parts of a message's content."""
    if content is None:
        return [], [], []
    if isinstance(content, str):
        return [content], [], []
    texts: list[str] = []
    images: list[str] = []
    others: list[Any] = []
    for part in content if isinstance(content, list) else [content]:
        image = _image_of(part) if isinstance(part, Mapping) else None
        if isinstance(part, str):
            texts.append(part)
        elif image is not None:
            images.append(image)
        elif isinstance(part, Mapping) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            others.append(part)
    return texts, images, others


def _image_of(part: Mapping[str, Any]) -> str | None:
    """Return the digest or the address of an image in a part, as the formats write it."""
    url = part.get("image_url")
    url = url.get("url") if isinstance(url, Mapping) else url
    if isinstance(url, str):
        return _digest(url)
    for name in ("source", "inlineData", "inline_data", "fileData", "file_data"):
        inner = part.get(name)
        if isinstance(inner, Mapping):
            address = next(
                (inner[key] for key in ("url", "fileUri", "file_uri", "file_id") if inner.get(key)), None
            )
            return str(address) if address else _of_base64(str(inner.get("data")))
    return None


def _digest(image: Any) -> str:
    """Return the digest of an image that is given by its bytes, a path or a data URL; another address as it is."""
    if isinstance(image, (bytes, bytearray)):
        return _sha256(bytes(image))
    text = str(image)
    if text.startswith("data:"):
        return _of_base64(text.partition(",")[2])
    if "://" in text:
        return text
    try:
        return _sha256(Path(text).expanduser().read_bytes())
    except OSError:
        return text


def _of_base64(text: str) -> str:
    try:
        return _sha256(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return text


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
