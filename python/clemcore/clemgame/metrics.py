"""Names of metrics, and the scorer that computes them from an episode's interactions.

Scores of an aborted episode are NaN, apart from "Aborted" itself. It does not know how scores become tables.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from clemcore.clemgame.layout.jsonfile import write_json
from clemcore.clemgame.legacy.passed_on import passed_on
from clemcore.clemgame.resources import store_results_file
from clemcore.clemgame.score_values import fault_of, storable

if not TYPE_CHECKING:  # programs for 3.7.2 may import this name from here
    __getattr__ = passed_on(__name__, "store_file")

# Whether the players broke the rules of the dialogue (1) or not (0), once per episode.
METRIC_ABORTED = "Aborted"
# Whether the goal was missed (1); 0 for an aborted episode.
METRIC_LOSE = "Lose"
# Whether the goal was reached (1); 0 for an aborted episode.
METRIC_SUCCESS = "Success"
# How many responses were asked for, how many of them could be parsed, and how many not.
METRIC_REQUEST_COUNT = "Request Count"
METRIC_REQUEST_COUNT_PARSED = "Parsed Request Count"
METRIC_REQUEST_COUNT_VIOLATED = "Violated Request Count"
# Parsed requests per request.
METRIC_REQUEST_SUCCESS_RATIO = "Request Success Ratio"
METRIC_REQUEST_SUCCESS = METRIC_REQUEST_SUCCESS_RATIO  # the name of 2.x
# The quality of an episode, from 0 to 100; NaN if it was aborted.
BENCH_SCORE = "Main Score"
# 1 - Aborted; the evaluation computes it.
METRIC_PLAYED = "Played"

KEY_META = "meta"
KEY_PLAYERS = "players"
KEY_ROUND_SCORES = "round scores"
KEY_TURN_SCORES = "turn scores"
KEY_EPISODE_SCORES = "episode scores"

# Where the code of clemcore lies.
_OWN_CODE = str(Path(__file__).parent.parent) + os.sep

module_logger = logging.getLogger(__name__)


def place_in_game() -> tuple[str, int]:
    """Return file and line of the code outside of clemcore that logs a score; ("", 0) if it is clemcore's own."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OWN_CODE):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename.startswith("<"):  # such as runpy's
        return "", 0
    return frame.f_code.co_filename, frame.f_lineno


def _logged(interactions: Mapping[str, Any], name: str) -> Any:
    """Return what a game master has logged.

    Raises:
        KeyError: it has not; the error says how to change that.
    """
    if name not in interactions:
        raise KeyError(
            f"the interactions have no '{name}', which this scorer needs: the game master must log it with "
            "log_key(), or the scorer must define compute_scores()"
        )
    return interactions[name]


class Scores:
    """Keeps the scores of one episode as the content of ``scores.json``.

    Attributes:
        scores: the scores so far.
        rounds_key: the name of the scores of rounds in the file.
    """

    rounds_key = KEY_ROUND_SCORES

    def __init__(self, name: str, experiment: dict[str, Any], game_instance: dict[str, Any]) -> None:
        """Begin the scores of an episode.

        Args:
            name: the game.
            experiment: the experiment of the episode.
            game_instance: its instance.
        """
        self.game_name = name
        self.experiment = experiment
        self.game_instance = game_instance
        self.scores: dict[str, Any] = {KEY_META: {}, KEY_PLAYERS: {}, self.rounds_key: {}, KEY_EPISODE_SCORES: {}}

    def _log(self, scores: dict[str, Any], where: str, score_name: str, score_value: Any) -> None:
        fault = fault_of(score_value, is_main=score_name == BENCH_SCORE)
        if fault is not None:
            file, number = place_in_game()
            line = f" ({file}:{number})" if file else ""
            module_logger.warning("%s: score '%s' of %s %s%s", self.game_name, score_name, where, fault, line)
        if score_name in scores:
            module_logger.warning("%s: score '%s' of %s is overwritten", self.game_name, score_name, where)
        scores[score_name] = score_value

    def _log_of_round(self, index: int, score_name: str, score_value: Any) -> None:
        rounds = self.scores[self.rounds_key]
        scores = rounds.get(index)
        if scores is None:
            scores = rounds[index] = {}
        if type(score_value) is int and score_name not in scores:  # most scores of rounds are counts
            scores[score_name] = score_value
        else:
            self._log(scores, f"round {index}", score_name, score_value)

    def log_episode_score(self, score_name: str, score_value: Any) -> None:
        """Keep a score of the episode.

        Args:
            score_name: its name.
            score_value: its value.
        """
        self._log(self.scores[KEY_EPISODE_SCORES], "the episode", score_name, score_value)

    def store_results_file(
        self,
        data: Any,
        file_name: str,
        dialogue_pair: str,
        sub_dir: str | None = None,
        results_dir: str | None = None,
    ) -> None:
        """Write a file beside the scores, as scorers before 2.2 do.

        Args:
            data: text, or what JSON can hold.
            file_name: the name of the file.
            dialogue_pair: the folder of the run.
            sub_dir: the folder of the episode inside that of the game.
            results_dir: the folder of all results.
        """
        content = storable(data) if file_name.endswith(".json") else data
        store_results_file(self.game_name, content, file_name, dialogue_pair, sub_dir, results_dir)

    def _store(self, folder: str | Path) -> str:
        path = os.path.join(folder, "scores.json")  # noqa: PTH118 - a text, as _on_store_scores gets it
        write_json(path, self.scores, storable)
        return path

    def _take_over(self, interactions: dict[str, Any]) -> None:
        for key in (KEY_META, "player_models", KEY_PLAYERS):
            if key in interactions:
                self.scores[key] = interactions[key]


