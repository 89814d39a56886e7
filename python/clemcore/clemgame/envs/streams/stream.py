"""A stream: plays one episode after another in a thread of its own, and stops at each turn of the learner.

It does not know who acts for the learner, nor how many streams there are.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from clemcore.clemgame.callbacks.base import GameBenchmarkCallbackList
from clemcore.clemgame.engine.callbook import CallBook
from clemcore.clemgame.engine.cast import Staging
from clemcore.clemgame.engine.episode import Ended, play_episode
from clemcore.clemgame.engine.limits import EpisodeStop
from clemcore.clemgame.engine.live import LiveEpisode
from clemcore.clemgame.engine.seeds import derived_seed
from clemcore.clemgame.envs.instance_order import InstanceOrder
from clemcore.clemgame.envs.streams.listening import Listener
from clemcore.clemgame.envs.streams.stage import Stage
from clemcore.clemgame.envs.streams.turns import Turn
from clemcore.clemgame.plan import EpisodeKey, PlannedEpisode
from clemcore.clemgame.runners.store import NoStore
from clemcore.errors import EnvError
from clemcore.model import Model


class Abandoned(EpisodeStop):
    """The episode was abandoned: nobody continues it."""


@dataclass
class _Begin:
    """Asks for the next episode."""

    seed: int | None
    game_id: Any
    experiment: Any
    turn: Future[Turn]


@dataclass
class _Act:
    """Acts for the learner."""

    action: str
    turn: Future[Turn]


class EpisodeStream:
    """Plays one episode after another. Its methods may be called by any thread; close it at the end.

    Args:
        stage: what it shares with other streams.
        order: the instances.
        callbacks: hear of its episodes.
        time_limit: seconds after which an episode ends, waits for the learner included; None for no limit.
        name: its name, for its thread.
    """

    def __init__(
        self,
        stage: Stage,
        order: InstanceOrder,
        *,
        callbacks: GameBenchmarkCallbackList | None = None,
        time_limit: float | None = None,
        name: str = "",
    ) -> None:
        self._stage = stage
        self._order = order
        self._callbacks = GameBenchmarkCallbackList() if callbacks is None else callbacks
        self.time_limit = time_limit
        self._lock = threading.Lock()
        # Not a SimpleQueue, which can miss its timeout where a signal arrives.
        self._inbox: queue.Queue[_Begin | _Act | None] = queue.Queue()
        self._next: _Begin | None = None
        self._pending: Future[Turn] | None = None
        # Why the learner cannot act, or None at its turn.
        self._stopped: str | None = "no episode has begun"
        self._late: Turn | None = None
        self._is_closed = False
        self._count = 0
        self._listener: Listener | None = None
        self._deadline: float | None = None
        self._episode: LiveEpisode | None = None
        self._thread = threading.Thread(target=self._run, name=f"clemcore-stream-{name}", daemon=True)
        self._thread.start()

    # -- what callers ask for --------------------------------------------------------------------------------------
    def reset(self, seed: int | None = None, game_id: Any = None, experiment: Any = None) -> Future[Turn]:
        """Begin the next episode; one that is not over is abandoned.

        Args:
            seed: begins a new order of instances, and seeds the game.
            game_id: play this instance.
            experiment: the name of its experiment, where several have this ID.

        Returns:
            The learner's first turn. It is an EnvError if the game fails, or if a single pass is over.

        Raises:
            EnvError: the stream is closed, or the last turn has not come yet (a ValueError).
        """
        with self._lock:
            turn = self._expect_turn()
            self._late = None
            self._inbox.put(_Begin(seed, game_id, experiment, turn))
            return turn

    def step(self, action: Any) -> Future[Turn]:
        """Act for the learner.

        Args:
            action: its answer.

        Returns:
            Its next turn, or the end of the episode.

        Raises:
            EnvError: it is not the learner's turn, or the action is not text (a ValueError).
        """
        with self._lock:
            where = f"{self._stage.name}: "
            if self._is_closed:
                raise EnvError(f"{where}the environment is closed: make another one")
            if self._late is None and self._stopped is not None:
                raise EnvError(f"{where}step() was called, but {self._stopped}: call reset() first")
            if not isinstance(action, str):
                raise EnvError(f"{where}the action of {self._stage.learner} must be text, not {action!r:.80}")
            turn = self._expect_turn()
            if self._late is not None:
                self._end_turn(self._late)
            else:
                self._inbox.put(_Act(str(action), turn))
            return turn

    def _expect_turn(self) -> Future[Turn]:
        if self._is_closed:
            raise EnvError(f"{self._stage.name}: the environment is closed: make another one")
        if self._pending is not None:
            raise EnvError(
                f"{self._stage.name}: the turn after the last action has not come yet: wait for it first"
            )
        self._pending = Future()
        self._pending.set_running_or_notify_cancel()  # whoever waits may give up; the turn comes all the same
        return self._pending

    def close(self) -> None:
        """Abandon the episode, and end the thread. It can be called twice."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            if self._episode is not None:
                self._episode.was_stopped = True
            self._inbox.put(None)

    def join(self, seconds: float) -> bool:
        """Wait until a closed stream has ended; tell whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    # -- the thread ------------------------------------------------------------------------------------------------
    def _run(self) -> None:
        while not self._is_closed:
            request = self._next or self._inbox.get()
            self._next = None
            if isinstance(request, _Begin):
                try:
                    self._play(request)
                except StopIteration:
                    self._fail(
                        EnvError(f"{self._stage.name}: every instance has been played, and this is a single pass")
                    )
                except BaseException as fault:  # noqa: BLE001 - it belongs to whoever waits
                    self._fail(fault)
        self._fail(EnvError(f"{self._stage.name}: the environment was closed"))

    def _play(self, request: _Begin) -> None:
        row, seed = self._order.next(request.seed, request.game_id, request.experiment)
        stage, self._count = self._stage, self._count + 1
        experiment, instance = row["experiment"], row["game_instance"]
        key = EpisodeKey(stage.name, str(experiment["name"]), instance["game_id"], self._count)
        planned = PlannedEpisode(key, experiment, instance, self._count - 1)
        own = secrets.randbits(64) if seed is None else derived_seed(seed, stage.name)
        options = replace(stage.options, episode_timeout=self.time_limit)
        episode = LiveEpisode(key, options=options, baton=stage.baton, control=stage.control, seed=own)
        self._deadline = None if self.time_limit is None else time.monotonic() + self.time_limit
        self._listener = listener = Listener(stage, self._callbacks, self._ask)
        listener.name(planned)
        self._episode = episode
        ended = self._played(planned, episode, listener)
        self._episode = None
        self._end(ended, listener, planned)

    def _played(self, planned: PlannedEpisode, episode: LiveEpisode, listener: Listener) -> Ended:
        stage = self._stage
        writer: Any = NoStore().begin(planned.key)
        book = CallBook(writer, stage.tally, lambda: episode.is_abandoned)
        staging = Staging(
            stage.benchmark,
            stage.models,
            Model.to_infos(stage.models),
            "",
            stage.batcher_of,
            players=stage.benchmark.game_spec.player_count,
            observer=listener,
        )
        episode.begin()
        stage.watchdog.add(episode)
        try:
            return play_episode(staging, planned, episode, writer=writer, book=book)
        finally:
            stage.watchdog.discard(episode)
            episode.end()

    def _end(self, ended: Ended, listener: Listener, planned: PlannedEpisode) -> None:
        """Say how an episode has ended."""
        if ended.outcome == "played":
            self._finish(listener.turn(terminated=True))
        elif ended.outcome == "limit":
            reason = (ended.error or {}).get("limit", "a limit")
            self._finish(listener.turn(truncated=True, info={"truncated_by": reason}))
        elif ended.outcome == "error":
            what = ended.error or {}
            fault = EnvError(
                f"{planned.key}: the episode ended with an error: {what.get('type')}: {what.get('message')}"
            )
            fault.__cause__ = listener.error
            self._fail(fault)
        else:
            self._stop(planned, listener)

    def _stop(self, planned: PlannedEpisode, listener: Listener) -> None:
        """Note that nobody has gone on with an episode."""
        reason = self._stage.control.reason
        if reason is not None:
            self._fail(
                self._stage.control.error or EnvError(f"{self._stage.name}: the environment has stopped: {reason}")
            )
        elif not self._is_closed and self._next is None:
            with self._lock:
                self._late = listener.turn(truncated=True, info={"truncated_by": "time_limit"})
                if self._pending is not None:
                    self._end_turn(self._late)
        listener.was_abandoned(planned)

    def _ask(self, context: dict[str, Any]) -> str:
        """Give the learner its turn, and wait for its action; outside of game code, without the baton."""
        listener, episode = self._listener, self._episode
        if listener is None or episode is None:  # pragma: no cover - only a thread of the game could do this
            raise RuntimeError("the learner was asked outside of its episode")
        with self._lock:
            self._deliver(listener.turn_at(context))
        left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        try:
            request = self._inbox.get(timeout=left)
        except queue.Empty:
            request = None
        if isinstance(request, _Act):
            return request.action
        self._next = request
        episode.was_stopped = True
        raise Abandoned

    # -- turns that are waited for ---------------------------------------------------------------------------------
    def _deliver(self, turn: Turn) -> None:
        self._stopped = None
        self._answer(turn)

    def _end_turn(self, turn: Turn) -> None:
        self._stopped, self._late = "the episode is over", None
        self._answer(turn)

    def _answer(self, turn: Turn) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.set_result(turn)

    def _finish(self, turn: Turn) -> None:
        with self._lock:
            if "ended_early" not in turn.info:
                self._end_turn(turn)
                return
            # A first turn cannot be the last one: the next step brings the end.
            known = {key: value for key, value in turn.info.items() if key != "ended_early"}
            self._late = replace(turn, info=known)
            self._answer(replace(turn, reward=0.0, terminated=False, truncated=False))

    def _fail(self, fault: BaseException) -> None:
        with self._lock:
            self._stopped, self._late = "the episode ended with an error", None
            pending, self._pending = self._pending, None
        if pending is not None:
            pending.set_exception(fault)
