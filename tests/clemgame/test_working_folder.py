"""Games that change the working directory: neither other episodes nor the files of the run go with them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.clemgame import Player
from support.clem import Clem
from support.echo_game import write_game
from support.tiny_games import Stage, Talk

MOVES = """

import os


def _moving(self, player, parsed_response, before=EchoMaster._advance_game):
    before(self, player, parsed_response)
    self.log_to_self("was in", os.getcwd())
    os.makedirs("away", exist_ok=True)
    os.chdir("away")


def _scoring(self, interactions, before=EchoScorer.compute_episode_scores):
    os.chdir("/")
    before(self, interactions)


EchoMaster._advance_game = _moving
EchoScorer.compute_episode_scores = _scoring
"""


def _logged(turns: list[Any], kind: str) -> list[str]:
    return [event["action"]["content"] for turn in turns for event in turn if event["action"]["type"] == kind]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.chdir(tmp_path)
    return Stage(tmp_path / "run", monkeypatch)


@pytest.mark.parametrize("concurrency", ["1", "3"])
def test_the_results_stay_where_they_belong(clem: Clem, concurrency: str) -> None:
    game = write_game(Path())
    master = game / "master.py"
    master.write_text(master.read_text() + MOVES)
    clem.ok("run", "-g", "echo", "-m", "mock", "--concurrency", concurrency)
    clem.ok("score")
    clem.ok("replay", "results")
    folders = sorted(Path("results/mock/echo/words_0").glob("instance_*"))
    assert [(each / "scores.json").is_file() for each in folders] == [True] * 3
    for folder in folders:
        turns = json.loads((folder / "interactions.json").read_bytes())["turns"]
        assert _logged(turns, "was in") == [str(Path.cwd().joinpath(*["away"] * depth)) for depth in range(4)]


class Moves(Talk):
    """Each episode has a folder of its own, and reads a file in it after each answer."""

    def _on_before_game(self) -> None:
        folder = Path(f"own_{self.state.game_id}")
        folder.mkdir()
        os.chdir(folder)
        Path("name").write_text(folder.name)

    def _on_valid_player_response(self, player: Player, response: str) -> None:
        super()._on_valid_player_response(player, response)
        self.log_to_self("name", Path("name").read_text())


class Removes(Talk):
    """Removes the folder in which it is."""

    def _on_before_game(self) -> None:
        folder = Path(f"gone_{self.state.game_id}").absolute()
        folder.mkdir()
        os.chdir(folder)
        folder.rmdir()


def test_each_episode_stays_in_its_own_folder(stage: Stage, tmp_path: Path) -> None:
    summary = stage.play(stage.game(Moves, size=6), backends.get_model_for("mock"), concurrency=6, shuffle=1)
    assert dict(summary.counts) == {"played": 6}
    for number, turns in enumerate(stage.turns()):
        assert _logged(turns, "name") == [f"own_{number}"] * 6
    assert Path.cwd() == tmp_path
    assert not hasattr(os.chdir, "__wrapped__")


def test_a_folder_that_is_gone_is_left(stage: Stage, tmp_path: Path) -> None:
    summary = stage.play(stage.game(Removes, size=2), backends.get_model_for("mock"), concurrency=2)
    assert dict(summary.counts) == {"played": 2}
    assert Path.cwd() == tmp_path
