"""What transformers does to messages before a template sees them and to the text after, by version.

These are plain functions over plain data; they know no template engine.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from clemcore.errors import TemplateError

_TAG = "CONTINUE_FINAL_MESSAGE_TAG "
# What a message's reasoning is called; the first is what templates of today read.
_REASONING = ("reasoning_content", "thinking", "reasoning")
# The version whose rules are followed where transformers is not installed.
_NEWEST = "5.23.0"


@dataclass(frozen=True)
class Rules:
    """What a version of transformers does to messages before a template sees them."""

    drop_none: bool
    alias_reasoning: bool
    make_plain: bool
    continue_fields: bool

    @classmethod
    def of(cls, version: str) -> Rules:
        """Give the rules of a version such as ``"5.23.0"``."""
        parts = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
        return cls(
            drop_none=parts >= (5, 23),
            alias_reasoning=parts >= (5, 21),
            make_plain=parts >= (5, 22),
            continue_fields=parts >= (5, 10),
        )

    def plain(self, value: Any) -> Any:
        """Rebuild a value from plain types, where this version does so."""
        return plain(value) if self.make_plain else value

    def conversation(self, messages: Any) -> list[Any]:
        """Return messages as a template is given them.

        Raises:
            TemplateError: there are none, or one is not a message.
        """
        messages = messages.messages if hasattr(messages, "messages") else messages
        if not isinstance(messages, Iterable):
            msg = f"the conversation must be a list of messages, not {messages!r}"
            raise TemplateError(msg)
        if isinstance(messages, (list, tuple)) and not messages:
            msg = "the conversation is empty"
            raise TemplateError(msg)
        if self.make_plain:
            chat = [_plain_message(message, index, self.drop_none) for index, message in enumerate(messages)]
        else:
            chat = copy.deepcopy(list(messages))
        if not self.alias_reasoning:
            return chat
        return [_alias_reasoning(message) if isinstance(message, dict) else message for message in chat]

    def tag_final(self, chat: list[Any], wanted: bool | str, source: str) -> str:
        """Mark where the last message ends; give the text that is to be continued.

        Args:
            chat: messages as from :meth:`conversation`; the last one is changed.
            wanted: the name of the field that is continued; True is its content.
            source: the template's text.

        Raises:
            TemplateError: there is nothing that can be continued.
        """
        return _tag_final(chat, wanted if self.continue_fields else True, source if self.continue_fields else None)


@cache
def installed_transformers() -> str:
    """Return the installed version of transformers, or the newest known one where there is none."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("transformers")
    except PackageNotFoundError:
        return _NEWEST


def plain_token(token: Any) -> Any:
    """Turn a token object into its text; 4.x also has a list of further tokens."""
    return [str(part) for part in token] if isinstance(token, (list, tuple)) else str(token)


def schema(tool: Any) -> Any:
    """Give the JSON schema of a tool, which may be a function with type hints and a docstring."""
    if isinstance(tool, dict):
        return tool
    if inspect.isfunction(tool) or inspect.ismethod(tool):
        from transformers.utils import get_json_schema

        return get_json_schema(tool)
    msg = (
        "Tools should either be a JSON schema, or a callable function with type hints "
        "and a docstring suitable for auto-conversion to a schema."
    )
    raise TemplateError(msg)


def check_documents(documents: Any) -> None:
    """Refuse documents that are not dicts.

    Raises:
        TemplateError: one is none.
    """
    for document in () if documents is None else documents:
        if not isinstance(document, dict):
            msg = "Documents should be a list of dicts with 'title' and 'text' keys!"
            raise TemplateError(msg)


def plain(value: Any) -> Any:
    """Rebuild a value from plain types, as transformers does before a template sees it."""
    kind = type(value)
    if value is None or kind in (str, int, float, bool):
        return value
    if kind is dict:
        return {plain(key): plain(item) for key, item in value.items()}
    if kind is list:
        return [plain(item) for item in value]
    return _plain_other(value)


def _plain_other(value: Any) -> Any:  # noqa: PLR0911 - one line per type
    import dataclasses
    from collections.abc import Mapping

    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if type(value).__module__ == "numpy" and hasattr(value, "item") and hasattr(value, "dtype"):
        import numpy as np

        if isinstance(value, np.generic):
            return plain(value.item())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return plain(dump())
    return f"<{type(value).__name__}>"


def _plain_message(message: Any, index: int, drop_none: bool) -> Any:
    if drop_none:
        if not callable(getattr(message, "items", None)):
            msg = f"messages[{index}] must be a dict, not {message!r}"
            raise TemplateError(msg)
        message = {key: value for key, value in message.items() if value is not None}
    message = plain(message)
    if not isinstance(message, dict):
        msg = f"messages[{index}] must be a dict, not {message!r}"
        raise TemplateError(msg)
    return message


def _alias_reasoning(message: dict[str, Any]) -> dict[str, Any]:
    """Give a message's reasoning under each name that templates read."""
    found = next((message[name] for name in _REASONING if message.get(name) is not None), None)
    return message if found is None else {"thinking": found, **message, "reasoning_content": found}


def _tag_final(chat: list[Any], field: bool | str, source: str | None) -> str:
    name = field if isinstance(field, str) else "content"
    if not chat:
        msg = "continue_final_message is set but the conversation is empty!"
        raise TemplateError(msg)
    message = chat[-1]
    try:
        final = message.get(name)
        names = [name]
        if source is not None and name in _REASONING:
            names = [other for other in _REASONING if message.get(other) == final]
    except AttributeError:
        msg = f"the final message must be a dict, not {message!r}"
        raise TemplateError(msg) from None
    if final is None:
        msg = f'continue_final_message is set but the final message has no "{name}" to continue!'
        raise TemplateError(msg)
    if source is not None and not any(other in source for other in names):
        msg = f'continue_final_message is set to "{name}" but this is not an accepted field in the chat_template'
        raise TemplateError(msg)
    if isinstance(final, (list, tuple)):
        return _tag_part(final)
    if not isinstance(final, str):
        msg = f"continue_final_message is set but the final message's {name} is not a text"
        raise TemplateError(msg)
    for other in names:
        message[other] = message[other] + _TAG
    return final


def _tag_part(parts: list[Any] | tuple[Any, ...]) -> str:
    """Mark the last part that has a text."""
    for part in reversed(parts):
        if isinstance(part, (int, float)) or part is None or (isinstance(part, str) and "text" in part):
            msg = f"continue_final_message is set but a part of the final message is {part!r}"
            raise TemplateError(msg)
        if "text" in part:
            text = part["text"] if isinstance(part, dict) else None
            if not isinstance(text, str):
                msg = "continue_final_message is set but the last text of the final message is not a string"
                raise TemplateError(msg)
            part["text"] = text + _TAG
            return text
    msg = "continue_final_message is set but we could not find any text to continue in the final message!"
    raise TemplateError(msg)


def cut(text: str, final: str) -> str:
    """End the text where the mark of :meth:`Rules.tag_final` stands.

    Raises:
        TemplateError: it is not in the text.
    """
    mark = _TAG.strip()
    if final.strip() not in text or mark not in text:
        msg = (
            "continue_final_message is set but the final message does not appear in the chat after "
            "applying the chat template! This can happen if the chat template deletes portions of "
            "the final message. Please verify the chat template and final message in your chat to "
            "ensure they are compatible."
            f"Final message to continue: {final.strip()}\nRendered chat:\n{text}"
        )
        raise TemplateError(msg)
    place = text.rindex(mark)
    if text[place : place + len(_TAG)] == _TAG:
        return text[:place]
    return text[:place].rstrip()
