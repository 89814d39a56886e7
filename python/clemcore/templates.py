"""Chat templates: from messages to the exact text that transformers would make of them.

It knows how transformers prepares messages (its layers A and B) and when jinja2 has to take over; the language
itself is the Rust core's (``clemcore._core.CompiledTemplate``). It knows no models, registries or tokenizers.

A template that the core does not cover is rendered by jinja2 in the environment that transformers sets up, visibly:
``template.engine`` is then ``"jinja2"`` and ``template.engine_reason`` says why. jinja2 is imported only then.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clemcore import _core
from clemcore.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ChatTemplate"]

_TAG = "CONTINUE_FINAL_MESSAGE_TAG "
# What a message's reasoning is called; the first is what templates of today read.
_REASONING = ("reasoning_content", "thinking", "reasoning")
_RESERVED = ("messages", "tools", "documents", "add_generation_prompt")


class ChatTemplate:
    """One chat template, compiled once and rendered any number of times.

    Attributes:
        source: the template's text as given.
        special_tokens: the named tokens that the template may use (``bos_token`` …).
        engine: ``"clemcore"``, or ``"jinja2"`` from the moment that something needed it.
        engine_reason: why it is jinja2, or "".
        fingerprint: SHA-256 of the source, in hexadecimal digits.
    """

    def __init__(
        self,
        source: str,
        special_tokens: Mapping[str, Any] | None = None,
        now: str | datetime | None = None,
    ) -> None:
        """Compile a template.

        Args:
            source: the template's text.
            special_tokens: the tokens that are set, by name. A token that is not here is undefined in the template.
            now: pins the clock of ``strftime_now``, as a ``datetime`` or an ISO time.

        Raises:
            TemplateError: the template has a fault; with line, column and excerpt.
        """
        self.source = source
        self.special_tokens = {name: _plain(token) for name, token in dict(special_tokens or {}).items()}
        self.engine = "clemcore"
        self.engine_reason = ""
        self._now = datetime.fromisoformat(now) if isinstance(now, str) else now
        self._compiled: _core.CompiledTemplate | None = None
        self._jinja: Any = None
        try:
            self._compiled = _core.CompiledTemplate(source)
        except _core.UnsupportedError as reason:
            self._take_jinja(str(reason))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the source, in hexadecimal digits."""
        return hashlib.sha256(self.source.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def variables(self) -> frozenset[str]:
        """The names that the template reads and does not define itself."""
        if self._compiled is not None:
            return frozenset(self._compiled.variables)
        from jinja2 import meta

        environment = self._jinja.environment
        return frozenset(meta.find_undeclared_variables(environment.parse(self.source)))

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool | str = False,
        **kwargs: Any,
    ) -> str:
        """Make the prompt text for a conversation, as ``apply_chat_template(..., tokenize=False)`` does.

        Args:
            messages: the conversation.
            tools: JSON schemas of the tools that the model may call.
            documents: documents for retrieval.
            add_generation_prompt: end with the header of the assistant's turn.
            continue_final_message: end inside the last message, at the end of its content or of the named field.
            **kwargs: further variables; they win over special tokens of the same name.

        Raises:
            TemplateError: the template refuses the messages or fails; ``str()`` of it is exactly the text that the
                template gave to ``raise_exception``.
        """
        if continue_final_message and add_generation_prompt:
            msg = (
                "continue_final_message and add_generation_prompt are not compatible. Use continue_final_message "
                "when you want the model to continue the final message, and add_generation_prompt when you want to "
                "add a header that will prompt it to start a new assistant message instead."
            )
            raise TemplateError(msg)
        if not messages:
            msg = "the conversation is empty"
            raise TemplateError(msg)
        chat = _alias_reasoning(_without_none(_plain(list(messages))))
        variables = {
            "messages": chat,
            "tools": _plain(tools),
            "documents": _plain(documents),
            "add_generation_prompt": add_generation_prompt,
        }
        extra = {**self.special_tokens, **{name: _plain(value) for name, value in kwargs.items()}}
        if not continue_final_message:
            return self._text(variables, extra)
        final = _tag_final(chat, continue_final_message, self.source)
        return _cut(self._text(variables, extra), final)

    def _text(self, variables: dict[str, Any], extra: dict[str, Any]) -> str:
        if self._compiled is not None:
            now = None
            if self._compiled.uses_clock:
                time = self._now or datetime.now()
                now = (time.year, time.month, time.day, time.hour, time.minute, time.second, time.microsecond)
            try:
                return self._compiled.render([variables, extra], now)
            except _core.UnsupportedError as reason:
                self._take_jinja(str(reason))
        return self._by_jinja({**extra, **variables})

    def _take_jinja(self, reason: str) -> None:
        self.engine = "jinja2"
        self.engine_reason = reason
        if self._jinja is None:
            from clemcore._jinja import compile_template

            self._jinja = compile_template(self.source, self._clock)

    def _clock(self) -> datetime:
        return self._now or datetime.now()

    def _by_jinja(self, variables: dict[str, Any]) -> str:
        from clemcore._jinja import render

        return render(self._jinja, variables)

    def __repr__(self) -> str:
        """Name the template by its fingerprint and engine."""
        return f"<ChatTemplate {self.fingerprint[:12]} engine={self.engine}>"


