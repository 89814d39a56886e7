"""Turns: where an episode has come to. It does not know how it came there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Turn:
    """Where an episode has come to.

    Attributes:
        observation: what the learner is to answer.
        reward: what came since its last action.
        terminated: whether the game is over.
        truncated: whether a limit has ended the episode.
        info: facts about the episode and the last step. "ended_early" says that the game was over before the
            learner's first turn: the next step brings the end, whatever the action is.
    """

    observation: dict[str, Any]
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def is_last(self) -> bool:
        """Whether the episode is over."""
        return self.terminated or self.truncated
