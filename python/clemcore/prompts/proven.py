"""A chat template, rendered by our own engine where a proof covers the conversation, else by transformers.

A proof holds for one template with its tokens and variables, one tokenizer and certain versions (see
:mod:`clemcore.prompts.proof`). If a conversation has a feature that no case of the proof had, both engines render
it, and their texts are compared at that call.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clemcore.errors import TemplateError
from clemcore.messages import Messages
from clemcore.prompts.proof import Features, Subject, Transformers, proof_for
from clemcore.prompts.proof.compare import BoundsError, first_difference
from clemcore.prompts.templates import ChatTemplate
from clemcore.prompts.templates.isolation import IsolatedTemplate, breaks_bounds

logger = logging.getLogger(__name__)

# Features named in the facts of a call that was compared.
_NAMED = 5


@dataclass(frozen=True)
class _Cover:
    """What a proof says about a template with certain variables.

    Attributes:
        features: a conversation with no other features needs no comparison.
        facts: the proof, for the record; empty where none could be made.
        refusal: why our engine must not render, or "".
    """

    features: frozenset[str]
    facts: Mapping[str, Any]
    refusal: str


class ProvenTemplate:
    """One model's chat template.

    Attributes:
        variables: the names that the template reads and does not set.
    """

    def __init__(self, tokenizer: Any, model_name: str, source: str, now: datetime | None) -> None:
        """Compile the template.

        Args:
            tokenizer: a transformers tokenizer.
            model_name: named in errors.
            source: the template's text.
            now: pins the template's clock.

        Raises:
            TemplateError: it has a fault that jinja2 finds, too; with line and column.
        """
        self._tokenizer = tokenizer
        self._model_name = model_name
        self._source = source
        self._now = now
        self._own, self._why_not_own = self._own_engine()
        self.variables = self._own.variables if self._own is not None else _variables(source)
        self._theirs = Transformers(tokenizer, source, now)
        self._features = Features(source)
        self._covers: dict[str, _Cover] = {}
        self._special_tokens = Subject.of_model(source, tokenizer).special_tokens
        self._fixed: dict[str, Any] = {
            "engine": "transformers",
            "fingerprint": Subject.of_model(source, tokenizer).fingerprint,
            **({} if now is None else {"now": now.isoformat()}),
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
        if self._own is None:
            return self._by_transformers(messages, arguments, self._now), {**facts, "reason": self._why_not_own}
        cover = self._cover(template_kwargs)
        if cover.facts:
            facts["proof"] = {**cover.facts, "versions": dict(cover.facts["versions"])}
        if cover.refusal:
            return self._by_transformers(messages, arguments, self._now), {**facts, "reason": cover.refusal}
        now = self._now or datetime.now()
        unseen = self._features.of(messages, arguments, now) - cover.features
        if unseen:
            return self._compared(messages, arguments, now, {**facts, "compared": sorted(unseen)[:_NAMED]})
        try:
            text = self._own.render(messages, **arguments)
        except Exception as fault:  # transformers has the last word on what is an error, but not on bounds
            if isinstance(fault, TemplateError) and breaks_bounds(fault):
                raise
            reason = f"clemcore's engine failed: {type(fault).__name__}: {fault}"
            return self._by_transformers(messages, arguments, self._now), {**facts, "reason": reason}
        return text, self._by_own(self._own, facts)

    def _cover(self, template_kwargs: Mapping[str, Any]) -> _Cover:
        """Return what the proof for these variables says; it is looked for once."""
        key = repr(sorted(template_kwargs.items()))
        cover = self._covers.get(key)
        if cover is None:
            cover = self._covers[key] = self._found_cover(template_kwargs)
        return cover

    def _found_cover(self, template_kwargs: Mapping[str, Any]) -> _Cover:
        try:
            proof = proof_for(Subject.of_model(self._source, self._tokenizer, template_kwargs), self._now)
        except BoundsError:
            raise
        except Exception as fault:  # noqa: BLE001 - whatever it is, transformers' text is there and is right
            return _Cover(frozenset(), {}, f"the proof failed: {type(fault).__name__}: {fault}")
        logger.info("model '%s': proof %s holds: %s", self._model_name, proof.id, proof.holds)
        refusal = "" if proof.holds else f"the proof does not hold: {proof.reason}"
        return _Cover(proof.covered, proof.facts(), refusal)

    def _compared(
        self, messages: Messages, arguments: Mapping[str, Any], now: datetime, facts: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Render by both at one and the same time."""
        try:
            template = ChatTemplate(self._source, special_tokens=self._special_tokens, now=now)
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
        return text, self._by_own(template, facts)

    @staticmethod
    def _by_own(template: ChatTemplate, facts: dict[str, Any]) -> dict[str, Any]:
        reason = {"reason": template.engine_reason} if template.engine_reason else {}
        return {**facts, "engine": template.engine, **reason}

    def _by_transformers(self, messages: Messages, arguments: Mapping[str, Any], now: datetime | None) -> str:
        theirs = self._theirs if now == self._now else Transformers(self._tokenizer, self._source, now)
        try:
            return theirs.render(messages, arguments)
        except TemplateError as fault:
            raise TemplateError(
                f"the chat template of '{self._model_name}' refuses these messages "
                f"(roles: {', '.join(message['role'] for message in messages)}): {fault}",
                line=fault.line,
            ) from fault.__cause__

    def _own_engine(self) -> tuple[ChatTemplate | None, str]:
        """Return our own template, or None with the reason."""
        tokens = dict(self._tokenizer.special_tokens_map)
        try:
            return ChatTemplate(self._source, special_tokens=tokens, now=self._now), ""
        except TemplateError as fault:
            try:
                _variables(self._source)
            except TemplateError:
                raise TemplateError(
                    f"the chat template of '{self._model_name}' has a fault: {fault}",
                    line=fault.line,
                    column=fault.column,
                    excerpt=fault.excerpt,
                ) from fault
            return None, f"clemcore's engine cannot read the template: {fault}"


def _variables(source: str) -> frozenset[str]:
    """Return the names that a template reads, by jinja2.

    Raises:
        TemplateError: the template has a fault, or jinja2 breaks a bound over it.
    """
    return IsolatedTemplate(source).variables()
