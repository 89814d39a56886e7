"""Runners play instances with callbacks, as in 3.7.2, and keep each episode in the store."""

from __future__ import annotations

import io
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends import BatchGenerativeModel, CustomResponseModel, Model, ModelSpec
from clemcore.clemgame import (
    GameBenchmark,
    GameBenchmarkCallback,
    GameBenchmarkCallbackList,
    GameInstances,
    GameSpec,
    GameStep,
    InteractionsFileSaver,
    ResultsFolder,
    SignalFileSaver,
    episode_results_folder_callbacks,
)
from clemcore.clemgame.layout.episodes import read_episodes
from clemcore.clemgame.runners import batchwise, branching, dispatch, sequential
from clemcore.clemgame.training import export_training
from clemcore.errors import GameError, RunError, StoreError
from support.clem import Clem
from support.playing import play_all, spec_of
from support.tiny_games import Talk


class Listener(GameBenchmarkCallback):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def on_benchmark_start(self, game_benchmark: Any) -> None:
        self.heard.append(("benchmark", game_benchmark.game_name))

    def on_benchmark_end(self, game_benchmark: Any) -> None:
        self.heard.append(("over", game_benchmark.game_name))

    def on_game_start(self, game_master: Any, game_instance: dict[str, Any]) -> None:
        self.heard.append(("start", game_instance["game_id"]))

    def on_game_step(self, game_master: Any, game_instance: dict[str, Any], game_step: GameStep) -> None:
        self.heard.append(("step", game_instance["game_id"], game_step))

    def on_game_end(
        self,
        game_master: Any,
        game_instance: dict[str, Any],
        exception: Exception | None = None,
        rewards: dict[str, float] | None = None,
    ) -> None:
        self.heard.append(("end", game_instance["game_id"], exception, rewards))

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        return [each for each in self.heard if each[0] == kind]


class TalkBenchmark(GameBenchmark):
    """A game that a program has at hand, without a folder."""

    def create_game_master(self, experiment: dict[str, Any], player_models: list[Model]) -> Any:
        return Talk(self.game_spec, experiment, player_models)


@pytest.fixture
def talk(tmp_path: Path) -> GameBenchmark:
    return TalkBenchmark(GameSpec(game_name="talk", game_path=str(tmp_path / "talk"), players=2))


def rows(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"experiment": {"name": "e"}, "game_instance": {"game_id": each, **fields}} for each in range(count)]


class Echo(BatchGenerativeModel):
    """Answers with the last words it was told; keeps the sizes of its batches."""

    def __init__(self, name: str = "echo") -> None:
        super().__init__(ModelSpec(model_name=name))
        self.sizes: list[int] = []

    def generate_response(self, messages: Any, **_: Any) -> Any:
        return messages, {}, f"heard {messages[-1]['content'][-8:]}"

    def generate_batch_response(self, batch_messages: list[list[dict[str, Any]]]) -> list[tuple[Any, Any, str]]:
        self.sizes.append(len(batch_messages))
        return [self.generate_response(messages) for messages in batch_messages]


class Fails(Model):
    """Fails at its second call."""

    def __init__(self) -> None:
        super().__init__(ModelSpec(model_name="fails"))
        self.calls = 0

    def generate_response(self, messages: Any, **_: Any) -> Any:
        self.calls += 1
        if self.calls == 2:
            raise TimeoutError("no answer")
        return messages, {}, "fine"


def savers(folder: Path) -> tuple[Listener, GameBenchmarkCallbackList]:
    listener, results = Listener(), ResultsFolder(folder, "a-run")
    return listener, GameBenchmarkCallbackList(
        [InteractionsFileSaver(results), SignalFileSaver(results), GameBenchmarkCallbackList([listener])]
    )


def content(path: Path) -> Any:
    return json.loads(path.read_bytes())


