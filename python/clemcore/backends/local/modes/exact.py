"""Exact answers: each dialogue is computed alone, so that an answer depends on nothing but the question.

The block rule: all of a prompt but its last piece is fed in blocks that begin at multiples of one length, whether
a block was kept from an earlier prompt or not. So the same tensors go through the same operations in the same
shapes, and the scores are equal bit by bit. Tokens of an earlier answer are fed like any others. A prompt of up to
one block is fed as the engine would feed it anyway. Of a prompt with images, blocks end before the first of them.

It decides what is kept and how much. It knows engines by their interface, and no caches.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clemcore.backends.local.engine import ContinuingEngine, Engine, Generated, Job, State
from clemcore.backends.local.failures import ran_out_of_memory
from clemcore.backends.local.modes.mode import EXACT
from clemcore.backends.local.prefixes import Prefixes

# Tokens per block by kind of device and number format; measured with `benches/local prefill`.
_BLOCKS: Mapping[tuple[str, str], int] = {("cpu", "float32"): 256}
_BLOCK = 512
# The share of the memory that is free after loading, where the entry sets no limit.
_SHARE = 4
# Beside the states of a call, the library's caches copy them when they grow.
_COPIES = 3


def block_length(device: str, dtype: str) -> int:
    """Return in blocks of how many tokens prompts are fed where the entry does not say it.

    Args:
        device: as ``cpu`` or ``cuda:0``.
        dtype: the number format of the weights, as ``bfloat16``.
    """
    return _BLOCKS.get((device.partition(":")[0], dtype), _BLOCK)


class Exact:
    """Computes one job after the other."""

    name = EXACT
    pieces_are_final = True

    def __init__(
        self,
        engine: Engine,
        prefixes: Prefixes,
        block: int | None = None,
        limit: int | None = None,
        free: Callable[[], int] | None = None,
    ) -> None:
        """Take the engine that computes.

        Args:
            engine: computes.
            prefixes: the states that are kept; models that share the engine share them.
            block: tokens per block; 0 feeds each prompt in one piece and keeps nothing; None takes the default.
            limit: the most bytes that kept states may take; 0 keeps none; None takes a share of what is free now.
            free: returns the bytes that are free on the device. None: not known, so nothing makes room for a call.
        """
        described = engine.describe()
        self._engine = engine
        self._continuing = engine if isinstance(engine, ContinuingEngine) else None
        self._kept = prefixes
        self._block = block_length(described.device, described.dtype) if block is None else block
        self._limit = limit if limit is not None else 0 if free is None else free() // _SHARE
        self._free = free
        self._token_bytes = sum(filter(None, described.state_bytes.values()))

    def generate(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Generated | Exception]]:
        """Compute jobs in their order."""
        for job in jobs:
            job.deterministic = True
            result = self._result(job)
            if isinstance(result, Exception) and ran_out_of_memory(result) and self.forget():
                result = self._result(job, keeps=False)
            yield job, result

    def forget(self) -> int:
        """Drop all kept states, and return how many bytes they took."""
        return self._kept.forget()

    def _result(self, job: Job, *, keeps: bool = True) -> Generated | Exception:
        divided, facts = self.divided(job, keeps=keeps)
        ((_, result),) = self._engine.generate(iter([divided]), "alone")
        if isinstance(result, Exception):
            return result
        return dataclasses.replace(result, facts={**result.facts, "prefill": facts})

    def divided(self, job: Job, *, keeps: bool = True) -> tuple[Job, dict[str, Any]]:
        """Return a job as the block rule has it, and what the record says about it.

        Its pieces are to be fed from its state; ``on_state`` keeps the state after each.
        """
        engine, block, count = self._continuing, self._block, len(job.ids)
        facts = {"block": block, "kept": 0, "computed": count}
        if not block or count <= block:
            return job, facts
        reason = "the engine cannot go on from a state" if engine is None else engine.why_whole(job)
        if engine is None or reason is not None:
            return job, {"block": 0, "kept": 0, "computed": count, "reason": reason}
        state, on_state = self._found(job, engine) if keeps and self._limit else (None, None)
        begin = 0 if state is None else state.length
        pieces = [block] * ((_divisible(job) - begin) // block)
        facts |= {"kept": begin, "computed": count - begin}
        if job.media is not None:
            facts["in_one_piece_from"] = begin + block * len(pieces)
        return dataclasses.replace(job, ids=job.ids[begin:], state=state, pieces=pieces, on_state=on_state), facts

    def _found(self, job: Job, engine: ContinuingEngine) -> tuple[State | None, Callable[[State], None]]:
        """Return the longest kept state of a prompt, and what keeps the states after it."""
        kept, version = self._kept, engine.version()
        ids = job.ids[: _divisible(job) + 1]  # the last one is never a part of what is kept
        state = kept.longest(ids, self._block, version)
        limit = self._make_room(len(job.ids) + job.arguments.max_tokens)
        return state, functools.partial(kept.keep, ids, self._block, version=version, limit=limit)

    def _make_room(self, tokens: int) -> int:
        """Drop kept states where a call needs their memory, and return how much may be kept."""
        lacking = 0 if self._free is None else tokens * self._token_bytes * _COPIES - self._free()
        if lacking > 0:
            self._kept.shrink(max(0, self._kept.bytes - lacking))
            return min(self._limit, self._kept.bytes)
        return self._limit


def _divisible(job: Job) -> int:
    """Return how many of a prompt's tokens may be fed in blocks: all but the last, or those before its images."""
    return len(job.ids) - 1 if job.media is None else min(job.media.first, len(job.ids) - 1)
