"""Builds the chooser of an answer from the rules that hold for it."""

from __future__ import annotations

from collections.abc import Sequence

from clemcore.backends.local.choosing.chooser import Chooser, Draw, Greedy, Step
from clemcore.backends.local.choosing.filters import MinP, Temperature, TopK, TopP
from clemcore.backends.local.choosing.penalties import Repetition
from clemcore.backends.local.choosing.rules import Rules
from clemcore.backends.local.choosing.sampler import Sampler


def chooser_of(rules: Rules, prompt_ids: Sequence[int], further: Sequence[Step] = ()) -> Chooser | None:
    """Return what chooses the tokens of an answer, or None where the engine can choose by itself.

    The steps are in the order of transformers: penalties, masks, temperature, top_k, top_p, min_p.

    Args:
        rules: the arguments, and the steps of the engine.
        prompt_ids: token ids of the prompt; penalties count them.
        further: steps after the penalties, such as a forced end of a thought or a constraint.
    """
    if rules.is_search:
        return None
    arguments = rules.arguments
    steps = [*rules.first, *_penalties(rules, prompt_ids), *rules.masks, *further]
    if arguments.temperature == 0:
        return Chooser(steps, Greedy()) if steps else None
    steps += _filters(rules)
    return Chooser(steps, _sampler(rules))


def _penalties(rules: Rules, prompt_ids: Sequence[int]) -> list[Step]:
    penalty = rules.arguments.repetition_penalty
    return [] if penalty in (None, 1) else [Repetition(penalty, prompt_ids)]


def _filters(rules: Rules) -> list[Step]:
    """Return temperature and filters; those that leave everything as it is are left out."""
    arguments = rules.arguments
    steps: list[Step] = [] if arguments.temperature == 1 else [Temperature(arguments.temperature)]
    steps += rules.heated
    if arguments.top_k:
        steps.append(TopK(arguments.top_k))
    if arguments.top_p is not None and arguments.top_p < 1:
        steps.append(TopP(arguments.top_p))
    if arguments.min_p:
        steps.append(MinP(arguments.min_p))
    return [*steps, *rules.filtered]


def _sampler(rules: Rules) -> Draw:
    if rules.arguments.seed is None:
        raise ValueError("the rules of a sampled answer need a seed")
    return Sampler(rules.arguments.seed)