def _plain(value: Any) -> Any:
    """Rebuild a value from plain types, as transformers does before a template sees it."""
    kind = type(value)
    if value is None or kind in (str, int, float, bool):
        return value
    if kind is dict:
        return {_plain(key): _plain(item) for key, item in value.items()}
    if kind is list:
        return [_plain(item) for item in value]
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
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if type(value).__module__ == "numpy" and hasattr(value, "item") and hasattr(value, "dtype"):
        import numpy as np

        if isinstance(value, np.generic):
            return _plain(value.item())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return _plain(dump())
    return f"<{type(value).__name__}>"


def _without_none(chat: list[Any]) -> list[Any]:
    """Drop the keys of each message whose value is None."""
    return [
        {key: value for key, value in message.items() if value is not None}
        if isinstance(message, dict)
        else message
        for message in chat
    ]


def _alias_reasoning(chat: list[Any]) -> list[Any]:
    """Give a message's reasoning under each name that templates read."""
    aliased = []
    for index, message in enumerate(chat):
        if not isinstance(message, dict):
            msg = f"messages[{index}] must be a dict, not {message!r}"
            raise TemplateError(msg)
        found = next((message[name] for name in _REASONING if message.get(name) is not None), None)
        aliased.append(
            message if found is None else {"thinking": found, **message, "reasoning_content": found},
        )
    return aliased


def _tag_final(chat: list[dict[str, Any]], field: bool | str, source: str) -> str:
    """Mark the end of the last message; give the text that is to be continued."""
    name = field if isinstance(field, str) else "content"
    message = chat[-1]
    final = message.get(name)
    if final is None:
        msg = f'continue_final_message is set but the final message has no "{name}" to continue!'
        raise TemplateError(msg)
    names = [name]
    if name in _REASONING:
        names = [other for other in _REASONING if message.get(other) == final]
    if not any(other in source for other in names):
        msg = f'continue_final_message is set to "{name}" but this is not an accepted field in the chat_template'
        raise TemplateError(msg)
    if isinstance(final, (list, tuple)):
        for part in reversed(final):
            if "text" in part:
                text = part["text"]
                part["text"] = text + _TAG
                return str(text)
        msg = "continue_final_message is set but we could not find any text to continue in the final message!"
        raise TemplateError(msg)
    if not isinstance(final, str):
        msg = f"continue_final_message is set but the final message's {name} is no text"
        raise TemplateError(msg)
    for other in names:
        message[other] = message[other] + _TAG
    return final


def _cut(text: str, final: str) -> str:
    """End the text where the mark of :func:`_tag_final` stands."""
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
