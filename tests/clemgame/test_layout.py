"""The classic layout: the files that 3.7.2 wrote, valid and whole, and read back like the store."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clemcore.clemgame.layout import FinishedEpisode, component, line_up_folder, write_episode, write_json
from clemcore.clemgame.layout.episodes import Episode, read_episodes
from clemcore.clemgame.layout.exporting import export_classic
from clemcore.clemgame.layout.jsonfile import indented, json_text
from clemcore.clemgame.plan import EpisodeKey
from clemcore.clemgame.store import RunStore
from clemcore.errors import StoreError
from support.stored import MODELS, planned, script

KEY = EpisodeKey("taboo", "high_en", 0, 1)
ERROR = {"type": "ValueError", "message": "no", "traceback": "Traceback …"}


def _finished(key: EpisodeKey = KEY, **changes: Any) -> FinishedEpisode:
    played = script(key)
    episode = planned(1)[0]
    made = FinishedEpisode(
        key, episode.experiment, episode.instance, "played", played.interactions, played.calls, MODELS
    )
    return replace(made, **changes)


def _read(path: Path) -> Any:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_processes_that_write_one_file_leave_it_whole(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from clemcore.clemgame.layout import write_json\n"
        "for number in range(400):\n"
        "    write_json(sys.argv[1], {'number': number, 'more': 'x' * 5000})\n"
    )
    path = tmp_path / "new" / "experiment.json"
    shards = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [shard.communicate(timeout=60)[1] for shard in shards] == ["", "", ""]
    assert _read(path)["number"] == 399
    assert [each.name for each in path.parent.iterdir()] == ["experiment.json"]


def test_an_episode_has_the_files_of_3_7_2(tmp_path: Path) -> None:
    place = write_episode(tmp_path, _finished())
    assert place == tmp_path / "taboo" / "high_en" / "instance_00000"
    assert sorted(path.name for path in place.iterdir()) == [
        "completed.json",
        "instance.json",
        "interactions.json",
        "player_1.requests.json",
        "player_2.requests.json",
    ]
    played = script(KEY)
    assert _read(place / "interactions.json") == played.interactions
    assert (place / "interactions.json").read_text() == json.dumps(
        played.interactions, indent=2, ensure_ascii=False
    )
    assert list(_read(place / "instance.json")) == ["game_id", "target_word", "related_word"]
    assert list(_read(place / "completed.json")) == ["timestamp"]
    requests = _read(place / "player_2.requests.json")
    assert requests["meta"] == {
        "game_name": "taboo",
        "experiment_name": "high_en",
        "game_id": 0,
        "player_name": "Player 2",
        "game_role": "WordGuesser",
        "model_name": "mock",
        "round_count": 3,
        "completed": True,
    }
    assert [call["round"] for call in requests["calls"]] == [0, 1, 2]
    assert set(requests["calls"][0]["call"]) >= {"timestamp", "manipulated_prompt_obj", "raw_response_obj"}
    experiment = _read(place.parent / "experiment.json")
    assert experiment["name"] == "high_en"
    assert experiment["game_name"] == "taboo"
    assert experiment["player_models"] == MODELS
    assert experiment["timestamp"]


def test_records_stay_byte_for_byte(tmp_path: Path) -> None:
    place = write_episode(tmp_path, _finished(), requests="both")
    single = (place / "requests.json").read_bytes()
    per_player = (place / "player_1.requests.json").read_bytes()
    for call in script(KEY).calls:
        assert call.record in single
        assert (call.record in per_player) == (call.player == "Player 1")
    assert len(_read(place / "requests.json")) == 6


def test_a_failed_episode_leaves_nothing_that_is_scored(tmp_path: Path) -> None:
    place = write_episode(tmp_path, _finished())
    (place / "scores.json").write_text("{}")
    (place / "notes.txt").write_text("of a person")
    failed = _finished(state="error", error=ERROR)
    write_episode(tmp_path, failed)
    assert sorted(path.name for path in place.iterdir()) == [
        "error.json",
        "instance.json",
        "interactions.partial.json",
        "notes.txt",
        "player_1.partial.requests.json",
        "player_2.partial.requests.json",
    ]
    error = _read(place / "error.json")
    assert (error["error"], error["message"], error["outcome"]) == ("ValueError", "no", "error")
    assert error["traceback"] == "Traceback …"
    last = failed.calls[-1]
    assert error["last_call"]["call"] == json.loads(last.record)
    assert (error["last_call"]["number"], error["last_call"]["player"]) == (last.number, last.player)
    write_episode(tmp_path, _finished())  # played again
    assert not (place / "error.json").exists()
    assert not (place / "interactions.partial.json").exists()


def test_epochs_have_folders(tmp_path: Path) -> None:
    key = EpisodeKey("taboo", "high_en", 0, 2)
    place = write_episode(tmp_path, _finished(key, has_epochs=True))
    assert place == tmp_path / "epoch_00002" / "taboo" / "high_en" / "instance_00000"


@pytest.mark.parametrize(
    "name", ["a/b", "..", ".", "", "a\\b", "\0", "epoch_00001", "run.json", "\ud800", "x" * 999]
)
def test_no_name_leaves_the_run(tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    key = EpisodeKey(name, name, 1, 1)
    episode = _finished(key)
    place = write_episode(run, episode)
    assert place.parent.parent.parent == run
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
    (found,) = read_episodes(tmp_path)
    assert found.key == key
    assert found.folder == place


@given(st.text(), st.text())
def test_different_names_have_different_folders(one: str, other: str) -> None:
    assert (component(one) == component(other)) == (one == other)
    assert "/" not in component(one)
    assert component(one) not in ("", ".", "..")


def test_models_of_one_name_have_different_folders(tmp_path: Path) -> None:
    first = {"model_name": "m", "backend": "openai", "model_id": "m-1"}
    second = {"model_name": "m", "backend": "openai", "model_id": "m-2"}
    assert line_up_folder(tmp_path, [first]) == tmp_path / "m"
    write_json(tmp_path / "m" / "run.json", {"player_models": {"0": {"model_spec": first, "gen_args": {}}}})
    assert line_up_folder(tmp_path, [first]) == tmp_path / "m"
    other = line_up_folder(tmp_path, [second])
    assert other.name.startswith("m-")
    # Within one command, before anything is written.
    assert line_up_folder(tmp_path / "new", [second], taken={"m": [first]}).name == other.name
    # The same model with other settings is the same folder: whether it may continue is for the run to say.
    assert line_up_folder(tmp_path, [{**first, "context_size": "8k"}]) == tmp_path / "m"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.dictionaries(st.integers(0, 9), inner),
    max_leaves=30,
)


@given(_JSON)
def test_json_is_indented_as_pythons_is(value: Any) -> None:
    assert indented(value) == json.dumps(value, indent=2, ensure_ascii=False)


def test_deep_json_is_written(tmp_path: Path) -> None:
    value: Any = 1
    for _ in range(90):
        value = [value]
    write_json(tmp_path / "a.json", {"a": value})
    assert _read(tmp_path / "a.json") == {"a": value}


def test_numbers_that_are_not_finite_are_null_and_named(tmp_path: Path) -> None:
    scores = {
        "meta": {"game_name": "taboo"},
        "round scores": {"0": {"Accuracy": math.inf}},
        "episode scores": {"Main Score": math.nan, "Aborted": 1},
    }
    write_json(tmp_path / "scores.json", scores)
    assert _read(tmp_path / "scores.json") == {
        "meta": {"game_name": "taboo", "not_finite": ["Accuracy", "Main Score"]},
        "round scores": {"0": {"Accuracy": None}},
        "episode scores": {"Main Score": None, "Aborted": 1},
    }


def test_what_json_cannot_hold_is_kept_visibly() -> None:
    found = json.loads(json_text({"a": {1, 2}, "b": "\ud800", "c": b"x"}))
    assert found["a"] == {"__type__": "builtins.set", "repr": "{1, 2}"}
    assert found["b"] == "\ud800"
    assert "builtins.bytes" in str(found["c"])


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"old": True})
    code = f"""
