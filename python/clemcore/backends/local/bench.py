"""How fast a local model is: tokens of prompts and of answers per second, by length, batch and mode.

It asks for random tokens, so that nothing is kept from one measurement to the next. It knows modes, and no texts.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.checks import is_integer
from clemcore.backends.local.engine import Generated, Job
from clemcore.backends.local.modes.mode import Mode
from clemcore.errors import SpecError

LENGTHS, BATCHES, NEW_TOKENS = (128, 512, 2048), (1, 4, 16), 32


@dataclass(frozen=True)
class Speed:
    """What was measured of one mode with prompts of one length.

    Attributes:
        mode: its name.
        length: tokens of each prompt.
        batch: prompts that were asked together.
        prefill: tokens of prompts per second, up to the first new token of each answer.
        decode: new tokens per second after the first of each answer, all answers together; None if whole answers
            took no longer than their first tokens, as with very short answers.
    """

    mode: str
    length: int
    batch: int
    prefill: float
    decode: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return dict(vars(self))


def measure(
    modes: Sequence[Mode],
    token_ids: Sequence[int],
    context_size: int,
    *,
    lengths: Sequence[int] = LENGTHS,
    batches: Sequence[int] = BATCHES,
    new_tokens: int = NEW_TOKENS,
    progress: Callable[[str], None] = lambda _what: None,
) -> Iterator[Speed]:
    """Measure modes, each once for each length and batch.

    Args:
        modes: the modes.
        token_ids: what prompts are made of.
        context_size: prompts that do not fit are left out.
        lengths: tokens of a prompt.
        batches: how many prompts are asked together; a mode that computes one after the other gets one.
        new_tokens: tokens of an answer, at least two.
        progress: told what is measured next.

    Raises:
        SpecError: a length, a batch or ``new_tokens`` is not such a number, or no prompt fits the context.
        Exception: what an answer failed with.
    """
    given: tuple[tuple[str, Any, int], ...] = (
        ("lengths", lengths, 1),
        ("batches", batches, 1),
        ("new_tokens", [new_tokens], 2),
    )
    for name, numbers, least in given:
        is_list = isinstance(numbers, Sequence) and not isinstance(numbers, str) and len(numbers) > 0
        if not is_list or not all(is_integer(number) and number >= least for number in numbers):
            shown = new_tokens if name == "new_tokens" else numbers
            raise SpecError(f"bench: {name} must be integers of at least {least}, not {shown!r:.60}")
    if min(lengths) + new_tokens > context_size:
        raise SpecError(
            f"bench: prompts of {min(lengths)} tokens and {new_tokens} new ones do not fit the {context_size} "
            "tokens of the context: lower lengths or new_tokens"
        )
    draw = random.Random(0)  # noqa: S311 - the same prompts each time
    for mode in modes:
        _timed(mode, [draw.choices(token_ids, k=lengths[0])], 2)  # what is done once is not measured
        for length in lengths:
            for batch in batches if mode.name != "exact" else batches[:1]:
                if length + new_tokens > context_size:
                    continue
                progress(f"{mode.name}, {batch} x {length} tokens")
                prompts = [[draw.choices(token_ids, k=length) for _ in range(batch)] for _ in range(2)]
                first, _ = _timed(mode, prompts[0], 1)
                whole, made = _timed(mode, prompts[1], new_tokens)
                decode = (made - batch) / (whole - first) if whole > first else None
                yield Speed(mode.name, length, batch, batch * length / first, decode)


def _timed(mode: Mode, prompts: Sequence[Sequence[int]], new_tokens: int) -> tuple[float, int]:
    """Return the seconds that answers take, and how many tokens they have together."""
    jobs = [Job(ids, Arguments(temperature=0.0, max_tokens=new_tokens)) for ids in prompts]
    begin, made = time.perf_counter(), 0
    for _, result in mode.generate(jobs):
        if not isinstance(result, Generated):
            raise result
        made += len(result.ids)
    return time.perf_counter() - begin, made
