"""What formats have in common that keep the system's words apart from the dialogue."""

from __future__ import annotations

import logging
from typing import Any

from clemcore.arguments.parameter import NotExpressibleError
from clemcore.errors import MessagesError
from clemcore.messages import DELIMITER, Message, Messages, ensure_alternating_roles
from clemcore.registry.spec import ModelSpec

logger = logging.getLogger(__name__)

_PLAIN = frozenset({"role", "content", "image"})
# Message fields that services read. Games keep notes of their own in all other fields.
_MEANT_FOR_MODELS = frozenset(
    [
        "audio",
        "cache_control",
        "citations",
        "documents",
        "function_call",
        "name",
        "partial",
        "prefix",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "refusal",
        "thinking",
        "tool_call_id",
        "tool_calls",
        "tool_plan",
        "tools",
        "weight",
    ]
)
_left_out: set[str] = set()


def split_system(messages: Messages) -> tuple[str, list[tuple[int, Message]]]:
    """Take the system messages out of a dialogue.

    Args:
        messages: the dialogue, its roles alternating.

    Returns:
        Their texts, joined by blank lines, in their order; and the other messages with their places, those that
        have become neighbours of one role merged.

    Raises:
        MessagesError: a system message is not a text, or has an image.

    Examples:
        >>> split_system([{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello!"}])
        ('Be short.', [(1, {'role': 'user', 'content': 'Hello!'})])
    """
    texts = []
    turns: list[tuple[int, Message]] = []
    for index, message in enumerate(messages):
        if message["role"] != "system":
            if turns and turns[-1][1]["role"] == message["role"]:
                place, before = turns.pop()
                merged, *separate = ensure_alternating_roles([before, message])
                turns += [(place, merged), *((index, other) for other in separate)]
            else:
                turns.append((index, message))
            continue
        alone(message, index)
        if message.get("image") is not None:
            raise MessagesError(f"messages[{index}] is a system message with an image: show it to the user's role")
        texts.append(_text(message["content"], index))
    return DELIMITER.join(text for text in texts if text.strip()), turns


def alone(message: Message, index: int) -> None:
    """Refuse fields of a message that a model would have to see and that the format has no place for.

    Other fields, which games keep for themselves, are not sent; a warning names each field once.

    Raises:
        MessagesError: there are some.
    """
    more = message.keys() - _PLAIN
    if not more:
        return
    if meant := sorted(more & _MEANT_FOR_MODELS):
        raise MessagesError(
            f"messages[{index}] has {', '.join(map(repr, meant))}, which the service does not take: "
            "a message has a role, a content and, for models that see, an image"
        )
    new = sorted({str(name) for name in more} - _left_out)
    if new:
        _left_out.update(new)
        logger.warning(
            "messages[%d] has %s, which the service does not take: it is not sent", index, ", ".join(map(repr, new))
        )


def check_not_empty(message: Message, index: int, service: str) -> None:
    """Refuse a message without a word, for services that refuse it: the game decides what stands in its place.

    A refusal or a filtered answer is such a message when it becomes a part of the dialogue.

    Raises:
        MessagesError: it is empty.
    """
    content = message["content"]
    if (isinstance(content, str) and content.strip()) or (isinstance(content, list) and content):
        return
    raise MessagesError(
        f"messages[{index}] of the role '{message['role']}' is empty, and {service} takes no empty message: "
        "leave it out, or write what stands for it, such as '(no answer)'"
    )


def listed(value: Any) -> list[str]:
    """Make the list that services want of one stop sequence or several.

    Raises:
        NotExpressibleError: it is neither.
    """
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
        raise NotExpressibleError(f"must be a text or a list of texts, not {value!r}")
    return stops


def continues(index: int, last: Message, spec: ModelSpec, *, unless_said: bool = False) -> bool:
    """Tell whether a dialogue ends with the assistant, so that the model has to continue the message.

    Args:
        index: the place of the last message.
        last: the message.
        spec: the entry, whose ``prefill`` says whether the model can.
        unless_said: what holds where it says nothing.

    Raises:
        MessagesError: it cannot, as far as the entry says.
    """
    if last["role"] != "assistant":
        return False
    said = spec.get("prefill")
    if not (unless_said if said is None else said):
        word = (
            'says that it does not ("prefill": false)'
            if unless_said
            else 'does not say that it can ("prefill": true)'
        )
        raise no_prefill(
            index, f"the model would have to continue it, and the entry of '{spec['model_name']}' {word}"
        )
    return True


def no_prefill(index: int, why: str) -> MessagesError:
    """Return the error of a last message that would have to be continued."""
    return MessagesError(f"messages[{index}] is the last one and of the assistant: {why}")


def _text(content: Any, index: int) -> str:
    if isinstance(content, str):
        return content
    texts = [part.get("text") for part in content or () if part.get("type") == "text"]
    if len(texts) != len(content or ()) or not all(isinstance(text, str) for text in texts):
        raise MessagesError(f"messages[{index}] is a system message: its parts must be text")
    return DELIMITER.join(str(text) for text in texts)
