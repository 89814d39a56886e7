"""Tells callbacks what happens in the episodes that the engine plays. It does not know the order of episodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from clemcore.clemgame.callbacks.base import GameBenchmarkCallback, GameStep
from clemcore.clemgame.state import Outcome
from clemcore.errors import GameError

if TYPE_CHECKING:
    from clemcore.clemgame.plan import PlannedEpisode

# Takes the context, the response, the state of the game and the facts about the step.
RewardFunction: TypeAlias = Callable[[dict[str, Any], str, Any, dict[str, Any]], float]
FeedbackFunction: TypeAlias = Callable[[dict[str, Any], str, Any, dict[str, Any]], str | None]

_OF_OUTCOME = {Outcome.SUCCESS: 1.0, Outcome.FAILURE: 0.0, Outcome.ABORTED: -1.0}


def reward_of_outcome(context: dict[str, Any], response: str, state: Any, info: dict[str, Any]) -> float:  # noqa: ARG001
    """Return 1 after success, -1 after an abort, and 0 otherwise; the reward function of 3.7.2.

    A game that keeps its state in an object without an ``outcome`` has the reward 0.
    """
    return _OF_OUTCOME.get(getattr(state, "outcome", None), 0.0)  # type: ignore[arg-type]


class Observer:
    """Tells callbacks of episodes.

    Args:
        callbacks: what hears of them.
        reward_func: gives the reward of a step; by default that of the outcome.
        feedback_func: says something about a step, which becomes ``info["turn_feedback"]``.

    Attributes:
        callbacks: what hears of them.
    """

    def __init__(
        self,
        callbacks: GameBenchmarkCallback,
        reward_func: RewardFunction | None = None,
        feedback_func: FeedbackFunction | None = None,
    ) -> None:
        self.callbacks = callbacks
        self._reward_func = reward_func or reward_of_outcome
        self._feedback_func = feedback_func
        self._rewards: dict[int, float] = {}

    def has_begun(self, master: Any, planned: PlannedEpisode) -> None:
        """Say that a game master is set up."""
        self.callbacks.on_game_start(master, planned.instance)

    def has_stepped(self, master: Any, planned: PlannedEpisode, step: tuple[Any, ...]) -> None:
        """Say that a player has answered."""
        player, context, response, done, info = step
        reward = self._reward_func(context, response, master.state, info)
        self._rewards[id(master)] = _checked(reward, self._reward_func, planned)
        if self._feedback_func is not None:
            info["turn_feedback"] = self._feedback_func(context, response, master.state, info)
        told = GameStep(context, response, done, info, player.name, player.model.name)
        self.callbacks.on_game_step(master, planned.instance, told)

    def has_ended(self, master: Any, planned: PlannedEpisode, error: Exception | None) -> dict[str, Any]:
        """Say how an episode has ended; its last reward is that of all players."""
        reward = self._rewards.pop(id(master), 0.0)
        if error is not None:
            self.callbacks.on_game_end(master, planned.instance, error)
            return {}
        rewards = {f"player_{place}": reward for place, _ in enumerate(master.get_players())}
        self.callbacks.on_game_end(master, planned.instance, rewards=dict(rewards))
        return {"rewards": rewards}


def _checked(reward: Any, function: Any, planned: PlannedEpisode) -> float:
    if isinstance(reward, (int, float)) and math.isfinite(reward):
        return float(reward)
    name = getattr(function, "__name__", repr(function))
    raise GameError(f"{planned.key}: {name} returned the reward {reward!r}; it must return a finite number")
