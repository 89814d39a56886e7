"""Decides which engine renders a conversation: ours alone where a proof covers it, else transformers, or both.

A proof covers a conversation if its cases, taken together, had every feature of the conversation. A feature is a
short text: a key with the type of its value, a role after another, a trait of a text, a word of the template that
occurs in a message. If a feature is new, both engines render the conversation, and their texts are compared.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clemcore.errors import TemplateError
from clemcore.messages import Messages
from clemcore.prompts.proof.cases import words_of
from clemcore.prompts.proof.compare import first_difference
from clemcore.prompts.proof.oracle import Transformers
from clemcore.prompts.templates import ChatTemplate
from clemcore.prompts.templates.isolation import breaks_bounds

# Below these keys stand names that are the caller's own: only the types under them count.
_FREE = {"arguments", "parameters", "meta"}
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_INT64 = 2**63
_LONGEST = 80
_TEXTS = {str}
# Messages whose features are remembered; then all are forgotten.
_REMEMBERED = 4096
# Features named in the facts of a call that was compared.
_NAMED = 5
CLOCK = "strftime_now"


class Features:
    """Finds the features of conversations that one template renders."""

    def __init__(self, source: str) -> None:
        """Take the template's text."""
        self._words = words_of(source)
        self._has_clock = CLOCK in source
        self._known: dict[tuple[str, ...], frozenset[str]] = {}
        self._kinds: dict[frozenset[str], frozenset[str]] = {}

    def of(self, messages: Sequence[Any], arguments: Mapping[str, Any], now: datetime) -> set[str]:
        """Return the features of a conversation.

        Args:
            messages: the conversation.
            arguments: everything else that is given to the template (tools, switches …).
            now: what the template's clock tells; its date is a feature where the template has a clock.
        """
        found = {f"date {now.date()}"} if self._has_clock else set()
        roles = ["^"]
        kinds = set()
        for message in messages:
            role = message.get("role") if isinstance(message, Mapping) else None
            roles.append(role if type(role) is str else f"<{type(role).__name__}>")
            kinds.add(self._message(message))
        found.update(*kinds)
        found.update(f"role {one}>{other}" for one, other in set(zip(roles, [*roles[1:], "$"], strict=True)))
        for name, value in arguments.items():
            if name in ("tools", "documents"):
                texts: list[str] = []
                self._walk(value, name, found.add, texts)
                self._traits(name, texts, found.add)
            else:
                # Such a value is compared by the template: each is another case.
                found.add(f"{name}={_short(value)}")
        return found

    def _message(self, message: Any) -> frozenset[str]:
        """Return the features of one message, which do not depend on the others.

        A dialogue is asked for again with each turn, so that what messages of nothing but texts have is remembered.
        """
        if type(message) is not dict:
            return self._of_message(message)
        key = (*message, *message.values())
        if {*map(type, key)} != _TEXTS:
            return self._of_message(message)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[key] = self._of_message(message)
        return known

    def _of_message(self, message: Any) -> frozenset[str]:
        found: set[str] = set()
        texts: list[str] = []
        if type(message) is dict:
            for key, value in message.items():
                if type(value) is str and type(key) is str:
                    found.add(f"message.{key}:str")
                    if key != "role":
                        texts.append(value)
                else:
                    self._walk(value, f"message.{key if type(key) is str else repr(key)}", found.add, texts)
        else:
            self._walk(message, "message", found.add, texts)
        self._traits("message", texts, found.add)
        # The same few sets come again and again; equal ones are one, so that there is little to bring together.
        kind = frozenset(found)
        if len(self._kinds) >= _REMEMBERED:
            self._kinds.clear()
        return self._kinds.setdefault(kind, kind)

    def _walk(self, value: Any, path: str, add: Callable[[str], None], texts: list[str]) -> None:
        kind = type(value)
        if kind is str:
            add(f"{path}:str")
            texts.append(value)
        elif kind is dict:
            add(f"{path}:dict" if value else f"{path}:{{}}")
            free = path.rpartition(".")[2] in _FREE or path.endswith(".*")
            for key, item in value.items():
                name = "*" if free and type(key) is str else key if type(key) is str else repr(key)
                below = f"{path}.{name}"
                # However deep a schema is nested, there is no end of paths in it.
                self._walk(item, below if not below.endswith(".*.*") else path, add, texts)
        elif kind is list:
            add(f"{path}:list" if value else f"{path}:[]")
            for item in value:
                self._walk(item, path if path.endswith(".*") else f"{path}[]", add, texts)
        elif kind is int and not -_INT64 <= value < _INT64:
            add(f"{path}:bigint")
        elif kind is float and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124 - nan
            add(f"{path}:{value}")
        else:
            add(f"{path}:{kind.__name__}")

    def _traits(self, place: str, texts: list[str], add: Callable[[str], None]) -> None:
        """Add what is peculiar about texts; about their characters all at once, because that is much faster."""
        for text in texts:
            if not text or text.isspace():
                add(f"{place} blank text")
            elif text[0].isspace() or text[-1].isspace():
                add(f"{place} blanks at an end")
        whole = "\n".join(texts)
        if "\r" in whole:
            add(f"{place} carriage return")
        # Nearly always printable, which is checked faster than the expression is searched for.
        if not whole.replace("\n", "").isprintable() and _CONTROLS.search(whole):
            add(f"{place} control character")
        if not whole.isascii():
            add(f"{place} not ASCII")
            if _SPACES.search(whole):
                add(f"{place} other space")
            if max(whole) > "\uffff":
                add(f"{place} beyond the basic plane")
            if _SURROGATES.search(whole):
                add(f"{place} lone surrogate")
        for word in self._words:
            if word in whole:
                add(f"{place} word {word!r}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


@dataclass(frozen=True)
class OwnTemplate:
    """Our side of a chat template.

    Attributes:
        source: the template's text.
        special_tokens: the tokens that it is given.
        now: pins its clock.
        template: the compiled template, or None if our engine cannot read the source.
        refusal: why it cannot, or "".
        variables: the names that the template reads and does not set.
    """

    source: str
    special_tokens: Mapping[str, Any]
    now: datetime | None
    template: ChatTemplate | None
    refusal: str
    variables: frozenset[str]

    def at(self, now: datetime) -> ChatTemplate:
        """Return the template with its clock at a time."""
        return ChatTemplate(self.source, special_tokens=self.special_tokens, now=now)


@dataclass(frozen=True)
class Cover:
    """What a proof says about a template with certain variables.

    Attributes:
        features: a conversation with no other features needs no comparison.
        facts: the proof, for the record; empty if none could be made.
        refusal: why our engine must not render, or "".
    """

    features: frozenset[str]
    facts: Mapping[str, Any]
    refusal: str


class CoveredTemplate:
    """One model's chat template, rendered by the engine that its proof allows.

    Attributes:
        variables: the names that the template reads and does not set.
    """

    def __init__(
        self, model_name: str, own: OwnTemplate, theirs: Transformers, find: Callable[[Mapping[str, Any]], Cover]
    ) -> None:
        """Take both engines.

        Args:
            model_name: named in errors.
            own: our side.
            theirs: transformers' side, with the same clock.
            find: returns what the proof for given variables says; it is asked once for each.
        """
        self._model_name = model_name
        self._own = own
        self._theirs = theirs
        self._find = find
        self.variables = own.variables
        self._features = Features(own.source)
        self._covers: dict[str, Cover] = {}
        self._fixed: dict[str, Any] = {
            "engine": "transformers",
            "fingerprint": hashlib.sha256(own.source.encode("utf-8", "surrogatepass")).hexdigest(),
            **({} if own.now is None else {"now": own.now.isoformat()}),
        }

    def prove(self, template_kwargs: Mapping[str, Any]) -> None:
        """Have the proof for these variables ready, stored or made now, so that no call has to wait for it."""
        self._cover(template_kwargs)

    def render(
        self, messages: Messages, template_kwargs: Mapping[str, Any], mode: str
    ) -> tuple[str, dict[str, Any]]:
        """Return the text and the facts about it.

        Args:
            messages: the dialogue as the template is to see it.
            template_kwargs: further variables.
            mode: ``add_generation_prompt`` or ``continue_final_message``.

        Raises:
            TemplateError: the template refuses the messages.
        """
        arguments = {**template_kwargs, mode: True}
        facts = dict(self._fixed)
        own, pinned = self._own.template, self._own.now
        if own is None:
            return self._by_transformers(messages, arguments, pinned), {**facts, "reason": self._own.refusal}
        cover = self._cover(template_kwargs)
        if cover.facts:
            facts["proof"] = {**cover.facts, "versions": dict(cover.facts["versions"])}
        if cover.refusal:
            return self._by_transformers(messages, arguments, pinned), {**facts, "reason": cover.refusal}
        now = pinned or datetime.now()
        unseen = self._features.of(messages, arguments, now) - cover.features
        if unseen:
            return self._compared(messages, arguments, now, {**facts, "compared": sorted(unseen)[:_NAMED]})
        try:
            text = own.render(messages, **arguments)
        except Exception as fault:  # transformers has the last word on what is an error, but not on bounds
            if isinstance(fault, TemplateError) and breaks_bounds(fault):
                raise
            reason = f"clemcore's engine failed: {type(fault).__name__}: {fault}"
            return self._by_transformers(messages, arguments, pinned), {**facts, "reason": reason}
        return text, _by_own(own, facts)

    def _cover(self, template_kwargs: Mapping[str, Any]) -> Cover:
        """Return what the proof for these variables says; it is looked for once."""
        key = repr(sorted(template_kwargs.items()))
        cover = self._covers.get(key)
        if cover is None:
            cover = self._covers[key] = self._find(template_kwargs)
        return cover

    def _compared(
        self, messages: Messages, arguments: Mapping[str, Any], now: datetime, facts: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Render by both at one and the same time."""
        try:
            template = self._own.at(now)
            own = template.render(messages, **arguments)
        except Exception as fault:  # transformers' text is right, whatever it is
            if isinstance(fault, TemplateError) and breaks_bounds(fault):
                raise
            text = self._by_transformers(messages, arguments, now)
            return text, {**facts, "reason": f"clemcore's engine failed: {type(fault).__name__}: {fault}"}
        text = self._by_transformers(messages, arguments, now)
        if own != text:
            place = first_difference(own, text)
            reason = f"clemcore's engine gave another text, from character {place} on"
            return text, {**facts, "reason": reason}
        return text, _by_own(template, facts)

    def _by_transformers(self, messages: Messages, arguments: Mapping[str, Any], now: datetime | None) -> str:
        try:
            return self._theirs.at(now).render(messages, arguments)
        except TemplateError as fault:
            raise TemplateError(
                f"the chat template of '{self._model_name}' refuses these messages "
                f"(roles: {', '.join(message['role'] for message in messages)}): {fault}",
                line=fault.line,
            ) from fault.__cause__


def _by_own(template: ChatTemplate, facts: dict[str, Any]) -> dict[str, Any]:
    reason = {"reason": template.engine_reason} if template.engine_reason else {}
    return {**facts, "engine": template.engine, **reason}
