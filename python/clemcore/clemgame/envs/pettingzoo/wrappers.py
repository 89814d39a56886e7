"""Wrappers: which instances are played, who plays the agents, and a game of one learner as a Gymnasium environment.

They do not know how a game is played.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gymnasium
from pettingzoo import AECEnv
from pettingzoo.utils import BaseWrapper

from clemcore import backends
from clemcore.clemgame.benchmark import GameBenchmark
from clemcore.clemgame.callbacks.base import GameBenchmarkCallbackList
from clemcore.clemgame.envs.agents import (
    EnvAgent,
    checked_agents,
    is_learner,
    line_up,
    order_agent_mapping_by_agent_id,
    players_of,
)
from clemcore.clemgame.envs.instance_order import InstanceOrder
from clemcore.clemgame.envs.reset_options import checked_options
from clemcore.clemgame.envs.spaces import MessageSpace
from clemcore.clemgame.instances import GameInstances
from clemcore.clemgame.legacy.passed_on import passed_on
from clemcore.errors import EnvError

if not TYPE_CHECKING:  # programs for 3.7.2 may import these names from here
    __getattr__ = passed_on(__name__, "CustomResponseModel", "GameSpec", "Model", "ModelSpec")

__all__ = [
    "AECToGymWrapper",
    "AgentControlWrapper",
    "EnvAgent",
    "GameBenchmarkWrapper",
    "GameInstanceIteratorWrapper",
    "SinglePlayerWrapper",
    "order_agent_mapping_by_agent_id",
]

_OPTIONS = ("game_id", "experiment", "game_instance", "player_models")
_logger = logging.getLogger(__name__)


class GameBenchmarkWrapper(BaseWrapper):
    """Loads a game and makes its environment; ``close`` unloads it.

    Args:
        env_class: makes the environment of a loaded game.
        game_spec: the specification of the game.
        **env_kwargs: handed to ``env_class``.
    """

    def __init__(self, env_class: Callable[..., AECEnv], *, game_spec: Any, **env_kwargs: Any) -> None:
        given = env_kwargs.get("callbacks")
        self.callbacks: GameBenchmarkCallbackList = GameBenchmarkCallbackList() if given is None else given
        self.game_benchmark = GameBenchmark.load_from_spec(game_spec)
        try:
            super().__init__(env_class(self.game_benchmark, **env_kwargs))
            self.callbacks.on_benchmark_start(self.game_benchmark)
        except BaseException:
            self.game_benchmark.close()
            raise
        self._is_closed = False
        self._is_copy = False

    def __deepcopy__(self, memo: dict[int, Any]) -> GameBenchmarkWrapper:
        """Return a copy that goes on with the episode by itself; the game stays that of the original."""
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update({name: copy.deepcopy(value, memo) for name, value in vars(self).items()})
        copied._is_copy = True
        return copied

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begin an episode."""
        if self._is_closed:
            raise EnvError(f"{self.env}: the environment is closed: make another one")
        super().reset(seed=seed, options=options)

    def close(self) -> None:
        """End the benchmark, and unload the game, unless this is a copy. It can be called twice."""
        super().close()
        if self._is_copy:
            self._is_closed = True
        if not self._is_closed:
            self._is_closed = True
            self.callbacks.on_benchmark_end(self.game_benchmark)
            self.game_benchmark.close()


class GameInstanceIteratorWrapper(BaseWrapper):
    """Plays the next instance with each ``reset``, or the one with the ``game_id`` of its options.

    Without a seed, the instances come in the order of their file. A seed begins a new order that depends on it
    alone, and so do the game's random numbers. A single pass keeps the order of the file.

    Args:
        wrapped_env: the environment.
        game_instances: the instances.
        single_pass: play each instance once; ``reset`` then raises StopIteration.
    """

    def __init__(self, wrapped_env: AECEnv, game_instances: GameInstances, single_pass: bool = False) -> None:
        super().__init__(wrapped_env)
        self._order = InstanceOrder(game_instances, single_pass=single_pass)
        how = "once" if single_pass else "again and again"
        _logger.info("playing %s, %s", game_instances.describe(), how)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begin an episode with the next instance.

        Args:
            seed: begins a new order of instances, and seeds the game.
            options: "game_id" plays this instance, "experiment" names its experiment where several have this ID;
                everything else is handed on. A whole row ("experiment" and "game_instance") is played as it is.

        Raises:
            StopIteration: a single pass is over.
            GameError: there is no instance with the ``game_id`` (a ValueError).
            EnvError: ``options`` has an unknown name (a ValueError).
        """
        given = checked_options(options, self.unwrapped, _OPTIONS, takes_others=True)
        given = {name: value for name, value in given.items() if name in _OPTIONS}
        if "game_instance" in given:
            if "game_id" in given:
                raise EnvError(
                    f"{self.unwrapped}: game_id and game_instance both name an instance: leave out one of them"
                )
            super().reset(seed=seed, options=given)
            return
        row, episode_seed = self._order.next(seed, given.pop("game_id", None), given.pop("experiment", None))
        given["experiment"], given["game_instance"] = row["experiment"], row["game_instance"]
        super().reset(seed=episode_seed, options=given)


class AgentControlWrapper(BaseWrapper):
    """Plays the turns of all agents but the learners. ``step`` acts for a learner, and returns at a learner's turn.

    Args:
        env: the environment.
        agent_mapping: for each agent "learner", a model, the name of a model, or a function of the observation.
            Without a learner, ``reset`` plays a whole episode.
    """

    def __init__(self, env: AECEnv, agent_mapping: dict[str, Any]) -> None:
        super().__init__(env)
        self.agent_mapping = players_of(agent_mapping)
        self.learner_agents = [agent for agent, plays in self.agent_mapping.items() if is_learner(plays)]
        self.callable_agents: dict[str, Callable[[Any], Any]] = {
            agent: plays
            for agent, plays in self.agent_mapping.items()
            if callable(plays) and not isinstance(plays, backends.Model)
        }

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begin an episode, and play it up to a learner's turn.

        Args:
            seed: as that of the environment.
            options: as those of the environment; "player_models" takes the place of the models of the mapping.
        """
        given = checked_options(options, self.unwrapped, _OPTIONS, takes_others=True)
        if "player_models" not in given:
            given["player_models"] = line_up(self.unwrapped.game_benchmark.game_spec, self.agent_mapping)
        super().reset(seed=seed, options=given)
        self.auto_step()

    def step(self, action: str | None) -> None:
        """Act for the learner whose turn it is, and play up to the next turn of a learner.

        Raises:
            EnvError: it is not a learner's turn (a ValueError).
        """
        if self.env.agents and self.env.agent_selection not in self.learner_agents:
            raise EnvError(
                f"{self.env.unwrapped}: it is the turn of {self.env.agent_selection}, which the environment plays "
                "itself: call reset() first"
            )
        super().step(action)
        self.auto_step()

    def auto_step(self) -> None:
        """Play up to the next turn of a learner, or to the end of the episode."""
        for agent in self.env.agent_iter():
            if agent in self.learner_agents:
                return
            observation, _, is_terminated, is_truncated, _ = self.env.last()
            over = is_terminated or is_truncated
            self.env.step(None if over else self._answer(agent, observation))

    def _answer(self, agent: str, observation: Any) -> Any:
        plays = self.get_env_agent(agent)
        if agent not in self.callable_agents and isinstance(plays.model, backends.CustomResponseModel):
            with self.unwrapped.drawing():  # the program is part of the game
                return plays(observation)
        return plays(observation)

    def get_env_agent(self, agent_id: str) -> Any:
        """Return who plays an agent: the function that was given for it, or else the game's own player."""
        if agent_id in self.callable_agents:
            return self.callable_agents[agent_id]
        return self.unwrapped.player_by_agent_id[agent_id]


