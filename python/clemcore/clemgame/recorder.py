"""Recorders: listeners that keep the events of one episode in the form of the classic files.

They do not write files, and they do not know games.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from clemcore._core import __version__
from clemcore.clemgame.events import GameEventLogger
from clemcore.clemgame.metrics import (
    METRIC_REQUEST_COUNT,
    METRIC_REQUEST_COUNT_PARSED,
    METRIC_REQUEST_COUNT_VIOLATED,
)
from clemcore.clemgame.moments import local_time
from clemcore.clemgame.plain import plain
from clemcore.errors import GameError

__all__ = ["EventCallRecorder", "GameInteractionsRecorder"]

# Under which the record itself is kept.
_OWN_KEYS = ("meta", "player_models", "players", "turns")

_logger = logging.getLogger(__name__)


class GameInteractionsRecorder(GameEventLogger):
    """Keeps an episode's events as the content of ``interactions.json``.

    Attributes:
        interactions: the content so far.
        on_event: called with each event that was added to the turns; None for nobody.
    """

    def __init__(
        self,
        game_name: str,
        experiment_name: str,
        game_id: int,
        results_folder: str,
        player_model_infos: Any,
        *,
        on_event: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Begin the record of an episode.

        Args:
            game_name: the game.
            experiment_name: its experiment.
            game_id: the instance.
            results_folder: the folder of the run, as it stands in the record.
            player_model_infos: the models, as ``Model.to_infos`` gives them.
            on_event: called with each event that was added.
        """
        self._game_name = game_name
        self._current_round = 0
        self.on_event = on_event
        self._meta: dict[str, Any] = {
            "game_name": game_name,
            "experiment_name": experiment_name,
            "game_id": game_id,
            "results_folder": results_folder,
            "clem_version": __version__,
            "round_count": None,
            "completed": None,
        }
        self._events: list[dict[str, Any]] = []
        self.interactions: dict[str, Any] = {
            "meta": self._meta,
            "player_models": player_model_infos,
            "players": {"GM": {"game_role": "Game Master", "model_name": "programmatic"}},
            "turns": [self._events],
        }
        # One number per round; the last of them are "parsed until proven otherwise".
        self.requests_counts = [0]
        self.violated_requests_counts = [0]
        self.successful_requests_counts = [0]

    def log_next_round(self) -> None:
        """Begin a new round."""
        self._current_round += 1
        self._meta["round_count"] = self._current_round + 1
        self._events = []
        self.interactions["turns"].append(self._events)
        for counts in (self.requests_counts, self.violated_requests_counts, self.successful_requests_counts):
            counts.append(0)

    def count_request(self) -> None:
        """Count one response of this round."""
        self.requests_counts[self._current_round] += 1
        self.successful_requests_counts[self._current_round] += 1

    def count_request_violation(self) -> None:
        """Count the response before as one that could not be parsed."""
        self.violated_requests_counts[self._current_round] += 1
        self.successful_requests_counts[self._current_round] -= 1

    def log_key(self, key: str, value: Any) -> None:
        """Keep a fact at the top level of the interactions.

        Raises:
            GameError: the key is one under which the record itself is kept.
        """
        if key in _OWN_KEYS:
            raise GameError(f"log_key({key!r}, …) would replace the {key} of the record: choose another key")
        self.interactions[key] = value

    def log_player(self, player_name: str, game_role: str, model_name: str) -> None:
        """Keep who plays."""
        self.interactions["players"][player_name] = {"game_role": game_role, "model_name": model_name}

    def log_event(
        self,
        from_: str,
        to: str,
        action: dict[str, Any],
        call: tuple[Any, Any] | None = None,  # noqa: ARG002 - kept by others
    ) -> None:
        """Keep an event of this round."""
        event = {"from": from_, "to": to, "timestamp": local_time(), "action": plain(action)}
        self._events.append(event)
        if self.on_event is not None:
            self.on_event(event)

    def log_game_end(self, auto_count_logging: bool = True) -> None:
        """Mark the episode as complete."""
        strange = [name for name in self.interactions["players"] if name != "GM" and not name.startswith("Player ")]
        if strange:
            _logger.warning(
                "%s: transcripts show only players that are called 'Player N', not %s", self._game_name, strange
            )
        self._meta["round_count"] = self._current_round + 1
        self._meta["completed"] = True
        if auto_count_logging:
            self.log_key(METRIC_REQUEST_COUNT, self.requests_counts)
            self.log_key(METRIC_REQUEST_COUNT_VIOLATED, self.violated_requests_counts)
            self.log_key(METRIC_REQUEST_COUNT_PARSED, self.successful_requests_counts)


class EventCallRecorder(GameEventLogger):
    """Keeps the model calls of one player as the content of ``player_N.requests.json``.

    Attributes:
        requests: the content so far.
        round: the current round, from 0.
    """

    def __init__(
        self,
        game_name: str,
        *,
        experiment_name: str,
        game_id: int,
        player_name: str,
        game_role: str,
        model_name: str,
    ) -> None:
        self.game_name = game_name
        self.experiment_name = experiment_name
        self.game_id = game_id
        self.player_name = player_name
        self.game_role = game_role
        self.model_name = model_name
        self.requests: dict[str, Any] = {
            "meta": {
                "game_name": game_name,
                "experiment_name": experiment_name,
                "game_id": game_id,
                "player_name": player_name,
                "game_role": game_role,
                "model_name": model_name,
                "round_count": None,
                "completed": None,
            },
            "calls": [],
        }
        self.round = 0

    def __len__(self) -> int:
        """Return the number of calls."""
        return len(self.requests["calls"])

    def log_event(
        self,
        from_: str,
        to: str,  # noqa: ARG002 - the interface of loggers
        action: dict[str, Any],  # noqa: ARG002
        call: tuple[Any, Any] | None = None,
    ) -> None:
        """Keep the call of an event, if it is one of this player."""
        if from_ != self.player_name or not isinstance(call, tuple):
            return
        entry = {
            "timestamp": local_time(),
            "manipulated_prompt_obj": plain(call[0]),
            "raw_response_obj": plain(call[1]),
        }
        self.requests["calls"].append({"round": self.round, "call": entry})

    def log_next_round(self) -> None:
        """Count the rounds."""
        self.round += 1
        self.requests["meta"]["round_count"] = self.round + 1

    def log_game_end(self, auto_count_logging: bool = True) -> None:  # noqa: ARG002
        """Mark the episode as complete."""
        self.requests["meta"]["round_count"] = self.round + 1
        self.requests["meta"]["completed"] = True

    def count_request(self) -> None:
        """Ignore it: calls are counted by keeping them."""

    def count_request_violation(self) -> None:
        """Ignore it."""

    def log_key(self, key: str, value: Any) -> None:
        """Ignore it: facts are in the interactions."""

    def log_player(self, player_name: str, game_role: str, model_name: str) -> None:
        """Ignore it."""
