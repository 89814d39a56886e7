"""What a call or an entry wants of reasoning: read, and held against what the entry says of its model.

It knows no format: how a wish is sent is the dialects' affair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from clemcore.errors import SpecError
from clemcore.registry.spec import ModelSpec
from clemcore.spelling import misspelling_of

OnExceed = Literal["empty", "error", "close"]


# How much models reason, from nothing to everything.
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


# How many tokens that is, where a service takes tokens: clemcore's own numbers, none below what services take.
EFFORT_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 32768}


@dataclass(frozen=True)
class Reasoning:
    """How much a model is asked to reason; one of both, or neither: then it is left to the model.

    Attributes:
        effort: a word, as ``low``; ``none`` asks for no reasoning.
        budget: tokens.
    """

    effort: str | None = None
    budget: int | None = None

    @property
    def words(self) -> dict[str, Any]:
        """As it is asked for."""
        wish = {"effort": self.effort, "budget": self.budget}
        return {name: value for name, value in wish.items() if value is not None}

    def in_words(self, name: str) -> Any:
        """Return it in the form that an argument of this name has, if it can be said in it."""
        return self.effort if name == "reasoning_effort" and self.effort is not None else self.words

    def as_effort(self) -> Reasoning:
        """Return the effort that is nearest to a budget, for services that take no number.

        The bounds are clemcore's own: up to 1,024 tokens low, up to 8,192 medium, beyond that high.

        Examples:
            >>> Reasoning(budget=4096).as_effort(), Reasoning(budget=0).as_effort().effort
            (Reasoning(effort='medium', budget=None), 'none')
        """
        if self.budget is None:
            return self
        bounds = ((0, "none"), (1024, "low"), (8192, "medium"))
        return Reasoning(next((effort for most, effort in bounds if self.budget <= most), "high"))

    def as_budget(self, tokens: Mapping[str, int] = EFFORT_BUDGETS) -> Reasoning | None:
        """Return the budget that is nearest to an effort, for services that take no word; None where none is.

        Examples:
            >>> Reasoning("medium").as_budget(), Reasoning("somewhat").as_budget()
            (Reasoning(effort=None, budget=8192), None)
        """
        budget = tokens.get(self.effort or "")
        return None if budget is None else Reasoning(budget=budget)

    @property
    def is_off(self) -> bool:
        """Whether no reasoning is asked for."""
        return self.effort == "none" or self.budget == 0


WISHES = ("effort", "budget")
WISH_FORM = "{'effort': word} or {'budget': tokens}, with 'on_exceed' and 'closing' if wanted"
# What else stands beside a wish: what follows where reasoning has used up its tokens, and how a thought is closed.
MANNERS = ("on_exceed", "closing")


def thinking_of(spec: ModelSpec) -> Mapping[str, Any]:
    """Return what an entry says about the model's thinking; nothing where it does not.

    Raises:
        SpecError: it is not an object.
    """
    thinking = spec.get("thinking")
    if thinking is None:
        return {}
    if not isinstance(thinking, dict):
        raise SpecError(f"model '{spec['model_name']}': 'thinking' must be an object, not {thinking!r}")
    return thinking


def misspelt(effort: Any, efforts: Sequence[Any]) -> str | None:
    """Return what is wrong with a word that is nearly one for how much to reason.

    Args:
        effort: the word, or anything else. Words that are like none may be a service's own.
        efforts: the words that the entry lists.
    """
    if not isinstance(effort, str) or effort in efforts or (near := misspelling_of(effort, EFFORTS)) is None:
        return None
    return f"there is no effort '{effort}'; did you mean '{near}'?"


def efforts_of(spec: ModelSpec) -> list[str]:
    """Return the words for how much to reason that an entry lists."""
    return [effort for effort in thinking_of(spec).get("efforts") or () if isinstance(effort, str)]


def read_wish(name: str, value: Any, efforts: Sequence[Any] = ()) -> Reasoning:
    """Read a wish.

    Args:
        name: ``reasoning``, or ``reasoning_effort``, whose value is the effort alone.
        value: what was asked for.
        efforts: the words that the entry lists.

    Raises:
        ValueError: it is none; the message says why.
    """
    wish = {"effort": value} if name == "reasoning_effort" else value
    if unknown := sorted(wish.keys() - {*WISHES, *MANNERS}):
        raise ValueError(f"unknown: {', '.join(unknown)}; it holds 'effort' or 'budget', 'on_exceed' and 'closing'")
    effort, budget = wish.get("effort"), wish.get("budget")
    if effort is not None and budget is not None:
        raise ValueError("'effort' and 'budget' both say how much: keep one")
    if effort is not None and (not isinstance(effort, str) or not effort):
        raise ValueError(f"'effort' must be a word such as 'low', not {effort!r}")
    if why := misspelt(effort, efforts):
        raise ValueError(why)
    if budget is not None and (not isinstance(budget, int) or isinstance(budget, bool) or budget < 0):
        raise ValueError(f"'budget' must be a number of tokens, not {budget!r}")
    return Reasoning(effort, budget)


def read_on_exceed(value: Any, *, can_close: bool) -> OnExceed:
    """Read what follows where reasoning has used up its tokens.

    Args:
        value: the word.
        can_close: whether the error offers ``close``, which is read in any case.

    Raises:
        ValueError: it is none of the words.
    """
    words: tuple[OnExceed, ...] = ("empty", "error", "close")
    for word in words:
        if value == word:
            return word
    offered = "'close', 'empty' or 'error'" if can_close else "'empty' or 'error'"
    raise ValueError(f"'on_exceed' must be {offered}, not {value!r}")


def read_closing(value: Any) -> str:
    """Read the sentence that closes a thought.

    Raises:
        ValueError: it is not a text.
    """
    if not isinstance(value, str) or not value:
        raise ValueError(f"'closing' must be a sentence, not {value!r}")
    return value


def impossible(wish: Reasoning, spec: ModelSpec) -> tuple[str, Reasoning | None] | None:
    """Return why the model of an entry cannot reason as asked, with what comes nearest; None where it can."""
    thinking = thinking_of(spec)
    efforts = efforts_of(spec)
    if wish.is_off and thinking.get("always"):
        least = min((effort for effort in efforts if effort in EFFORTS), key=EFFORTS.index, default=None)
        why = "the model always reasons ('thinking' of the entry: always)"
        return why, None if least is None else Reasoning(least)
    if thinking.get("supported") is False and not wish.is_off:
        return "the model does not reason ('thinking' of the entry: supported is false)", None
    if wish.effort is None or wish.is_off or not efforts or wish.effort in efforts:
        return None
    near = nearest_choice(wish.effort, tuple(efforts))
    why = f"must be one of {', '.join(efforts)} ('thinking' of the entry: efforts), not {wish.effort!r}"
    return why, None if near is None else Reasoning(near)


def nearest_choice(value: Any, choices: tuple[Any, ...]) -> Any:
    """Return the effort among some that is nearest to another, or None where they are not efforts."""
    if isinstance(value, str) and value in EFFORTS and all(choice in EFFORTS for choice in choices):
        return min(choices, key=lambda choice: abs(EFFORTS.index(choice) - EFFORTS.index(value)))
    return None
