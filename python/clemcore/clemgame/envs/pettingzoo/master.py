"""A game as an environment: its agents act in turn (PettingZoo), or one of them alone (Gymnasium).

It does not know which instances are played, nor who plays the agents.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import gymnasium
from gymnasium.envs.registration import EnvSpec
from pettingzoo import AECEnv

from clemcore import backends
from clemcore.clemgame.callbacks.base import GameBenchmarkCallbackList, GameStep
from clemcore.clemgame.engine.randomness import Dispatch, Stream, drawing_from
from clemcore.clemgame.engine.seeds import derived_seed
from clemcore.clemgame.envs.agents import EnvAgent, agent_names, check_known, line_up
from clemcore.clemgame.envs.games import game_of, instances_of
from clemcore.clemgame.envs.pettingzoo.wrappers import (
    AECToGymWrapper,
    GameBenchmarkWrapper,
    GameInstanceIteratorWrapper,
    SinglePlayerWrapper,
)
from clemcore.clemgame.envs.reset_options import checked_options
from clemcore.clemgame.envs.rewards import (
    EpisodeRecord,
    FeedbackFunc,
    Reward,
    RewardFunc,
    Step,
    begin_record,
    feedback_of,
    reward_of,
    reward_of_step,
)
from clemcore.clemgame.envs.spaces import AnyText, MessageDict
from clemcore.clemgame.game_master import GameMaster, listen_to_players
from clemcore.clemgame.instances import Row
from clemcore.clemgame.legacy.passed_on import passed_on
from clemcore.errors import EnvError, GameError

if not TYPE_CHECKING:  # programs for 3.7.2 may import these names from here
    __getattr__ = passed_on(
        __name__, "CustomResponseModel", "GameBenchmark", "GameInstances", "GameRegistry", "GameState", "Outcome"
    )

__all__ = ["GameMasterEnv", "env", "gym_env"]

_OPTIONS = ("experiment", "game_instance", "player_models")
_ENDED = "The game ended before your turn."
_WAIT = "It is not your turn yet."


def gym_env(
    game_name: Any,
    *,
    instances_filter: Callable[[Row], bool] | None = None,
    single_pass: bool = False,
    learner_agent: str = "player_0",
    env_agents: dict[str, EnvAgent] | None = None,
    callbacks: GameBenchmarkCallbackList | None = None,
    reward_func: RewardFunc | str | None = None,
    feedback_func: FeedbackFunc | None = None,
    render_mode: str = "ansi",
) -> gymnasium.Env[Any, Any]:
    """Return a game as an environment of Gymnasium: one agent acts, the others play by themselves.

    Args:
        game_name: the game, as ``clem run -g`` takes it.
        instances_filter: which instances are played: a function of a row with "experiment" and "game_instance".
        single_pass: play each instance once; ``reset`` then raises StopIteration. Otherwise they are repeated.
        learner_agent: the agent that acts.
        env_agents: a model, or a function of the observation, for each other agent. If none is given, the
            game's own programs play them.
        callbacks: hear of episodes and their steps.
        reward_func: a name of ``envs.rewards.REWARDS``, or a function of observation, action, state and info.
            The default is "outcome".
        feedback_func: a function of the same arguments; what it returns is ``info["turn_feedback"]``.
        render_mode: must be "ansi": ``render`` returns text.

    Raises:
        GameError: there is no such game, no instance is left, or the game cannot be loaded (a ValueError).
        EnvError: the agents are not those of the game (a ValueError).
    """
    if render_mode != "ansi":
        raise EnvError(f"games are shown as text: render_mode must be 'ansi', not {render_mode!r}")
    given = {name: value for name, value in locals().items() if name not in ("game_name", "render_mode")}
    game = env(
        game_name,
        instances_filter=instances_filter,
        single_pass=single_pass,
        callbacks=callbacks,
        reward_func=reward_func,
        feedback_func=feedback_func,
    )
    try:
        alone = SinglePlayerWrapper(game, learner_agent, env_agents)
        line_up(game.unwrapped.game_benchmark.game_spec, alone.agent_mapping)  # refuses agents of another game
        made = AECToGymWrapper(alone)
    except BaseException:
        game.close()
        raise
    made.spec = _spec_of(game_name, given)
    return made


def _spec_of(game_name: Any, given: dict[str, Any]) -> EnvSpec | None:
    """Return how Gymnasium can make the same environment again, such as for its checker."""
    if not isinstance(game_name, str) or not game_name.isidentifier():
        return None
    kwargs = {"game_name": game_name, **given}
    # Gymnasium's own wrappers would refuse again, in other words, what the environment refuses.
    return EnvSpec(
        f"clemcore/{game_name}-v0",
        entry_point=gym_env,
        order_enforce=False,
        disable_env_checker=True,
        kwargs=kwargs,
    )


def env(
    game_name: Any,
    *,
    instances_filter: Callable[[Row], bool] | None = None,
    single_pass: bool = False,
    callbacks: GameBenchmarkCallbackList | None = None,
    reward_func: RewardFunc | str | None = None,
    feedback_func: FeedbackFunc | None = None,
) -> AECEnv[str, dict[str, Any], str]:
    """Return a game as an environment of PettingZoo: the caller acts for every agent.

    The arguments are those of :func:`gym_env`.
    """
    # Everything that can be wrong is looked at before the game is imported.
    spec = game_of(game_name)
    instances = instances_of(spec, instances_filter)
    reward, feedback = reward_of(reward_func), feedback_of(feedback_func)
    game = GameBenchmarkWrapper(
        GameMasterEnv, game_spec=spec, callbacks=callbacks, reward_func=reward, feedback_func=feedback
    )
    return GameInstanceIteratorWrapper(game, instances, single_pass=single_pass)


class GameMasterEnv(AECEnv[str, dict[str, Any], str]):
    """Plays one episode after another with a game master. The instance comes with the options of ``reset``.

    Args:
        game_benchmark: the game.
        callbacks: hear of episodes and their steps.
        reward_func: see :func:`gym_env`.
        feedback_func: see :func:`gym_env`.

    Attributes:
        game_master: leads the current episode; None before the first one.
        game_instance: its instance.
        experiment: its experiment.
        player_by_agent_id: its players, by the names of the agents.
        player_to_agent_id: the names of the agents, by the names of the players.
    """

    def __init__(
        self,
        game_benchmark: Any,
        *,
        callbacks: GameBenchmarkCallbackList | None = None,
        reward_func: RewardFunc | str | None = None,
        feedback_func: FeedbackFunc | None = None,
    ) -> None:
        super().__init__()
        self.game_benchmark = game_benchmark
        self.callbacks = GameBenchmarkCallbackList() if callbacks is None else callbacks
        self._reward_func = reward_of(reward_func)
        self._feedback_func = feedback_of(feedback_func)
        self.game_master: Any = None
        self.game_instance: dict[str, Any] | None = None
        self.experiment: dict[str, Any] | None = None
        self.player_by_agent_id: dict[str, Any] = {}
        self.player_to_agent_id: dict[str, str] = {}
        self.options: dict[str, Any] = {}
        self.metadata = {"name": game_benchmark.game_spec.game_name, "render_modes": ["ansi"]}
        self._game = str(self.metadata["name"])
        self.render_mode = "ansi"
        players = getattr(game_benchmark.game_spec, "player_count", 0)
        self.possible_agents = agent_names(players if isinstance(players, int) else 0)
        self.agents: list[str] = []
        self._agent_selection: str | None = None
        self._is_closed = False
        self.rewards: dict[str, float] = {}
        self.terminations: dict[str, bool] = {}
        self.truncations: dict[str, bool] = {}
        self.infos: dict[str, dict[str, Any]] = {}
        self._cumulative_rewards: dict[str, float] = {}
        self.observation_spaces: dict[str, Any] = {}
        self.action_spaces: dict[str, Any] = {}
        self._names: dict[str, Any] = {}
        self._record: EpisodeRecord | None = None
        self._stream: Stream | None = None
        self._dispatch = Dispatch()
        weakref.finalize(self, self._dispatch.remove)

    def __deepcopy__(self, memo: dict[int, Any]) -> GameMasterEnv:
        """Return a copy that goes on with the episode by itself. Both share the game and the models."""
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        memo.update({id(model): model for model in self.options.get("player_models") or ()})
        dispatch = memo[id(self._dispatch)] = Dispatch()
        copied.__dict__.update({name: copy.deepcopy(value, memo) for name, value in vars(self).items()})
        if self._stream is not None and not self._is_closed:
            dispatch.install()
        weakref.finalize(copied, dispatch.remove)
        return copied

    # -- an episode begins ---------------------------------------------------------------------------------------
    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begin an episode.

        Args:
            seed: what the game's random numbers start from; None lets it draw from the process's own generators.
            options: "experiment" and "game_instance", and optionally "player_models".

        Raises:
            EnvError: options are missing (a ValueError).
            Exception: whatever the game raises in its setup.
        """
        self.options = checked_options(options, self._game, _OPTIONS, takes_others=True)
        missing = [name for name in ("experiment", "game_instance") if name not in self.options]
        if missing:
            raise EnvError(f"{self._game}: reset() needs the options {' and '.join(missing)}")
        self.agents, self.game_master = [], None
        # A game may change what it gets; the same instance is played again.
        self.experiment, self.game_instance = copy.deepcopy(
            (self.options["experiment"], self.options["game_instance"])
        )
        self._stream = None if seed is None else Stream(derived_seed(seed, self._game))
        if seed is not None:
            self._dispatch.install()
        with self._telling_callbacks(), self.drawing():
            self._set_up()
        players = self.game_master.get_players()
        self.agents = agent_names(len(players))
        self.possible_agents += [agent for agent in self.agents if agent not in self.possible_agents]
        self.player_by_agent_id = dict(zip(self.agents, players, strict=True))
        self.player_to_agent_id = {player.name: agent for agent, player in self.player_by_agent_id.items()}
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self._names = {
            "game_name": self._game,
            "experiment_name": self.options["experiment"].get("name"),
            "game_id": self.game_instance.get("game_id"),
        }
        self.infos = {agent: dict(self._names) for agent in self.agents}
        self._skip_agent_selection = None
        self.agent_selection = self.get_current_agent()

    def _set_up(self) -> None:
        models = self.options.get("player_models")
        if models is None:
            models = [backends.CustomResponseModel()] * self.game_benchmark.game_spec.player_count
        experiment, instance = copy.deepcopy((self.experiment or {}, self.game_instance or {}))
        master = self.game_benchmark.create_game_master(experiment, models)
        if type(master).play is not GameMaster.play:
            raise GameError(
                f"{self._game}: {type(master).__name__} has its own play(), which asks the players itself: it "
                "cannot be an environment, which is played step by step"
            )
        self.game_master = master
        master.setup(**instance)
        self.callbacks.on_game_start(master, self.game_instance or {})
        if isinstance(self._reward_func, Reward):
            self._record = begin_record(
                self.game_benchmark, master, self.experiment or {}, self.game_instance or {}
            )
        listen_to_players(master)
        master.before_game()
        master._has_begun = True
        master.flush_events()

    # -- a step --------------------------------------------------------------------------------------------------
    def step(self, action: str | None) -> None:
        """Act for the agent whose turn it is (``agent_selection``).

        Args:
            action: its answer; None for an agent whose game is over, which removes it.

        Raises:
            EnvError: there is no episode to go on with, or the action is not text (a ValueError).
            Exception: whatever the game raises.
        """
        if self._is_closed:
            raise EnvError(f"{self._game}: the environment is closed: make another one")
        if not self.agents:
            why = "no episode has begun" if self.game_master is None else "the episode is over"
            raise EnvError(f"{self._game}: step() was called, but {why}: call reset() first")
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            if action is not None:
                raise EnvError(
                    f"{self._game}: the game is over for {agent}: step(None) removes it, reset() begins anew"
                )
            self._was_dead_step(None)
            return
        if not isinstance(action, str):
            raise EnvError(f"{self._game}: the action of {agent} must be text, not {action!r:.80}")
        self._clear_rewards()
        self._cumulative_rewards[agent] = 0.0
        with self._telling_callbacks(), self.drawing():
            self._act(agent, str(action))
        self._accumulate_rewards()
        self.agent_selection = self.get_current_agent()
        self._deads_step_first()

    def _act(self, agent: str, action: str) -> None:
        master, player = self.game_master, self.player_by_agent_id[agent]
        context = master.get_context_for(player)
        done, info = master.step(action)
        step = Step(context, action, master.state, info, done)
        reward = reward_of_step(self._reward_func, step, self._record)
        if self._feedback_func is not None:
            info["turn_feedback"] = self._feedback_func(context, action, master.state, info)
        self.infos[agent] = {**self._names, **info}
        self.rewards[agent] = reward
        instance = self.game_instance or {}
        self.callbacks.on_game_step(
            master, instance, GameStep(context, action, done, info, player.name, player.model.name)
        )
        if done:
            # All agents share the outcome. What others were told before belongs to their own steps.
            ending = {key: info[key] for key in ("episode_score",) if key in info}
            for other in self.agents:
                self.rewards[other] = reward
                self.terminations[other] = True
                if other != agent:
                    self.infos[other] = {**self._names, **ending}
            self.callbacks.on_game_end(master, instance, rewards=dict(self.rewards))

    def drawing(self) -> AbstractContextManager[None]:
        """Let game code in the block draw its random numbers from those of the episode."""
        return drawing_from(self._stream)

    @contextmanager
    def _telling_callbacks(self) -> Iterator[None]:
        """Tell callbacks of an exception that ends the episode."""
        try:
            yield
        except Exception as error:
            self.agents = []
            if self.game_master is not None:
                self.callbacks.on_game_end(self.game_master, self.game_instance or {}, error)
            raise

    @property
    def agent_selection(self) -> str:
        """The agent whose turn it is.

        Raises:
            EnvError: no episode has begun (a ValueError).
        """
        if self._agent_selection is None:
            raise EnvError(f"{self._game}: it is nobody's turn before an episode has begun: call reset() first")
        return self._agent_selection

    @agent_selection.setter
    def agent_selection(self, agent: str) -> None:
        self._agent_selection = agent

    # -- what agents see -----------------------------------------------------------------------------------------
    def get_current_agent(self) -> str:
        """Return the agent whose turn it is."""
        return self.player_to_agent_id[self.game_master.current_player.name]

    def observe(self, agent: str) -> dict[str, Any]:
        """Return what an agent is to answer, as a message.

        Raises:
            EnvError: no episode has begun, or the game has no such agent (a ValueError).
        """
        if self.game_master is None:
            raise EnvError(f"{self._game}: nothing can be observed before an episode has begun: call reset() first")
        check_known(agent, self.player_by_agent_id, self._game)
        context = self.game_master.get_context_for(self.player_by_agent_id[agent])
        if context is None:
            over = self.terminations.get(agent, True)
            return {"role": "user", "content": _ENDED if over else _WAIT}
        return copy.deepcopy(context)

    def observation_space(self, agent: str) -> MessageDict:
        """Return the space of what an agent observes: messages."""
        return self._space(agent, self.observation_spaces, MessageDict)  # type: ignore[no-any-return]

    def action_space(self, agent: str) -> AnyText:
        """Return the space of an agent's actions: texts."""
        return self._space(agent, self.action_spaces, AnyText)  # type: ignore[no-any-return]

    def _space(self, agent: str, spaces: dict[str, Any], make: type) -> Any:
        check_known(agent, self.possible_agents, self._game)
        if agent not in spaces:
            spaces[agent] = make()
        return spaces[agent]

    def render(self) -> str:
        """Return the dialogue so far, as each player remembers or hears it: a line for each message."""
        if self.game_master is None:
            raise EnvError(f"{self._game}: nothing can be shown before an episode has begun: call reset() first")
        turn = "nobody" if not self.agents else self.agent_selection
        lines = [f"{self._game} {self._names.get('experiment_name')}/{self._names.get('game_id')}, turn: {turn}"]
        lines += [f"[{agent}] {self.observe(agent)['content']}" for agent in self.player_by_agent_id]
        return "\n".join(lines)

    def close(self) -> None:
        """Give up what the environment holds. It can be called twice."""
        self.agents = []
        self._is_closed = True
        self._dispatch.remove()
