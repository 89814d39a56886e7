"""Listens to one episode of a stream: hands turns to the learner, rewards steps, and tells callbacks.

It does not know threads.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from clemcore.clemgame.callbacks.base import GameBenchmarkCallbackList, GameStep
from clemcore.clemgame.engine.live import waiting
from clemcore.clemgame.envs.agents import agent_names
from clemcore.clemgame.envs.rewards import EpisodeRecord, Reward, Step, begin_record, reward_of_step
from clemcore.clemgame.envs.streams.stage import Stage
from clemcore.clemgame.envs.streams.turns import Turn
from clemcore.clemgame.plan import PlannedEpisode
from clemcore.errors import EnvError

ENDED = "The game ended before your turn."


class Listener:
    """Hears what happens in an episode.

    Args:
        stage: what the streams share.
        callbacks: hear of the episode.
        ask: gets a context, and returns the learner's action.

    Attributes:
        error: what the episode has ended with, or None.
    """

    def __init__(
        self, stage: Stage, callbacks: GameBenchmarkCallbackList, ask: Callable[[dict[str, Any]], str]
    ) -> None:
        self._stage = stage
        self._callbacks = callbacks
        self._ask = waiting(ask)
        self._master: Any = None
        self._agents: dict[str, str] = {}
        self._record: EpisodeRecord | None = None
        self._names: dict[str, Any] = {}
        self._info: dict[str, Any] = {}
        self._reward = 0.0
        self._last_reward = 0.0
        self._has_acted = False
        self._has_stepped = False
        self._seen: dict[str, Any] = {"role": "user", "content": ENDED}
        self.error: Exception | None = None

    # -- the engine's observer -------------------------------------------------------------------------------------
    def has_begun(self, master: Any, planned: PlannedEpisode) -> None:
        """Take over the agents that the game's own programs do not play."""
        self._master = master
        players = master.get_players()
        names = agent_names(len(players))
        self._agents = {player.name: agent for agent, player in zip(names, players, strict=True)}
        for agent, player in zip(names, players, strict=True):
            plays = self._ask if agent == self._stage.learner else self._function_of(agent)
            if plays is not None:
                player._custom_response = plays
                player._takes_history = False
        self._callbacks.on_game_start(master, planned.instance)
        if isinstance(self._stage.reward, Reward):
            self._record = begin_record(self._stage.benchmark, master, planned.experiment, planned.instance)

    def _function_of(self, agent: str) -> Callable[[dict[str, Any]], str] | None:
        """Return what plays an agent that a function plays; its answers are checked."""
        plays = self._stage.functions.get(agent)
        if plays is None:
            return None

        def answer(context: dict[str, Any]) -> str:
            action = plays(context)
            if not isinstance(action, str):
                raise EnvError(f"{self._stage.name}: the action of {agent} must be text, not {action!r:.80}")
            return action

        return answer

    def has_stepped(self, master: Any, planned: PlannedEpisode, step: tuple[Any, ...]) -> None:
        """Reward a step."""
        player, context, response, done, info = step
        agent, stage = self._agents[player.name], self._stage
        self._has_stepped = True
        reward = reward_of_step(stage.reward, Step(context, response, master.state, info, done), self._record)
        if stage.feedback is not None:
            info["turn_feedback"] = stage.feedback(context, response, master.state, info)
        if agent == stage.learner:
            self._info = dict(info)
        elif done:
            self._info = {key: info[key] for key in ("episode_score",) if key in info}
        if agent == stage.learner or done:
            self._reward += reward
        self._last_reward = reward
        told = GameStep(context, response, done, info, player.name, player.model.name)
        self._callbacks.on_game_step(master, planned.instance, told)
        if done:
            self._look(master)

    def has_ended(self, master: Any, planned: PlannedEpisode, error: Exception | None) -> dict[str, Any]:
        """Note how the episode has ended."""
        self.error = error
        if error is not None:
            self._callbacks.on_game_end(master, planned.instance, error)
            return {}
        if not self._has_stepped:  # the game has its own loop, and is rewarded at its end only
            step = Step({}, "", master.state, {}, done=True)
            self._reward = self._last_reward = reward_of_step(self._stage.reward, step, self._record)
        rewards = dict.fromkeys(self._agents.values(), self._last_reward)
        self._callbacks.on_game_end(master, planned.instance, rewards=rewards)
        return {}

    def was_abandoned(self, planned: PlannedEpisode) -> None:
        """Tell callbacks that nobody has gone on with the episode."""
        if self._master is not None:
            self.error = EnvError(f"{planned.key}: the episode was abandoned")
            self._callbacks.on_game_end(self._master, planned.instance, self.error)

    def _look(self, master: Any) -> None:
        """Look at what the learner sees at the end."""
        player = next(
            (each for each in master.get_players() if self._agents[each.name] == self._stage.learner), None
        )
        context = None if player is None else master.get_context_for(player)
        if context is not None:
            self._seen = copy.deepcopy(context)

    # -- turns -----------------------------------------------------------------------------------------------------
    def name(self, planned: PlannedEpisode) -> None:
        """Take the names of the episode, which are facts of each turn."""
        key = planned.key
        self._names = {"game_name": key.game, "experiment_name": key.experiment, "game_id": key.game_id}

    def turn_at(self, context: dict[str, Any]) -> Turn:
        """Return the turn at which the learner is to answer a context."""
        self._seen = copy.deepcopy(context)
        self._has_acted = True
        return self._turn()

    def turn(
        self, *, terminated: bool = False, truncated: bool = False, info: dict[str, Any] | None = None
    ) -> Turn:
        """Return the last turn of the episode.

        Args:
            terminated: whether the game is over.
            truncated: whether a limit has ended it.
            info: further facts.
        """
        early = {} if self._has_acted else {"ended_early": True}
        return self._turn(terminated, truncated, {**early, **(info or {})})

    def _turn(self, terminated: bool = False, truncated: bool = False, more: dict[str, Any] | None = None) -> Turn:
        info, self._info = {**self._names, **self._info, **(more or {})}, {}
        reward, self._reward = self._reward, 0.0
        return Turn(copy.deepcopy(self._seen), reward, terminated, truncated, info)
