"""The JSON Schemas accept what clemcore accepts, and refuse what it refuses."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from clemcore import cli
from clemcore.clemgame.reading.game_files import check_spec_file
from clemcore.clemgame.reading.instance_files import check_instances

GAMES = Path(__file__).parents[3] / "examples" / "games"


def _schema(name: str) -> Any:
    text = resources.files("clemcore.clemgame.schemas").joinpath(f"{name}.schema.json").read_text("utf-8")
    return json.loads(text)


@pytest.mark.parametrize("path", sorted(GAMES.glob("*/clemgame.json")), ids=lambda path: path.parent.name)
def test_our_games_are_valid(path: Path) -> None:
    jsonschema.validate(json.loads(path.read_text()), _schema("clemgame"))
    jsonschema.validate(json.loads((path.parent / "in" / "instances.json").read_text()), _schema("instances"))


SPECS: list[Any] = [
    {"game_name": "g", "players": 2},
    [{"game_name": "g", "players": "two"}, {"game_name": "h", "players": 1, "more": [1]}],
    {"game_name": "g", "players": 1, "score_ranges": {"Main Score": [0, 1]}, "benchmark": "2.0", "roles": ["A"]},
    {"game_name": "g"},
    {"players": 1},
    {"game_name": " ", "players": 1},
    {"game_name": "g", "players": 0},
    {"game_name": "g", "players": "nine"},
    {"game_name": "g", "players": 1, "roles": "A"},
    {"game_name": "g", "players": 1, "concurrency": 0},
    {"game_name": "g", "players": 1, "score_ranges": {"Main Score": [0]}},
    {"game_name": "g", "players": 1, "score_ranges": {"Main Score": ["0", 1]}},
    {"game_name": "g", "players": 1, "benchmark": [1]},
    "g",
]


@pytest.mark.parametrize("value", SPECS, ids=json.dumps)
def test_the_schema_of_specifications_agrees_with_the_check(value: Any) -> None:
    is_valid = jsonschema.Draft202012Validator(_schema("clemgame")).is_valid(value)
    assert is_valid == (not list(check_spec_file(value)))


INSTANCES: list[Any] = [
    {"experiments": [{"name": "e", "game_instances": [{"game_id": 0, "word": "a"}]}], "more": 1},
    {"experiments": []},
    {},
    [],
    {"experiments": [{"game_instances": []}]},
    {"experiments": [{"name": "", "game_instances": []}]},
    {"experiments": [{"name": "e"}]},
    {"experiments": [{"name": "e", "game_instances": [{}]}]},
    {"experiments": [{"name": "e", "game_instances": [{"game_id": "0"}]}]},
    {"experiments": [{"name": "e", "game_instances": [7]}]},
    {"experiments": ["e"]},
]


@pytest.mark.parametrize("value", INSTANCES, ids=json.dumps)
def test_the_schema_of_instances_agrees_with_the_check(value: Any) -> None:
    is_valid = jsonschema.Draft202012Validator(_schema("instances")).is_valid(value)
    assert is_valid == (not list(check_instances(value)))


def test_the_command_prints_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "schema", "instances"]) == 0
    assert json.loads(capsys.readouterr().out) == _schema("instances")
