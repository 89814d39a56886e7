"""Makes an audit: asks the same prompts in several ways, and compares each answer with that of the prompt alone.

What "alone" is, is the exact mode. Each way is given the same jobs, and the scores of each step are compared for as
long as the tokens before are equal. It knows modes and engines, and neither messages nor where audits are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.audit.result import Audit, Comparison, FirstDifference, fingerprint_of
from clemcore.backends.local.choosing.scores import as_array
from clemcore.backends.local.engine import Engine, Generated, Job
from clemcore.backends.local.modes.exact import Exact
from clemcore.backends.local.modes.mode import Mode
from clemcore.backends.local.prefixes import Prefixes

BATCHES = (2, 4, 8)
# Blocks of the comparison of cold and warm prefixes are short, so that short prompts have some to keep.
_SHORT_BLOCK = 16
# The most bytes that their states may take.
_WARM_BYTES = 2**30
Results = Iterator[tuple[Job, Generated | Exception]]
# Computes jobs, each in its way.
Way = Callable[[Sequence[Job]], Results]


@dataclass(frozen=True)
class Answer:
    """An answer with what it was chosen from.

    Attributes:
        ids: its tokens.
        scores: for each token the scores of the model, shape (vocabulary,), float32.
        facts: what the mode says about it.
    """

    ids: list[int]
    scores: list[Any]
    facts: Mapping[str, Any]


class Auditor:
    """Asks one model."""

    def __init__(
        self,
        engine: Engine,
        exact: Exact,
        fast: Mode,
        prompts: Sequence[Sequence[int]],
        tokens: int,
        *,
        left_out: int = 0,
    ) -> None:
        """Take the parts.

        Args:
            engine: computes.
            exact: asks prompts alone.
            fast: asks them together.
            prompts: their token ids.
            tokens: the most tokens of an answer.
            left_out: how many further prompts do not fit the context window.
        """
        self._left_out = left_out
        self._engine = engine
        self._exact = exact
        self._fast = fast
        self._prompts = prompts
        self._arguments = Arguments(temperature=0.0, max_tokens=tokens)

    def make(
        self, model_name: str, facts: Mapping[str, Any], progress: Callable[[str], None] = lambda _name: None
    ) -> Audit:
        """Ask all prompts in all ways.

        Args:
            model_name: the name of the model.
            facts: what identifies its weights.
            progress: told the name of each way before it begins.

        Raises:
            Exception: what an answer failed with.
        """
        begin = time.perf_counter()
        order = range(len(self._prompts))
        progress("alone")
        alone = self._asked(self._exact.generate, order)
        comparisons = []
        for name, answers in self._ways(progress):
            comparisons.append(_compared(name, alone, answers))
            del answers  # the scores of all steps take memory
        return Audit(
            fingerprint_of(self._engine.describe(), facts),
            datetime.now(timezone.utc).isoformat(timespec="seconds"),
            model_name,
            len(alone),
            self._arguments.max_tokens,
            tuple(comparisons),
            min(_margin(scores) for answer in alone for scores in answer.scores),
            round(time.perf_counter() - begin, 1),
            self._left_out,
        )

    def _ways(self, progress: Callable[[str], None]) -> Iterator[tuple[str, list[Answer]]]:
        """Yield the name of each way with its answers, in the order of the prompts."""
        order = range(len(self._prompts))
        progress("again")
        yield "again", self._asked(self._exact.generate, order)
        progress("other order")
        yield "other order", self._asked(self._exact.generate, order[::-1])
        for size in BATCHES:
            progress(f"batches of {size}")
            yield f"batches of {size}", self._asked(self._fast.generate, order, size)
        if "padded" in self._engine.describe().ways:
            progress("padded")
            yield (
                "padded",
                self._asked(lambda jobs: self._engine.generate(iter(jobs), "padded"), order, BATCHES[-1]),
            )
        progress("cold prefixes")
        yield "cold prefixes", self._asked(Exact(self._engine, Prefixes(), _SHORT_BLOCK, 0).generate, order)
        progress("warm prefixes")
        warm = Exact(self._engine, Prefixes(), _SHORT_BLOCK, _WARM_BYTES)
        for _ in warm.generate([Job(ids, Arguments(temperature=0.0, max_tokens=1)) for ids in self._prompts]):
            pass  # their states are kept
        yield "warm prefixes", self._asked(warm.generate, order)

    def _asked(self, way: Way, order: Sequence[int], size: int = 1) -> list[Answer]:
        """Ask the prompts in an order, so many at once, and return the answers in the order of the prompts."""
        found: dict[int, Answer] = {}
        for begin in range(0, len(order), size):
            indices = order[begin : begin + size]
            listening = {index: _Listening() for index in indices}
            jobs = {Job(self._prompts[index], self._arguments, choose=listening[index]): index for index in indices}
            for job, result in way(list(jobs)):
                if isinstance(result, Exception):
                    raise result
                index = jobs[job]
                found[index] = Answer(result.ids, listening[index].scores[: len(result.ids)], result.facts)
        return [found[index] for index in sorted(found)]


class _Listening:
    """Chooses the best token of each step, and keeps the scores: the ``choose`` of a job."""

    def __init__(self) -> None:
        self.scores: list[Any] = []

    def __call__(self, scores: Any, ids: Sequence[int]) -> int:
        del self.scores[len(ids) :]  # an engine may compute a job again
        self.scores.append(as_array(scores).copy())
        return int(self.scores[-1].argmax())


def _compared(name: str, alone: Sequence[Answer], others: Sequence[Answer]) -> Comparison:
    equal, shift = 0, 0.0
    first: FirstDifference | None = None
    for index, (one, other) in enumerate(zip(alone, others, strict=True)):
        equal += one.ids == other.ids
        same = _same_start(one.ids, other.ids)
        for before, after in zip(one.scores[: same + 1], other.scores[: same + 1], strict=False):
            shift = max(shift, _shift(before, after))
        if one.ids != other.ids and (first is None or same < first.token):
            first = FirstDifference(index, same, _margin(one.scores[same]) if same < len(one.scores) else 0.0)
    return Comparison(name, len(alone), equal, first, shift, _proof(others))


def _same_start(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many leading tokens are equal."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (left, right) in pairs if left != right), min(len(one), len(other)))


def _shift(before: Any, after: Any) -> float:
    """Return the most by which a score moved; scores that are infinite in both did not."""
    import numpy as np

    moved = np.abs(before[before != after] - after[before != after])
    return float(moved.max(initial=0.0))


def _margin(scores: Any) -> float:
    """Return by how much the best score is above the second."""
    import numpy as np

    second, best = np.partition(scores, -2)[-2:]
    return float(best - second)


def _proof(answers: Sequence[Answer]) -> dict[str, Any]:
    """Return how many prompts, and how many of their tokens, came from kept states."""
    kept = [answer.facts.get("prefill", {}).get("kept", 0) for answer in answers]
    return {"prompts_kept": sum(map(bool, kept)), "tokens_kept": sum(kept)}
