"""A game as an environment of OpenEnv for one client, for programs that make servers themselves.

``clem serve`` does not use it. It does not know connections.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clemcore import backends
from clemcore.clemgame.callbacks.base import GameBenchmarkCallbackList
from clemcore.clemgame.envs.agents import check_agent_mapping_for_training
from clemcore.clemgame.envs.openenv.models import ClemGameAction, ClemGameObservation, ClemGameState
from clemcore.clemgame.envs.pettingzoo import gym_env
from clemcore.clemgame.envs.rewards import FeedbackFunc, RewardFunc
from clemcore.clemgame.envs.splits import filter_of_split
from clemcore.clemgame.registry import GameRegistry

__all__ = ["ClemGameEnvironment"]


class ClemGameEnvironment:
    """Plays one episode after another for one client.

    Args:
        game_name: the game.
        game_instance_split: "train" or "validation"; by default all instances.
        single_pass: play each instance once.
        learner_agent: the agent that the client plays.
        env_agents: a model, or the name of a model, for each other agent.
        gen_args: generation arguments of the models.
        callbacks: hear of episodes.
        reward_func: see ``gym_env``.
        feedback_func: see ``gym_env``.
    """

    def __init__(
        self,
        game_name: str,
        *,
        game_instance_split: str | None = None,
        single_pass: bool = False,
        learner_agent: str = "player_0",
        env_agents: Mapping[str, Any] | None = None,
        gen_args: dict[str, Any] | None = None,
        callbacks: GameBenchmarkCallbackList | None = None,
        reward_func: RewardFunc | str | None = None,
        feedback_func: FeedbackFunc | None = None,
    ) -> None:
        agents = dict(env_agents or {})
        spec = GameRegistry.from_directories_and_cwd_files().get_game_spec(game_name)
        check_agent_mapping_for_training(spec, {learner_agent: "learner", **agents})
        condition = filter_of_split(game_instance_split) if game_instance_split else None
        named = [agent for agent, plays in agents.items() if isinstance(plays, str)]
        models = backends.load_models([agents[agent] for agent in named], gen_args) if named else []
        agents.update(zip(named, models, strict=True))
        self._game = gym_env(
            game_name,
            instances_filter=condition,
            single_pass=single_pass,
            learner_agent=learner_agent,
            env_agents=agents,
            callbacks=callbacks,
            reward_func=reward_func,
            feedback_func=feedback_func,
        )
        self._state = ClemGameState(game_name=game_name, episode_id="episode_0")

    def reset(self, seed: int | None = None, episode_id: str | None = None, **options: Any) -> ClemGameObservation:
        """Begin the next episode; options are those of the environment, such as "game_id"."""
        observation, info = self._game.reset(seed=seed, options=options)
        count = self._state.episode_count + 1
        self._state.episode_count, self._state.step_count = count, 0
        self._state.episode_id = episode_id or f"episode_{count}"
        return ClemGameObservation(context=observation, metadata=info)

    def step(self, action: ClemGameAction, timeout_s: float | None = None, **_: Any) -> ClemGameObservation:  # noqa: ARG002
        """Act for the learner."""
        observation, reward, terminated, truncated, info = self._game.step(action.response)
        self._state.step_count += 1
        return ClemGameObservation(
            context=observation,
            reward=float(reward),
            done=terminated or truncated,
            metadata={**info, "truncated": truncated},
        )

    @property
    def state(self) -> ClemGameState:
        """How far the client is."""
        return self._state

    def close(self) -> None:
        """Close the environment."""
        self._game.close()
