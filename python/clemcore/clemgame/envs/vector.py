"""A batch of live episodes as one vector environment of Gymnasium, played side by side on the engine.

It does not know how an episode is played.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from clemcore.clemgame.envs.requirements import require

require("gymnasium", "envs")

import numpy as np  # noqa: E402 - what is missing is said first
from gymnasium.vector import AutoresetMode, VectorEnv  # noqa: E402
from gymnasium.vector.utils import batch_space  # noqa: E402

from clemcore.clemgame.callbacks.base import GameBenchmarkCallbackList  # noqa: E402
from clemcore.clemgame.engine.limits import Options  # noqa: E402
from clemcore.clemgame.envs.agents import EnvAgent  # noqa: E402
from clemcore.clemgame.envs.games import game_of, instances_of  # noqa: E402
from clemcore.clemgame.envs.instance_order import InstanceOrder  # noqa: E402
from clemcore.clemgame.envs.reset_options import checked_options  # noqa: E402
from clemcore.clemgame.envs.rewards import FeedbackFunc, RewardFunc  # noqa: E402
from clemcore.clemgame.envs.spaces import AnyText, MessageSpace  # noqa: E402
from clemcore.clemgame.envs.streams.stage import Stage  # noqa: E402
from clemcore.clemgame.envs.streams.stream import EpisodeStream  # noqa: E402
from clemcore.clemgame.envs.streams.turns import Turn  # noqa: E402
from clemcore.clemgame.instances import Row  # noqa: E402
from clemcore.errors import EnvError  # noqa: E402

__all__ = ["GameVectorEnv", "vector_env"]

_OPTIONS = ("game_id", "experiment", "reset_mask")
# Seconds that closed streams have to end.
_LET_GO = 10.0


def vector_env(
    game_name: Any,
    num_envs: int,
    *,
    instances_filter: Callable[[Row], bool] | None = None,
    learner_agent: str = "player_0",
    env_agents: Mapping[str, EnvAgent] | None = None,
    callbacks: Callable[[int], GameBenchmarkCallbackList] | None = None,
    reward_func: RewardFunc | str | None = None,
    feedback_func: FeedbackFunc | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    time_limit: float | None = None,
    options: Options | None = None,
) -> GameVectorEnv:
    """Return a batch of live episodes of a game, in each of which one agent acts.

    Models that play other agents answer side by side, or in batches if that is faster for them.

    Args:
        game_name: the game, as ``clem run -g`` takes it.
        num_envs: how many episodes are live.
        instances_filter: as for ``gym_env``.
        learner_agent: as for ``gym_env``.
        env_agents: as for ``gym_env``.
        callbacks: returns the callbacks of the live episode at a place. They are called in its thread.
        reward_func: as for ``gym_env``.
        feedback_func: as for ``gym_env``.
        autoreset_mode: when an episode that is over is followed by the next one, as Gymnasium names it.
        time_limit: seconds after which an episode is truncated, waits included; None for no limit.
        options: how episodes are played; ``max_calls`` and ``batch_size`` count.

    Raises:
        GameError: no instance is left to play, or the game cannot be loaded (a ValueError).
        EnvError: the agents are not those of the game (a ValueError).
    """
    if isinstance(num_envs, bool) or not isinstance(num_envs, int) or num_envs < 1:
        raise EnvError(f"num_envs must be a number of at least 1, not {num_envs!r}")
    if time_limit is not None and not (isinstance(time_limit, (int, float)) and time_limit > 0):
        raise EnvError(f"time_limit must be a number of seconds above 0, not {time_limit!r}")
    mode = _mode_of(autoreset_mode)
    spec = game_of(game_name)
    instances = instances_of(spec, instances_filter)
    stage = Stage(
        spec,
        learner_agent=learner_agent,
        env_agents=env_agents,
        reward_func=reward_func,
        feedback_func=feedback_func,
        options=options,
    )
    streams = [
        EpisodeStream(
            stage,
            InstanceOrder(instances, start=place, stride=num_envs),
            callbacks=None if callbacks is None else callbacks(place),
            time_limit=time_limit,
            name=f"{stage.name}-{place}",
        )
        for place in range(num_envs)
    ]
    return GameVectorEnv(stage, streams, mode)


class GameVectorEnv(VectorEnv[tuple[dict[str, Any], ...], tuple[str, ...], Any]):
    """Live episodes of one game. Make it with :func:`vector_env`.

    Observations and actions are tuples with an entry for each episode.
    """

    def __init__(self, stage: Stage, streams: Sequence[EpisodeStream], mode: AutoresetMode) -> None:
        self._stage = stage
        self._streams = list(streams)
        self._mode = mode
        self.num_envs = len(self._streams)
        self.metadata = {"autoreset_mode": mode, "name": stage.name, "render_modes": []}
        self.single_observation_space, self.single_action_space = MessageSpace(), AnyText()
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._turns: list[Turn | None] = [None] * self.num_envs

    # -- episodes begin --------------------------------------------------------------------------------------------
    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
        """Begin the next episode everywhere, or where ``options["reset_mask"]`` is true.

        Args:
            seed: one for each episode; a number n stands for n, n + 1, and so on.
            options: "game_id" plays this instance, or one for each episode; "experiment" names its experiment,
                where several have this ID; "reset_mask" is a bool for each.

        Returns:
            What the learner is to answer in each episode, and facts about them.
        """
        seeds = self._for_each("seed", _counted_up(seed, self.num_envs))
        super().reset(seed=next((each for each in seeds if each is not None), None))
        given = checked_options(options, self._stage.name, _OPTIONS)
        game_ids = self._for_each("game_id", given.pop("game_id", None))
        experiments = self._for_each("experiment", given.pop("experiment", None))
        mask = [bool(each) for each in self._for_each("reset_mask", given.pop("reset_mask", True))]
        if not all(mask) and any(
            turn is None for turn, chosen in zip(self._turns, mask, strict=True) if not chosen
        ):
            raise EnvError(f"{self._stage.name}: reset_mask leaves out episodes that have not begun yet")
        asked = {
            place: self._streams[place].reset(seeds[place], game_ids[place], experiments[place])
            for place in range(self.num_envs)
            if mask[place]
        }
        infos: dict[str, Any] = {}
        for place, turn in self._answers(asked).items():
            self._turns[place] = turn
            infos = self._add_info(infos, turn.info, place)
        return self._seen(), infos

    def _for_each(self, name: str, given: Any) -> list[Any]:
        if given is None or isinstance(given, (int, str, dict)):
            return [given] * self.num_envs
        found = list(given)
        if len(found) != self.num_envs:
            raise EnvError(f"{self._stage.name}: '{name}' must have {self.num_envs} entries, not {len(found)}")
        return found

    # -- steps -----------------------------------------------------------------------------------------------------
    def step(self, actions: Sequence[str]) -> tuple[tuple[dict[str, Any], ...], Any, Any, Any, dict[str, Any]]:
        """Act in every episode.

        Args:
            actions: an answer for each. Where the next episode begins instead, its answer is not used.

        Returns:
            What the learner is to answer next, rewards (float64), whether games are over, whether episodes were cut
            off (bool), and facts. An episode that ends with an error is cut off, and ``infos["error"]`` says why.

        Raises:
            EnvError: an episode has not begun or is over, or the actions are not a text for each (a ValueError).
        """
        if self.closed:
            raise EnvError(f"{self._stage.name}: the environment is closed: make another one")
        over = [turn is not None and turn.is_last for turn in self._turns]
        begins = over if self._mode is AutoresetMode.NEXT_STEP else [False] * self.num_envs
        said = self._checked(actions, begins)
        asked: dict[int, Future[Turn]] = {}
        for place, stream in enumerate(self._streams):
            asked[place] = stream.reset() if begins[place] else stream.step(said[place])
        turns = self._answers({place: turn for place, turn in asked.items() if begins[place]})
        for place, turn in asked.items():
            if place not in turns:
                turns[place] = self._turn_of(turn, place)
        every = [turns[place] for place in range(self.num_envs)]
        rewards = np.array([turn.reward for turn in every], dtype=np.float64)
        terminated = np.array([turn.terminated for turn in every], dtype=np.bool_)
        truncated = np.array([turn.truncated for turn in every], dtype=np.bool_)
        infos: dict[str, Any] = {}
        if self._mode is AutoresetMode.SAME_STEP:
            turns.update(self._begin_again(turns, infos))
        for place in range(self.num_envs):
            self._turns[place] = turns[place]
            infos = self._add_info(infos, turns[place].info, place)
        return self._seen(), rewards, terminated, truncated, infos

    def _checked(self, actions: Any, begins: Sequence[bool]) -> list[Any]:
        """Check all actions before any of them is used."""
        if isinstance(actions, (str, bytes)) or not hasattr(actions, "__len__") or len(actions) != self.num_envs:
            raise EnvError(f"{self._stage.name}: step() needs a text for each of the {self.num_envs} episodes")
        for place, (action, turn) in enumerate(zip(actions, self._turns, strict=True)):
            where = f"{self._stage.name}: episode {place}:"
            if turn is None:
                raise EnvError(f"{where} step() was called, but no episode has begun: call reset() first")
            if begins[place]:
                continue
            if turn.is_last:
                raise EnvError(f"{where} the episode is over: reset it with options={{'reset_mask': …}}")
            if not isinstance(action, str):
                raise EnvError(f"{where} the action must be text, not {action!r:.80}")
        return list(actions)

    def _begin_again(self, turns: dict[int, Turn], infos: dict[str, Any]) -> dict[int, Turn]:
        """Let the next episode follow in the same step, and keep the end of the last one in the facts."""
        asked = {place: self._streams[place].reset() for place, turn in turns.items() if turn.is_last}
        for place in asked:
            last = turns[place]
            self._add_info(infos, {"final_obs": last.observation, "final_info": last.info}, place)
        return self._answers(asked)

    def _turn_of(self, turn: Future[Turn], place: int) -> Turn:
        """Return a turn; an episode that ends with an error is cut off, and the others go on."""
        try:
            return turn.result()
        except EnvError as fault:
            seen = self._turns[place]
            return Turn({} if seen is None else seen.observation, truncated=True, info={"error": str(fault)})

    def _answers(self, asked: Mapping[int, Future[Turn]]) -> dict[int, Turn]:
        """Wait for all turns, then raise the first error."""
        errors = [error for turn in asked.values() if (error := turn.exception()) is not None]
        if errors:
            raise errors[0]
        return {place: turn.result() for place, turn in asked.items()}

    def _seen(self) -> tuple[dict[str, Any], ...]:
        return tuple({} if turn is None else turn.observation for turn in self._turns)

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002 - as Gymnasium calls it
        """End all episodes."""
        for stream in self._streams:
            stream.close()
        end = time.monotonic() + _LET_GO
        for stream in self._streams:
            stream.join(max(0.0, end - time.monotonic()))
        self._stage.close()


def _mode_of(mode: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        known = ", ".join(repr(each.value) for each in AutoresetMode)
        raise EnvError(f"autoreset_mode must be one of {known}, not {mode!r:.80}") from None


def _counted_up(seed: Any, count: int) -> Any:
    if isinstance(seed, int) and not isinstance(seed, bool):
        return [seed + place for place in range(count)]
    return seed