class SinglePlayerWrapper(AgentControlWrapper):
    """A game with one learner.

    Args:
        env: the environment.
        learner_agent: the agent that the caller plays.
        env_agents: a model or a function for each other agent. If none is given, the game's own programs play them.
    """

    def __init__(
        self, env: AECEnv, learner_agent: str = "player_0", env_agents: dict[str, EnvAgent] | None = None
    ) -> None:
        others = checked_agents(env_agents)
        if learner_agent in others or any(is_learner(plays) for plays in others.values()):
            raise EnvError(
                f"exactly one agent learns, and that is {learner_agent}: env_agents names another learner"
            )
        super().__init__(env, {learner_agent: "learner", **others})
        self.learner_agent = learner_agent


class AECToGymWrapper(gymnasium.Env[Any, Any]):
    """A game with one learner as an environment of Gymnasium.

    Args:
        env: the environment; it must have exactly one learner.

    Raises:
        EnvError: it has none, or several (a ValueError).
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - as Gymnasium has it

    def __init__(self, env: Any) -> None:
        self.env = env
        learners = getattr(env, "learner_agents", [])
        if len(learners) != 1:
            raise EnvError(f"exactly one agent must learn, not {len(learners)}: use SinglePlayerWrapper")
        self.learner_agent: str = learners[0]
        self.observation_space = MessageSpace()
        self.action_space = env.action_space(self.learner_agent)
        self.render_mode = "ansi"
        # Why the learner cannot act, or None.
        self._stopped: str | None = "no episode has begun"
        self._ended_early = False
        self._is_closed = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode.

        Returns:
            What the learner is to answer, and facts about the episode. ``info["ended_early"]`` is set if the game
            was over before the learner's first turn: the next step then returns the end, whatever the action is.
        """
        super().reset(seed=seed)
        given = checked_options(options, self.env.unwrapped, _OPTIONS)
        self._stopped = "reset() has failed"
        self.env.reset(seed=seed, options=given)
        self._stopped, self._ended_early = None, False
        observation, _, is_terminated, is_truncated, info = self.env.last()
        if is_terminated or is_truncated:
            self._ended_early = True
            info = {**info, "ended_early": True}
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act for the learner, and play up to its next turn.

        Returns:
            What the learner is to answer next, the reward since its last action, whether the game is over, whether
            it was cut off, and facts about the step.

        Raises:
            EnvError: there is no episode to go on with, or the action is not text (a ValueError).
        """
        if self._is_closed:
            raise EnvError(f"{self.env.unwrapped}: the environment is closed: make another one")
        if self._stopped is not None:
            raise EnvError(f"{self.env.unwrapped}: step() was called, but {self._stopped}: call reset() first")
        if not self._ended_early:
            if not isinstance(action, str):
                where = f"{self.env.unwrapped}: the action of {self.learner_agent}"
                raise EnvError(f"{where} must be text, not {action!r:.80}")
            self._stopped = "the episode ended with an error"
            self.env.step(action)
            self._stopped = None
        observation, reward, is_terminated, is_truncated, info = self.env.last()
        if is_terminated or is_truncated:
            self._stopped = "the episode is over"
            self.env.step(None)
        return observation, float(reward), is_terminated, is_truncated, info

    def render(self) -> Any:
        """Return the state of the dialogue as text."""
        return self.env.render()

    def close(self) -> None:
        """Close the environment. It can be called twice."""
        self._is_closed = True
        self.env.close()