def write_scores(scorer: Any, folder: str | Path) -> None:
    """Let a scorer write its files into the folder of an episode, ``R/<run>/<game>/<experiment>/<instance>``.

    A scorer before 2.2 takes the folder in three parts: R, the run, and the episode.
    """
    path = Path(folder)
    if _takes_parts(type(scorer).store_scores) and len(path.absolute().parts) > 4:  # noqa: PLR2004 - the three parts
        run = path.parents[2]
        scorer.store_scores(str(run.parent), run.name, str(path.relative_to(run / path.parents[1].name)))
    else:
        scorer.store_scores(path)


@functools.lru_cache(maxsize=64)
def _takes_parts(store_scores: Any) -> bool:
    """Tell whether the method of a scorer takes the folder in three parts."""
    _, *parameters = inspect.signature(store_scores).parameters.values()
    needed = [each for each in parameters if each.kind <= each.POSITIONAL_OR_KEYWORD and each.default is each.empty]
    return len(needed) == 3  # noqa: PLR2004


def ratio_of(parsed: Any, requests: Any) -> float:
    """Return parsed requests per request; NaN if nothing was asked for."""
    return parsed / requests if requests else float("nan")


class ScorerBase(Scores):
    """Scores of the contracts before 3.4: a game computes everything in ``compute_scores``, or by its hooks."""

    rounds_key = KEY_TURN_SCORES

    def log_turn_score(self, turn_idx: int, score_name: str, score_value: Any) -> None:
        """Keep a score of a round.

        Args:
            turn_idx: the number of the round, from 0.
            score_name: the name of the score.
            score_value: its value.
        """
        self._log_of_round(turn_idx, score_name, score_value)

    def compute_scores(self, interactions: dict[str, Any]) -> None:
        """Compute all scores of an episode."""
        self._take_over(interactions)
        self.score_turns(interactions)
        self.score_game(interactions)

    def score_turns(self, interactions: dict[str, Any]) -> None:
        """Compute the scores of rounds."""
        raise NotImplementedError(f"{type(self).__name__} must define score_turns(), or its own compute_scores()")

    def score_game(self, episode_interactions: dict[str, Any]) -> None:
        """Compute the scores of the episode."""
        self.score_game_end(episode_interactions)
        self.score_requests(episode_interactions)
        self.log_main_score(episode_interactions)

    def score_game_end(self, episode_interactions: dict[str, Any]) -> None:
        """Compute how the episode ended."""
        aborted = int(_logged(episode_interactions, METRIC_ABORTED))
        lose = 0 if aborted else int(_logged(episode_interactions, METRIC_LOSE))
        self.log_episode_score(METRIC_ABORTED, aborted)
        self.log_episode_score(METRIC_LOSE, lose)
        self.log_episode_score(METRIC_SUCCESS, 0 if aborted else 1 - lose)

    def score_requests(self, episode_interactions: dict[str, Any]) -> None:
        """Compute the scores of requests."""
        requests = _logged(episode_interactions, METRIC_REQUEST_COUNT)
        parsed = _logged(episode_interactions, METRIC_REQUEST_COUNT_PARSED)
        self.log_episode_score(METRIC_REQUEST_COUNT, requests)
        self.log_episode_score(METRIC_REQUEST_COUNT_PARSED, parsed)
        violated = _logged(episode_interactions, METRIC_REQUEST_COUNT_VIOLATED)
        self.log_episode_score(METRIC_REQUEST_COUNT_VIOLATED, violated)
        self.log_episode_score(METRIC_REQUEST_SUCCESS_RATIO, ratio_of(parsed, requests))

    def log_main_score(self, episode_interactions: dict[str, Any]) -> None:
        """Compute the main score of the episode."""
        raise NotImplementedError(
            f"{type(self).__name__} must define log_main_score(), or its own compute_scores()"
        )

    def store_scores(self, interactions_dir: str | Path, *below: str) -> None:
        """Write ``scores.json``.

        Args:
            interactions_dir: the folder of the episode.
            below: further parts of its path, as before 2.2: run and episode.
        """
        if below:
            interactions_dir = Path(interactions_dir).joinpath(below[0], self.game_name, *below[1:])
        self._store(interactions_dir)


