"""Reward functions: how the game went, as a number for a trainer.

A reward function gets the context that was answered, the answer, the state of the game and the facts about the
step. Those of this module also see the record of the episode. They do not know environments.
"""

from __future__ import annotations

import abc
import copy
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from clemcore import backends
from clemcore.clemgame.metrics import BENCH_SCORE, METRIC_ABORTED, METRIC_LOSE, METRIC_SUCCESS
from clemcore.clemgame.recorder import GameInteractionsRecorder
from clemcore.clemgame.state import Outcome
from clemcore.errors import GameError
from clemcore.spelling import misspelling_of

_logger = logging.getLogger(__name__)

RewardFunc: TypeAlias = "Callable[[dict[str, Any], str, Any, dict[str, Any]], float]"
FeedbackFunc: TypeAlias = "Callable[[dict[str, Any], str, Any, dict[str, Any]], str | None]"

# Games whose outcome could not be read, each of which is warned of once.
_unreadable: set[str] = set()


@dataclass(frozen=True)
class Step:
    """A step that is to be rewarded.

    Attributes:
        context: the message that was answered.
        action: the answer.
        state: the state of the game after it.
        info: facts about the step, such as the scores that the game's hooks gave.
        done: whether the game is over.
    """

    context: dict[str, Any]
    action: str
    state: Any
    info: dict[str, Any]
    done: bool


