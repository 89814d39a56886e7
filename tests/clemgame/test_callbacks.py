"""Callbacks of programs that drive games themselves write the classic files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends import CustomResponseModel, Model
from clemcore.clemgame import (
    EpisodeResultsFolder,
    EpochResultsFolder,
    EpochResultsFolderCallback,
    ExperimentFileSaver,
    GameBenchmark,
    GameBenchmarkCallback,
    GameBenchmarkCallbackList,
    GameSnapshot,
    GameStep,
    InstanceFileSaver,
    InteractionsFileSaver,
    ResultsFolder,
    RunFileSaver,
    SignalFileSaver,
    episode_results_folder_callbacks,
    play_game,
)
from clemcore.clemgame.callbacks.files import BranchCounter, PlayerFileSaver
from support.playing import spec_of

EXPERIMENT = {"name": "long", "max_rounds": 4}
INSTANCE = {"game_id": 0, "word": "apple"}


def all_savers(folder: ResultsFolder, infos: Any) -> list[GameBenchmarkCallback]:
    return [
        RunFileSaver(folder, player_model_infos=infos),
        InstanceFileSaver(folder),
        ExperimentFileSaver(folder, player_model_infos=infos),
        SignalFileSaver(folder),
        InteractionsFileSaver(folder, player_model_infos=infos),
        PlayerFileSaver(folder),
    ]


def drive(callbacks: GameBenchmarkCallback, error: Exception | None = None, times: int = 1) -> None:
    models: list[Model] = [CustomResponseModel()]
    with GameBenchmark.load_from_spec(spec_of("legacy_clues")) as benchmark:
        callbacks.on_benchmark_start(benchmark)
        for _ in range(times):
            master = benchmark.create_game_master({**EXPERIMENT}, models)
            master.setup(**INSTANCE)
            callbacks.on_game_start(master, INSTANCE)
            master.experiment = "replaced"
            if error is None:
                play_game(
                    master,
                    lambda m, player, context, response, done, info: callbacks.on_game_step(
                        m, INSTANCE, GameStep(context, response, done, info, player.name, player.model.name)
                    ),
                )
            callbacks.on_game_end(master, INSTANCE, error)
        callbacks.on_benchmark_end(benchmark)


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def test_the_files_of_a_run_are_those_of_3_7_2(tmp_path: Path) -> None:
    infos = Model.to_infos([CustomResponseModel()])
    callbacks = GameBenchmarkCallbackList()
    for saver in all_savers(ResultsFolder(tmp_path, "mock"), infos):
        callbacks.append(saver)
    drive(callbacks)
    assert files_below(tmp_path) == [
        "mock/legacy_clues/long/experiment.json",
        "mock/legacy_clues/long/instance_00000/completed.json",
        "mock/legacy_clues/long/instance_00000/instance.json",
        "mock/legacy_clues/long/instance_00000/interactions.json",
        "mock/legacy_clues/long/instance_00000/player_1.requests.json",
        "mock/legacy_clues/long/instance_00000/player_2.requests.json",
        "mock/run.json",
    ]
    run = read(tmp_path / "mock/run.json")
    assert list(run) == ["clem_version", "created", "player_models", "games"]
    assert run["games"]["legacy_clues"]["num_instances"] == 1
    experiment = read(tmp_path / "mock/legacy_clues/long/experiment.json")
    assert list(experiment) == ["name", "max_rounds", "timestamp", "game_name", "player_models"]
    episode = tmp_path / "mock/legacy_clues/long/instance_00000"
    assert (episode / "instance.json").read_text() == json.dumps(INSTANCE, indent=2)
    interactions = read(episode / "interactions.json")
    assert list(interactions)[:5] == ["meta", "player_models", "players", "turns", "word"]
    requests = read(episode / "player_1.requests.json")
    assert [call["round"] for call in requests["calls"]] == [0, 1, 1]
    assert requests["meta"]["completed"] is True
    before = read(tmp_path / "mock/run.json")["created"]
    RunFileSaver(ResultsFolder(tmp_path, "mock"))
    assert read(tmp_path / "mock/run.json")["created"] == before


def test_an_error_is_written_and_removed_by_the_next_attempt(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path, "mock")
    episode = tmp_path / "mock/legacy_clues/long/instance_00000"
    drive(GameBenchmarkCallbackList(all_savers(folder, None)), error=ValueError("no word"))
    assert [path.name for path in sorted(episode.iterdir())] == ["error.json", "instance.json"]
    error = read(episode / "error.json")
    assert (error["error"], error["message"]) == ("ValueError", "no word")
    drive(GameBenchmarkCallbackList(all_savers(folder, None)))
    assert not (episode / "error.json").exists()
    assert (episode / "completed.json").exists()


def test_episodes_and_epochs_have_folders_of_their_own(tmp_path: Path) -> None:
    drive(episode_results_folder_callbacks(run_dir="mock", result_dir_path=tmp_path / "episodes"), times=2)
    names = {path.parent.name for path in (tmp_path / "episodes").rglob("interactions.json")}
    assert names == {"episode_00001", "episode_00002"}
    folder = EpochResultsFolder(tmp_path / "epochs", "mock")
    callbacks = GameBenchmarkCallbackList([EpochResultsFolderCallback(folder), InteractionsFileSaver(folder)])
    drive(callbacks)
    drive(callbacks)
    assert files_below(tmp_path / "epochs") == [
        f"mock/epoch_0000{number}/legacy_clues/long/instance_00000/interactions.json" for number in (1, 2)
    ]
    assert EpisodeResultsFolder(tmp_path, "mock").to_episode_dir() == "episode_00000"
    assert folder.to_results_dir_path() == tmp_path / "epochs"


def test_branches_are_numbered(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path, "mock")
    drive(InteractionsFileSaver(folder, store_branches=True), times=2)
    assert [path.split("/")[-2] for path in files_below(tmp_path)] == ["branch_00001", "branch_00002"]
    counter = BranchCounter()
    assert (counter.next("a"), counter.next("a"), counter.next("b")) == (0, 1, 0)


def test_an_episode_that_never_began_cannot_end(tmp_path: Path) -> None:
    with GameBenchmark.load_from_spec(spec_of("legacy_clues")) as benchmark:
        master = benchmark.create_game_master({**EXPERIMENT}, [CustomResponseModel()])
        with pytest.raises(AssertionError, match="on_game_start was not called"):
            InteractionsFileSaver(ResultsFolder(tmp_path, "m")).on_game_end(master, INSTANCE)


def test_steps_and_snapshots_tell_what_happened() -> None:
    steps: list[GameStep] = []
    snapshots: list[GameSnapshot] = []

    class Watching(GameBenchmarkCallback):
        def on_game_step(self, game_master: Any, game_instance: dict[str, Any], game_step: GameStep) -> None:
            steps.append(game_step)
            snapshots.append(GameSnapshot.create_from(game_master))

    drive(GameBenchmarkCallbackList([Watching()]))
    assert [step.player_name for step in steps] == ["Player 1", "Player 2", "Player 1", "Player 1", "Player 2"]
    assert [step.done for step in steps] == [False, False, False, False, True]
    assert snapshots[0].state.outcome == "running"
    assert snapshots[-1].state.outcome == "success"
    assert snapshots[0] != snapshots[1]
    assert str(snapshots[0]).startswith(str(snapshots[0].origin))


def test_names_of_games_and_experiments_stay_inside_the_run(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path, "mock")
    assert folder.to_experiment_dir({"name": "../../a/b"}) == "%2E.%2F..%2Fa%2Fb"
    assert folder.to_experiment_dir({"name": ".."}) == "%2E."
    # Nothing that reads results enters hidden folders, or runs that were set aside.
    assert folder.to_experiment_dir({"name": ".hidden"}) == "%2Ehidden"
    assert folder.to_experiment_dir({"name": "x.until_2026-01-31_120000"}) == "x%2Euntil_2026-01-31_120000"
    assert folder.to_experiment_dir({"name": "easy 3"}) == "easy 3"
