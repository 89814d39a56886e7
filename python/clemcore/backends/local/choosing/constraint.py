"""Keeps an answer to its constraint: a step that leaves only the tokens that it allows, after the thinking.

It notes how much probability that took away from the model, so that nobody takes a forced answer for a free one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from clemcore.backends.local.choosing.scores import log_probabilities
from clemcore.backends.local.constraints.grammars import Grammar
from clemcore.backends.local.thought import Thought, continues
from clemcore.errors import GenerationError

# So that a token with all the probability leaves a logarithm for the others.
_TINY = 1e-12


class Constrained:
    """The constraint of one answer."""

    def __init__(
        self, grammar: Grammar, thought: Thought | None, ends: Collection[int], start: Sequence[int]
    ) -> None:
        """Take what the answer must look like.

        Args:
            grammar: the compiled constraint.
            thought: the thought before the answer, or None where there is none.
            ends: ids of the tokens that end a reply.
            start: ids of the tag that begins a thought; the model may write it in place of an answer.
        """
        self._grammar = grammar
        self._thought = thought
        self._ends = frozenset(ends)
        self._start = tuple(start)
        # See `_shared`: it moves the scores of the answers by a sum of their probabilities, and by that of the tag.
        self.stretch = 2.0 if self._start else 1.0
        self._kept: dict[int, float] = {}  # log of the mass that was allowed, by the number of the token
        self._changed: set[int] = set()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._ids: list[int] = []
        self._is_cut = False
        self._begin_at(None)

    def _begin_at(self, place: int | None) -> None:
        """Expect the answer to begin with this token; None: at the first one, unless a thought begins there."""
        self._place = place
        self._matching = self._grammar.begin()
        self._taken = place or 0
        self._is_ended = self._is_lost = False

    def __call__(self, scores: Any, ids: Sequence[int]) -> Any:
        """Return scores of which only those of allowed tokens are finite."""
        import numpy as np

        self.follow(ids)
        if self._is_ended:
            return scores
        allowed = self._allowed(len(scores))
        begins = self._start_token(len(ids), allowed)
        changed = scores
        if begins is not None:
            changed = _shared(scores, allowed, begins)
            allowed[begins] = True
        if allowed.all():
            return scores
        self._note(scores, allowed, len(ids))
        return np.where(allowed, changed, np.array(-np.inf, dtype=scores.dtype))

    def follow(self, ids: Sequence[int]) -> None:
        """Take all new ids so far. Those that do not continue the ids before begin an answer anew."""
        if not ids:
            self._kept, self._changed = {}, set()
        if not ids or not continues(ids, self._ids):
            self._begin_anew()
        self._ids = list(ids)
        if self._thought is not None:
            self._thought.follow(ids)
            if self._thought.answer != self._place and (self._thought.answer or self._place):
                self._begin_at(self._thought.answer)
            if self._is_thinking:
                return
        self._take_rest()

    def finish(self, ids: Sequence[int], *, is_cut: bool) -> None:
        """Take all tokens of the answer.

        Args:
            ids: the new ids; in a padded batch, this step may have seen more.
            is_cut: whether the text of the answer ends before that of its tokens.
        """
        if ids:
            self.follow(ids)
        self._is_cut = is_cut

    @property
    def _is_thinking(self) -> bool:
        return self._thought is not None and self._thought.answer is None and self._thought.has_begun

    def _take_rest(self) -> None:
        for token in self._ids[self._taken :]:
            if token in self._ends:
                self._is_ended = True
            elif not self._is_ended and not self._is_lost:
                self._is_lost = not self._matching.take(token)
        self._taken = len(self._ids)

    def _allowed(self, size: int) -> Any:
        """Return which tokens may be next, boolean, shape (size,)."""
        import numpy as np

        if self._is_thinking:
            # A reply that ended in its thought would have no answer.
            allowed = np.ones(size, dtype=bool)
            allowed[[token for token in self._ends if token < size]] = False
            return allowed
        return np.zeros(size, dtype=bool) if self._is_lost else self._matching.allowed(size)

    def _start_token(self, step: int, allowed: Any) -> int | None:
        """Return the token that begins a thought, or goes on with its tag; None where the model cannot think."""
        if self._thought is None or self._thought.answer is not None or self._thought.has_begun:
            return None
        if step >= len(self._start) or self._start[:step] != tuple(self._ids) or allowed[self._start[step]]:
            return None
        return self._start[step]

    def _note(self, scores: Any, allowed: Any, step: int) -> None:
        """Note how much probability is allowed."""
        import numpy as np

        logs = log_probabilities(scores)[allowed]
        best = logs.max() if len(logs) else -math.inf
        if best == -math.inf:
            raise GenerationError(
                f"no token can follow after {step} new tokens: constraint.{self._grammar.constraint.kind} and the "
                "other generation arguments exclude all; relax the constraint, or the arguments that exclude tokens"
            )
        self._kept[step] = float(best + np.log(np.exp(logs - best).sum()))
        if not allowed[int(scores.argmax())]:
            self._changed.add(step)

    @property
    def _is_complete(self) -> bool:
        is_answer = not (self._is_lost or self._is_cut or self._is_thinking)
        return is_answer and self._matching.is_complete

    def facts(self) -> Mapping[str, Any]:
        """Return how much probability the constraint took away from the tokens that were followed last.

        ``log_kept`` is the sum of the natural logarithms of the allowed mass at each token, so 0 means that nothing
        was taken away. ``least`` is the smallest allowed mass and the number of its token, ``changed`` how often
        the token with the highest score was not allowed, ``complete`` whether the answer satisfies the constraint.
        """
        kept = {step: value for step, value in self._kept.items() if step < len(self._ids)}
        facts: dict[str, Any] = {
            "kind": self._grammar.constraint.kind,
            "complete": self._is_complete,
            "log_kept": min(math.fsum(kept.values()), 0.0),
            "changed": sum(step < len(self._ids) for step in self._changed),
        }
        if kept:
            step = min(kept, key=kept.__getitem__)
            facts["least"] = {"mass": min(math.exp(kept[step]), 1.0), "token": step}
        return {"constraint": facts}


def _shared(scores: Any, allowed: Any, begins: int) -> Any:
    """Return scores by which the model thinks as often as without a constraint.

    The allowed tokens share all the probability but that of the token that begins a thought. Otherwise a model that
    would answer at once would think, because the mask takes away its own answer.

    Args:
        scores: shape (vocabulary,).
        allowed: the tokens of answers that are allowed, boolean, shape (vocabulary,).
        begins: the token that begins a thought.
    """
    import numpy as np

    logs = log_probabilities(scores)
    rest = logs[allowed]
    if not len(rest) or rest.max() == -math.inf:
        return scores
    mass = rest.max() + np.log(np.exp(rest - rest.max()).sum())
    changed = logs.copy()
    changed[allowed] += np.log(-np.expm1(min(logs[begins], -_TINY))) - mass
    return changed.astype(scores.dtype)