@dataclass(frozen=True)
class EpisodeRecord:
    """What is known of the episode.

    Attributes:
        benchmark: the game, which makes scorers.
        experiment: its experiment.
        instance: its instance.
        interactions: the record so far, as in ``interactions.json``.
    """

    benchmark: Any
    experiment: dict[str, Any]
    instance: dict[str, Any]
    interactions: dict[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """The episode, for a line of text."""
        game, experiment = self.benchmark.game_spec.game_name, self.experiment.get("name")
        return f"{game}/{experiment}/{self.instance.get('game_id')}"


def begin_record(
    benchmark: Any, master: Any, experiment: dict[str, Any], instance: dict[str, Any]
) -> EpisodeRecord:
    """Begin to record an episode that is set up.

    Args:
        benchmark: the game.
        master: leads the episode.
        experiment: its experiment.
        instance: its instance.
    """
    players = master.get_players()
    infos = backends.Model.to_infos([player.model for player in players])
    game, name = benchmark.game_spec.game_name, experiment.get("name", "")
    recorder = GameInteractionsRecorder(game, name, instance.get("game_id", 0), "", infos)
    for player in players:
        recorder.log_player(player.name, player.game_role, player.model.name)
    master.register(recorder)
    return EpisodeRecord(benchmark, experiment, instance, recorder.interactions)


class Reward(abc.ABC):
    """A reward function that sees the record of the episode. Environments take its instances like functions."""

    @abc.abstractmethod
    def of_step(self, step: Step, record: EpisodeRecord | None) -> float:
        """Return the reward of a step.

        Args:
            step: the step.
            record: the episode; None where an environment was put together without one.
        """

    def __call__(self, observation: dict[str, Any], action: str, state: Any, info: dict[str, Any]) -> float:
        """Return the reward of a step of which the record is not known."""
        done = bool(getattr(getattr(state, "outcome", None), "is_terminal", False))
        return self.of_step(Step(observation, action, state, info, done), None)


class OutcomeReward(Reward):
    """1 if the players reached the goal, -1 if they did not follow the rules of the dialogue, otherwise 0.

    The outcome is that of the state. Games that keep no such state log it (``Success``, ``Lose``, ``Aborted``) or
    have it as ``success``, ``failure`` and ``aborted`` in a state of their own. Before its end, a game gives 0.

    Args:
        success: the reward of a success.
        failure: the reward of a failure.
        aborted: the reward of an episode that was aborted.
    """

    def __init__(self, success: float = 1.0, failure: float = 0.0, aborted: float = -1.0) -> None:
        self._rewards = {Outcome.SUCCESS: success, Outcome.FAILURE: failure, Outcome.ABORTED: aborted}

    def of_step(self, step: Step, record: EpisodeRecord | None) -> float:
        """Return the reward of a step."""
        outcome = getattr(step.state, "outcome", None)
        if outcome in self._rewards:
            return self._rewards[outcome]
        if not step.done:
            return 0.0
        found = _logged_outcome({} if record is None else record.interactions) or _own_outcome(step.state)
        if found is not None:
            return self._rewards[found]
        if record is not None and (game := str(record.benchmark.game_spec.game_name)) not in _unreadable:
            _unreadable.add(game)
            _logger.warning("%s: its outcome cannot be read, so its reward is 0: use another reward_func", game)
        return 0.0


def _logged_outcome(interactions: Mapping[str, Any]) -> Outcome | None:
    for key, outcome in (
        (METRIC_ABORTED, Outcome.ABORTED),
        (METRIC_SUCCESS, Outcome.SUCCESS),
        (METRIC_LOSE, Outcome.FAILURE),
    ):
        if interactions.get(key):
            return outcome
    return None


def _own_outcome(state: Any) -> Outcome | None:
    for name, outcome in (
        ("aborted", Outcome.ABORTED),
        ("success", Outcome.SUCCESS),
        ("failure", Outcome.FAILURE),
    ):
        if getattr(state, name, None) is True:
            return outcome
    return None


class ScoreReward(Reward):
    """The main score that the game's own scorer gives at the end, as 0 to 1. Before its end, a game gives 0.

    Args:
        scale: what the score is multiplied with; main scores are usually 0 to 100.
        aborted: the reward where the scorer gives NaN, as scorers do for episodes that were aborted.
    """

    def __init__(self, scale: float = 0.01, aborted: float = -1.0) -> None:
        self._scale = scale
        self._aborted = aborted

    def of_step(self, step: Step, record: EpisodeRecord | None) -> float:
        """Return the reward of a step."""
        if not step.done:
            return 0.0
        if record is None:
            raise GameError(
                "the reward 'score' needs the record of the episode: use env(), gym_env() or vector_env()"
            )
        score = main_score(record)
        return self._aborted if math.isnan(score) else score * self._scale


def main_score(record: EpisodeRecord) -> float:
    """Score an episode that is over with the game's own scorer; return its main score.

    Raises:
        GameError: the scorer gave no number.
    """
    scorer = record.benchmark.create_game_scorer(*copy.deepcopy((record.experiment, record.instance)))
    scorer.compute_scores(copy.deepcopy(record.interactions))
    score = scorer.scores.get("episode scores", {}).get(BENCH_SCORE)
    if isinstance(score, float) and math.isnan(score):
        return score
    if isinstance(score, bool) or not isinstance(score, (int, float)):
        raise GameError(f"{record.name}: the scorer's '{BENCH_SCORE}' must be a number, not {score!r:.80}")
    return _finite(score, f"the scorer's '{BENCH_SCORE}'", record)


class HookReward(Reward):
    """The scores that a game computes for trainers in its hooks.

    A game master defines ``compute_response_score(response, context)``, ``compute_turn_score()`` or
    ``compute_episode_score()``.

    Args:
        step: the hook whose score each step gets ("response_score" or "turn_score"), or None.
        end: the hook whose score is added at the end ("episode_score"), or None.
    """

    def __init__(self, step: str | None = "turn_score", end: str | None = None) -> None:
        self._hooks = (step, end)

    def of_step(self, step: Step, record: EpisodeRecord | None) -> float:
        """Return the reward of a step."""
        names = [name for name in (self._hooks[0], self._hooks[1] if step.done else None) if name is not None]
        for name in names:
            if name not in step.info:
                what = "the game" if record is None else record.name
                raise GameError(
                    f"{what} gives no '{name}' as reward: its game master does not define compute_{name}(), or it "
                    "failed (see the log). Use another reward, such as 'outcome' or 'score'"
                )
        return sum(_finite(step.info[name], f"compute_{name}()", record) for name in names)


_NAMED: Mapping[str, Callable[[], Reward]] = {
    "outcome": OutcomeReward,
    "score": ScoreReward,
    "turn_score": HookReward,
    "response_score": lambda: HookReward("response_score"),
    "episode_score": lambda: HookReward(None, "episode_score"),
}
REWARDS = tuple(_NAMED)


def reward_of(chosen: RewardFunc | str | None) -> RewardFunc:
    """Return a reward function by its name; a function is returned itself, and None means ``outcome``.

    Raises:
        GameError: there is no reward of that name.
    """
    if chosen is None:
        return OutcomeReward()
    if callable(chosen):
        return chosen
    if chosen in _NAMED:
        return _NAMED[chosen]()
    near = misspelling_of(str(chosen), _NAMED)
    hint = "." if near is None else f"; did you mean '{near}'?"
    raise GameError(f"there is no reward {chosen!r}{hint} Choose one of {', '.join(_NAMED)}, or give a function")


def feedback_of(chosen: Any) -> FeedbackFunc | None:
    """Return a feedback function itself; None means none.

    Raises:
        GameError: it is not a function.
    """
    if chosen is not None and not callable(chosen):
        raise GameError(
            f"feedback_func must be a function of observation, action, state and info, not {chosen!r:.80}"
        )
    return chosen  # type: ignore[no-any-return]


def reward_of_step(reward: RewardFunc, step: Step, record: EpisodeRecord | None) -> float:
    """Compute and check the reward of a step.

    Raises:
        GameError: it is not a finite number.
    """
    if isinstance(reward, Reward):
        value: Any = reward.of_step(step, record)
    else:
        value = reward(step.context, step.action, step.state, step.info)
    name = getattr(reward, "__name__", type(reward).__name__)
    return _finite(value, f"the reward function '{name}'", record)


def _finite(value: Any, what: str, record: EpisodeRecord | None) -> float:
    """Return a value as a finite number.

    Args:
        value: the value.
        what: where it is from.
        record: the episode.

    Raises:
        GameError: it is not a finite number.
    """
    try:
        number = math.nan if isinstance(value, (str, bytes)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isfinite(number):
        return number
    try:
        shown = f"{value!r:.80}"
    except ValueError:  # Python shows no integer of thousands of digits
        shown = f"an integer of {value.bit_length()} bits"
    where = "" if record is None else f"{record.name}: "
    raise GameError(f"{where}{what} must give a finite number, not {shown}")
