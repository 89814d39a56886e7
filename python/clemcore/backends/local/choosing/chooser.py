"""Chooses the tokens of one answer: what changes the scores, who draws, and who watches.

It is the ``choose`` of a job. It knows scores and token ids, and neither engines nor texts. Scores are NumPy arrays
of shape (vocabulary,): float32 from the model on, float64 from the temperature on. Nobody changes an array that was
given to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isnan
from typing import Any, Protocol

from clemcore.backends.local.choosing.scores import as_array, require_numbers
from clemcore.errors import GenerationError


class Step(Protocol):
    """Something that changes the scores of the next token, such as a penalty, a forced thought or a constraint.

    A step may have a number ``stretch``: the most by which it multiplies a shift of the scores. It is 1 for one
    that adds numbers or rules tokens out by the ids alone. Without it no margin is known (``margins.py``).
    """

    def __call__(self, scores: Any, ids: Sequence[int]) -> Any:
        """Return changed scores, perhaps in the array that was given if nothing changes.

        Args:
            scores: shape (vocabulary,); those that are given stay as they are.
            ids: the new ids so far. Without any, an answer begins anew: forget what was kept of an earlier one.
        """

    def facts(self) -> Mapping[str, Any]:
        """Return what the record says about it once the answer has ended."""


class Draw(Protocol):
    """Takes a token by its changed scores."""

    def __call__(self, scores: Any, step: int) -> int:
        """Return the id of a token.

        Args:
            scores: shape (vocabulary,); -inf for a token that cannot be taken.
            step: number of the token in the answer, from 0.
        """

    def facts(self) -> Mapping[str, Any]:
        """Return what the record says about it."""


class Watcher(Protocol):
    """Something that only looks at each choice, such as one that notes log probabilities."""

    def __call__(self, before: Any, after: Any, token: int, step: int) -> None:
        """Note a choice.

        Args:
            before: scores of the model, shape (vocabulary,), float32.
            after: the scores that the token was drawn by.
            token: its id.
            step: its number in the answer, from 0; 0 means that an answer begins anew.
        """

    def facts(self) -> Mapping[str, Any]:
        """Return what the record says about it."""


class Greedy:
    """Takes the token with the highest score; of equal ones the first."""

    def __call__(self, scores: Any, step: int) -> int:  # noqa: ARG002 - the same at every step
        """Return its id."""
        return int(scores.argmax())

    def facts(self) -> Mapping[str, Any]:
        """Return nothing: greedy decoding needs no further facts."""
        return {}


class Chooser:
    """The choice of the tokens of one answer."""

    def __init__(self, steps: Sequence[Step], draw: Draw, watchers: Sequence[Watcher] = ()) -> None:
        """Put the parts together.

        Args:
            steps: what changes the scores, in this order.
            draw: takes the token.
            watchers: look at each choice.
        """
        self.steps = steps
        self.draw = draw
        self.watchers = watchers

    def __call__(self, scores: Any, ids: Sequence[int]) -> int:
        """Return the next token; see ``Job.choose``.

        Raises:
            GenerationError: no token can be taken, or the scores are not numbers.
        """
        import numpy as np

        changed = scores = as_array(scores)
        require_numbers(scores, len(ids))
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # an error follows, not a warning
            for step in self.steps:
                changed = step(changed, ids)
        best = changed.max()
        if isnan(best) or best == inf:
            raise GenerationError(
                f"the arguments of the call change the scores of token {len(ids)} of the answer to numbers that "
                "are not finite (as a temperature or repetition_penalty near 0 does, or a logit_bias of 1e39): "
                "choose others"
            )
        if best == -inf:
            raise GenerationError(
                f"no token can follow after {len(ids)} tokens, because the arguments of the call exclude all "
                "of them (suppress_tokens, bad_words_ids, logit_bias, a constraint): allow some"
            )
        token = self.draw(changed, len(ids))
        for watcher in self.watchers:
            watcher(scores, changed, token, len(ids))
        return token

    def facts(self) -> dict[str, Any]:
        """Return what the record says about the choices of the answer that has ended."""
        found: dict[str, Any] = {}
        parts: list[Step | Draw | Watcher] = [*self.steps, self.draw, *self.watchers]
        for part in parts:
            found |= part.facts()
        return found
