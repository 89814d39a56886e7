"""From messages to the exact prompt text of a model, by its chat template.

The text comes from clemcore's own engine only where it is proven, at this very call, equal to what transformers
makes of the same messages; otherwise transformers' text is used and the facts say why. This module knows
templates and messages, no weights and no generation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clemcore.errors import MessagesError, SpecError, TemplateError
from clemcore.messages import Messages, ensure_alternating_roles
from clemcore.templates import ChatTemplate

# Arguments of apply_chat_template that are ours to give; in chat_template_kwargs they would change its meaning.
_OURS = frozenset(
    {
        "messages",
        "conversation",
        "chat_template",
        "add_generation_prompt",
        "continue_final_message",
        "tokenize",
        "return_dict",
        "return_tensors",
        "padding",
        "truncation",
        "max_length",
        "tokenizer_kwargs",
        "return_assistant_tokens_mask",
        "sanitize_control_tokens",
    }
)


@dataclass(frozen=True)
class Prompt:
    """A rendered prompt.

    Attributes:
        text: exactly what the tokenizer is given.
        facts: which engine made the text, and why that one.
    """

    text: str
    facts: dict[str, Any]


class PromptWriter:
    """Renders prompts with one model's chat template.

    Args:
        tokenizer: a transformers tokenizer.
        model_name: named in errors.
        source: the template's text.
        bypass: beginning of the answer that the model is made to continue, or "".
    """

    def __init__(self, tokenizer: Any, model_name: str, source: str, bypass: str = "") -> None:
        """Compile the template.

        Raises:
            TemplateError: it has a fault, with line and column.
        """
        self._tokenizer = tokenizer
        self._model_name = model_name
        self._source = source
        self._bypass = bypass
        self._fingerprint = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
        self._own, self._why_not_own = _own_engine(source, dict(tokenizer.special_tokens_map), model_name)

    def check_kwargs(self, template_kwargs: Mapping[str, Any]) -> None:
        """Check that the template reads the variables that an entry sets; a misspelt one would have no effect.

        Raises:
            SpecError: it does not, or a variable is one that the backend sets itself.
        """
        read = self._own.variables if self._own is not None else _variables(self._source)
        for key in template_kwargs:
            if key in _OURS:
                raise SpecError(
                    f"model '{self._model_name}': chat_template_kwargs may not set '{key}', the backend does"
                )
            if key not in read:
                raise SpecError(
                    f"model '{self._model_name}': its chat template reads no variable '{key}' "
                    f"(chat_template_kwargs, or reasoning_effort by cot_effort); it reads {', '.join(sorted(read))}"
                )

    def write(self, messages: Messages, template_kwargs: Mapping[str, Any], *, merge: bool = True) -> Prompt:
        """Render one dialogue up to where the model goes on.

        Args:
            messages: the dialogue; it is not changed.
            template_kwargs: further variables for the template.
            merge: merge neighbouring messages of one role first.

        Raises:
            MessagesError: a message holds something other than text.
            TemplateError: the template refuses the messages.
        """
        _check_text_only(messages, self._model_name)
        if merge:
            messages = ensure_alternating_roles(messages)
        mode = "add_generation_prompt"
        if self._bypass:
            messages = [*messages, {"role": "assistant", "content": self._bypass}]
            mode = "continue_final_message"
        arguments = {**template_kwargs, mode: True}
        text = self._by_transformers(messages, arguments)
        return Prompt(text, {**self._engine_facts(text, messages, arguments), "fingerprint": self._fingerprint})

    def _by_transformers(self, messages: Messages, arguments: Mapping[str, Any]) -> str:
        import jinja2

        try:
            text: str = self._tokenizer.apply_chat_template(
                messages, chat_template=self._source, tokenize=False, **arguments
            )
        except (jinja2.TemplateError, TypeError, ValueError) as fault:
            line = getattr(fault, "lineno", None)
            raise TemplateError(
                f"the chat template of '{self._model_name}' refuses these messages "
                f"(roles: {', '.join(message['role'] for message in messages)}): {fault}",
                line=line,
            ) from fault
        return text

    def _engine_facts(self, text: str, messages: Messages, arguments: Mapping[str, Any]) -> dict[str, str]:
        """Say which engine's text is used, and why it is not clemcore's where it is not."""
        reason = self._why_not_own
        if self._own is not None:
            try:
                own = self._own.render(messages, **arguments)
            except Exception as fault:  # noqa: BLE001 - whatever it is, transformers' text is there and is right
                reason = f"clemcore's engine failed: {type(fault).__name__}: {fault}"
            else:
                if own == text:
                    facts = {"engine": self._own.engine}
                    return facts | ({"reason": self._own.engine_reason} if self._own.engine_reason else {})
                reason = f"clemcore's engine gave another text, from character {_first_difference(own, text)} on"
        return {"engine": "transformers", "reason": reason}


def _first_difference(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)  # up to where the shorter ends
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _own_engine(source: str, special_tokens: dict[str, Any], model_name: str) -> tuple[ChatTemplate | None, str]:
    """Return clemcore's own template, or None with the reason.

    Raises:
        TemplateError: jinja2 finds a fault in it, too.
    """
    try:
        return ChatTemplate(source, special_tokens=special_tokens), ""
    except TemplateError as fault:
        try:
            _variables(source)
        except TemplateError:
            raise TemplateError(
                f"the chat template of '{model_name}' has a fault: {fault}",
                line=fault.line,
                column=fault.column,
                excerpt=fault.excerpt,
            ) from fault
        return None, f"clemcore's engine cannot read the template: {fault}"


def _variables(source: str) -> frozenset[str]:
    """Return the names that a template reads, by jinja2.

    Raises:
        TemplateError: the template has a fault.
    """
    from jinja2 import meta

    from clemcore._jinja import compile_template

    environment = compile_template(source, datetime.now).environment
    return frozenset(meta.find_undeclared_variables(environment.parse(source)))


def _check_text_only(messages: Messages, model_name: str) -> None:
    for index, message in enumerate(messages):
        if message.get("image"):
            raise MessagesError(f"messages[{index}] has an 'image', but '{model_name}' is a text model: remove it")
        if not isinstance(message["content"], str):
            found = type(message["content"]).__name__
            raise MessagesError(f"messages[{index}]['content'] must be a string for '{model_name}', not {found}")


def choose_template(
    tokenizer: Any, model_name: str, custom: str | None, premade: bool | None, language: str | None
) -> str:
    """Return the text of the template that the entry asks for.

    Args:
        tokenizer: a transformers tokenizer, with the template that came with the model, if any.
        model_name: named in errors.
        custom: the entry's own template.
        premade: whether the model's own is to be used; None leaves it to whether there is a custom one.
        language: name of one of several templates that came with the model.

    Raises:
        SpecError: the entry asks for a template that the model does not have.
    """
    if custom and not premade:
        return custom
    premade_source = tokenizer.chat_template
    if premade_source is None:
        raise SpecError(
            f"model '{model_name}' comes without a chat template: set model_config.premade_chat_template to false "
            "and give a custom_chat_template"
        )
    if isinstance(premade_source, dict):
        wanted = language or "default"
        if wanted not in premade_source:
            key = "model_config.chat_template_language"
            raise SpecError(f"model '{model_name}': {key} must be one of {', '.join(premade_source)}")
        return str(premade_source[wanted])
    if language:
        raise SpecError(f"model '{model_name}' comes with one chat template: remove chat_template_language")
    return str(premade_source)