def turns_of(folder: Path) -> list[Any]:
    return [
        [[{**event, "timestamp": ""} for event in turn] for turn in episode.interactions["turns"]]
        for episode in read_episodes(folder)
    ]


def test_sequential_plays_what_playing_by_hand_plays(
    tmp_path: Path, clem: Clem, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of("legacy_clues")
    expected = play_all("legacy_clues")
    listener, callbacks = savers(tmp_path)
    with GameBenchmark.load_from_spec(spec) as benchmark:
        instances = GameInstances.from_game_spec(spec)
        sequential.run(benchmark, instances, [CustomResponseModel()], callbacks=callbacks)
        assert benchmark.modules, "the game stays loaded, because the program has loaded it"
    assert [each[0] for each in listener.heard if each[0] != "step"] == [
        "benchmark",
        *["start", "end"] * len(expected),
        "over",
    ]
    steps = [each[2] for each in listener.of("step")]
    assert [step.info for step in steps] == [info for played in expected for info in played.infos]
    assert {step.player_name for step in steps} == {"Player 1", "Player 2"}
    assert {step.model_name for step in steps} == {"programmatic"}
    episodes = list(read_episodes(tmp_path))
    assert [episode.interactions["players"] for episode in episodes] == [
        p.interactions["players"] for p in expected
    ]
    for episode, played in zip(episodes, expected, strict=True):
        by_callback = content(episode.folder / "interactions.json")
        for mine in (by_callback, episode.interactions):
            texts = [[event["action"]["content"] for event in turn] for turn in mine["turns"]]
            assert texts == [
                [event["action"]["content"] for event in turn] for turn in played.interactions["turns"]
            ]
        assert (episode.folder / "completed.json").is_file()
        assert len(episode.calls()) == len(played.infos), "one call for each step"
    monkeypatch.chdir(spec.game_path)
    assert clem("score", "-r", str(tmp_path)).returncode == 0
    assert all(episode.scores for episode in read_episodes(tmp_path))


def test_an_episode_that_fails_is_told_and_kept_and_the_next_one_is_played(
    tmp_path: Path, talk: GameBenchmark, caplog: pytest.LogCaptureFixture
) -> None:
    listener, callbacks = savers(tmp_path)
    sequential.run(talk, rows(2), [Fails()], callbacks=callbacks)
    (_, _, error, rewards), (_, _, none, _) = listener.of("end")
    assert isinstance(error, TimeoutError)
    assert (rewards, none) == (None, None)
    failed, played = read_episodes(tmp_path)
    assert (failed.state, played.state) == ("error", "played")
    assert len(failed.calls()) == 2, "also the call that failed is kept"
    assert content(failed.folder / "error.json")["message"] == "no answer"
    assert "talk: 1 of 2 episodes have failed" in caplog.text


def test_a_limit_is_told_as_an_error(tmp_path: Path, talk: GameBenchmark) -> None:
    listener, callbacks = savers(tmp_path)
    sequential.run(talk, rows(1, rounds=400), [Echo()], callbacks=callbacks)
    ((_, _, error, _),) = listener.of("end")
    assert isinstance(error, RunError)
    assert "made 500 calls" in str(error)


def test_playing_again_adds_epochs_with_other_draws(tmp_path: Path, talk: GameBenchmark) -> None:
    state = random.getstate()
    for folder in (tmp_path / "kept", None):
        listener, callbacks = savers(folder) if folder else (Listener(), GameBenchmarkCallbackList())
        if folder is None:
            callbacks.append(listener)
        for _ in range(2):
            sequential.run(talk, [*rows(1), *rows(1)], [CustomResponseModel()], callbacks=callbacks)
        firsts = [
            each[2].response for each in listener.of("step") if each[2].context["content"].startswith("Begin")
        ]
        assert len(set(firsts)) == len(firsts) == 4
    keys = [episode.key.epoch for episode in read_episodes(tmp_path / "kept")]
    assert keys == [1, 2, 3, 4]
    assert random.getstate() == state, "the program's own random numbers are as they were"


def test_batchwise_gives_what_sequential_gives_in_batches(tmp_path: Path, talk: GameBenchmark) -> None:
    models: list[Echo] = []
    for number, size in enumerate((1, 4)):
        models.append(Echo())
        _, callbacks = savers(tmp_path / str(number))
        dispatch.run(talk, rows(9), [models[-1]], callbacks=callbacks, batch_size=size)
    assert turns_of(tmp_path / "0") == turns_of(tmp_path / "1")
    assert max(models[0].sizes, default=1) == 1
    assert max(models[1].sizes) == 4
    assert {episode.state for episode in read_episodes(tmp_path / "1")} == {"played"}


def test_episodes_that_play_side_by_side_have_folders_of_their_own(tmp_path: Path, talk: GameBenchmark) -> None:
    callbacks = episode_results_folder_callbacks(run_dir="a-run", result_dir_path=tmp_path)
    batchwise.run(talk, rows(4), [Echo()], callbacks=callbacks, batch_size=4)
    folders = sorted((tmp_path / "a-run" / "talk" / "e").glob("episode_*"))
    ids = [content(folder / "instance.json")["game_id"] for folder in folders]
    assert sorted(ids) == [0, 1, 2, 3]
    assert [content(folder / "interactions.json")["meta"]["game_id"] for folder in folders] == ids


def test_batchwise_takes_models_that_do_not_answer_batches(tmp_path: Path, talk: GameBenchmark) -> None:
    listener, callbacks = savers(tmp_path)
    batchwise.run(talk, rows(3), [Fails()], callbacks=callbacks, batch_size=2)
    assert sum(each[2] is not None for each in listener.of("end")) == 1
    assert len(listener.of("end")) == 3


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_shown_on_a_terminal(
    talk: GameBenchmark, monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    monkeypatch.setattr("sys.stderr", stream)
    for runner in (sequential, branching):
        runner.run(talk, rows(3), [CustomResponseModel()], callbacks=Listener())
    assert stream.getvalue().count("3/3 episodes") == (2 if is_terminal else 0)


def test_callbacks_that_fail_end_their_episode_alone(tmp_path: Path, talk: GameBenchmark) -> None:
    class Picky(GameBenchmarkCallback):
        def on_game_step(self, game_master: Any, game_instance: dict[str, Any], game_step: GameStep) -> None:
            if game_instance["game_id"] == 0:
                raise ValueError("not this one")

        def on_game_end(self, *told: Any, **more: Any) -> None:
            if told[1]["game_id"] == 1:
                raise ValueError("nor this one")

    listener, callbacks = savers(tmp_path)
    callbacks.append(Picky())
    sequential.run(talk, rows(3), [CustomResponseModel()], callbacks=callbacks)
    assert [episode.state for episode in read_episodes(tmp_path)] == ["error", "error", "played"]
    assert [type(each[2]) for each in listener.of("end")] == [ValueError, type(None), type(None)]


def test_a_callback_may_play_games_of_its_own(tmp_path: Path, talk: GameBenchmark) -> None:
    class Evaluates(GameBenchmarkCallback):
        def on_game_step(self, game_master: Any, game_instance: dict[str, Any], game_step: GameStep) -> None:
            _, inner = savers(tmp_path / "inner")
            sequential.run(talk, rows(1), [CustomResponseModel()], callbacks=inner)

    for name in ("without", "with"):
        _, callbacks = savers(tmp_path / name)
        if name == "with":
            callbacks.append(Evaluates())
        sequential.run(talk, rows(2), [CustomResponseModel()], callbacks=callbacks)
    assert turns_of(tmp_path / "without") == turns_of(tmp_path / "with")
    assert len(turns_of(tmp_path / "inner")) == 2 * 6


def test_rewards_are_those_of_the_outcome(tmp_path: Path) -> None:
    spec = spec_of("new_sums")
    listener, callbacks = savers(tmp_path)
    with GameBenchmark.load_from_spec(spec) as benchmark:
        instances = GameInstances.from_game_spec(spec)
        sequential.run(benchmark, instances, [CustomResponseModel()], callbacks=callbacks)
    rewards = [each[3]["player_0"] for each in listener.of("end")]
    assert set(rewards) <= {1.0, 0.0, -1.0}
    assert rewards == [episode._stored.facts["rewards"]["player_0"] for episode in read_episodes(tmp_path)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("faulty", "told"),
    [
        (
            [{"experiment": {"name": "e"}}, *rows(1), 7],
            r"2 of the game_instances cannot be played:\n  row 0: it needs",
        ),
        ([{"experiment": {}, "game_instance": {"game_id": 1}}], "the 'name' of its experiment must be a text"),
        ([{"experiment": {"name": "e"}, "game_instance": {"game_id": "1"}}], "must be an integer, not '1'"),
    ],
)
def test_rows_with_faults_are_refused_before_anything_is_played(
    talk: GameBenchmark, faulty: Any, told: str
) -> None:
    listener = Listener()
    with pytest.raises(GameError, match=told):
        sequential.run(talk, faulty, [CustomResponseModel()], callbacks=listener)
    assert not listener.heard


def test_models_and_callbacks_of_another_kind_are_refused(talk: GameBenchmark) -> None:
    listener = Listener()
    names: Any = ["mock"]
    with pytest.raises(TypeError, match="must be models, not str: load them"):
        sequential.run(talk, rows(1), names, callbacks=listener)
    with pytest.raises(GameError, match=r"has 2 players .* but 3 models"):
        sequential.run(talk, rows(1), [CustomResponseModel()] * 3, callbacks=listener)
    some: Any = [listener]
    with pytest.raises(TypeError, match="put your callbacks into GameBenchmarkCallbackList"):
        sequential.run(talk, rows(1), [CustomResponseModel()], callbacks=some)
    sizes: Sequence[Any] = (0, 1.5, None, "3", True)
    for runner, size in itertools.product((batchwise, dispatch), sizes):
        with pytest.raises(RunError, match="batch_size must be an integer of at least 1, not"):
            runner.run(talk, rows(1), [CustomResponseModel()], callbacks=listener, batch_size=size)
    assert not listener.heard


def test_a_folder_of_clem_run_is_left_alone(tmp_path: Path, talk: GameBenchmark) -> None:
    folder = tmp_path / "a-run"
    folder.mkdir()
    (folder / "run.json").write_text('{"clemcore": {"manifest_version": 1}}')
    _, callbacks = savers(tmp_path)
    with pytest.raises(RunError, match=r"'clem run' has written a run into this folder.* another run_dir"):
        sequential.run(talk, rows(1), [CustomResponseModel()], callbacks=callbacks)
    assert [path.name for path in folder.iterdir()] == ["run.json"]


def test_a_folder_that_another_process_writes_is_refused(tmp_path: Path, talk: GameBenchmark) -> None:
    from clemcore.clemgame.store import RunStore

    _, callbacks = savers(tmp_path)
    with RunStore.open(tmp_path / "a-run"), pytest.raises(StoreError, match="writ"):
        sequential.run(talk, rows(1), [CustomResponseModel()], callbacks=callbacks)


def test_episodes_of_a_runner_become_training_data(tmp_path: Path, talk: GameBenchmark) -> None:
    _, callbacks = savers(tmp_path / "results")
    sequential.run(talk, rows(2), [Echo(), Echo("other")], callbacks=callbacks)
    exported = export_training(tmp_path / "results", "sft", tmp_path / "data")
    assert exported.rows == {"train": 4}
    first = json.loads((tmp_path / "data" / "train.jsonl").read_text().splitlines()[0])
    assert first["as_sent"] is True
