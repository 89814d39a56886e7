"""What the streams of a game share: the game, its models and the engine's parts.

It does not know which episodes are played.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from clemcore import backends
from clemcore.clemgame.benchmark import GameBenchmark
from clemcore.clemgame.callbacks.base import GameBenchmarkCallbackList
from clemcore.clemgame.engine.batcher import Batcher, Batches, HandOver
from clemcore.clemgame.engine.baton import Baton
from clemcore.clemgame.engine.limits import Control, Options
from clemcore.clemgame.engine.live import LiveEpisode
from clemcore.clemgame.engine.randomness import Dispatch
from clemcore.clemgame.engine.sizing import BATCH, answers_batches
from clemcore.clemgame.engine.tally import Tally
from clemcore.clemgame.engine.ticker import Ticker
from clemcore.clemgame.engine.watchdog import Watchdog
from clemcore.clemgame.envs.agents import check_known, checked_agents, line_up, players_of
from clemcore.clemgame.envs.rewards import FeedbackFunc, RewardFunc, feedback_of, reward_of
from clemcore.errors import EnvError

_logger = logging.getLogger(__name__)


class Stage:
    """A game on which streams of episodes are played. Close it, or use ``with``.

    Args:
        spec: the specification of the game.
        learner_agent: the agent that the caller plays.
        env_agents: a model, the name of a model or a function for each other agent.
        reward_func: see ``gym_env``.
        feedback_func: see ``gym_env``.
        callbacks: hear of the benchmark; streams have their own for episodes.
        options: how episodes are played.

    Attributes:
        benchmark: the game, loaded.
        learner: the agent that the caller plays.
        functions: the agents that functions play.
        models: the line-up.
        reward, feedback: compute what a step gives.
        baton, control, tally, watchdog: the engine's parts.
    """

    def __init__(
        self,
        spec: Any,
        *,
        learner_agent: str = "player_0",
        env_agents: Mapping[str, Any] | None = None,
        reward_func: RewardFunc | str | None = None,
        feedback_func: FeedbackFunc | None = None,
        callbacks: GameBenchmarkCallbackList | None = None,
        options: Options | None = None,
    ) -> None:
        self.learner = learner_agent
        self.reward, self.feedback = reward_of(reward_func), feedback_of(feedback_func)
        self.options = options or Options()
        self.callbacks = GameBenchmarkCallbackList() if callbacks is None else callbacks
        others = checked_agents(env_agents)
        if learner_agent in others:
            raise EnvError(f"{learner_agent} learns, so env_agents must not name it")
        players = players_of({learner_agent: "learner", **others})
        check_known(learner_agent, [f"player_{place}" for place in range(spec.player_count)], spec.game_name)
        self.models: list[backends.Model] = line_up(spec, players)
        self.functions: dict[str, Callable[[Any], Any]] = {
            agent: plays
            for agent, plays in players.items()
            if callable(plays) and not isinstance(plays, backends.Model)
        }
        self.baton, self.control, self.tally = Baton(), Control(), Tally()
        self._batchers: dict[int, Batches] = {}
        self._lock = threading.Lock()
        self.watchdog = Watchdog(self.options.step_timeout, None, report=_report, on_stuck=self._give_up)
        self._open = contextlib.ExitStack()
        self.benchmark = self._open.enter_context(GameBenchmark.load_from_spec(spec))
        try:
            dispatch = Dispatch()
            dispatch.install()
            self._open.callback(dispatch.remove)
            self._open.enter_context(Ticker([self.watchdog.look]))
            self._open.callback(self._close_batchers)
            self.callbacks.on_benchmark_start(self.benchmark)
        except BaseException:
            self._open.close()
            raise

    @property
    def name(self) -> str:
        """The name of the game."""
        return str(self.benchmark.game_spec.game_name)

    def batcher_of(self, model: backends.Model) -> Batches | None:
        """Return what collects the calls of a model into batches, or None if it is asked one by one."""
        if not answers_batches(model):
            return None
        with self._lock:
            batcher = self._batchers.get(id(model))
            if batcher is None:
                size = self.options.batch_size
                hands_over = model.collects_calls
                made = (
                    HandOver(model, self.baton, size) if hands_over else Batcher(model, self.baton, size or BATCH)
                )
                batcher = self._batchers[id(model)] = made
            return batcher

    def _give_up(self, episode: LiveEpisode) -> None:
        """Stop all streams: code of a game cannot be interrupted, and holds the baton."""
        error = EnvError(f"{episode.scope_text}: code of the game goes on without end, and cannot be interrupted")
        self.control.stop("stuck", error)

    def _close_batchers(self) -> None:
        for batcher in self._batchers.values():
            batcher.close()

    def close(self) -> None:
        """Give up everything; all streams must be closed. It can be called twice."""
        if self.control.reason is None:
            self.control.stop("closed")
            self.callbacks.on_benchmark_end(self.benchmark)
        self._open.close()

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _report(episode: LiveEpisode, stack: str) -> None:
    _logger.error("%s: code of the game takes too long:\n%s", episode.scope_text, stack)
