"""Outcome and rewards of an episode, from its scores. It names each reward that is not a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from clemcore.spelling import misspelling_of

BENCH_SCORE = "Main Score"
OUTCOMES = ("success", "lose", "aborted", "unknown")


def outcome_of(scores: Mapping[str, Any] | None) -> str:
    """Return "success", "lose" or "aborted", or "unknown" if the scores say none of them."""
    of = (scores or {}).get("episode scores") or {}
    names = {"success": "Success", "lose": "Lose", "aborted": "Aborted"}
    return next((outcome for outcome, metric in names.items() if of.get(metric) in (1, True)), "unknown")


def reward_of(scores: Mapping[str, Any] | None, metric: str) -> tuple[float | None, str | None]:
    """Return the value of a metric of an episode, or None and the reason."""
    if scores is None:
        return None, "the episode is not scored; run `clem score` first"
    return _value_of(scores.get("episode scores") or {}, metric)


def turn_reward_of(scores: Mapping[str, Any] | None, metric: str, round_: int) -> tuple[float | None, str | None]:
    """Return the value of a metric of a round, or None and the reason."""
    if scores is None:
        return None, "the episode is not scored; run `clem score` first"
    rounds = scores.get("round scores") or scores.get("turn scores") or {}
    of = rounds.get(str(round_))
    return (None, f"round {round_} has no scores") if of is None else _value_of(of, metric)


def _value_of(scores: Mapping[str, Any], metric: str) -> tuple[float | None, str | None]:
    if metric not in scores:
        plain = {name.lower().replace(" ", "_"): name for name in scores}
        wanted = metric.lower().replace(" ", "_")
        near = plain.get(wanted) or plain.get(misspelling_of(wanted, plain) or "")
        meant = f"did you mean {near!r}?" if near else f"there are {', '.join(map(repr, scores)) or 'none'}"
        return None, f"there is no metric {metric!r}; {meant}"
    value = scores[metric]
    if isinstance(value, (bool, int, float)) and math.isfinite(value):
        return float(value), None
    if value is None or isinstance(value, float):
        return None, f"{metric!r} is {'NaN (stored as null)' if value is None else value}"
    return None, f"{metric!r} is {type(value).__name__} {value!r:.40}, not a number"
