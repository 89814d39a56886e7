"""From messages to the exact prompt text of a model, by its chat template.

The text comes from clemcore's own engine only where it is proven, at this very call, equal to what transformers
makes of the same messages; otherwise transformers' text is used and the facts say why. This module knows
templates and messages, no weights and no generation.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clemcore.errors import MessagesError, SpecError, TemplateError
from clemcore.messages import Messages, ensure_alternating_roles

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
        """Fix the template."""
        self._tokenizer = tokenizer
        self._model_name = model_name
        self._source = source
        self._bypass = bypass
        self._fingerprint = hashlib.sha256(source.encode("utf-8")).hexdigest()[:16]
        self._own, self._why_not_own = _own_engine(source, dict(tokenizer.special_tokens_map))

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
        facts: dict[str, Any] = {"engine": "transformers", "fingerprint": self._fingerprint}
        if self._bypass:
            messages = [*messages, {"role": "assistant", "content": self._bypass}]
            text = self._by_transformers(messages, template_kwargs, continue_final_message=True)
            return Prompt(text, {**facts, "reason": "the answer's beginning is given (cot_bypass)"})
        text = self._by_transformers(messages, template_kwargs, add_generation_prompt=True)
        reason = self._why_not_own or self._difference(text, messages, template_kwargs)
        return Prompt(text, {**facts, "reason": reason} if reason else {**facts, "engine": "clemcore"})

    def _by_transformers(self, messages: Messages, template_kwargs: Mapping[str, Any], **mode: bool) -> str:
        import jinja2

        try:
            text: str = self._tokenizer.apply_chat_template(
                messages, chat_template=self._source, tokenize=False, **mode, **template_kwargs
            )
        except (jinja2.TemplateError, TypeError, ValueError) as fault:
            line = getattr(fault, "lineno", None)
            raise TemplateError(
                f"the chat template of '{self._model_name}' refuses these messages "
                f"(roles: {', '.join(message['role'] for message in messages)}): {fault}",
                line=line,
            ) from fault
        return text

    def _difference(self, text: str, messages: Messages, template_kwargs: Mapping[str, Any]) -> str:
        """Say why clemcore's own text is not to be used; "" when it is equal."""
        try:
            own = self._own.render(messages, add_generation_prompt=True, **template_kwargs)
        except Exception as fault:  # noqa: BLE001 - whatever it is, transformers' text is there and is right
            return f"clemcore's engine failed: {type(fault).__name__}: {fault}"
        if own == text:
            return ""
        place = next((i for i, pair in enumerate(zip(own, text, strict=False)) if pair[0] != pair[1]), None)
        where = min(len(own), len(text)) if place is None else place
        return f"clemcore's engine gave another text, from character {where} on"


def _own_engine(source: str, special_tokens: dict[str, Any]) -> tuple[Any, str]:
    """Return clemcore's own template, or None with the reason."""
    try:
        own = importlib.import_module("clemcore.templates")
    except ImportError as fault:
        return None, f"clemcore's engine is not there: {fault}"
    try:
        return own.ChatTemplate(source, special_tokens=special_tokens), ""
    except Exception as fault:  # noqa: BLE001 - a template that only transformers can read is still a template
        return None, f"clemcore's engine cannot read the template: {type(fault).__name__}: {fault}"


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


def check_template_kwargs(source: str, template_kwargs: Mapping[str, Any], model_name: str) -> None:
    """Check that a template reads the variables that an entry sets; a misspelt one would have no effect.

    Raises:
        SpecError: it does not, or a variable is one that the backend sets itself.
    """
    if not template_kwargs:
        return
    from jinja2 import TemplateSyntaxError, meta
    from transformers.utils.chat_template_utils import _compile_jinja_template

    try:
        environment = _compile_jinja_template(source).environment
        read = meta.find_undeclared_variables(environment.parse(source))
    except TemplateSyntaxError as fault:
        raise TemplateError(
            f"the chat template of '{model_name}' does not compile: {fault}", line=fault.lineno
        ) from None
    for key in template_kwargs:
        if key in _OURS:
            raise SpecError(f"model '{model_name}': chat_template_kwargs may not set '{key}', the backend does")
        if key not in read:
            raise SpecError(
                f"model '{model_name}': its chat template reads no variable '{key}' (chat_template_kwargs, or "
                f"reasoning_effort by cot_effort); it reads {', '.join(sorted(read))}"
            )
