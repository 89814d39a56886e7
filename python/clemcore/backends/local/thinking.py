"""What a call or an entry asks of a local model's thinking, and how long thought and answer may then be.

It knows the account of generation arguments, tags and an engine's tokens, and neither messages nor replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clemcore.arguments.ledger import Ledger
from clemcore.arguments.parameter import NotExpressibleError
from clemcore.arguments.reasoning import OnExceed, Reasoning
from clemcore.backends.local.engine import Engine
from clemcore.backends.local.tags import Tags
from clemcore.backends.local.thought import Limit
from clemcore.errors import ContextExceededError, SpecError

NO_TAGS = "it is not known how the model ends a thought: set model_config.cot_end_tag in its entry (and cot_output)"
# The argument of an engine that is the budget, and variables by which templates switch thinking off.
BUDGET, KWARGS = "thinking_budget", "chat_template_kwargs"
_SWITCHES = ("enable_thinking", "thinking")


@dataclass(frozen=True)
class Abilities:
    """What can be asked of a model's thinking.

    Attributes:
        tags: the tags around its thoughts, or None where they are not known.
        variables: the variables that its chat template reads.
        can_force: whether its engine lets us choose tokens.
    """

    tags: Tags | None = None
    variables: frozenset[str] = frozenset()
    can_force: bool = False

    def fields_for(self, wish: Reasoning) -> Mapping[str, Any]:
        """Return how a wish is fulfilled: by variables of the template, or by a budget.

        Raises:
            NotExpressibleError: there is no way.
        """
        if wish.budget is not None:
            self._check_budget()
            return {BUDGET: wish.budget}
        switch = next((name for name in _SWITCHES if name in self.variables), None)
        if wish.is_off and switch is not None:
            return {KWARGS: {switch: False}}
        if "reasoning_effort" in self.variables:
            return {KWARGS: {"reasoning_effort": wish.effort}}
        why = "the chat template reads no variable 'reasoning_effort'"
        if wish.is_off:
            why += " and none that switches thinking off; a budget of 0 closes each thought at once"
        raise NotExpressibleError(why, Reasoning(budget=0) if wish.is_off else wish.as_budget())

    def _check_budget(self) -> None:
        if self.tags is None:
            raise NotExpressibleError(NO_TAGS)
        if not self.can_force:
            raise NotExpressibleError("the tokens of beams and of assisted generation cannot be forced")


@dataclass(frozen=True)
class Thinking:
    """What was asked of the thinking of a call.

    Attributes:
        budget: the most tokens of the thought, or None.
        on_exceed: what follows where they are used up, or None where that was not asked for.
        closing: a sentence that stands before the end tag where a thought is closed.
        template_kwargs: further variables for the chat template.
    """

    budget: int | None = None
    on_exceed: OnExceed | None = None
    closing: str = ""
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sent(self) -> dict[str, Any]:
        """What is computed with, for the record."""
        asked = {BUDGET: self.budget, "on_exceed": self.on_exceed, "closing": self.closing or None}
        kwargs = {KWARGS: dict(self.template_kwargs)} if self.template_kwargs else {}
        return {name: value for name, value in asked.items() if value is not None} | kwargs

    @property
    def has_limit(self) -> bool:
        """Whether the thought is limited by more than the context window."""
        return self.budget is not None or self.on_exceed == "close" or bool(self.closing)

    @property
    def is_followed(self) -> bool:
        """Whether the reply must be divided into thought and answer, also where its entry does not ask for it."""
        return self.budget is not None or self.on_exceed is not None or bool(self.closing)


def read_thinking(ledger: Ledger, tags: Tags | None, model: str) -> Thinking:
    """Return what an account says of thinking.

    Args:
        ledger: the account; what cannot be done is left out of it where the entry says so.
        tags: the tags around the model's thoughts, or None where they are not known.
        model: the model's name, for the error.

    Raises:
        GenerationArgumentError: a thought cannot be ended as a call asks for it.
        SpecError: the same of what the entry asks for.
    """
    fields = ledger.fields
    kwargs = fields.get(KWARGS, {})
    thinking = Thinking(fields.get(BUDGET), ledger.on_exceed, ledger.closing, kwargs)
    fault = fault_of_closing(thinking, tags)
    if fault is None:
        return thinking
    if not ledger.was_asked("reasoning"):
        raise SpecError(f"model '{model}': model_config.reasoning: {fault}")
    if "reasoning" not in ledger.dropped:
        ledger.unsupported("reasoning", fault)
        ledger.require()
    return Thinking(template_kwargs=kwargs)


def limit_of(
    thinking: Thinking, tags: Tags, engine: Engine, *, answer: int, used: int, size: int, name: str, is_opened: bool
) -> Limit:
    """Return how long a thought and its answer may be.

    Args:
        thinking: what was asked.
        tags: the tags around the thought.
        engine: has the tokens.
        answer: the most tokens of the answer.
        used: tokens of the prompt.
        size: tokens that prompt and reply may have together.
        name: the model's name, for the error.
        is_opened: whether the prompt has opened the thought.

    Raises:
        ContextExceededError: prompt, thought and answer do not fit.
    """
    on_exceed = thinking.on_exceed or "close"
    if not thinking.has_limit:
        return Limit(answer, None, on_exceed)
    closes = on_exceed == "close"
    tag = () if tags.closing is None else tuple(engine.encode(tags.closing))
    closing = tuple(engine.encode(_closing_text(thinking, tags))) if closes else ()
    beside = answer + len(closing or tag) + (0 if is_opened or not tags.start else len(engine.encode(tags.start)))
    budget = size - used - beside if thinking.budget is None else thinking.budget
    if budget < 0 or used + budget + beside > size:
        what = ["max_tokens"] if thinking.budget is None else ["reasoning.budget", "max_tokens"]
        what += ["reasoning.closing"] if thinking.closing else []
        raise ContextExceededError(
            f"model '{name}': a thinking budget of {max(budget, 0)} tokens does not fit beside {beside} for answer "
            f"and tags and {used} of the prompt: shorten {' or '.join(what)}",
            tokens_used=used + max(budget, 0) + beside,
            tokens_left=size - used - max(budget, 0) - beside,
            context_size=size,
        )
    return Limit(answer, budget, on_exceed, closing, tag)


def _closing_text(thinking: Thinking, tags: Tags) -> str:
    """Return the text that closes a thought; a closing sentence that has an end tag itself stays as it is."""
    if thinking.closing and tags.end.search(thinking.closing):
        return thinking.closing
    return thinking.closing + (tags.closing or "")


def fault_of_closing(thinking: Thinking, tags: Tags | None) -> str | None:
    """Return why a thought cannot be ended by us as it was asked for, or None."""
    if thinking.closing and thinking.on_exceed not in (None, "close"):
        return (
            f"'closing' has no effect with 'on_exceed' {thinking.on_exceed!r}, which does not close the thought: "
            "leave one of them out"
        )
    if tags is None and thinking.is_followed:
        return NO_TAGS
    if tags is None or thinking.on_exceed not in (None, "close") or not thinking.has_limit:
        return None
    if tags.closing is None and not (thinking.closing and tags.end.search(thinking.closing)):
        return (
            f"no text is known that the pattern {tags.end.pattern!r} (cot_end_tag) matches: write the text that "
            "ends a thought into reasoning.closing"
        )
    return None
