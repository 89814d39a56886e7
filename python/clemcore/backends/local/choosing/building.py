"""Builds the chooser of an answer from the rules that hold for it."""

from __future__ import annotations

from collections.abc import Sequence

from clemcore.backends.local.choosing.chooser import Chooser, Draw, Greedy, Step, Watcher
from clemcore.backends.local.choosing.filters import MinP, Temperature, TopK, TopP
from clemcore.backends.local.choosing.penalties import Bias, Occurrences, Repetition
from clemcore.backends.local.choosing.rules import Rules
from clemcore.backends.local.choosing.sampler import Sampler


def chooser_of(
    rules: Rules, prompt_ids: Sequence[int], further: Sequence[Step] = (), watchers: Sequence[Watcher] = ()
) -> Chooser | None:
    """Return what chooses the tokens of an answer, or None where the engine can choose by itself.

    The steps are in the order of transformers: bias, penalties, masks, temperature, top_k, top_p, min_p.

    Args:
        rules: the arguments, and the steps of the engine.
        prompt_ids: token ids of the prompt; penalties count them.
        further: steps after the penalties, such as a forced end of a thought or a constraint.
        watchers: look at each choice.
    """
    if rules.is_search:
        return None
    arguments = rules.arguments
    steps = [*rules.first, *_penalties(rules, prompt_ids), *rules.masks, *further]
    if arguments.temperature == 0:
        steps += rules.filtered  # such as a watermark: what only samplers need is not among them
        return Chooser(steps, Greedy(), watchers) if steps or watchers else None
    steps += _filters(rules)
    return Chooser(steps, _sampler(rules), watchers)


def _penalties(rules: Rules, prompt_ids: Sequence[int]) -> list[Step]:
    """Return the bias and the penalties; those that leave everything as it is are left out."""
    arguments = rules.arguments
    steps: list[Step] = []
    if arguments.logit_bias:
        steps.append(Bias({int(token): value for token, value in arguments.logit_bias}))
    if arguments.repetition_penalty not in (None, 1):
        steps.append(Repetition(arguments.repetition_penalty, prompt_ids))
    presence, frequency = arguments.presence_penalty or 0.0, arguments.frequency_penalty or 0.0
    if presence or frequency:
        steps.append(Occurrences(presence, frequency))
    return steps


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
