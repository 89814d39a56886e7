"""Whether the scores of an episode are finite and in their range. It does not know what they mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from clemcore.clemgame.checking.remarks import ERROR, WARNING, Remark
from clemcore.clemgame.metrics import (
    BENCH_SCORE,
    METRIC_ABORTED,
    METRIC_LOSE,
    METRIC_REQUEST_SUCCESS_RATIO,
    METRIC_SUCCESS,
)
from clemcore.clemgame.score_values import fault_of

_RANGES: dict[str, tuple[float, float]] = {
    BENCH_SCORE: (0, 100),
    METRIC_ABORTED: (0, 1),
    METRIC_LOSE: (0, 1),
    METRIC_SUCCESS: (0, 1),
    METRIC_REQUEST_SUCCESS_RATIO: (0, 1),
}
# Sums of floats may be a little above.
_SLACK = 1e-9


def remarks_on_scores(spec: Any, scorer: Any, lines: Mapping[str, tuple[str, int]]) -> Iterator[Remark]:
    """Report scores of an episode that are not what the evaluation and the game's specification expect.

    Args:
        spec: the specification; ``score_ranges`` in it has the lowest and highest value of scores.
        scorer: the scorer, after it has computed the scores.
        lines: where each score was logged.
    """
    scores = scorer.scores.get("episode scores", {})
    declared = spec.get("score_ranges") or {}
    ranges = {**_RANGES, **{name: tuple(pair) for name, pair in declared.items()}}
    for name, value in scores.items():
        at = lines.get(name, ("", 0))
        if value is None:
            continue
        if isinstance(value, bool):
            fault = fault_of(value, is_main=name == BENCH_SCORE)
            yield Remark(WARNING, f"the score '{name}' {fault}", "scores", *at)
            continue
        if not isinstance(value, (int, float)) and not hasattr(value, "__float__"):
            if name in ranges:
                message = f"the score '{name}' is a {type(value).__name__}, not a number"
                yield Remark(ERROR, message, "scores", *at)
            continue
        number = float(value)
        if math.isinf(number):
            yield Remark(
                ERROR, f"the score '{name}' is infinite: JSON and means have no room for it", "scores", *at
            )
        elif math.isnan(number):
            if name == BENCH_SCORE and scores.get(METRIC_ABORTED) == 0:
                message = (
                    f"'{name}' is NaN, but the episode is not aborted: it is left out of the mean. Log a number"
                )
                yield Remark(WARNING, message, "scores", *at)
        elif name in ranges and not ranges[name][0] - _SLACK <= number <= ranges[name][1] + _SLACK:
            low, high = ranges[name]
            message = f"the score '{name}' is {number:g}, outside of {low:g} to {high:g}"
            yield Remark(ERROR, message, "scores", *at)
