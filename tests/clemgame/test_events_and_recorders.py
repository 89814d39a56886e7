"""Events reach whoever listens, in a form that JSON can hold, and exactly once."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from clemcore.clemgame.events import GameEventSource
from clemcore.clemgame.legacy.recorder import DefaultGameRecorder, GameRecorder, NoopGameRecorder
from clemcore.clemgame.plain import plain, plain_if_needed
from clemcore.clemgame.recorder import EventCallRecorder, GameInteractionsRecorder


def recorder(**kwargs: Any) -> GameInteractionsRecorder:
    return GameInteractionsRecorder("g", "e", 1, "run", {"0": {}}, **kwargs)


def test_early_events_are_kept_for_all_who_come_before_the_game_goes_on() -> None:
    source = GameEventSource()
    source.log_key("word", "apple")
    board = {"cells": [0]}
    source.log_event("GM", "GM", {"type": "board", "content": board})
    board["cells"].append(1)
    first, second, late = recorder(), recorder(), recorder()
    source.register(first)
    source.register_many([second])
    source.log_next_round()
    source.register(late)
    source.log_key("last", 1)
    for each in (first, second):
        assert each.interactions["word"] == "apple"
        assert each.interactions["turns"][0][0]["action"]["content"] == {"cells": [0]}
        assert len(each.interactions["turns"]) == 2
    assert "word" not in late.interactions
    assert late.interactions["last"] == 1


def test_recorded_events_do_not_change_with_the_game() -> None:
    record = recorder()
    action: Any = {"type": "board", "content": [[0, 1]], "label": "x"}
    record.log_event("GM", "GM", action)
    action["content"][0].append(2)
    assert record.interactions["turns"][0][0]["action"] == {"type": "board", "content": [[0, 1]], "label": "x"}


def test_whoever_asks_hears_of_each_recorded_event() -> None:
    heard: list[Any] = []
    record = recorder(on_event=heard.append)
    record.log_event("GM", "Player 1", {"type": "send message", "content": "a"})
    assert heard == record.interactions["turns"][0]


def test_the_meta_data_are_those_of_the_classic_files() -> None:
    record = recorder()
    assert list(record.interactions) == ["meta", "player_models", "players", "turns"]
    assert list(record.interactions["meta"]) == [
        "game_name",
        "experiment_name",
        "game_id",
        "results_folder",
        "clem_version",
        "round_count",
        "completed",
    ]
    record.count_request()
    record.log_next_round()
    record.count_request()
    record.count_request_violation()
    record.log_game_end()
    assert record.interactions["meta"]["round_count"] == 2
    assert record.interactions["Request Count"] == [1, 1]
    assert record.interactions["Violated Request Count"] == [0, 1]
    assert record.interactions["Parsed Request Count"] == [1, 0]


def test_strange_names_of_players_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    record = recorder()
    record.log_player("Anna", "Guesser", "mock")
    record.log_game_end(auto_count_logging=False)
    assert "transcripts show only players that are called 'Player N', not ['Anna']" in caplog.text
    assert "Request Count" not in record.interactions


class Colour(str, Enum):
    RED = "red"


class Array:
    def tolist(self) -> list[int]:
        return [1, 2]


class Thing:
    def __repr__(self) -> str:
        return "<a thing>"


def test_what_json_cannot_hold_is_kept_in_visible_form() -> None:
    source, record = GameEventSource(), recorder()
    source.register(record)
    listed = [1]
    values = {
        "set": {1},
        "array": Array(),
        "thing": Thing(),
        "key": {(1, 2): "x"},
        "list": listed,
        "red": Colour.RED,
    }
    for name, value in values.items():
        source.log_key(name, value)
    listed.append(2)
    found = record.interactions
    assert (found["set"], found["array"], found["key"]) == ([1], [1, 2], {"(1, 2)": "x"})
    assert found["thing"]["repr"] == "<a thing>"
    assert found["list"] == [1, 2], "a list that JSON can hold is the game's own, as before"
    assert json.loads(json.dumps(found))["red"] == "red"
    looped: list[Any] = []
    looped.append(looped)
    assert "nested too deeply" in json.dumps(plain_if_needed(looped))
    assert plain((1, {2.5: frozenset({None})})) == [1, {2.5: [None]}]


def test_calls_are_recorded_by_player_and_round() -> None:
    record = EventCallRecorder(
        "g", experiment_name="e", game_id=1, player_name="Player 1", game_role="Guesser", model_name="m"
    )
    prompt = [{"role": "user", "content": "a"}]
    action = {"type": "get message", "content": "b"}
    record.log_event("Player 1", "GM", action, (prompt, {"text": "b"}))
    prompt.append({"role": "assistant", "content": "later"})
    record.log_event("Player 2", "GM", action, (prompt, {}))
    record.log_event("Player 1", "GM", action)
    record.log_next_round()
    record.log_game_end()
    assert len(record) == 1
    assert record.requests["calls"][0]["round"] == 0
    assert len(record.requests["calls"][0]["call"]["manipulated_prompt_obj"]) == 1
    assert (record.requests["meta"]["round_count"], record.requests["meta"]["completed"]) == (2, True)


def test_recorders_of_2_x_write_their_files(tmp_path: Path) -> None:
    record = DefaultGameRecorder("g", "e", 1, "pair")
    assert isinstance(record, GameRecorder)
    record.log_event("Player 1", "GM", {"type": "get message", "content": "b"}, ([1], {"text": "b"}))
    record.store_records(str(tmp_path), "pair", "0_e/episode_0")
    folder = tmp_path / "pair" / "g" / "0_e" / "episode_0"
    assert json.loads((folder / "requests.json").read_text())[0]["raw_response_obj"] == {"text": "b"}
    assert json.loads((folder / "interactions.json").read_text())["meta"]["game_id"] == 1
    nothing = NoopGameRecorder()
    nothing.log_event("a", "b", {})
    assert nothing.interactions == []
