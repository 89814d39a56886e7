"""What formats have in common that keep the system's words apart from the dialogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clemcore.backends._remote.dialect import UnsupportedError
from clemcore.errors import MessagesError, SpecError
from clemcore.messages import DELIMITER, Message, Messages, ensure_alternating_roles
from clemcore.spec import ModelSpec

_PLAIN = frozenset({"role", "content", "image"})


def split_system(messages: Messages) -> tuple[str, list[tuple[int, Message]]]:
    """Take the system messages out of a dialogue.

    Args:
        messages: the dialogue, its roles alternating.

    Returns:
        Their texts, joined by blank lines, in their order; and the other messages with their places, those that
        have become neighbours of one role merged.

    Raises:
        MessagesError: a system message is no text, or has an image.

    Examples:
        >>> split_system([{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello!"}])
        ('Be short.', [(1, {'role': 'user', 'content': 'Hello!'})])
    """
    texts = []
    turns: list[tuple[int, Message]] = []
    for index, message in enumerate(messages):
        if message["role"] != "system":
            if turns and turns[-1][1]["role"] == message["role"]:
                turns[-1] = (turns[-1][0], ensure_alternating_roles([turns[-1][1], message])[0])
            else:
                turns.append((index, message))
            continue
        alone(message, index)
        if message.get("image") is not None:
            raise MessagesError(f"messages[{index}] is a system message with an image: show it to the user's role")
        texts.append(_text(message["content"], index))
    return DELIMITER.join(text for text in texts if text.strip()), turns


def alone(message: Message, index: int) -> None:
    """Refuse fields of a message that the format has no place for.

    Raises:
        MessagesError: there are some.
    """
    if more := sorted(str(name) for name in message.keys() - _PLAIN):
        raise MessagesError(
            f"messages[{index}] has {', '.join(repr(name) for name in more)}, which the service does not take: "
            "a message has a role, a content and, for models that see, an image"
        )


def listed(value: Any) -> list[str]:
    """Make the list that services want of one stop sequence or several.

    Raises:
        UnsupportedError: it is neither.
    """
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
        raise UnsupportedError(f"must be a text or a list of texts, not {value!r}")
    return stops


def thinking_of(spec: ModelSpec) -> Mapping[str, Any]:
    """Return what an entry says about the model's thinking; nothing where it does not.

    Raises:
        SpecError: it is no object.
    """
    thinking = spec.get("thinking")
    if thinking is None:
        return {}
    if not isinstance(thinking, dict):
        raise SpecError(f"model '{spec['model_name']}': 'thinking' must be an object, not {thinking!r}")
    return thinking


def _text(content: Any, index: int) -> str:
    if isinstance(content, str):
        return content
    texts = [part.get("text") for part in content or () if part.get("type") == "text"]
    if len(texts) != len(content or ()) or not all(isinstance(text, str) for text in texts):
        raise MessagesError(f"messages[{index}] is a system message: its parts must be text")
    return DELIMITER.join(str(text) for text in texts)
