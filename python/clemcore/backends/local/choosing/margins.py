"""How far each choice of an answer was from another one: the margin.

The margin of a choice is twice the smallest shift of the model's scores that could change it, if each score may
move by the shift, up or down, independently of the others. Two tokens whose scores differ by d need a shift of
d / 2, so the margin of a greedy choice is the difference of the two best scores. A choice with a margin above twice
the largest shift stands.

The steps count too: a temperature or a penalty changes how far scores move, and a token that a filter let in or
kept out by little may be kept out or let in after a shift. The margin is never too large. It may be too small,
because ``top_p`` is judged by the worst case of all scores together. With a step whose effect is not known it is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clemcore.backends.local.choosing.chooser import Chooser, Draw, Greedy, Step
from clemcore.backends.local.choosing.filters import MinP, Temperature, TopK, TopP
from clemcore.backends.local.choosing.sampler import Sampler, gumbel_noise

# How exact a margin is that a filter decides.
_PRECISION = 1e-6
# No shift of the scores above this one is looked at, after the division by the temperature.
_LARGEST_SHIFT = 50.0
_FILTERS = (Temperature, TopK, TopP, MinP)


class Margins:
    """A watcher that notes the margin of each choice.

    Attributes:
        values: the margin of each choice so far, by the number of the token; infinite if the token was the only one
            that could be taken.
    """

    def __init__(self, chooser: Chooser, unfiltered: Unfiltered) -> None:
        """Take the chooser that is watched, and its step that keeps the scores; see :func:`with_margins`."""
        self.values: list[float] = []
        self._unfiltered = unfiltered
        self._rule = _rule_of(chooser.steps, chooser.draw)

    def __call__(self, before: Any, after: Any, token: int, step: int) -> None:  # noqa: ARG002 - see Watcher
        """Note the margin of a choice."""
        del self.values[step:]
        self.values.append(self._rule(self._unfiltered.scores, after, token, step))

    @property
    def least(self) -> float | None:
        """The smallest margin of the answer, or None if no choice could have been another one."""
        least = min(self.values, default=math.inf)
        return None if math.isinf(least) else least

    def facts(self) -> Mapping[str, Any]:
        """Return nothing: who asked for margins says what became of them."""
        return {}


class Unfiltered:
    """A step that changes nothing and keeps the scores before the filters.

    Attributes:
        scores: those of the last choice, shape (vocabulary,).
    """

    stretch = 1.0

    def __init__(self) -> None:
        self.scores: Any = None

    def __call__(self, scores: Any, ids: Sequence[int]) -> Any:  # noqa: ARG002 - see Step
        """Keep the scores and return them."""
        self.scores = scores
        return scores

    def facts(self) -> Mapping[str, Any]:
        """Return nothing."""
        return {}


def with_margins(chooser: Chooser | None) -> tuple[Chooser, Margins]:
    """Return a chooser that chooses the same tokens, and what notes their margins.

    Args:
        chooser: the chooser of a job; None is that of plain greedy decoding.
    """
    chooser = Chooser((), Greedy()) if chooser is None else chooser
    unfiltered = Unfiltered()
    margins = Margins(chooser, unfiltered)
    steps = list(chooser.steps)
    place = next((index for index, step in enumerate(steps) if isinstance(step, _FILTERS)), len(steps))
    steps.insert(place, unfiltered)
    return Chooser(steps, chooser.draw, (*chooser.watchers, margins)), margins


_Rule = Callable[[Any, Any, int, int], float]


def _rule_of(steps: Sequence[Step], draw: Draw) -> _Rule:
    """Return what computes the margin from the scores before and after the filters, a token and its number."""
    stretch = 1.0
    for step in steps:
        if not isinstance(step, _FILTERS):
            # A step does not say how far it moves scores: then nothing is certain.
            stretch *= getattr(step, "stretch", math.inf)
    if math.isinf(stretch):
        return lambda *_: 0.0
    if isinstance(draw, Greedy):
        return lambda scores, _after, token, _step: _gap(scores, token) / stretch
    if isinstance(draw, Sampler):
        return _SampledMargin(steps, draw, stretch)
    return lambda *_: 0.0


def _gap(scores: Any, token: int) -> float:
    """Return by how much a token is ahead of all others."""
    import numpy as np

    others = np.delete(scores, token)
    return float(scores[token] - others.max()) if len(others) else math.inf


class _SampledMargin:
    """Computes the margin of a sampled token.

    Everything is in scores divided by the temperature. A shift of ``e`` moves the difference of two of them by up
    to ``2 e``, each of their order statistics by up to ``e``, and the ratio of two sums of probabilities by up to a
    factor of ``exp(2 e)``.
    """

    def __init__(self, steps: Sequence[Step], sampler: Sampler, stretch: float) -> None:
        """Take the filters among the steps, what drew, and how far the other steps stretch a shift."""
        temperature, self._top_k, self._top_p, self._min_p = 1.0, 0, 1.0, 0.0
        for step in steps:
            if isinstance(step, Temperature):
                temperature = step.temperature
            elif isinstance(step, TopK):
                self._top_k = step.count
            elif isinstance(step, TopP):
                self._top_p = step.share
            elif isinstance(step, MinP):
                self._min_p = step.share
        self._temperature = temperature
        self._sampler = sampler
        self._margin_of_shift = 2 * temperature / stretch

    def __call__(self, scores: Any, _after: Any, token: int, step: int) -> float:
        import numpy as np

        kept, noisy = self._sampler.places, self._sampler.noisy
        order = noisy if len(noisy) == 1 else np.partition(noisy, -2)
        best = float(order[-1])
        shift = min(_LARGEST_SHIFT, (best - float(order[-2])) / 2) if len(noisy) > 1 else _LARGEST_SHIFT
        if self._top_k or self._top_p < 1 or self._min_p:
            scores = scores.astype(np.float64) / self._temperature
            judge = _Filtering(scores, self._top_k, self._top_p, self._min_p)
            outside = judge.outside(kept, shift)
            noise = gumbel_noise(self._sampler.seed, step, len(scores), outside)
            noisy_outside = scores[outside] + noise

            def may_change(shift: float) -> bool:
                if not judge.surely_keeps(token, shift):
                    return True
                ahead = outside[noisy_outside >= best - 2 * shift]
                return bool(len(ahead)) and judge.may_keep(float(scores[ahead].max()), shift)

            shift = self._least(may_change, shift)
        elif len(noisy) == 1:
            return math.inf
        return shift * self._margin_of_shift

    @staticmethod
    def _least(may_change: Callable[[float], bool], most: float) -> float:
        """Return the smallest shift up to ``most`` at which the filters may change the choice."""
        if not may_change(most):
            return most
        low, high = 0.0, most
        while high - low > _PRECISION * max(high, _PRECISION):
            middle = (low + high) / 2
            low, high = (low, middle) if may_change(middle) else (middle, high)
        return low


class _Filtering:
    """Tells whether the filters keep a token when scores are shifted."""

    def __init__(self, scores: Any, top_k: int, top_p: float, min_p: float) -> None:
        import numpy as np

        self._scores = scores
        self._min_p = min_p
        finite = int(np.count_nonzero(scores > -np.inf))
        self._count = min(top_k, finite) if top_k else finite
        self._best = float(scores.max())
        # From this score on, tokens are within min_p of the best one.
        self._floor = self._best + (math.log(min_p) if min_p else -math.inf)
        self._odds = math.inf if top_p >= 1 else top_p / (1 - top_p)
        self._least_of_top_k, self._sums = -math.inf, None
        if top_k or top_p < 1:
            top = np.partition(scores, -self._count)[-self._count :]
            self._least_of_top_k = float(top.min()) if top_k else -math.inf
            if top_p < 1:
                self._sums = np.exp(np.sort(top)[::-1] - self._best).cumsum()

    def outside(self, kept: Any, shift: float) -> Any:
        """Return the ids of tokens that are kept out, but perhaps not after a shift."""
        import numpy as np

        near = self._scores >= max(self._floor, self._least_of_top_k) - 2 * shift
        near &= self._scores > -np.inf
        near[kept] = False
        return np.flatnonzero(near)

    def surely_keeps(self, token: int, shift: float) -> bool:
        """Tell whether a token stays for each shift of the scores up to this one."""
        import numpy as np

        score = float(self._scores[token])
        above = int((self._scores >= score - 2 * shift).sum()) - 1
        if not above:
            return True
        if above >= self._count:
            return False
        if self._min_p:
            # The token itself is not in its own way.
            other = self._best if score < self._best else float(np.partition(self._scores, -2)[-2])
            if score - other - math.log(self._min_p) < 2 * shift:
                return False
        return self._share_is_below(above, 2 * shift)

    def may_keep(self, score: float, shift: float) -> bool:
        """Tell whether a token with a score may stay after some shift up to this one."""
        above = int((self._scores > score + 2 * shift).sum())
        if not above:
            return True
        if above >= self._count or score - self._floor < -2 * shift:
            return False
        return self._share_is_below(above, -2 * shift)

    def _share_is_below(self, above: int, stretch: float) -> bool:
        """Tell whether the likeliest tokens leave room below ``top_p``, their odds being stretched."""
        if self._sums is None:
            return True
        head = float(self._sums[above - 1])
        return head * math.exp(stretch) < self._odds * (float(self._sums[-1]) - head)
