"""From messages to the exact prompt text of a model, by its chat template.

Which engine renders it is decided in ``prompts/proven.py``; here messages are checked and merged, and control tokens inside
them found. This module knows templates and messages, no weights and no generation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from clemcore.backends.local.entry import LocalEntry
from clemcore.errors import MessagesError, SpecError
from clemcore.messages import Messages, ensure_alternating_roles
from clemcore.prompts.control_tokens import ControlTokens, Found, facts_of, free_marks, take_marks
from clemcore.prompts.proven import ProvenTemplate

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
        control: what is known of control tokens inside the messages.
        as_text: character ranges of control tokens that are to be read as text.
    """

    text: str
    facts: dict[str, Any]
    control: dict[str, Any] = field(default_factory=dict)
    as_text: tuple[tuple[int, int], ...] = ()


class PromptWriter:
    """Renders prompts with one model's chat template.

    Attributes:
        guard: the control tokens of the model.
    """

    def __init__(self, tokenizer: Any, entry: LocalEntry, source: str, now: datetime | None = None) -> None:
        """Compile the template.

        Args:
            tokenizer: a transformers tokenizer.
            entry: the model's settings.
            source: the template's text.
            now: pins the template's clock.

        Raises:
            TemplateError: the template has a fault, with line and column.
        """
        self._model_name = entry.model_name
        self._source = source
        self._bypass = entry.cot_bypass
        self._policy = entry.control_tokens
        self._template = ProvenTemplate(tokenizer, entry.model_name, source, now)
        self.guard = ControlTokens.of(tokenizer, source)

    def check_kwargs(self, template_kwargs: Mapping[str, Any]) -> None:
        """Check that the template reads the variables that an entry sets; a misspelt one would have no effect.

        Raises:
            SpecError: it does not, or a variable is one that the backend sets itself.
        """
        read = self._template.variables
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

    def prove(self, template_kwargs: Mapping[str, Any]) -> None:
        """Have the proof ready, so that no call has to wait for it."""
        self._template.prove(template_kwargs)

    def write(self, messages: Messages, template_kwargs: Mapping[str, Any], *, merge: bool = True) -> Prompt:
        """Render one dialogue up to where the model goes on.

        Args:
            messages: the dialogue; it is not changed.
            template_kwargs: further variables for the template.
            merge: merge neighbouring messages of one role first.

        Raises:
            MessagesError: a message holds something other than text, or a control token that is refused or cannot
                be escaped.
            TemplateError: the template refuses the messages.
        """
        _check_text_only(messages, self._model_name)
        if self._policy == "error":
            self.guard.check(messages, self._model_name)
        found = self.guard.find(messages)

        def render(dialogue: Messages) -> tuple[str, dict[str, Any]]:
            if merge:
                dialogue = ensure_alternating_roles(dialogue)
            mode = "add_generation_prompt"
            if self._bypass:
                dialogue = [*dialogue, {"role": "assistant", "content": self._bypass}]
                mode = "continue_final_message"
            return self._template.render(dialogue, template_kwargs, mode)

        text, facts = render(messages)
        control = facts_of(found, self._policy)
        if not found or self._policy != "escape":
            return Prompt(text, facts, control)
        spans = self._places(text, messages, found, lambda dialogue: render(dialogue)[0])
        return Prompt(text, facts, control, tuple(spans))

    def _places(
        self, text: str, messages: Messages, found: list[Found], render: Callable[[Messages], str]
    ) -> list[tuple[int, int]]:
        """Return where in the text the control tokens of messages stand, apart from those of the template.

        Rendered with marks around them, the text without the marks must be the same: else the template reads the
        token itself (as some read ``</think>``), and what is escaped would not be what was rendered.
        """
        marks = free_marks(text, self._source, repr(messages))
        plain, spans = take_marks(render(self.guard.mark(messages, marks)), marks)
        if plain == text:
            return spans
        for one in found:
            marked = self.guard.mark(messages, marks, only={(one.index, one.token)})
            if take_marks(render(marked), marks)[0] != text:
                raise MessagesError(
                    f"messages[{one.index}]{one.place} has {one.token!r}, which cannot be escaped: the chat "
                    f"template of '{self._model_name}' reads it itself; set model_config.control_tokens to "
                    "'record' or 'error'"
                )
        raise MessagesError(
            f"the control tokens in these messages cannot be escaped for '{self._model_name}': the chat template "
            "makes another text of them; set model_config.control_tokens to 'record' or 'error'"
        )


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
