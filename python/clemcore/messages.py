"""Messages: what a dialogue must look like, checked and brought into alternating roles.

It knows the list of ``{"role", "content"}`` and nothing about models, templates or providers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from clemcore import _core
from clemcore.errors import MessagesError
from clemcore.spelling import misspelling_of

Message = dict[str, Any]
Messages = list[Message]

DELIMITER = "\n\n"
# Roles and fields that models know. Any other passes, because a local template may know it, or a game, unless it is
# nearly one of these.
_ROLES = frozenset(
    {"system", "user", "assistant", "tool", "tools", "developer", "function", "model", "ipython", "context"}
)
_FIELDS = frozenset({"role", "content", "image"})
# Other names that people give to the field `image`. Without that field, the model would not see the picture.
_OTHER_NAMES = frozenset({"images", "image_url", "image_urls", "img", "imgs"})
# Types of parts that some format or template knows, and the field that a part of the type needs.
_NEEDED = {"text": ("text", "content"), "image_url": ("image_url",), "input_text": ("text",)}
_PARTS = frozenset(
    [
        "audio",
        "audio_url",
        "document",
        "file",
        "image",
        "image_url",
        "input_audio",
        "input_file",
        "input_image",
        "input_text",
        "output_text",
        "refusal",
        "text",
        "thinking",
        "tool_result",
        "tool_use",
        "video",
        "video_url",
    ]
)


def check_messages(messages: Any, *, where: str = "messages") -> None:
    """Check that messages are a non-empty list of dicts with a role and a content.

    Content is a string, or a list of parts (``{"type": "text", "text": …}`` and the like) for models that see
    images; None is allowed for assistant messages that carry something else (tool calls).

    Args:
        messages: what the caller gave.
        where: how the message names it.

    Raises:
        MessagesError: one error that names every index and field that is wrong. A role or a field that is nearly
            a known one is wrong too.
    """
    if not isinstance(messages, (list, tuple)) or not messages:
        found = "an empty list" if isinstance(messages, (list, tuple)) else type(messages).__name__
        raise MessagesError(f"{where} must be a non-empty list of {{'role': …, 'content': …}} dicts, not {found}")
    # Nearly all messages are a known role and a text. A long dialogue is checked again with each call.
    if type(messages) is list and _core.are_plain_messages(messages, _ROLES):
        return
    faults = [fault for index, message in enumerate(messages) for fault in _faults(index, message, where)]
    if faults:
        raise MessagesError("; ".join(faults))


def _faults(index: int, message: Any, where: str) -> list[str]:
    if not isinstance(message, dict):
        return [f"{where}[{index}] must be a dict with 'role' and 'content', not {type(message).__name__}"]
    faults = []
    role = message.get("role")
    if not isinstance(role, str) or not role:
        faults.append(f"{where}[{index}]['role'] must be a non-empty string, {_found(message, 'role')}")
    elif role not in _ROLES and (near := misspelling_of(role, _ROLES)) is not None:
        faults.append(f"{where}[{index}]['role'] is {role!r}: did you mean {near!r}?")
    content = message.get("content")
    if isinstance(content, list):
        parts = (_part_fault(part) for part in content)
        faults += [f"{where}[{index}]['content'][{n}]{fault}" for n, fault in enumerate(parts) if fault is not None]
    elif not isinstance(content, str) and not (content is None and len(message.keys() - {"role", "content"})):
        faults.append(f"{where}[{index}]['content'] must be a string, {_found(message, 'content')}")
    if not message.keys() <= _FIELDS:
        strange = [str(name) for name in message if name not in _FIELDS]
        alike = [(name, near) for name in strange if (near := _field_meant(name, message)) is not None]
        faults += [f"{where}[{index}] has the field {name!r}: did you mean {near!r}?" for name, near in alike]
    return faults


def _field_meant(name: str, message: Message) -> str | None:
    if message.get("image") is None and (name in _OTHER_NAMES or misspelling_of(name, _OTHER_NAMES) is not None):
        return "image"
    return misspelling_of(name, _FIELDS)


def _part_fault(part: Any) -> str | None:
    """Return what is wrong with a part of a content, as the rest of a sentence that begins with its place."""
    if not isinstance(part, dict):
        return f" must be a dict with a 'type', not {type(part).__name__}"
    kind = part.get("type")
    if not isinstance(kind, str):
        return None
    if kind not in _PARTS and (near := misspelling_of(kind, _PARTS)) is not None:
        return f"['type'] is {kind!r}: did you mean {near!r}?"
    needed = _NEEDED.get(kind)
    if needed is None or any(part.get(name) is not None for name in needed):
        return None
    strange = [str(name) for name in part if name != "type"]
    near = next((name for name in strange if misspelling_of(name, needed) is not None), None)
    return (
        f" has no {needed[0]!r}, but {near!r}"
        if near is not None
        else f" is of type {kind!r} and has no {needed[0]!r}"
    )


def _found(message: Message, field: str) -> str:
    if field not in message:
        return "but is missing"
    value = message[field]
    return "but is empty" if value == "" else f"not {type(value).__name__}"


_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=repr)


def sha256_of(messages: Messages) -> str:
    """Return the SHA-256 of messages, written as JSON with sorted keys, without spaces, in UTF-8.

    Examples:
        >>> sha256_of([{"role": "user", "content": "Hi"}]) == sha256_of([{"content": "Hi", "role": "user"}])
        True
    """
    return hashlib.sha256(_CANONICAL.encode(messages).encode("utf-8", "surrogatepass")).hexdigest()


def texts_of(messages: Messages) -> Iterator[tuple[int, str, str]]:
    """Yield every text in messages but the roles: index of the message, place (``['content']``) and text.

    Examples:
        >>> list(texts_of([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]))
        [(0, "['content'][0]['type']", 'text'), (0, "['content'][0]['text']", 'Hi')]
    """
    for index, message in enumerate(messages):
        for field, value in message.items():
            if field != "role":
                for place, text in _texts_in(value, f"[{field!r}]"):
                    yield index, place, text


def check_texts(messages: Messages) -> None:
    """Refuse half of a surrogate pair in messages: it cannot be written as UTF-8, nor read by a tokenizer.

    Raises:
        MessagesError: there is one; the message names its place.
    """
    if _core.json_line(messages) is not None:  # it cannot write half of a pair
        return
    for index, place, text in texts_of(messages):
        if text.isascii() or place.startswith("['image']"):  # a path: reading the file says what is wrong
            continue
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as fault:
            half, at = text[fault.start], fault.start
        else:
            continue
        raise MessagesError(
            f"messages[{index}]{place} has the lone surrogate {half!a} at character {at}, which is half a "
            "character and not text: remove it, or decode its source correctly"
        )


def _texts_in(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts_in(item, f"{place}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _texts_in(item, f"{place}[{number}]")


def ensure_alternating_roles(messages: Messages, cull_system_message: bool = True) -> Messages:
    """Merge neighbouring messages of one role, joined by a blank line.

    Linear in the number of messages; the given list and its dicts are never changed, and dicts that need no
    change are not copied to the depth. Images of merged messages are concatenated (3.7.2 lost the second's).
    Messages whose other fields differ (``name``, ``tool_calls``, …) stay separate, because each field belongs to
    its own text. Results of tools always stay separate.

    Args:
        messages: the dialogue.
        cull_system_message: drop a first system message that is empty.

    Returns:
        A new list of new dicts.
    """
    messages = _without_empty_system(messages) if cull_system_message else messages
    copies = _core.alternating_messages(messages) if type(messages) is list else None
    if copies is not None:  # nearly always; a long dialogue comes again with each call
        return copies
    return [merged(run) for run in runs_of(messages, cull_system_message=False)]


def check_something_is_left(messages: Messages, left: Messages | list[Messages]) -> None:
    """Check that a dialogue is more than a first system message without text, which is left out.

    Args:
        messages: the dialogue.
        left: what is left of it.

    Raises:
        MessagesError: nothing is left.
    """
    if messages and not left:
        raise MessagesError(
            "the only message is a system message without text, which is left out, so nothing would be asked: "
            "write its text, or add a message of the user"
        )


def _without_empty_system(messages: Messages) -> Messages:
    is_empty = messages and messages[0]["role"] == "system" and not messages[0]["content"]
    return messages[1:] if is_empty else messages


def runs_of(messages: Messages, cull_system_message: bool = True) -> list[Messages]:
    """Return the neighbours that :func:`ensure_alternating_roles` merges, in their order."""
    if cull_system_message:
        messages = _without_empty_system(messages)
    runs: list[Messages] = []
    for message in messages:
        if runs and _belong_together(runs[-1][0], message):
            runs[-1].append(message)
        else:
            runs.append([message])
    return runs


_MERGED = frozenset({"role", "content", "image"})
# Roles of results of tools: two results are two, also without fields of their own.
_OF_TOOLS = frozenset({"tool", "tools", "function", "ipython"})


def _belong_together(message: Message, other: Message) -> bool:
    if message["role"] != other["role"] or message["role"] in _OF_TOOLS:
        return False
    fields = (message.keys() | other.keys()) - _MERGED
    if not fields:
        return True
    # Two calls of tools are two, even if they are equal.
    return "tool_calls" not in fields and all(
        name in message and name in other and message[name] == other[name] for name in fields
    )


def merged(run: Messages) -> Message:
    """Return neighbours of :func:`runs_of` as one new message."""
    result = dict(run[0])
    if len(run) == 1:
        return result
    result["content"] = _join_contents([message["content"] for message in run])
    images: list[Any] = []
    for message in run:
        image = message.get("image")
        if image is not None:
            images += image if isinstance(image, list) else [image]
    if images:
        result["image"] = images if len(images) > 1 else _as_given(run, images[0])
    return result


def _as_given(run: Messages, image: Any) -> Any:
    """Keep a single image in the form it had: alone, or in a list of one."""
    given = next(message["image"] for message in run if message.get("image") is not None)
    return given if isinstance(given, list) else image


def _join_contents(contents: list[Any]) -> Any:
    if all(isinstance(content, str) for content in contents):
        return DELIMITER.join(contents)
    parts: list[Any] = []
    for content in contents:
        if isinstance(content, list):
            parts += content
        elif content:
            parts.append({"type": "text", "text": content})
    return parts
