"""Callbacks that write the classic files of a run, for programs that drive games themselves.

They do not know how a game is played.
"""

from __future__ import annotations

import logging
from datetime import datetime
from threading import Lock
from typing import Any

from clemcore._core import __version__
from clemcore.clemgame.callbacks.base import GameBenchmarkCallback
from clemcore.clemgame.callbacks.folders import (
    EpisodeResultsFolder,
    EpisodeResultsFolderCallback,
    EpochResultsFolder,
    EpochResultsFolderCallback,
    ResultsFolder,
    experiment_of,
)
from clemcore.clemgame.game_master import listen_to_players
from clemcore.clemgame.layout.names import requests_file
from clemcore.clemgame.recorder import EventCallRecorder, GameInteractionsRecorder
from clemcore.clemgame.resources import load_json, store_json

__all__ = [
    "BranchCounter",
    "EpisodeResultsFolder",
    "EpisodeResultsFolderCallback",
    "EpochResultsFolder",
    "EpochResultsFolderCallback",
    "ExperimentFileSaver",
    "InstanceFileSaver",
    "InteractionsFileSaver",
    "PlayerFileSaver",
    "ResultsFolder",
    "RunFileSaver",
    "SignalFileSaver",
]

_logger = logging.getLogger(__name__)


class RunFileSaver(GameBenchmarkCallback):
    """Writes ``run.json``: the models, and when each game was played."""

    def __init__(self, results_folder: ResultsFolder, *, player_model_infos: Any = None) -> None:
        self.results_folder = results_folder
        self.game_info: dict[str, Any] = {}
        self.benchmark_start = datetime.now()
        self.num_instances = 0
        file = self.results_folder.to_run_dir_path() / "run.json"
        if file.exists():
            self.data: dict[str, Any] = load_json(file)
        else:
            self.data = {
                "clem_version": __version__,
                "created": datetime.now().isoformat(),
                "player_models": player_model_infos,
                "games": {},
            }
            self._store()

    def _store(self) -> None:
        store_json(self.data, "run.json", self.results_folder.to_run_dir_path())

    def on_benchmark_start(self, game_benchmark: Any) -> None:
        """Note when a game begins."""
        self.benchmark_start = datetime.now()
        self.game_info = {
            "game_path": game_benchmark.game_path,
            "benchmark_start": self.benchmark_start.isoformat(),
        }
        self.data.setdefault("games", {})[game_benchmark.game_name] = self.game_info
        self._store()

    def on_game_start(self, game_master: Any, game_instance: dict[str, Any]) -> None:  # noqa: ARG002
        """Count an instance."""
        self.num_instances += 1

    def on_benchmark_end(self, game_benchmark: Any) -> None:  # noqa: ARG002
        """Note when the game ended."""
        end = datetime.now()
        duration = end - self.benchmark_start
        self.game_info["benchmark_end"] = end.isoformat()
        self.game_info["duration"] = str(duration)
        self.game_info["duration_seconds"] = duration.total_seconds()
        self.game_info["num_instances"] = self.num_instances
        self._store()
        self.num_instances = 0
        self.game_info = {}


class InstanceFileSaver(GameBenchmarkCallback):
    """Writes ``instance.json``."""

    def __init__(self, results_folder: ResultsFolder) -> None:
        self.results_folder = results_folder

    def on_game_start(self, game_master: Any, game_instance: dict[str, Any]) -> None:
        """Write the instance."""
        store_json(
            game_instance, "instance.json", self.results_folder.to_instance_dir_path(game_master, game_instance)
        )


class ExperimentFileSaver(GameBenchmarkCallback):
    """Writes ``experiment.json``, once for all of its instances."""

    def __init__(self, results_folder: ResultsFolder, *, player_model_infos: Any = None) -> None:
        self.results_folder = results_folder
        self.player_models_infos = player_model_infos

    def on_game_start(self, game_master: Any, game_instance: dict[str, Any]) -> None:  # noqa: ARG002
        """Write the experiment, unless it is there already."""
        folder = self.results_folder.to_experiment_dir_path(game_master)
        if (folder / "experiment.json").is_file():
            return
        experiment = {key: value for key, value in experiment_of(game_master).items() if key != "game_instances"}
        experiment["timestamp"] = datetime.now().isoformat()
        experiment["game_name"] = game_master.game_spec.game_name
        experiment["player_models"] = self.player_models_infos
        store_json(experiment, "experiment.json", folder)


class BranchCounter:
    """Numbers the branches of each episode. A copy is the counter itself, because branches are copies."""

    def __init__(self) -> None:
        self._counters: dict[str, int] = {}
        self._lock = Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> BranchCounter:
        """Return the counter itself."""
        return self

    def next(self, key: str) -> int:
        """Return the next number of an episode, from 0."""
        with self._lock:
            count = self._counters.get(key, 0)
            self._counters[key] = count + 1
            return count


