"""Says in which folders the classic files of a run lie, for programs that drive games themselves.

It writes nothing and does not know what is in the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clemcore.clemgame.callbacks.base import GameBenchmarkCallback
from clemcore.clemgame.layout.names import component

# Where a game master keeps the number of its episode: several may play at the same time.
_EPISODE = "_number_in_results"


def experiment_of(game_master: Any) -> dict[str, Any]:
    """Return the experiment that was given to the game master, which may have replaced it since."""
    experiment: dict[str, Any] = getattr(game_master, "_given_experiment", None) or game_master.experiment
    return experiment


class ResultsFolder:
    """Says where the files of an instance are: ``RESULTS/RUN/GAME/EXPERIMENT/instance_00001``.

    Attributes:
        results_dir_path: the folder of all runs.
        run_dir: the name of the run's folder.
    """

    def __init__(self, result_dir_path: Path, run_dir: str) -> None:
        self.results_dir_path = Path(result_dir_path)
        self.run_dir = run_dir

    def to_results_dir_path(self) -> Path:
        """Return the folder of all runs."""
        return self.results_dir_path

    def to_run_dir_path(self) -> Path:
        """Return the folder of the run."""
        return self.results_dir_path / self.run_dir

    def to_experiment_dir_path(self, game_master: Any) -> Path:
        """Return the folder of the experiment that a game master plays."""
        return (
            self.to_run_dir_path()
            / self.to_game_dir(game_master)
            / self.to_experiment_dir(experiment_of(game_master))
        )

    def to_instance_dir_path(self, game_master: Any, game_instance: dict[str, Any]) -> Path:
        """Return the folder of an instance."""
        return self.to_experiment_dir_path(game_master) / self.to_instance_dir(game_instance)

    def to_game_dir(self, game_master: Any) -> str:
        """Return the name of a game's folder."""
        return component(game_master.game_spec.game_name)

    def to_experiment_dir(self, experiment: dict[str, Any]) -> str:
        """Return the name of an experiment's folder."""
        return component(experiment["name"])

    def to_instance_dir(self, game_instance: dict[str, Any]) -> str:
        """Return the name of an instance's folder."""
        return f"instance_{game_instance['game_id']:05d}"


class EpisodeResultsFolder(ResultsFolder):
    """Gives each episode played a folder of its own, also if it plays an instance again."""

    def __init__(self, result_dir_path: Path, run_dir: str) -> None:
        super().__init__(result_dir_path, run_dir)
        self.episode_id = 0

    def increment_episode_id(self) -> None:
        """Go on to the next episode."""
        self.episode_id += 1

    def to_episode_dir(self) -> str:
        """Return the name of the episode's folder."""
        return f"episode_{self.episode_id:05d}"

    def to_instance_dir(self, game_instance: dict[str, Any]) -> str:  # noqa: ARG002 - the episode decides
        """Return the name of the episode's folder."""
        return self.to_episode_dir()

    def to_instance_dir_path(self, game_master: Any, game_instance: dict[str, Any]) -> Path:
        """Return the folder of the episode that a game master plays, also if others have begun since."""
        last = self.episode_id
        self.episode_id = getattr(game_master, _EPISODE, last)
        try:
            return super().to_instance_dir_path(game_master, game_instance)
        finally:
            self.episode_id = last


class EpisodeResultsFolderCallback(GameBenchmarkCallback):
    """Counts the episodes for an :class:`EpisodeResultsFolder`."""

    def __init__(self, results_folder: EpisodeResultsFolder) -> None:
        self.results_folder = results_folder

    def on_game_start(self, game_master: Any, game_instance: dict[str, Any]) -> None:  # noqa: ARG002
        """Count an episode."""
        self.results_folder.increment_episode_id()
        setattr(game_master, _EPISODE, self.results_folder.episode_id)


class EpochResultsFolder(ResultsFolder):
    """Gives each run of the benchmark a folder ``epoch_00001`` inside that of the run."""

    def __init__(self, result_dir_path: Path, run_dir: str) -> None:
        super().__init__(result_dir_path, run_dir)
        self.epoch_id = 0

    def increment_epoch_id(self) -> None:
        """Go on to the next epoch."""
        self.epoch_id += 1

    def to_run_dir_path(self) -> Path:
        """Return the folder of the epoch."""
        return super().to_run_dir_path() / f"epoch_{self.epoch_id:05d}"


class EpochResultsFolderCallback(GameBenchmarkCallback):
    """Counts the epochs for an :class:`EpochResultsFolder`."""

    def __init__(self, results_folder: EpochResultsFolder) -> None:
        self.results_folder = results_folder

    def on_benchmark_start(self, game_benchmark: Any) -> None:  # noqa: ARG002
        """Count an epoch."""
        self.results_folder.increment_epoch_id()