import resource, signal
from pathlib import Path
from clemcore.clemgame.layout import write_json
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_json(Path({str(tmp_path / "a.json")!r}), {{"new": "x" * 5000}})
except OSError as fault:
    print(fault)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "cannot be written: File too large" in ran.stdout
    assert _read(tmp_path / "a.json") == {"old": True}
    assert os.listdir(tmp_path) == ["a.json"]  # noqa: PTH208


# -- reading -------------------------------------------------------------------------------------------------------
def _seen(episode: Episode) -> dict[str, Any]:
    return {
        "key": episode.key,
        "line_up": episode.line_up,
        "folder": episode.folder,
        "experiment": episode.experiment,
        "instance": episode.instance,
        "interactions": episode.interactions,
        "calls": episode.calls(),
        "state": episode.state,
        "error": episode.error,
        "models": episode.player_models,
    }


@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize("requests", ["players", "both"])
def test_a_store_and_its_export_are_the_same_episodes(tmp_path: Path, epochs: int, requests: str) -> None:
    run = tmp_path / "mock"
    plan = planned(3, epochs=epochs)
    with RunStore.open(run) as store:
        store.plan(plan)
        for episode in plan[:-1]:
            script(episode.key).play(store.begin(episode.key))
        writer = store.begin(plan[-1].key)
        script(plan[-1].key).play(writer, finish=False)
        last = {"number": 5, "player": "Player 2", "round": 2, "kind": "program"}
        error = {**ERROR, "limit": "max_calls", "value": 6, "last_call": last}
        writer.finish("limit", json.dumps(script(plan[-1].key).interactions).encode(), error=error)
    exported = export_classic(tmp_path, to=tmp_path / "classic", requests=requests)
    assert (exported.episodes, exported.left_out) == (len(plan), 0)
    of_store = [_seen(episode) for episode in read_episodes(run)]
    of_files = [_seen(episode) for episode in read_episodes(tmp_path / "classic")]
    for seen in of_files:
        seen["folder"] = run / seen["folder"].relative_to(tmp_path / "classic" / "mock")
    assert of_files == of_store
    assert [seen["state"] for seen in of_store][-1] == "limit"


