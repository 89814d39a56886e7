"""Scorers of the legacy contract. They do not know the new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clemcore.clemgame.legacy.passed_on import passed_on
from clemcore.clemgame.metrics import (
    KEY_EPISODE_SCORES,
    KEY_META,
    KEY_PLAYERS,
    KEY_TURN_SCORES,
    METRIC_ABORTED,
    METRIC_LOSE,
    METRIC_REQUEST_COUNT,
    METRIC_REQUEST_COUNT_PARSED,
    METRIC_REQUEST_COUNT_VIOLATED,
    METRIC_REQUEST_SUCCESS_RATIO,
    METRIC_SUCCESS,
    ScorerBase,
)

if not TYPE_CHECKING:  # programs for 3.7.2 may import these names from here
    __getattr__ = passed_on(__name__, "store_file")

__all__ = [
    "KEY_EPISODE_SCORES",
    "KEY_META",
    "KEY_PLAYERS",
    "KEY_TURN_SCORES",
    "METRIC_ABORTED",
    "METRIC_LOSE",
    "METRIC_REQUEST_COUNT",
    "METRIC_REQUEST_COUNT_PARSED",
    "METRIC_REQUEST_COUNT_VIOLATED",
    "METRIC_REQUEST_SUCCESS_RATIO",
    "METRIC_SUCCESS",
    "GameScorer",
]


class GameScorer(ScorerBase):
    """Computes the scores of an episode from its interactions.

    A game defines ``compute_scores``, or ``score_turns`` and ``log_main_score``.
    """
