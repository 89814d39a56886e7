"""Engines that are compared: a local model, and a server of the same model.

An engine makes prompt ids of messages, answers them greedily, and scores given answers, as far as it can.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from clemcore.backends.local.audit.result import fingerprint_of, with_template
from clemcore.backends.local.measured import MeasuredModel
from clemcore.messages import Messages


@dataclass(frozen=True)
class Answered:
    """A greedy answer.

    Attributes:
        text: its text, without the tokens that end a turn.
        ids: its token ids without those that end a turn; None where the engine does not tell them.
        is_cut: whether the limit ended it.
    """

    text: str
    ids: list[int] | None
    is_cut: bool


@dataclass(frozen=True)
class Prompted:
    """What an engine says about a prompt.

    Attributes:
        ids: its token ids; None where the engine does not show them.
        count: how many there are; None where the engine does not even tell that.
        text: the prompt's text, where the engine shows it.
    """

    ids: list[int] | None
    count: int | None
    text: str | None = None


class ComparedEngine(Protocol):
    """One of the two engines."""

    @property
    def name(self) -> str:
        """What it is called in the comparison."""

    @property
    def format(self) -> str | None:
        """The format of the weights in words; None where the engine does not say it."""

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """What its answers depend on, as far as it is known."""

    @property
    def cannot(self) -> list[str]:
        """What it cannot do, in words."""

    def prompt(self, messages: Messages) -> Prompted:
        """Return the prompt."""

    def answer(self, messages: Messages, tokens: int) -> Answered:
        """Answer greedily."""

    def scored(self, messages: Messages, ids: Sequence[int]) -> list[float] | None:
        """Return the logarithm of the probability of each token of an answer; None where it cannot."""


class LocalEngine:
    """A model that runs in this process."""

    def __init__(self, model: MeasuredModel, name: str) -> None:
        """Take a loaded model.

        Args:
            model: the model.
            name: what it is called in the comparison.
        """
        self.model = model
        self.name = name
        described = model._require_engine().describe()
        self._ends = described.ends
        quantization = described.quantization
        self.format: str | None = f"{described.dtype}{'' if quantization is None else f', {quantization}'}"
        self.fingerprint: Mapping[str, Any] = with_template(
            fingerprint_of(described, model._weights.facts), model._front.template_source
        )
        self.cannot: list[str] = []

    def prompt(self, messages: Messages) -> Prompted:
        """Return the prompt."""
        prompt = self.model._front.write(messages)
        ids = self.model._front.encode(prompt)
        return Prompted(ids, len(ids), prompt.text)

    def answer(self, messages: Messages, tokens: int) -> Answered:
        """Answer greedily."""
        reply = self.model.generate_response(messages, gen_args={"temperature": 0.0, "max_tokens": tokens})
        ids = list(reply.response["output_ids"])
        is_cut = not ids or ids[-1] not in self._ends
        ids = ids if is_cut else ids[:-1]
        return Answered(self.text_of(ids), ids, is_cut)

    def scored(self, messages: Messages, ids: Sequence[int]) -> list[float] | None:
        """Return the logarithm of the probability of each token of an answer."""
        if not ids:
            return []
        (score,) = self.model.score_answers(messages, [list(ids)])
        return [*score.logprobs, *([] if score.end_logprob is None else [score.end_logprob])]

    def ids_of(self, messages: Messages, text: str) -> list[int]:
        """Return the ids that a text has as an answer."""
        return self.model.score_answers(messages, [text])[0].ids if text else []

    def text_of(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, without special tokens."""
        text: str = self.model._front.tokenizer.decode(list(ids), skip_special_tokens=True)
        return text


def finite(number: float | None) -> float | None:
    """Return a number, or None where JSON has none for it."""
    return number if number is not None and math.isfinite(number) else None
