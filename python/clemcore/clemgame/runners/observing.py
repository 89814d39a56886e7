"""Tells callbacks what happens in the episodes that the engine plays. It does not know the order of episodes."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.callbacks.base import GameBenchmarkCallback, GameStep
from clemcore.clemgame.envs.rewards import (
    EpisodeRecord,
    FeedbackFunc,
    RewardFunc,
    Step,
    begin_record,
    feedback_of,
    reward_of,
    reward_of_step,
)

if TYPE_CHECKING:
    from clemcore.clemgame.benchmark import GameBenchmark
    from clemcore.clemgame.plan import PlannedEpisode


class CallbackObserver:
    """Tells callbacks of episodes.

    Args:
        benchmark: the game.
        callbacks: what hears of its episodes.
        reward_func: gives the reward of a step; by default that of the outcome.
        feedback_func: says something about a step, which becomes ``info["turn_feedback"]``.

    Attributes:
        callbacks: what hears of its episodes.
    """

    def __init__(
        self,
        benchmark: GameBenchmark,
        callbacks: GameBenchmarkCallback,
        reward_func: RewardFunc | str | None = None,
        feedback_func: FeedbackFunc | None = None,
    ) -> None:
        self.callbacks = callbacks
        self._benchmark = benchmark
        self._reward_func = reward_of(reward_func)
        self._feedback_func = feedback_of(feedback_func)
        # By the identity of the game master, as long as it plays.
        self._records: dict[int, EpisodeRecord] = {}
        self._rewards: dict[int, float] = {}

    def has_begun(self, master: Any, planned: PlannedEpisode) -> None:
        """Say that a game master is set up."""
        self._records[id(master)] = begin_record(self._benchmark, master, planned.experiment, planned.instance)
        self.callbacks.on_game_start(master, planned.instance)

    def has_stepped(self, master: Any, planned: PlannedEpisode, step: tuple[Any, ...]) -> None:
        """Say that a player has answered."""
        player, context, response, done, info = step
        rewarded = Step(context, response, master.state, info, done)
        self._rewards[id(master)] = reward_of_step(self._reward_func, rewarded, self._records.get(id(master)))
        if self._feedback_func is not None:
            info["turn_feedback"] = self._feedback_func(context, response, master.state, info)
        told = GameStep(context, response, done, info, player.name, player.model.name)
        self.callbacks.on_game_step(master, planned.instance, told)

    def has_ended(self, master: Any, planned: PlannedEpisode, error: Exception | None) -> dict[str, Any]:
        """Say how an episode has ended; its last reward is that of all players."""
        self._records.pop(id(master), None)
        reward = self._rewards.pop(id(master), 0.0)
        if error is not None:
            self.callbacks.on_game_end(master, planned.instance, error)
            return {}
        rewards = {f"player_{place}": reward for place, _ in enumerate(master.get_players())}
        self.callbacks.on_game_end(master, planned.instance, rewards=dict(rewards))
        return {"rewards": rewards}

    def take_over(self, other: CallbackObserver, masters: tuple[Any, Any], memo: dict[int, Any]) -> None:
        """Know of a copied game master what another observer knows of the original.

        Args:
            other: the other observer.
            masters: the game master, and its copy.
            memo: what was copied with it (see ``copy.deepcopy``).
        """
        original, copied = masters
        record = other._records.get(id(original))
        if record is not None:
            memo.update({id(each): each for each in (self._benchmark, record.experiment, record.instance)})
            self._records[id(copied)] = deepcopy(record, memo)
