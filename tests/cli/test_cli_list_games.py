"""`clem list games` and `clem list instances`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.clem import Clem, Terminals


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLEMBENCH_HOME", raising=False)
    one = {"game_name": "asking", "players": 2, "description": "Ask.", "roles": ["A", "B"], "benchmark": ["3.0"]}
    two = {"game_name": "telling", "players": 1, "instances": "other"}
    (tmp_path / "talk" / "in").mkdir(parents=True)
    (tmp_path / "talk" / "clemgame.json").write_text(json.dumps([one, two]))
    (tmp_path / "talk" / "master.py").touch()
    experiments = [
        {"name": "easy", "game_instances": [{"game_id": 3, "word": "a"}, {"game_id": 4, "word": "b"}]},
        {"name": "hard", "game_instances": [{"game_id": 3, "word": "c"}]},
    ]
    (tmp_path / "talk" / "in" / "instances.json").write_text(json.dumps({"experiments": experiments}))
    return tmp_path


def rows(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def test_games_are_listed_with_what_they_lack(clem: Clem) -> None:
    assert rows(clem.ok("list", "games")) == [
        ["asking", "2", "Ask.", "talk", "ready"],
        ["telling", "1", "-", "talk", "no in/other.json"],
    ]
    assert rows(clem.ok("list", "games", "-v", "ask"))[0][3:6] == ["-", "A,B", "3.0"]
    listed = json.loads(clem.ok("list", "games", "--json"))
    assert [(row["game_name"], row["usable"], row["spec"]["players"]) for row in listed] == [
        ("asking", True, 2),
        ("telling", False, 1),
    ]


@pytest.mark.parametrize("selector", ["asking", "{'benchmark': ['3.0']}", '{"players": 2}'])
def test_a_selector_chooses_games(clem: Clem, selector: str) -> None:
    assert [row[0] for row in rows(clem.ok("list", "games", "-s", selector))] == ["asking"]


def test_two_games_of_one_name_are_listed_as_such(clem: Clem, here: Path) -> None:
    (here / "copy").mkdir()
    (here / "copy" / "clemgame.json").write_text('{"game_name": "asking", "players": 2}')
    states = {row[3]: row[4] for row in rows(clem.ok("list", "games", "asking"))}
    assert states["copy"] == f"the same name as in {here / 'talk'}"


def test_a_broken_game_is_noted_and_the_others_are_listed(clem: Clem, here: Path) -> None:
    (here / "broken").mkdir()
    (here / "broken" / "clemgame.json").write_text('{"game_name": "broken",}')
    done = clem("list", "games")
    assert (done.returncode, len(rows(done.stdout))) == (0, 2)
    assert "broken/clemgame.json:1:23" in done.stderr


def test_instances_are_counted_and_listed_one_by_one(clem: Clem) -> None:
    assert rows(clem.ok("list", "instances", "ask")) == [
        ["asking", "easy", "2", "instances"],
        ["asking", "hard", "1", "instances"],
    ]
    assert rows(clem.ok("list", "instances", "ask", "-v")) == [
        ["asking", "easy", "3", "word"],
        ["asking", "easy", "4", "word"],
        ["asking", "hard", "3", "word"],
    ]
    done = clem("list", "instances", "--json")
    first = json.loads(done.stdout)[0]
    assert (first["game"], first["experiment"], first["task_id"]) == ("asking", "easy", 3)
    assert "of the game 'telling' does not exist" in done.stderr


def test_a_filter_that_no_game_passes_is_named(clem: Clem) -> None:
    assert "no instances pass this filter" in clem("list", "instances", "nogame").stderr


def test_list_alone_says_that_it_lists_models(clem: Clem) -> None:
    done = clem("list")
    assert done.stdout == clem.ok("list", "models")
    assert done.stderr == "these are the models; 'clem list games' lists the games\n"
    assert clem("list", "models").stderr == clem("list", "--json").stderr == ""


def test_options_of_models_and_games_are_not_mixed(clem: Clem) -> None:
    assert "--selector belongs to games" in clem.fails("list", "models", "-s", "x", status=2)
    assert "--backend belongs to models" in clem.fails("list", "games", "--backend", "mock", status=2)
    assert "did you mean 'asking'" in clem.fails("list", "games", "-s", "askin", status=2)


def test_a_long_description_is_cut_on_a_terminal_alone(clem: Clem, terminal: Terminals, here: Path) -> None:
    words = "Words of a long description. " * 8
    game = {"game_name": "asking", "players": 2, "description": words}
    (here / "talk" / "clemgame.json").write_text(json.dumps(game))
    assert words in clem.ok("list", "games")
    screen = terminal("list", "games", NO_COLOR="1")
    assert screen.end() == 0
    assert words not in screen.shown
    assert "…" in screen.shown
