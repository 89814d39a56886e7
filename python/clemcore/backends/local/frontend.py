"""From messages to the token ids that a local model is given: template, control tokens, tokenizer, context window.

It is all of a model but its weights, so it also serves those who only want to see or measure a prompt. It knows a
tokenizer and a template, and neither where they came from nor what computes.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any

from clemcore.backends.local.cuts import PieceEncoder
from clemcore.backends.local.entry import LocalEntry, read_time
from clemcore.backends.local.escaping import encode_escaped, places_of
from clemcore.backends.local.prompt import Encoded, Prompt
from clemcore.backends.local.prompt_checks import OURS, check_is_text, check_text_only
from clemcore.backends.local.seeing import Picture, Sight, counted, in_parts, pictures_of
from clemcore.errors import ContextExceededError, MessagesError, SpecError, TemplateError
from clemcore.messages import Message, Messages, check_something_is_left, merged, runs_of, texts_of
from clemcore.prompts.control_tokens import ControlTokens, facts_of
from clemcore.prompts.lost_text import AS_TEXTS, Form, changed_texts, form_of, is_reasoning_removed
from clemcore.prompts.proof import Subject
from clemcore.prompts.proven import proven_template
from clemcore.registry.spec import ModelSpec

# Shapes of dialogues whose form is remembered; then all are forgotten.
_REMEMBERED = 1024


class Script:
    """A tokenizer with a chat template, compiled and proven. Models of the same entry share one; it never changes.

    Attributes:
        tokenizer: a transformers tokenizer.
        source: the template's text.
        now: what the template's clock tells by the entry, or None for the real time.
        template: the template.
        control_tokens: the control tokens of the tokenizer.
        pieces: makes ids of prompts.
        sight: the processor of a model that sees, or None.
        difference: how the tokenizer cuts text in another way than its own file, for the record, or None.
    """

    def __init__(
        self,
        tokenizer: Any,
        source: str,
        entry: LocalEntry,
        sight: Sight | None = None,
        difference: Mapping[str, Any] | None = None,
    ) -> None:
        """Compile the template.

        Raises:
            TemplateError: the template has a fault, with line and column.
        """
        self.tokenizer = tokenizer
        self.source = source
        self.now = _time_of(entry.template_now, entry.model_name)
        self.template = proven_template(tokenizer, entry.model_name, source, self.now)
        self.control_tokens = ControlTokens.of(tokenizer, source)
        self.pieces = PieceEncoder(tokenizer)
        self.sight = sight
        self.difference = difference


class Frontend:
    """Makes token ids of messages, for one model with its own template variables and clock.

    Attributes:
        entry: the settings.
        tokenizer: the transformers tokenizer.
        config: the model's configuration.
        context_size: tokens that prompt and reply may have together.
        context_source: where that number was found.
        tokenizer_facts: what the record says of a tokenizer that differs from its own file.
    """

    def __init__(self, entry: LocalEntry, script: Script, config: Any, context: tuple[int, str]) -> None:
        """Put the parts together.

        Args:
            entry: the settings.
            script: tokenizer and template; other models may have the same.
            config: the model's configuration.
            context: the size of the context window in tokens, and where it was found.
        """
        self.entry = entry
        self.name = entry.model_name
        self.tokenizer = script.tokenizer
        self.config = config
        self.context_size, self.context_source = context
        self.tokenizer_facts = {} if script.difference is None else {"tokenizer": dict(script.difference)}
        self._script = script
        self._template = script.template
        self._now = script.now
        self._no_control = facts_of((), entry.control_tokens)
        self._sight = script.sight
        self._spec = ModelSpec(model_name=entry.model_name, multimodality=dict(entry.multimodality or {}))
        self.template_kwargs = dict(entry.chat_template_kwargs)

    def copy(self) -> Frontend:
        """Return the same with template variables and a clock of its own."""
        return copy.copy(self)

    @property
    def control_tokens(self) -> ControlTokens:
        """The control tokens of the tokenizer."""
        return self._script.control_tokens

    @property
    def template_now(self) -> datetime | None:
        """What the template's clock tells; None is the real time. An ISO time may be set, too."""
        return self._now

    @template_now.setter
    def template_now(self, value: str | datetime | None) -> None:
        self._now = _time_of(value, self.name)
        script = self._script
        is_shared = self._now == script.now
        self._template = (
            script.template if is_shared else proven_template(self.tokenizer, self.name, script.source, self._now)
        )

    @property
    def template_kwargs(self) -> dict[str, Any]:
        """Further variables for the chat template; setting them checks that the template reads them."""
        return dict(self._template_kwargs)

    @template_kwargs.setter
    def template_kwargs(self, value: Mapping[str, Any] | None) -> None:
        if value is not None and not isinstance(value, Mapping):
            raise SpecError(f"model '{self.name}': chat_template_kwargs must be a dict, not {value!r}")
        self._forms: dict[tuple[Any, ...], Form] = {}
        kwargs = dict(value or {})
        if self.entry.cot_effort:
            kwargs.setdefault("reasoning_effort", self.entry.cot_effort)
        self._check_kwargs(kwargs)
        self._template_kwargs = kwargs

    @property
    def template_source(self) -> str:
        """The text of the chat template."""
        return self._script.source

    @property
    def template_variables(self) -> frozenset[str]:
        """The variables that the chat template reads."""
        return frozenset(self._template.variables)

    def with_kwargs(self, more: Mapping[str, Any]) -> Frontend:
        """Return the same with further template variables, which hold before those that are set."""
        other = self.copy()
        other.template_kwargs = {**self._template_kwargs, **more}
        return other

    def _check_kwargs(self, kwargs: Mapping[str, Any]) -> None:
        """Check that the template reads these variables; a misspelt one would have no effect."""
        read = self._template.variables
        for key in kwargs:
            if key in OURS:
                raise SpecError(f"model '{self.name}': chat_template_kwargs may not set '{key}', the backend does")
            if key not in read:
                raise SpecError(
                    f"model '{self.name}': its chat template reads no variable '{key}' "
                    f"(chat_template_kwargs, or reasoning_effort by cot_effort); it reads {', '.join(sorted(read))}"
                )

    def prove(self) -> None:
        """Have the proof of the template ready, stored or made now, so that no call has to wait for it.

        Raises:
            TemplateError: the prompts of a model that sees are not those of its own processor.
        """
        self._template.prove(self._template_kwargs)
        if self._sight is not None:
            kwargs, mode = self._template_kwargs, "add_generation_prompt"
            self._sight.check_prompts(
                self._script.source, kwargs, lambda messages: self._template.render(messages, kwargs, mode)[0]
            )

    @property
    def sight(self) -> Sight | None:
        """The processor of a model that sees, or None."""
        return self._sight

    def subject(self) -> Subject:
        """Return what a proof of this model's prompts is about."""
        return Subject.of_model(self._script.source, self.tokenizer, self._template_kwargs)

    def write(self, messages: Messages, *, merge: bool = True) -> Prompt:
        """Render one dialogue up to where the model goes on.

        Args:
            messages: the dialogue; it is not changed.
            merge: merge neighbouring messages of one role first.

        Raises:
            MessagesError: a message holds something other than text, or a control token that is refused or cannot
                be escaped; or its text is not in the prompt.
            TemplateError: the template refuses the messages, or writes nothing.
        """
        pictures = self._pictures(messages)
        policy, control_tokens = self.entry.control_tokens, self._script.control_tokens
        has_some = control_tokens.search("\n".join(text for _, _, text in texts_of(messages))) is not None
        if has_some and policy == "error":
            control_tokens.check(messages, self.name)
        runs = _runs(messages, merge)
        dialogue = self._dialogue(runs)
        form = self._form(dialogue)
        text, facts = self._render(dialogue, form)
        check_is_text(text, messages, self.name)
        if form.lost or not all(message["content"] is None or message["content"] in text for message in dialogue):
            facts |= self._missing(dialogue, form, text, _places(messages, runs))
        control = facts_of(control_tokens.find(messages), policy) if has_some else dict(self._no_control)
        if not control["count"] or policy != "escape":
            return Prompt(text, facts, control, pictures=pictures)
        if pictures:
            raise MessagesError(
                f"messages have control tokens, and the processor of '{self.name}' cannot escape them beside "
                "images: remove them, or set model_config.control_tokens to 'record' or 'error'"
            )
        as_text = places_of(
            text,
            messages,
            control_tokens,
            source=self._script.source,
            render=lambda marked: self._render(self._dialogue(_runs(marked, merge)), form)[0],
            model_name=self.name,
        )
        return Prompt(text, facts, control, as_text)

    def _pictures(self, messages: Messages) -> tuple[Picture, ...]:
        """Return the images of messages, read and decoded."""
        if self._sight is None:
            check_text_only(messages, self.name)
            return ()
        return tuple(pictures_of(messages, self._sight, self._spec))

    def _dialogue(self, runs: Sequence[Messages]) -> Messages:
        """Return messages as the template is to see them."""
        bypass = self.entry.cot_bypass
        dialogue = [merged(run) for run in runs]
        if self._sight is not None:
            dialogue = [counted(message) for message in dialogue]
        return dialogue + ([{"role": "assistant", "content": bypass}] if bypass else [])

    def _render(self, dialogue: Messages, form: Form = AS_TEXTS) -> tuple[str, dict[str, Any]]:
        mode = "continue_final_message" if self.entry.cot_bypass else "add_generation_prompt"
        written = dialogue if self._sight is None else in_parts(dialogue)
        if written is dialogue and not form.parts:
            return self._template.render(dialogue, self._template_kwargs, mode)
        written = form.apply(dialogue) if written is dialogue else written
        text, facts = self._template.render(written, self._template_kwargs, mode)
        return text, {**facts, "content": "parts"}

    def _form(self, dialogue: Messages) -> Form:
        """Return how the template takes a dialogue of this shape; it is found out once for each shape."""
        shape = tuple(map(_shape, dialogue))
        form = self._forms.get(shape)
        if form is None:
            if len(self._forms) >= _REMEMBERED:
                self._forms.clear()
            form = self._forms[shape] = form_of(dialogue, lambda probe: self._render(probe)[0], self._script.source)
        return form

    def _missing(self, dialogue: Messages, form: Form, text: str, places: Sequence[int]) -> dict[str, list[int]]:
        """Return the facts about messages whose text is not in the prompt.

        Raises:
            MessagesError: there are some, and the entry does not allow it.
        """
        missing: list[int] = []
        shortened: list[int] = []
        for index in sorted(form.lost.union(changed_texts(dialogue, text))):
            is_meant = index not in form.lost and is_reasoning_removed(
                dialogue, index, lambda probe: self._render(probe, form)[0], self._script.source
            )
            (shortened if is_meant else missing).append(places[index])
        if missing and self.entry.missing_text == "error":
            raise MessagesError(
                f"messages[{missing[0]}] is not in the prompt with its whole text, because the chat template of "
                f"'{self.name}' leaves text of it out or changes it. Use another role or template, or set "
                "model_config.missing_text to 'record' if that is intended"
            )
        found = {"missing_text": missing, "shortened": shortened}
        return {name: indices for name, indices in found.items() if indices}

    def encode(self, prompt: Prompt) -> list[int]:
        """Return the token ids of a prompt.

        The template has written every special token there is to be; adding some would double the first. Only the
        processor of a model that sees may add some.
        """
        return self.encode_guarded(prompt).ids

    def encode_guarded(self, prompt: Prompt) -> Encoded:
        """Return the token ids of a prompt, its images, and the facts about control tokens inside its messages.

        Raises:
            MessagesError: a control token that is to be escaped cannot be, or the processor refuses the images.
            TemplateError: the prompt is empty.
        """
        if prompt.as_text:
            tokens = self._script.control_tokens.tokens
            ids, escaped = encode_escaped(self.tokenizer, prompt.text, prompt.as_text, tokens)
            return Encoded(ids, {**prompt.control, "escaped": escaped})
        if self._sight is not None and prompt.pictures:
            ids, media = self._sight.encode(prompt.text, prompt.pictures)
            return Encoded(ids, prompt.control, media)
        if self._sight is not None and prompt.is_whole and self._sight.adds_tokens(prompt.text):
            ids = self.tokenizer(prompt.text, verbose=False).input_ids
        else:
            ids = self._script.pieces.encode(prompt.text)
        if not ids:
            raise TemplateError(f"the chat template of '{self.name}' renders a prompt without a token: correct it")
        return Encoded(ids, prompt.control)

    def check_context(self, ids: list[int], max_tokens: int, messages: Messages, place: str = "") -> None:
        """Check that a prompt and its reply fit the context window.

        Args:
            ids: the prompt's token ids.
            max_tokens: the most tokens that the reply may have.
            messages: what the prompt was made of; the error names the longest one.
            place: which prompt it is, for the error.

        Raises:
            ContextExceededError: they do not fit.
        """
        used = len(ids) + max_tokens
        if used > self.context_size:
            raise ContextExceededError(
                f"Context token limit for {self.name} exceeded{place}",
                tokens_used=used,
                tokens_left=self.context_size - used,
                context_size=self.context_size,
                detail=self._longest(messages, max_tokens),
            )

    def fitting_text(self, messages: Messages, max_tokens: int) -> str:
        """Return the text of a prompt that fits the context window with its reply.

        Raises:
            ContextExceededError: it does not fit.
        """
        prompt = self.write(messages)
        self.check_context(self.encode(prompt), max_tokens, messages)
        return prompt.text

    def _longest(self, messages: Messages, max_tokens: int) -> str:
        """Say which of messages is the longest one, and how many tokens its text has."""
        counts = [
            len(self.tokenizer(message["content"] or "", add_special_tokens=False, verbose=False).input_ids)
            for message in messages
        ]
        index = max(range(len(counts)), key=counts.__getitem__)
        return (
            f"the longest message is messages[{index}] ({messages[index]['role']}, {counts[index]} tokens), and "
            f"max_tokens is {max_tokens}"
        )


def _time_of(value: str | datetime | None, model_name: str) -> datetime | None:
    what = f"model '{model_name}': template_now"
    if isinstance(value, str):
        return read_time(value, what)
    if value is not None and not isinstance(value, datetime):
        raise SpecError(f"{what} must be a datetime, an ISO time like 2026-07-26T12:00, or None, not {value!r:.60}")
    return value


def _runs(messages: Messages, merge: bool) -> list[Messages]:
    runs = runs_of(messages) if merge else [[message] for message in messages]
    check_something_is_left(messages, runs)
    return runs


def _places(messages: Messages, runs: Sequence[Messages]) -> list[int]:
    """Return where in the caller's messages each message of the dialogue begins."""
    dropped = len(messages) - sum(map(len, runs))
    return [dropped + begin for begin in accumulate(map(len, runs), initial=0)]


def _shape(message: Message) -> tuple[Any, ...]:
    """Return what of a message decides in which form a template takes it: everything but its text."""
    content = message["content"]
    more = {name: value for name, value in message.items() if name not in ("role", "content")}
    return message["role"], content is None or not content or content.isspace(), repr(more)
