"""Outcome and rewards of an episode, from its scores. It names each reward that is not a number."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from clemcore.errors import StoreError
from clemcore.spelling import misspelling_of

BENCH_SCORE = "Main Score"
_UNSCORED = "the episode is not scored; run `clem score` first"
OUTCOMES = ("success", "lose", "aborted", "unknown")


def outcome_of(scores: Mapping[str, Any] | None) -> str:
    """Return "success", "lose" or "aborted", or "unknown" if the scores say none of them."""
    of = (scores or {}).get("episode scores") or {}
    names = {"success": "Success", "lose": "Lose", "aborted": "Aborted"}
    return next((outcome for outcome, metric in names.items() if of.get(metric) in (1, True)), "unknown")


def reward_of(scores: Mapping[str, Any] | None, metric: str) -> tuple[float | None, str | None]:
    """Return the value of a metric of an episode, or None and the reason."""
    if scores is None:
        return None, _UNSCORED
    return _value_of(scores.get("episode scores") or {}, metric)


def turn_reward_of(scores: Mapping[str, Any] | None, metric: str, round_: int) -> tuple[float | None, str | None]:
    """Return the value of a metric of a round, or None and the reason."""
    if scores is None:
        return None, _UNSCORED
    of = _rounds_of(scores).get(str(round_))
    return (None, f"round {round_} has no scores") if of is None else _value_of(of, metric)


class KnownMetrics:
    """Collects which metrics the episodes of an export have, to refuse a name that is nowhere."""

    def __init__(self) -> None:
        self._of_episodes: dict[str, None] = {}
        self._of_rounds: dict[str, None] = {}
        self._scored = 0

    def see(self, scores: Mapping[str, Any] | None) -> None:
        """Take the scores of an episode."""
        if scores is None:
            return
        self._scored += 1
        self._of_episodes.update(dict.fromkeys(scores.get("episode scores") or {}))
        for of in _rounds_of(scores).values():
            self._of_rounds.update(dict.fromkeys(of if isinstance(of, Mapping) else ()))

    def refuse_unknown(self, metric: str, turn_metric: str | None) -> None:
        """Refuse names of metrics that no episode and no round has.

        Raises:
            StoreError: a name is unknown; the message has the nearest one.
        """
        if metric != BENCH_SCORE and self._scored and metric not in self._of_episodes:
            raise StoreError(f"--reward: no episode has this metric: {_unknown(metric, self._of_episodes)}")
        if turn_metric is None or turn_metric in self._of_rounds:
            return
        why = _unknown(turn_metric, self._of_rounds) if self._scored else _UNSCORED
        raise StoreError(f"--turn-reward: no round has this metric: {why}")


def _rounds_of(scores: Mapping[str, Any]) -> Mapping[str, Any]:
    return scores.get("round scores") or scores.get("turn scores") or {}


def _unknown(metric: str, known: Iterable[str]) -> str:
    names = list(known)
    plain = {name.lower().replace(" ", "_"): name for name in names}
    wanted = metric.lower().replace(" ", "_")
    near = plain.get(wanted) or plain.get(misspelling_of(wanted, plain) or "")
    meant = f"did you mean {near!r}?" if near else f"there are {', '.join(map(repr, names)) or 'none'}"
    return f"there is no metric {metric!r}; {meant}"


def _value_of(scores: Mapping[str, Any], metric: str) -> tuple[float | None, str | None]:
    if metric not in scores:
        return None, _unknown(metric, scores)
    value = scores[metric]
    try:
        if isinstance(value, (bool, int, float)) and math.isfinite(value):
            return float(value), None
    except OverflowError:
        return None, f"{metric!r} is an integer of {value.bit_length()} bits, which no float holds"
    if value is None or isinstance(value, float):
        return None, f"{metric!r} is {'NaN (stored as null)' if value is None else value}"
    return None, f"{metric!r} is {type(value).__name__} {value!r:.40}, not a number"