# What a scorer of 3.x defines, and what only one of 2.x does.
_NEW_METHODS = ("compute_episode_scores", "compute_round_score")
_OLD_METHODS = ("compute_scores", "score_turns", "score_game", "log_main_score")


class GameScorer(ScorerBase):
    """Computes the scores of an episode from its interactions.

    A game defines ``compute_episode_scores``, which must log the main score, and ``compute_round_score``. A class
    that defines the methods of releases before 3.0 keeps that contract.
    """

    rounds_key = KEY_ROUND_SCORES
    _is_old = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        is_new = any(method in cls.__dict__ for method in _NEW_METHODS)
        if is_new or any(method in cls.__dict__ for method in _OLD_METHODS):
            cls._is_old = not is_new
            cls.rounds_key = KEY_ROUND_SCORES if is_new else KEY_TURN_SCORES

    @final
    def log_round_score(self, round_idx: int, score_name: str, score_value: Any) -> None:
        """Keep a score of a round.

        Args:
            round_idx: the number of the round, from 0.
            score_name: the name of the score.
            score_value: its value.
        """
        self._log_of_round(round_idx, score_name, score_value)

    def compute_scores(self, interactions: dict[str, Any]) -> None:
        """Compute all scores of an episode."""
        if self._is_old:
            super().compute_scores(interactions)
            return
        self._take_over(interactions)
        self.score_rounds(interactions)
        self.score_episode(interactions)

    @final
    def score_rounds(self, interactions: dict[str, Any]) -> None:
        """Compute the scores of all rounds."""
        rounds = interactions["turns"]
        if not rounds:
            return
        requests = _logged(interactions, METRIC_REQUEST_COUNT)
        violated = _logged(interactions, METRIC_REQUEST_COUNT_VIOLATED)
        parsed = _logged(interactions, METRIC_REQUEST_COUNT_PARSED)
        for index, events in enumerate(rounds):
            self.log_round_score(index, METRIC_REQUEST_COUNT, requests[index])
            self.log_round_score(index, METRIC_REQUEST_COUNT_VIOLATED, violated[index])
            self.log_round_score(index, METRIC_REQUEST_COUNT_PARSED, parsed[index])
            self.log_round_score(index, METRIC_REQUEST_SUCCESS_RATIO, ratio_of(parsed[index], requests[index]))
            self.compute_round_score(index, events)

    def compute_round_score(self, round_idx: int, round_events: list[dict[str, Any]]) -> None:
        """Compute the game's own scores of a round.

        Args:
            round_idx: the number of the round, from 0.
            round_events: its events.
        """

    @final
    def score_episode(self, interactions: dict[str, Any]) -> None:
        """Compute the scores of the episode."""
        requests = sum(interactions[METRIC_REQUEST_COUNT])
        parsed = sum(interactions[METRIC_REQUEST_COUNT_PARSED])
        self.log_episode_score(METRIC_REQUEST_COUNT, requests)
        self.log_episode_score(METRIC_REQUEST_COUNT_PARSED, parsed)
        self.log_episode_score(METRIC_REQUEST_COUNT_VIOLATED, sum(interactions[METRIC_REQUEST_COUNT_VIOLATED]))
        self.log_episode_score(METRIC_REQUEST_SUCCESS_RATIO, ratio_of(parsed, requests))
        for name in (METRIC_ABORTED, METRIC_LOSE, METRIC_SUCCESS):
            self.log_episode_score(name, _logged(interactions, name))
        self.compute_episode_scores(interactions)

    def compute_episode_scores(self, interactions: dict[str, Any]) -> None:
        """Compute the game's own scores of the episode; the main score must be among them.

        Args:
            interactions: what was recorded of the episode.
        """
        raise NotImplementedError(f"{type(self).__name__} must define compute_episode_scores()")

    def store_scores(self, interactions_dir: str | Path, *below: str) -> None:
        """Write ``scores.json``.

        Args:
            interactions_dir: the folder of the episode.
            below: further parts of its path, as before 2.2.
        """
        if self._is_old:
            super().store_scores(interactions_dir, *below)
            return
        if BENCH_SCORE not in self.scores[KEY_EPISODE_SCORES]:
            raise AssertionError(
                f"{type(self).__name__} computed no '{BENCH_SCORE}', which the evaluation needs: call "
                f"log_episode_score(BENCH_SCORE, value) in compute_episode_scores()"
            )
        self._on_store_scores(self._store(interactions_dir))

    def _on_store_scores(self, file_path: str) -> None:
        """Do something after the file was written."""
