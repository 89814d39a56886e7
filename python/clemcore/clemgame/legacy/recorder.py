"""Recorders by the names of 2.x, for programs that make their own. They do not know games."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from clemcore.clemgame.events import GameEventLogger
from clemcore.clemgame.plain import plain
from clemcore.clemgame.recorder import GameInteractionsRecorder
from clemcore.clemgame.resources import store_results_file

__all__ = ["DefaultGameRecorder", "GameRecorder", "NoopGameRecorder"]

GameRecorder = GameEventLogger


class NoopGameRecorder(GameEventLogger):
    """Keeps nothing."""

    def __init__(self) -> None:
        self.interactions: list[Any] = []
        self.requests: list[Any] = []

    def log_next_round(self) -> None:
        """Ignore it."""

    def log_game_end(self, auto_count_logging: bool = True) -> None:
        """Ignore it."""

    def count_request(self) -> None:
        """Ignore it."""

    def count_request_violation(self) -> None:
        """Ignore it."""

    def log_key(self, key: str, value: Any) -> None:
        """Ignore it."""

    def log_player(self, player_name: str, game_role: str, model_name: str) -> None:
        """Ignore it."""

    def log_event(self, from_: str, to: str, action: dict[str, Any], call: tuple[Any, Any] | None = None) -> None:
        """Ignore it."""

    def store_records(self, results_root: str, dialogue_pair_desc: str, game_record_dir: str) -> None:
        """Ignore it."""


class DefaultGameRecorder(GameInteractionsRecorder):
    """Keeps events and calls of an episode, and writes both.

    Attributes:
        requests: the calls so far.
    """

    def __init__(
        self,
        game_name: str,
        experiment_name: str,
        game_id: int,
        results_folder: str,
        player_model_infos: Any = None,
    ) -> None:
        super().__init__(game_name, experiment_name, game_id, results_folder, player_model_infos)
        self.requests: list[dict[str, Any]] = []

    def log_event(self, from_: str, to: str, action: dict[str, Any], call: tuple[Any, Any] | None = None) -> None:
        """Keep an event, and its call."""
        super().log_event(from_, to, action, call)
        if call:
            entry = {
                "timestamp": datetime.now().isoformat(),
                "manipulated_prompt_obj": plain(call[0]),
                "raw_response_obj": plain(call[1]),
            }
            self.requests.append(entry)

    def store_records(self, results_root: str, dialogue_pair_desc: str, game_record_dir: str) -> None:
        """Write ``interactions.json`` and ``requests.json``.

        Args:
            results_root: the folder of all results.
            dialogue_pair_desc: the folder of the run.
            game_record_dir: the folder of the episode inside that of the game.
        """
        for content, name in ((self.interactions, "interactions.json"), (self.requests, "requests.json")):
            store_results_file(self._game_name, content, name, dialogue_pair_desc, game_record_dir, results_root)
