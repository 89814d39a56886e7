"""Tries whether continuous batching gives the scores that a model has for the same tokens.

An architecture with attention of its own may accept the call and compute something else. It is tried with the model
itself, not looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.engine import Job
from clemcore.backends.local.transformers.continuous import PAGE, Continuous, Size

# New tokens of each prompt of the trial.
_NEW = 3
# How much scores may differ, as a share of what another prompt makes of them, by the bytes of a number.
_REST_EXACT, _REST_ROUGH = 1e-3, 0.1
_EXACT_BYTES = 4


def is_faithful(model: Any, ids: Sequence[int], make_way: Callable[[], None]) -> bool:
    """Tell whether two prompts have the same scores together as each has alone, up to rounding.

    Args:
        model: the transformers model, with the attention that continuous batching needs.
        ids: some token ids, as of a prompt.
        make_way: gives the model the attention for plain calls back.
    """
    some = list(ids[-PAGE:])
    long, short = (some * (PAGE + 8))[: PAGE + 8], some[:-1][-5:] or some
    runner = Continuous(model, Size(8 * PAGE, 2))
    seen: list[list[Any]] = [[], []]
    new: list[list[int]] = [[], []]
    try:
        for prompt, scores, taken in zip((long, short), seen, new, strict=True):
            runner.add(
                Job(prompt, Arguments(temperature=0.0, max_tokens=_NEW), choose=_noting(scores, taken)), frozenset()
            )
        while runner.jobs:
            runner.step()
    finally:
        runner.close()
    make_way()
    plain = [_scores(model, prompt, taken) for prompt, taken in zip((long, short), new, strict=True)]
    effect = (plain[0][0] - plain[1][0]).abs().max().item()
    rest = _REST_EXACT if model.dtype.itemsize >= _EXACT_BYTES else _REST_ROUGH
    return all(
        (mine - theirs).abs().max().item() <= rest * effect
        for scores, expected in zip(seen, plain, strict=True)
        for mine, theirs in zip(scores, expected, strict=True)
    )


def _noting(scores: list[Any], taken: list[int]) -> Callable[[Any, Sequence[int]], int]:
    def choose(row: Any, _ids: Sequence[int]) -> int:
        scores.append(row.clone())
        taken.append(int(row.argmax()))
        return taken[-1]

    return choose


def _scores(model: Any, prompt: Sequence[int], new: Sequence[int]) -> Any:
    """Return the scores of each new token, shape (new tokens, vocabulary), from one plain call."""
    import torch

    row = torch.tensor([[*prompt, *new[:-1]]], device=next(model.parameters()).device)
    with torch.no_grad():
        return model(input_ids=row, use_cache=False).logits[0, len(prompt) - 1 :].float()
