"""All of a local model but its weights: entry, tokenizer, configuration, chat template, context size.

It is what comes before generation, so it also serves those who only want to see or measure a prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from clemcore.backends.local.entry import read_entry, read_time
from clemcore.backends.local.escaping import encode_escaped
from clemcore.backends.local.prompt import Prompt, PromptWriter, choose_template
from clemcore.backends.local.transformers import loading
from clemcore.errors import ContextExceededError, SpecError
from clemcore.messages import Messages
from clemcore.prompts.proof import Subject
from clemcore.registry.spec import ModelSpec


class Frontend:
    """What turns messages into the token ids that a model is given.

    Attributes:
        entry: the settings.
        hub_options: what ``from_pretrained`` is given.
        tokenizer: the transformers tokenizer.
        config: the model's configuration.
        context_size: tokens that prompt and reply may have together.
        context_source: where that number was found.
    """

    def __init__(self, model_spec: ModelSpec, *, need_key: bool = True) -> None:
        """Read the entry, load tokenizer and configuration.

        Args:
            model_spec: the model's specification.
            need_key: whether a missing key is an error at once, where the entry requires one.
        """
        self.entry = read_entry(model_spec)
        self.name = self.entry.model_name
        self.hub_options = loading.hub_options(self.entry, need_key=need_key)
        self.tokenizer, self.config = loading.load_tokenizer_and_config(self.entry, self.hub_options)
        self.context_size, self.context_source = loading.find_context_size(self.config, self.entry, self.tokenizer)
        self._template = choose_template(
            self.tokenizer,
            self.name,
            self.entry.custom_chat_template,
            self.entry.premade_chat_template,
            self.entry.chat_template_language,
        )
        self.template_now = self.entry.template_now
        self.template_kwargs = dict(self.entry.chat_template_kwargs)

    @property
    def template_now(self) -> datetime | None:
        """What the template's clock tells; None is the real time. An ISO time may be set, too."""
        return self._now

    @template_now.setter
    def template_now(self, value: str | datetime | None) -> None:
        if isinstance(value, str):
            value = read_time(value, f"model '{self.name}': template_now")
        self._now = value
        self._writer = PromptWriter(self.tokenizer, self.entry, self._template, self._now)

    @property
    def template_kwargs(self) -> dict[str, Any]:
        """Further variables for the chat template; setting them checks that the template reads them."""
        return dict(self._template_kwargs)

    @template_kwargs.setter
    def template_kwargs(self, value: Mapping[str, Any] | None) -> None:
        if value is not None and not isinstance(value, Mapping):
            raise SpecError(f"model '{self.name}': chat_template_kwargs must be a dict, not {value!r}")
        kwargs = dict(value or {})
        if self.entry.cot_effort:
            kwargs.setdefault("reasoning_effort", self.entry.cot_effort)
        self._writer.check_kwargs(kwargs)
        self._template_kwargs = kwargs

    def prove(self) -> None:
        """Have the proof of the template ready, stored or made now."""
        self._writer.prove(self._template_kwargs)

    def subject(self) -> Subject:
        """Return what a proof of this model's prompts is about."""
        return Subject.of_model(self._template, self.tokenizer, self._template_kwargs)

    def write(self, messages: Messages, *, merge: bool = True) -> Prompt:
        """Render messages; see :meth:`PromptWriter.write`."""
        return self._writer.write(messages, self._template_kwargs, merge=merge)

    def encode(self, prompt: Prompt) -> list[int]:
        """Return the token ids of a prompt.

        The template has written every special token there is to be; adding some would double the first.
        """
        return self.encode_guarded(prompt)[0]

    def encode_guarded(self, prompt: Prompt) -> tuple[list[int], dict[str, Any]]:
        """Return the token ids of a prompt, and the facts about control tokens inside its messages.

        Raises:
            MessagesError: a control token that is to be escaped cannot be.
        """
        if prompt.as_text:
            tokens = self._writer.guard.tokens
            ids, escaped = encode_escaped(self.tokenizer, prompt.text, prompt.as_text, tokens)
            return ids, {**prompt.control, "escaped": escaped}
        ids = self.tokenizer(prompt.text, add_special_tokens=False).input_ids
        return ids, prompt.control

    def check_context(self, ids: list[int], max_tokens: int, place: str = "") -> None:
        """Check that a prompt and its reply fit the context window.

        Args:
            ids: the prompt's token ids.
            max_tokens: the most tokens that the reply may have.
            place: which prompt it is, for the message.

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
            )
