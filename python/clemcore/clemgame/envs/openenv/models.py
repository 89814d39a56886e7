"""What clients and servers of the OpenEnv protocol say to each other about games. It does not know connections."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictStr

__all__ = ["ClemGameAction", "ClemGameObservation", "ClemGameState"]


class ClemGameAction(BaseModel):
    """An action of the learner.

    Attributes:
        response: its answer.
        metadata: facts that the server does not use.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    metadata: dict[str, Any] = Field(default_factory=dict)
    response: StrictStr


class ClemGameObservation(BaseModel):
    """What the learner is to answer.

    Attributes:
        context: the message.
        done: whether the episode is over; a server says so beside the observation.
        reward: the reward of the last action; a server says so beside the observation.
        metadata: facts about the episode and the last step, such as ``game_id`` and ``truncated``.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    done: bool = False
    reward: bool | int | float | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    context: dict[str, Any]


class ClemGameState(BaseModel):
    """How far a client is.

    Attributes:
        episode_id: its current episode.
        step_count: how often it has acted in it.
        game_name: the game.
        episode_count: how many episodes it has begun.
    """

    model_config = ConfigDict(extra="allow", validate_assignment=True)

    episode_id: str | None = None
    step_count: int = Field(default=0, ge=0)
    game_name: str | None = None
    episode_count: int = 0