def test_an_episode_that_did_not_begin_is_there(tmp_path: Path) -> None:
    with RunStore.open(tmp_path / "mock") as store:
        store.plan(planned(1))
    (episode,) = read_episodes(tmp_path)
    assert (episode.state, episode.interactions, episode.calls(), episode.scores) == ("planned", {}, [], None)


def test_results_of_3_3_are_read(tmp_path: Path) -> None:
    place = tmp_path / "mock-t0.0--mock-t0.0" / "taboo" / "high_en" / "instance_00007"
    played = script(EpisodeKey("taboo", "high_en", 7, 1))
    interactions = json.loads(json.dumps(played.interactions))
    for name in ("round_count", "completed"):
        del interactions["meta"][name]
    interactions["player_models"] = {"0": {"model_name": "mock"}}
    write_json(place / "interactions.json", interactions)
    write_json(place / "instance.json", {"game_id": 7, "target_word": "a"})
    write_json(place / "requests.json", [])
    write_json(place / "scores.json", {"episode scores": {"Main Score": 3}})
    write_json(place.parent / "experiment.json", {"name": "high_en", "timestamp": "t", "game_name": "taboo"})
    (episode,) = read_episodes(tmp_path)
    assert episode.key == EpisodeKey("taboo", "high_en", 7, 1)
    assert episode.line_up == "mock-t0.0--mock-t0.0"
    assert episode.state == "played"
    assert episode.experiment == {"name": "high_en"}
    assert episode.interactions["meta"]["round_count"] == 3
    assert episode.interactions["meta"]["completed"] is True
    assert episode.calls() == []
    assert episode.scores == {"episode scores": {"Main Score": 3}}


def test_results_of_1_x_are_read(tmp_path: Path) -> None:
    place = tmp_path / "a-t0.0--b-t0.0" / "taboo" / "0_high_en"
    turns = script(KEY).interactions["turns"]
    players = {"GM": "Game master for taboo", "Player 1": "a-t0.0", "Player 2": "b-t0.0"}
    call = {"timestamp": "2024-01-01T00:00:00", "manipulated_prompt_obj": [], "raw_response_obj": {"text": "x"}}
    for number in (0, 1):
        write_json(place / f"episode_{number}" / "interactions.json", {"players": players, "turns": turns})
        write_json(place / f"episode_{number}" / "instance.json", {"game_id": number + 5, "target_word": "a"})
        write_json(place / f"episode_{number}" / "requests.json", [call])
    write_json(place / "experiment_high_en.json", {"name": "high_en", "dialogue_partners": "a--b", "max_turns": 3})
    first, second = read_episodes(tmp_path)
    assert (first.key.game_id, second.key.game_id) == (5, 6)
    assert first.key.experiment == "high_en"
    assert first.experiment == {"name": "high_en", "max_turns": 3}
    assert first.interactions["players"]["Player 1"] == {"game_role": None, "model_name": "a-t0.0"}
    assert first.interactions["meta"]["game_name"] == "taboo"
    assert json.loads(first.calls()[0].record) == call


def test_results_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no episodes"):
        list(read_episodes(tmp_path))
    with pytest.raises(StoreError, match=r"missing does not exist\. Name a run, or a folder"):
        list(read_episodes(tmp_path / "missing"))
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file is not a folder"):
        list(read_episodes(tmp_path / "file"))
    place = write_episode(tmp_path / "run", _finished())
    (place / "interactions.json").write_text("{")
    (episode,) = read_episodes(tmp_path)
    with pytest.raises(StoreError, match=r"interactions\.json is not JSON"):
        _ = episode.interactions
    write_episode(tmp_path / "other", _finished())
    with pytest.raises(StoreError, match="holds no store"):
        export_classic(tmp_path / "other")


def test_the_command_exports(tmp_path: Path) -> None:
    with RunStore.open(tmp_path / "mock") as store:
        store.plan(planned(2))
        script(KEY).play(store.begin(KEY))
    command = [sys.executable, "-m", "clemcore", "export", str(tmp_path / "mock"), "--to", "classic"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == f"{tmp_path / 'mock'}\n"
    assert "1 episodes written; 1 did not end" in ran.stderr
    assert (tmp_path / "mock" / "taboo" / "high_en" / "instance_00000" / "completed.json").is_file()


def test_threads_that_write_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "e" / "experiment.json"
    texts = [{"name": "e", "number": number} for number in range(50)]
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(lambda value: write_json(path, value), texts * 20):
            assert json.loads(path.read_text()) in texts
    assert [file.name for file in path.parent.iterdir()] == ["experiment.json"]
