"""Which games a command on records means: names, selectors, misspelt names, and names that two folders have."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.clem import Clem
from support.echo_game import write_game

pytestmark = pytest.mark.slow

SELECTOR = "{'main_game': 'echo'}"


@pytest.fixture(autouse=True)
def _played(clem: Clem) -> None:
    game = write_game(Path())
    spec = json.loads((game / "clemgame.json").read_text())
    (game / "clemgame.json").write_text(json.dumps({**spec, "main_game": "echo"}))
    clem.ok("run", "-g", "echo", "-m", "mock")


@pytest.mark.parametrize("selector", ["echo", "all", SELECTOR])
def test_a_command_on_records_takes_a_name_all_or_a_selector(clem: Clem, selector: str) -> None:
    clem.ok("run", "-g", "echo", "-m", "mock", "-r", "others")
    for results in ("results", "others"):
        assert "3 episodes scored" in clem("score", "-r", results, "-g", selector).stderr
    assert "3 episodes transcribed" in clem("transcribe", "-g", selector).stderr
    assert "3 episodes played again: 0 differ" in clem("replay", "results", "-g", selector).stderr
    clem.ok("eval", "-g", selector)
    found = json.loads(clem.ok("compare", "results/mock", "others/mock", "-g", selector, "--json"))
    assert {each["instances"] for pair in found["pairs"] for each in pair["differences"]} == {3}


def test_a_misspelt_game_is_not_replayed_as_nothing(clem: Clem) -> None:
    said = clem.fails("replay", "results", "-g", "echo", "-g", "ecko", status=2)
    assert "results: holds no episode of the game 'ecko': did you mean 'echo'?" in said
    assert "'taboo': it has those of echo" in clem.fails("replay", "results", "-g", "taboo", status=2)


def test_a_game_that_two_folders_have_is_neither_scored_nor_replayed(clem: Clem) -> None:
    shutil.copytree("echo", "copies/echo")
    said = clem.fails("score")
    assert "echo: not scored: the game 'echo' exists more than once" in said
    assert str(Path("copies", "echo").absolute()) in said
    assert "episodes scored" not in said
    assert "exists more than once" in clem.fails("replay", "results", status=2)
