"""Callbacks of programs that drive games themselves, as in 3.7.2. The command ``clem run`` does not use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clemcore.clemgame.callbacks.base import GameBenchmarkCallbackList
from clemcore.clemgame.callbacks.files import (
    EpisodeResultsFolder,
    EpisodeResultsFolderCallback,
    ExperimentFileSaver,
    InstanceFileSaver,
    InteractionsFileSaver,
)

__all__ = ["episode_results_folder_callbacks"]


def episode_results_folder_callbacks(
    *, run_dir: str, result_dir_path: str | Path = "episode-records", player_model_infos: Any = None
) -> GameBenchmarkCallbackList:
    """Return callbacks that write each episode played into a folder of its own.

    Args:
        run_dir: the folder of the run.
        result_dir_path: the folder of all runs.
        player_model_infos: the models, as ``Model.to_infos`` gives them.
    """
    folder = EpisodeResultsFolder(Path(result_dir_path), run_dir)
    # The folder counts the episodes, so it must hear of each before the others write into it.
    return GameBenchmarkCallbackList(
        [
            EpisodeResultsFolderCallback(folder),
            InstanceFileSaver(folder),
            ExperimentFileSaver(folder, player_model_infos=player_model_infos),
            InteractionsFileSaver(folder, player_model_infos=player_model_infos),
        ]
    )
