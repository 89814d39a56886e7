"""Chat templates: from messages to the exact text that transformers would make of them.

It knows when jinja2 has to take over; the language itself is the Rust core's (``clemcore._core.TemplateCore``).

A template that the core does not cover is rendered by jinja2 in the environment that transformers sets up, visibly:
``template.engine`` is then ``"jinja2"`` and ``template.engine_reason`` says why. jinja2 runs in a process of its
own, with bounds on time and memory.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clemcore import _core
from clemcore.errors import TemplateError
from clemcore.prompts.templates.preparation import (
    Rules,
    check_documents,
    cut,
    installed_transformers,
    plain_token,
    schema,
)
from clemcore.prompts.templates.sources import read_entry, read_template

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class ChatTemplate(_core.TemplateCore):
    """One chat template, compiled once and rendered any number of times.

    ``render`` is written in Rust (``clemcore._core.TemplateCore.render``): plain messages become
    the finished text in one pass; anything unusual takes the slower, exact path through this class.

    Attributes:
        source: the template's text as given.
        special_tokens: the named tokens that the template may use (``bos_token`` …).
        transformers: the version of transformers whose preparation of messages is followed.
        engine: ``"clemcore"``, or ``"jinja2"`` once a render needed it.
        engine_reason: why jinja2 is used, or "".
    """

    @classmethod
    def from_file(cls, path: str | Path, name: str = "default", **options: Any) -> ChatTemplate:
        """Read a template from a file or a model's folder, together with its special tokens.

        Args:
            path: a template (``*.jinja``), ``tokenizer_config.json``, a ``*.gguf`` file, or a folder.
            name: the template to read, if there are several.
            options: as for the class; ``special_tokens`` replace all those that were found.

        Raises:
            TemplateError: no template (of that name) was found, or it has an error.
        """
        found = read_template(path, name)
        options.setdefault("special_tokens", found.special_tokens)
        return cls(found.text, **options)

    @classmethod
    def from_entry(cls, entry: Any, folder: str | Path | None = None, **options: Any) -> ChatTemplate:
        """Read the ``custom_chat_template`` of a registry entry, in either layout.

        Args:
            entry: the entry, as a dict or a ``ModelSpec``.
            folder: where a relative path in it begins; by default the current folder.
            options: as for the class; ``now`` is by default the entry's ``template_now``.

        Raises:
            TemplateError: the entry has no template, or the template has an error.
        """
        found, now = read_entry(entry, folder)
        options.setdefault("special_tokens", found.special_tokens)
        if now is not None:
            options.setdefault("now", now)
        return cls(found.text, **options)

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
            now: sets the clock of ``strftime_now``, as a ``datetime`` or an ISO time.
            transformers: the version whose preparation of messages is followed; by default the installed one, or
                the newest known where none is installed.

        Raises:
            TemplateError: the template has an error; the message has line, column and excerpt.
        """
        tokens = {name: plain_token(token) for name, token in dict(special_tokens or {}).items()}
        version = transformers or installed_transformers()
        rules = Rules.of(version)
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

    _rules: Rules
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
        names: frozenset[str] = self._jinja.variables()
        return names

    def assistant_spans(
        self, messages: Any, tools: Any = None, documents: Any = None, **kwargs: Any
    ) -> list[tuple[int, int]]:
        """Return the character ranges of the rendered text that the assistant wrote, for a training mask.

        These are the ranges that the template puts between ``{% generation %}`` and ``{% endgeneration %}``. A
        template without these tags has none.

        Raises:
            TemplateError: the template fails, or only jinja2 can render it.
        """
        schemas = None if tools is None else [schema(tool) for tool in tools]
        variables = {"messages": self._rules.conversation(messages), "tools": self._rules.plain(schemas)}
        variables |= {"documents": self._rules.plain(documents), "add_generation_prompt": False}
        extra = {**self.special_tokens, **{name: self._rules.plain(value) for name, value in kwargs.items()}}
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
        plain = self._rules.plain
        chat = self._rules.conversation(messages)
        schemas = None if tools is None else [schema(tool) for tool in tools]
        check_documents(documents)
        variables = {
            "messages": chat,
            "tools": plain(schemas),
            "documents": plain(documents),
            "add_generation_prompt": add_generation_prompt,
        }
        extra = {**self.special_tokens, **{name: plain(value) for name, value in (kwargs or {}).items()}}
        if not continue_final_message:
            return self._text(variables, extra)
        final = self._rules.tag_final(chat, continue_final_message, self.source)
        return cut(self._text(variables, extra), final)

    def _text(self, variables: dict[str, Any], extra: dict[str, Any]) -> str:
        if self.unsupported is None:
            try:
                return self.render_context([extra, variables], self._moment() if self.uses_clock else None)[0]
            except (_core.UnsupportedError, _core.NotPlainError) as reason:
                self._take_jinja(str(reason))
        text: str = self._jinja.render({**extra, **variables}, self._now)
        return text

    def _take_jinja(self, reason: str) -> None:
        self.engine, self.engine_reason = "jinja2", reason
        if self._jinja is None:
            from clemcore.prompts.templates.isolation import IsolatedTemplate

            self._jinja = IsolatedTemplate(self.source)

    def _clock(self) -> datetime:
        return self._now or datetime.now()

    def _moment(self) -> tuple[int, int, int, int, int, int, int]:
        now = self._clock()
        return now.year, now.month, now.day, now.hour, now.minute, now.second, now.microsecond

    def __repr__(self) -> str:
        """Name the template by its fingerprint and engine."""
        return f"<ChatTemplate {self.fingerprint[:12]} engine={self.engine}>"
