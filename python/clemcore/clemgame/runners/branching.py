"""Plays episodes that go on in several ways, so that different answers to the same prompt can be compared.

At a step where a condition holds, the episode divides into branches. Each branch is an episode of its own, with its
own copies of game master, players and callbacks. All branches share what was played before.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeAlias

from clemcore.clemgame.callbacks.base import GameBenchmarkCallback, GameSnapshot
from clemcore.clemgame.engine import Options
from clemcore.clemgame.engine.view import model_of
from clemcore.clemgame.envs.rewards import FeedbackFunc, RewardFunc, feedback_of, reward_of
from clemcore.clemgame.legacy.passed_on import passed_on
from clemcore.clemgame.runners.observing import CallbackObserver
from clemcore.clemgame.runners.playing import play
from clemcore.errors import RunError

if TYPE_CHECKING:
    from clemcore.clemgame.benchmark import GameBenchmark
    from clemcore.clemgame.plan import PlannedEpisode
    from clemcore.clemgame.runners.store import Epochs
    from clemcore.model import Model

if not TYPE_CHECKING:  # programs for 3.7.2 may import these names from here
    __getattr__ = passed_on(
        __name__, "GameBenchmark", "GameBenchmarkCallbackList", "GameInstances", "GameState", "Model"
    )

__all__ = [
    "BranchingCondition",
    "BranchingRunner",
    "combined_condition",
    "is_player_model",
    "is_player_role",
    "is_round",
    "run",
]

# Takes ``player`` and ``env``, by name.
BranchingCondition: TypeAlias = Callable[..., bool]


def always(**_: Any) -> bool:
    """Branch at each step."""
    return True


def is_player_role(game_role: str) -> BranchingCondition:
    """Branch where a player with this role is to answer."""
    return lambda player=None, **_: getattr(player, "game_role", None) == game_role


def is_player_model(model: Model) -> BranchingCondition:
    """Branch where a player of this model is to answer."""

    def condition(player: Any = None, **_: Any) -> bool:
        found = getattr(player, "model", None)
        return found is not None and model_of(found) is model_of(model)

    return condition


def is_round(round_number: int) -> BranchingCondition:
    """Branch in this round; the first one is 0."""
    return lambda env=None, **_: getattr(getattr(env, "game_master", None), "current_round", None) == round_number


def combined_condition(*conditions: BranchingCondition) -> BranchingCondition:
    """Branch where all of these conditions hold."""
    return lambda player, env: all(condition(player=player, env=env) for condition in conditions)


def run(
    game_benchmark: GameBenchmark,
    game_instances: Iterable[dict[str, Any]],
    player_models: Sequence[Model],
    *,
    callbacks: GameBenchmarkCallback,
    branching_factor: int = 1,
    branching_condition: BranchingCondition | None = always,
    reward_func: RewardFunc | str | None = None,
    feedback_func: FeedbackFunc | None = None,
    seed: int = 0,
) -> None:
    """Play instances one after another, each with its branches side by side.

    With a factor F and a condition that holds at N steps of an episode, it has F to the power of N endings.

    Args:
        game_benchmark: the game, loaded.
        game_instances: a row for each tree, as ``GameInstances`` gives them.
        player_models: a model for each role in the order of the roles, or one for all.
        callbacks: what hears of the benchmark and of each episode. Each branch has a copy of the callbacks, made
            with ``copy.deepcopy``. What all branches share needs a ``__deepcopy__`` that returns itself.
        branching_factor: in how many ways an episode goes on where it branches.
        branching_condition: called before each step with ``player`` and ``env``; ``env.game_master`` is the game
            master. None: nowhere.
        reward_func: gives the reward of a step from its context, its response, the state and the info, or the name
            of a reward of :mod:`clemcore.clemgame.envs.rewards`; by default ``outcome``: 1 after success, -1 after
            an abort, and 0 otherwise.
        feedback_func: says something about a step, which becomes ``info["turn_feedback"]``.
        seed: what the random numbers of episodes and the seeds of calls start from; each branch has others.

    Raises:
        GameError: rows or models do not fit the game; nothing was played.
        RunError: the factor is below 1, or the results folder belongs to 'clem run'.
        StoreError: another process writes to the results folder, or it cannot be written.
        BudgetExceededError: no further call can be paid for.
    """
    _check(branching_factor, branching_condition)
    reward_func, feedback_func = reward_of(reward_func), feedback_of(feedback_func)
    rule = (branching_factor, branching_condition)
    play(
        game_benchmark,
        game_instances,
        player_models,
        callbacks=callbacks,
        observer=_RootObserver(game_benchmark, callbacks),
        options=Options(seed=seed),
        runner="branching",
        branching=lambda epochs: _BranchObserver(
            game_benchmark, callbacks, (reward_func, feedback_func), rule=rule, epochs=epochs
        ),
    )


def _check(factor: Any, condition: Any) -> None:
    if not isinstance(factor, int) or factor < 1:
        raise RunError(f"branching_factor must be an integer of at least 1, not {factor!r}")
    if condition is not None and not callable(condition):
        raise RunError(f"branching_condition must be a function that takes player and env, not {condition!r}")
    try:
        inspect.signature(condition or always).bind(player=None, env=None)
    except TypeError:
        raise RunError(
            "branching_condition is called with the keywords player and env, which it does not take: write "
            "'def condition(player, env)' or 'lambda player, env: …'"
        ) from None
    except ValueError:  # a function of C, whose parameters nobody knows
        return


class _Env:
    """What a condition sees of an episode, under the names of an environment."""

    def __init__(self, master: Any, planned: PlannedEpisode, callbacks: Any) -> None:
        players = master.get_players()
        self.game_master = master
        self.game_instance = planned.instance
        self.experiment = planned.experiment
        self.callbacks = callbacks
        self.player_by_agent_id = {f"player_{place}": player for place, player in enumerate(players)}
        self.player_to_agent_id = {player.name: agent for agent, player in self.player_by_agent_id.items()}
        self.agents = list(self.player_by_agent_id)
        self.agent_selection = self.player_to_agent_id.get(getattr(master.current_player, "name", None))


class _RootObserver(CallbackObserver):
    """Tells the callbacks that were given how trees begin; copies of them hear the rest."""

    def has_begun(self, master: Any, planned: PlannedEpisode) -> None:
        """Say that a game master is set up; the tree before is over."""
        self._records.clear()
        super().has_begun(master, planned)


class _BranchObserver(CallbackObserver):
    """Tells the callbacks of one branch what happens in it."""

    def __init__(
        self,
        benchmark: GameBenchmark,
        callbacks: GameBenchmarkCallback,
        functions: tuple[RewardFunc | str | None, FeedbackFunc | None],
        *,
        rule: tuple[int, BranchingCondition | None],
        epochs: Epochs,
    ) -> None:
        super().__init__(benchmark, callbacks, *functions)
        self._functions = functions
        self._rule = rule
        self._epochs = epochs

    def branches(self, master: Any, planned: PlannedEpisode) -> tuple[int, Any]:
        """Return in how many ways an episode goes on now, and a snapshot if there are several."""
        factor, condition = self._rule
        if factor == 1 or condition is None:
            return 1, None
        if not condition(player=master.current_player, env=_Env(master, planned, self.callbacks)):
            return 1, None
        return factor, GameSnapshot.create_from(master)

    def has_branched(self, master: Any, planned: PlannedEpisode, point: Any) -> None:
        """Say that an episode goes on in one of several ways."""
        self.callbacks.on_branching_point(master, planned.instance, point)

    def next_episode(self, planned: PlannedEpisode) -> PlannedEpisode:
        """Return an episode for another branch: the next epoch of the instance."""
        return self._epochs.next(planned.experiment, planned.instance)

    def copied(self, memo: dict[int, Any]) -> _BranchObserver:
        """Return a copy with copies of the callbacks."""
        callbacks = deepcopy(self.callbacks, memo)
        return _BranchObserver(self._benchmark, callbacks, self._functions, rule=self._rule, epochs=self._epochs)


class BranchingRunner:
    """Plays one environment, and copies of it, to their ends. A program that has no environment calls :func:`run`.

    Args:
        game_env: an environment that was reset, such as ``GameMasterEnv``.
        branching_factor: in how many ways it goes on where it branches.
        branching_condition: called before each step with ``player`` and ``env``. None: nowhere.
        progress_bar: an object with ``set_postfix``, which shows how many branches there are, or None.
    """

    def __init__(
        self,
        game_env: Any,
        branching_factor: int = 1,
        branching_condition: BranchingCondition | None = always,
        progress_bar: Any = None,
    ) -> None:
        _check(branching_factor, branching_condition)
        self.branching_factor = branching_factor
        self.branching_condition = branching_condition
        self._root = game_env
        self._progress_bar = progress_bar

    def should_branch(self, game_env: Any) -> bool:
        """Tell whether an environment branches before its next step."""
        agent = self._agent_of(game_env)
        is_over = agent is None or game_env.terminations.get(agent) or game_env.truncations.get(agent)
        if is_over or self.branching_factor == 1 or self.branching_condition is None:
            return False
        return bool(self.branching_condition(player=game_env.player_by_agent_id[agent], env=game_env))

    def run(self) -> None:
        """Play until all branches are over, one step of each branch after another."""
        active = [deepcopy(self._root)]
        while active:
            if self._progress_bar is not None:
                self._progress_bar.set_postfix(branches=len(active))
            active = [branch for env in active for branch in self._divided(env) if self._goes_on(branch)]
        if self._progress_bar is not None:
            self._progress_bar.set_postfix(branches=0)

    def _divided(self, env: Any) -> list[Any]:
        if not self.should_branch(env):
            return [env]
        snapshot = GameSnapshot.create_from(env.game_master)
        branches = [env, *(deepcopy(env) for _ in range(self.branching_factor - 1))]
        for branch in branches:
            branch.callbacks.on_branching_point(branch.game_master, branch.game_instance, snapshot)
        return branches

    @staticmethod
    def _agent_of(env: Any) -> Any:
        """Return whose turn it is; None where all agents were taken out, of which PettingZoo keeps the last one."""
        return env.agent_selection if getattr(env, "agents", True) else None

    def _goes_on(self, env: Any) -> bool:
        agent = self._agent_of(env)
        if agent is None:
            env.close()
            return False
        context, _, has_terminated, is_truncated, _ = env.last(observe=True)
        # An agent that has ended is taken out with the action None.
        env.step(None if has_terminated or is_truncated else env.player_by_agent_id[agent](context))
        return True
