"""Chat templates: from messages to the exact text that transformers would make of them.

It knows how transformers prepares messages (its layers A and B) and when jinja2 has to take over; the language
itself is the Rust core's (``clemcore._core.CompiledTemplate``). It knows no models, registries or tokenizers.

A template that the core does not cover is rendered by jinja2 in the environment that transformers sets up, visibly:
``template.engine`` is then ``"jinja2"`` and ``template.engine_reason`` says why. jinja2 is imported only then.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore import _core
from clemcore.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ChatTemplate"]

_TAG = "CONTINUE_FINAL_MESSAGE_TAG "
# What a message's reasoning is called; the first is what templates of today read.
_REASONING = ("reasoning_content", "thinking", "reasoning")
# The version whose rules are followed where transformers is not installed.
_NEWEST = "5.23.0"


@dataclass(frozen=True)
class _Rules:
    """What a version of transformers does to messages before a template sees them."""

    drop_none: bool
    alias_reasoning: bool
    make_plain: bool
    refuse_empty: bool
    continue_fields: bool

    @classmethod
    def of(cls, version: str) -> _Rules:
        """Give the rules of a version such as ``"5.23.0"``."""
        parts = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
        return cls(
            drop_none=parts >= (5, 23),
            alias_reasoning=parts >= (5, 21),
            make_plain=parts >= (5, 22),
            refuse_empty=parts >= (5, 15),
            continue_fields=parts >= (5, 10),
        )


@cache
def _installed_transformers() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("transformers")
    except PackageNotFoundError:
        return _NEWEST


class ChatTemplate(_core.TemplateCore):
    """One chat template, compiled once and rendered any number of times.

    ``render`` is written in Rust (``clemcore._core.TemplateCore.render``): plain messages go from Python's memory
    to the finished text in one pass; whatever is unusual takes the slow, exact way through this class.

    Attributes:
        source: the template's text as given.
        special_tokens: the named tokens that the template may use (``bos_token`` …).
        transformers: the version of transformers whose preparation of messages is followed.
        engine: ``"clemcore"``, or ``"jinja2"`` from the moment that something needed it.
        engine_reason: why it is jinja2, or "".
    """

    @classmethod
    def from_file(cls, path: str | Path, name: str = "default", **options: Any) -> ChatTemplate:
        """Read a template from ``*.jinja``, ``tokenizer_config.json`` (by name where it has several) or a folder.

        In a folder ``chat_template.jinja`` comes first, as in transformers. Special tokens come from
        ``tokenizer_config.json`` where ``options`` do not set them.

        Raises:
            TemplateError: there is no template (of that name), or it has a fault.
        """
        path = Path(path)
        config_path = path / "tokenizer_config.json" if path.is_dir() else path.with_name("tokenizer_config.json")
        config = json.loads(config_path.read_text(encoding="utf-8")) if config_path.exists() else {}
        jinja = path / "chat_template.jinja" if path.is_dir() else path
        if jinja.suffix == ".jinja" and jinja.exists():
            # Bytes, because a carriage return belongs to the text.
            source: Any = jinja.read_bytes().decode()
        else:
            source = config.get("chat_template")
        if isinstance(source, list):
            source = {entry["name"]: entry["template"] for entry in source}
        if isinstance(source, dict):
            source = source.get(name)
        if not isinstance(source, str):
            msg = f"{path} holds no chat template named '{name}'"
            raise TemplateError(msg)
        options.setdefault("special_tokens", _special_tokens(config))
        return cls(source, **options)

    source: str
    special_tokens: dict[str, Any]
    transformers: str
    engine: str
    engine_reason: str

    def __new__(
        cls,
        source: str,
        special_tokens: Mapping[str, Any] | None = None,
        now: str | datetime | None = None,
        transformers: str | None = None,
    ) -> ChatTemplate:
        """Compile a template.

        Args:
            source: the template's text.
            special_tokens: the tokens that are set, by name. A token that is not here is undefined in the template.
            now: pins the clock of ``strftime_now``, as a ``datetime`` or an ISO time.
            transformers: the version whose preparation of messages is followed; by default the installed one, or
                the newest known where none is installed.

        Raises:
            TemplateError: the template has a fault; with line, column and excerpt.
        """
        tokens = {name: _plain_token(token) for name, token in dict(special_tokens or {}).items()}
        version = transformers or _installed_transformers()
        rules = _Rules.of(version)
        self = super().__new__(
            cls, source, tokens, drop_none=rules.drop_none, alias_reasoning=rules.alias_reasoning
        )
        self.source, self.special_tokens, self.transformers = source, tokens, version
        self.engine, self.engine_reason = "clemcore", ""
        self._rules = rules
        self._now = datetime.fromisoformat(now) if isinstance(now, str) else now
        self._jinja = None
        if self.unsupported is not None:
            self._take_jinja(self.unsupported)
        return self

    _rules: _Rules
    _now: datetime | None
    _jinja: Any

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the source, in hexadecimal digits."""
        return hashlib.sha256(self.source.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def variables(self) -> frozenset[str]:
        """The names that the template reads and does not define itself."""
        if self.names is not None:
            return frozenset(self.names)
        from jinja2 import meta

        environment = self._jinja.environment
        return frozenset(meta.find_undeclared_variables(environment.parse(self.source)))

    def assistant_spans(
        self, messages: Any, tools: Any = None, documents: Any = None, **kwargs: Any
    ) -> list[tuple[int, int]]:
        """Give the character ranges of the rendered text that the assistant generated, for a mask in training.

        These are what the template puts between ``{% generation %}`` and ``{% endgeneration %}``; a template
        without those tags has none.

        Raises:
            TemplateError: the template fails, or only jinja2 can render it.
        """
        schemas = None if tools is None else [_schema(tool) for tool in tools]
        variables = {"messages": self._conversation(messages), "tools": _plain(schemas)}
        variables |= {"documents": _plain(documents), "add_generation_prompt": False}
        extra = {**self.special_tokens, **{name: _plain(value) for name, value in kwargs.items()}}
        try:
            return self.render_context([extra, variables], self._moment() if self.uses_clock else None)[1]
        except (_core.UnsupportedError, _core.NotPlainError) as reason:
            msg = f"no spans: the engine does not cover {reason}"
            raise TemplateError(msg) from reason

    def _render_slowly(  # noqa: PLR0917 - called by position from Rust
        self,
        messages: Any,
        tools: Any,
        documents: Any,
        add_generation_prompt: Any,
        continue_final_message: bool | str,
        kwargs: dict[str, Any] | None,
    ) -> str:
        """Do everything that ``render`` does, for any data; ``render`` itself comes here when it meets some."""
        if continue_final_message and add_generation_prompt:
            msg = (
                "continue_final_message and add_generation_prompt are not compatible: the first continues the "
                "final message, the second starts another one"
            )
            raise TemplateError(msg)
        plain = _plain if self._rules.make_plain else _as_it_is
        chat = self._conversation(messages)
        schemas = None if tools is None else [_schema(tool) for tool in tools]
        _check_documents(documents)
        variables = {
            "messages": chat,
            "tools": plain(schemas),
            "documents": plain(documents),
            "add_generation_prompt": add_generation_prompt,
        }
        extra = {**self.special_tokens, **{name: plain(value) for name, value in (kwargs or {}).items()}}
        if not continue_final_message:
            return self._text(variables, extra)
        field = continue_final_message if self._rules.continue_fields else True
        final = _tag_final(chat, field, self.source if self._rules.continue_fields else None)
        return _cut(self._text(variables, extra), final)

    def _conversation(self, messages: Any) -> list[Any]:
        messages = messages.messages if hasattr(messages, "messages") else messages
        if not messages and self._rules.refuse_empty:
            msg = "the conversation is empty"
            raise TemplateError(msg)
        if not self._rules.make_plain:
            return copy.deepcopy(list(messages))
        chat = [_plain(message) for message in messages]
        for index, message in enumerate(chat):
            if not isinstance(message, dict):
                msg = f"messages[{index}] must be a dict, not {message!r}"
                raise TemplateError(msg)
        if self._rules.drop_none:
            chat = [{key: value for key, value in message.items() if value is not None} for message in chat]
        return [_alias_reasoning(message) for message in chat] if self._rules.alias_reasoning else chat

    def _text(self, variables: dict[str, Any], extra: dict[str, Any]) -> str:
        if self.unsupported is None:
            try:
                return self.render_context([extra, variables], self._moment() if self.uses_clock else None)[0]
            except (_core.UnsupportedError, _core.NotPlainError) as reason:
                self._take_jinja(str(reason))
        from clemcore._jinja import render

        return render(self._jinja, {**extra, **variables})

    def _take_jinja(self, reason: str) -> None:
        self.engine, self.engine_reason = "jinja2", reason
        if self._jinja is None:
            from clemcore._jinja import compile_template

            self._jinja = compile_template(self.source, self._clock)

    def _clock(self) -> datetime:
        return self._now or datetime.now()

    def _moment(self) -> tuple[int, int, int, int, int, int, int]:
        now = self._clock()
        return now.year, now.month, now.day, now.hour, now.minute, now.second, now.microsecond

    def __repr__(self) -> str:
        """Name the template by its fingerprint and engine."""
        return f"<ChatTemplate {self.fingerprint[:12]} engine={self.engine}>"


def _special_tokens(config: dict[str, Any]) -> dict[str, str]:
    """Give the named tokens that a tokenizer's configuration sets."""
    names = [f"{kind}_token" for kind in ("bos", "eos", "unk", "sep", "pad", "cls", "mask")]
    found = {name: config.get(name) for name in names}
    texts = {name: token["content"] if isinstance(token, dict) else token for name, token in found.items()}
    return {name: token for name, token in texts.items() if token is not None}


def _as_it_is(value: Any) -> Any:
    return value


def _plain_token(token: Any) -> Any:
    """Turn a token object into its text; 4.x also has a list of further tokens."""
    return [str(part) for part in token] if isinstance(token, (list, tuple)) else str(token)


def _schema(tool: Any) -> Any:
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


def _check_documents(documents: Any) -> None:
    for document in documents or ():
        if not isinstance(document, dict):
            msg = "Documents should be a list of dicts with 'title' and 'text' keys!"
            raise TemplateError(msg)


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


def _alias_reasoning(message: dict[str, Any]) -> dict[str, Any]:
    """Give a message's reasoning under each name that templates read."""
    found = next((message[name] for name in _REASONING if message.get(name) is not None), None)
    return message if found is None else {"thinking": found, **message, "reasoning_content": found}


def _tag_final(chat: list[dict[str, Any]], field: bool | str, source: str | None) -> str:
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
    if source is not None and not any(other in source for other in names):
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
