"""Plays a few episodes of a game with the mock and scores them, to see what goes wrong and which variables change.

It plays one episode after another, in this process. It stores nothing.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import random
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from clemcore import backends
from clemcore.clemgame.benchmark import GameBenchmark
from clemcore.clemgame.checking.remarks import Remark
from clemcore.clemgame.checking.scores import remarks_on_scores
from clemcore.clemgame.checking.texts import messages_of
from clemcore.clemgame.checking.variables import Variable, VariableSnapshot
from clemcore.clemgame.game_master import play_game
from clemcore.clemgame.metrics import BENCH_SCORE, place_in_game
from clemcore.clemgame.plan import PlannedEpisode
from clemcore.clemgame.recorder import GameInteractionsRecorder

# After these steps of an episode, variables are looked at as well: a game may tidy up at its end.
_LOOKED_AT = (0, 1, 2, 5, 10)


@dataclass
class Trial:
    """What was found while episodes were played.

    Attributes:
        played: the episodes that came to an end.
        failed: what went wrong: the episode, what was done, and the exception.
        changed: the variables that an episode changed, and whether a dict or set only grew.
        remarks: what is wrong with scores.
        sent: the messages that players got.
    """

    played: list[PlannedEpisode] = field(default_factory=list)
    failed: list[tuple[PlannedEpisode, str, BaseException]] = field(default_factory=list)
    changed: dict[Variable, bool] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)


class EndlessError(Exception):
    """An episode took too many steps.

    Attributes:
        place: ``FILE:LINE`` of the method that says whether the game goes on, or "".
    """

    def __init__(self, text: str, place: str = "") -> None:
        """Raise it."""
        super().__init__(text)
        self.place = place


class SlowError(EndlessError):
    """An episode took too much time."""


def try_episodes(
    benchmark: GameBenchmark, episodes: Sequence[PlannedEpisode], *, most_steps: int, seconds: float
) -> Trial:
    """Play and score episodes with the mock.

    The first one only warms up: what it loads for all later ones is not a state of an episode.

    Args:
        benchmark: the game, loaded.
        episodes: what to play; at least two are needed to see which variables change.
        most_steps: end an episode with an error after this many steps.
        seconds: end an episode with an error after this time; in the main thread only.
    """
    trial = Trial()
    before: VariableSnapshot | None = None
    for episode in episodes:
        watch = _Watch(benchmark, before, most_steps)
        is_played = _try(trial, episode, "played", lambda e=episode, w=watch: _play(benchmark, e, w, seconds))
        watch.look()
        if is_played:
            trial.played.append(episode)
            if _try(trial, episode, "scored", lambda e=episode, w=watch: _score(benchmark, e, w)):
                trial.remarks += remarks_on_scores(benchmark.game_spec, watch.scorer, watch.lines)
        trial.sent += messages_of(watch.interactions)
        for variable, grew in watch.changed.items():
            trial.changed[variable] = grew and trial.changed.get(variable, True)
        before = VariableSnapshot(benchmark.modules)
    return trial


# How many times as long an episode may take as it may work.
_PATIENCE = 6


class _Watch:
    """Looks at the variables during one episode."""

    def __init__(self, benchmark: GameBenchmark, before: VariableSnapshot | None, most_steps: int) -> None:
        self._benchmark = benchmark
        self._before = before
        self._most_steps = most_steps
        self._steps = 0
        self.changed: dict[Variable, bool] = {}
        self.interactions: dict[str, Any] = {}
        self.scorer: Any = None
        self.lines: dict[str, tuple[str, int]] = {}

    def after_step(self, master: Any, *_: Any) -> None:
        """Look at the variables after some of the steps."""
        self._steps += 1
        if self._steps in _LOOKED_AT:
            self.look()
        if self._steps >= self._most_steps:
            raise _endless(master, self._most_steps)

    def look(self) -> None:
        """Note which variables have changed."""
        if self._before is not None:
            for variable, grew in VariableSnapshot(self._benchmark.modules).changed_since(self._before).items():
                self.changed[variable] = grew and self.changed.get(variable, True)


def _endless(master: Any, steps: int) -> EndlessError:
    """Return the error of an episode that goes on, with the place where its game master decides about that."""
    kind = type(master)
    decides = getattr(kind, "_does_game_proceed", kind)
    if decides.__module__.startswith("clemcore."):  # the game decides nothing: its class lacks an end
        decides = kind
    place = ""
    with contextlib.suppress(OSError, TypeError):  # code without a file
        place = f"{inspect.getsourcefile(decides)}:{inspect.getsourcelines(decides)[1]}"
    return EndlessError(f"the episode has not ended after {steps} steps", place)


def _try(trial: Trial, episode: PlannedEpisode, what: str, action: Any) -> bool:
    try:
        action()
    except (Exception, SystemExit) as fault:  # noqa: BLE001 - whatever a game raises is what is looked for
        trial.failed.append((episode, what, fault))
        return False
    return True


def _play(benchmark: GameBenchmark, episode: PlannedEpisode, watch: _Watch, seconds: float) -> None:
    with _alarm(seconds):
        master, watch.interactions = _set_up(benchmark, episode)
        watch.look()
        play_game(master, watch.after_step)


def _set_up(benchmark: GameBenchmark, episode: PlannedEpisode) -> tuple[Any, dict[str, Any]]:
    """Return a game master that has been set up for an episode with the mock, and its record."""
    random.seed(str(episode.key))
    model = backends.get_model_for("mock", gen_args={"temperature": 0.0, "max_tokens": 300})
    models = [model] * benchmark.game_spec.player_count
    key = episode.key
    master = benchmark.create_game_master(copy.deepcopy(episode.experiment), models)
    recorder = GameInteractionsRecorder(key.game, key.experiment, key.game_id, "", {})
    master.register(recorder)
    master.setup(**copy.deepcopy(episode.instance))
    return master, recorder.interactions


def play_one(
    benchmark: GameBenchmark,
    episode: PlannedEpisode,
    *,
    most_steps: int,
    seconds: float,
    prepare: Callable[[Any], None] | None = None,
) -> dict[str, Any]:
    """Play one episode with the mock, and return its record.

    Args:
        benchmark: the game, loaded.
        episode: what to play.
        most_steps: end it with an error after this many steps.
        seconds: end it with an error after this time of the processor, or after several times this time; in the
            main thread only. Its setup, which no answer can change, does not count.
        prepare: called with the game master after its setup.

    Raises:
        Exception: whatever the game raises.
    """
    steps = 0

    def count(master: Any, *_: Any) -> None:
        nonlocal steps
        steps += 1
        if steps >= most_steps:
            raise _endless(master, most_steps)

    master, interactions = _set_up(benchmark, episode)
    if prepare is not None:
        prepare(master)
    with _alarm(seconds, patience=_PATIENCE):
        play_game(master, count)
    return interactions


def _score(benchmark: GameBenchmark, episode: PlannedEpisode, watch: _Watch) -> None:
    watch.scorer, watch.lines = score_one(benchmark, episode, watch.interactions)


def score_one(
    benchmark: GameBenchmark, episode: PlannedEpisode, interactions: dict[str, Any]
) -> tuple[Any, dict[str, tuple[str, int]]]:
    """Score one episode; return its scorer, and file and line where each score was logged.

    Raises:
        Exception: whatever the scorer raises.
        KeyError: the scorer has not logged a main score.
    """
    scorer = benchmark.create_game_scorer(copy.deepcopy(episode.experiment), copy.deepcopy(episode.instance))
    lines: dict[str, tuple[str, int]] = {}
    log = scorer.log_episode_score

    def noting(*arguments: Any, **more: Any) -> Any:
        name = arguments[0] if arguments else more.get("score_name")
        lines[str(name)] = place_in_game()
        return log(*arguments, **more)

    scorer.log_episode_score = noting  # type: ignore[method-assign]
    scorer.compute_scores(copy.deepcopy(interactions))
    if BENCH_SCORE not in scorer.scores.get("episode scores", {}):
        raise KeyError(f"the scorer has not logged '{BENCH_SCORE}'")
    return scorer, lines


@contextlib.contextmanager
def _alarm(seconds: float, *, patience: float = 1.0) -> Iterator[None]:
    """Raise an exception in the block after a time, where signals can do that.

    Args:
        seconds: the time of the processor.
        patience: the time that may pass, as a multiple of it: on a busy machine, an episode gets a part of it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: Any) -> None:
        raise SlowError(f"the episode has not ended after {seconds:g} s")

    timers = [(signal.ITIMER_REAL, signal.SIGALRM, seconds * patience)]
    timers += [(signal.ITIMER_PROF, signal.SIGPROF, seconds)] if patience > 1 else []
    before = [signal.signal(number, ring) for _, number, _ in timers]
    for timer, _, most in timers:
        signal.setitimer(timer, most)
    try:
        yield
    finally:
        for (timer, number, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def last_line_of(fault: BaseException, folders: Sequence[str]) -> str:
    """Return file and line of the game's code in which an exception was raised, or ""."""
    frames = [
        frame for frame in traceback.extract_tb(fault.__traceback__) if frame.filename.startswith(tuple(folders))
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