class InteractionsFileSaver(GameBenchmarkCallback):
    """Records episodes and writes ``interactions.json``."""

    def __init__(
        self, results_folder: ResultsFolder, *, player_model_infos: Any = None, store_branches: bool = False
    ) -> None:
        """Prepare to record.

        Args:
            results_folder: where to write.
            player_model_infos: the models, as ``Model.to_infos`` gives them.
            store_branches: write each branch of an episode into a folder of its own.
        """
        self.results_folder = results_folder
        self.player_models_infos = player_model_infos
        self._store_branches = store_branches
        self._branch_counter = BranchCounter()
        self._recorders: dict[str, GameInteractionsRecorder] = {}

    @staticmethod
    def to_key(game_name: str, experiment_name: str, game_id: int) -> str:
        """Name an episode."""
        return f"{game_name}-{experiment_name}-{game_id}"

    def _key_of(self, game_master: Any, game_instance: dict[str, Any]) -> str:
        name = experiment_of(game_master)["name"]
        return self.to_key(game_master.game_spec.game_name, name, game_instance["game_id"])

    def on_game_start(self, game_master: Any, game_instance: dict[str, Any]) -> None:
        """Begin to record an episode."""
        recorder = GameInteractionsRecorder(
            game_master.game_spec.game_name,
            experiment_of(game_master)["name"],
            game_instance["game_id"],
            self.results_folder.run_dir,
            self.player_models_infos,
        )
        for player in game_master.get_players():
            recorder.log_player(player.name, player.game_role, player.model.name)
        game_master.register(recorder)
        listen_to_players(game_master)
        self._recorders[self._key_of(game_master, game_instance)] = recorder

    def on_game_end(
        self,
        game_master: Any,
        game_instance: dict[str, Any],
        exception: Exception | None = None,
        rewards: dict[str, float] | None = None,  # noqa: ARG002
    ) -> None:
        """Write the record of an episode that was played to its end."""
        if exception is not None:
            return
        key = self._key_of(game_master, game_instance)
        if key not in self._recorders:
            raise AssertionError(f"episode {key} ended, but on_game_start was not called for it")
        recorder = self._recorders.pop(key)
        folder = self.results_folder.to_instance_dir_path(game_master, game_instance)
        if self._store_branches:
            folder /= f"branch_{self._branch_counter.next(key) + 1:05d}"
        store_json(recorder.interactions, "interactions.json", folder)


class SignalFileSaver(GameBenchmarkCallback):
    """Writes how an episode ended: ``completed.json`` or ``error.json``."""

    def __init__(self, results_folder: ResultsFolder) -> None:
        self.results_folder = results_folder

    def on_game_start(self, game_master: Any, game_instance: dict[str, Any]) -> None:
        """Remove what an earlier attempt left."""
        folder = self.results_folder.to_instance_dir_path(game_master, game_instance)
        for name in ("completed.json", "error.json"):
            (folder / name).unlink(missing_ok=True)

    def on_game_end(
        self,
        game_master: Any,
        game_instance: dict[str, Any],
        exception: Exception | None = None,
        rewards: dict[str, float] | None = None,  # noqa: ARG002
    ) -> None:
        """Write how it ended."""
        folder = self.results_folder.to_instance_dir_path(game_master, game_instance)
        signal = {"timestamp": datetime.now().isoformat()}
        if exception is None:
            store_json(signal, "completed.json", folder)
        else:
            error = {**signal, "error": type(exception).__name__, "message": str(exception)}
            store_json(error, "error.json", folder)


class PlayerFileSaver(GameBenchmarkCallback):
    """Records the calls of players and writes ``player_N.requests.json`` for those that made any."""

    def __init__(self, results_folder: ResultsFolder) -> None:
        self.results_folder = results_folder
        self._recorders: dict[str, EventCallRecorder] = {}

    @staticmethod
    def to_key(game_name: str, experiment_name: str, game_id: int, player_name: str) -> str:
        """Name a player of an episode."""
        return "-".join([game_name, experiment_name, str(game_id), player_name])

    def on_game_start(self, game_master: Any, game_instance: dict[str, Any]) -> None:
        """Begin to record the calls of an episode's players."""
        game_name = game_master.game_spec.game_name
        experiment_name = experiment_of(game_master)["name"]
        game_id = game_instance["game_id"]
        for player in game_master.get_players():
            recorder = EventCallRecorder(
                game_name,
                experiment_name=experiment_name,
                game_id=game_id,
                player_name=player.name,
                game_role=player.game_role,
                model_name=player.model.name,
            )
            game_master.register(recorder)  # for the rounds
            player.register(recorder)  # for the calls
            self._recorders[self.to_key(game_name, experiment_name, game_id, player.name)] = recorder

    def on_game_end(
        self,
        game_master: Any,
        game_instance: dict[str, Any],
        exception: Exception | None = None,
        rewards: dict[str, float] | None = None,  # noqa: ARG002
    ) -> None:
        """Write the calls of an episode that was played to its end."""
        if exception is not None:
            return
        experiment_name = experiment_of(game_master)["name"]
        for player in game_master.get_players():
            key = self.to_key(
                game_master.game_spec.game_name, experiment_name, game_instance["game_id"], player.name
            )
            recorder = self._recorders.pop(key, None)
            if recorder is None:
                _logger.error("calls of %s are not recorded: on_game_start was not called for it", key)
            elif len(recorder):
                folder = self.results_folder.to_instance_dir_path(game_master, game_instance)
                store_json(recorder.requests, requests_file(player.name), folder)
