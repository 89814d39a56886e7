"""`benches/plan.py` computes what a plan takes from what was measured."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends import CustomResponseModel, Model, ModelSpec
from clemcore.clemgame import GameBenchmark, GameBenchmarkCallbackList, GameSpec, ResultsFolder, SignalFileSaver
from clemcore.clemgame.runners import sequential
from support.tiny_games import Talk

COMMAND = Path(__file__).parents[3] / "benches" / "plan.py"


class TalkBenchmark(GameBenchmark):
    def create_game_master(self, experiment: dict[str, Any], player_models: list[Model]) -> Any:
        return Talk(self.game_spec, experiment, player_models)


def play(folder: Path, name: str, model: Model, rounds: int) -> None:
    callbacks = GameBenchmarkCallbackList([SignalFileSaver(ResultsFolder(folder, name))])
    rows = [
        {"experiment": {"name": "e"}, "game_instance": {"game_id": number, "rounds": rounds}} for number in range(3)
    ]
    benchmark = TalkBenchmark(GameSpec(game_name=name, game_path=str(folder / "games"), players=2))
    sequential.run(benchmark, rows, [model], callbacks=callbacks)


def table(*arguments: str | Path) -> dict[str, tuple[str, str]]:
    done = subprocess.run(
        [sys.executable, COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    rows = [re.split(r" \| ", line.strip("| ")) for line in done.stdout.splitlines()[2:]]
    return {name: (value, whence) for name, value, whence in rows}


class Counts(Model):
    def generate_response(self, messages: Any, **_: Any) -> Any:
        return messages, {}, "well"


@pytest.mark.slow
def test_each_game_counts_the_same(tmp_path: Path) -> None:
    play(tmp_path, "short", CustomResponseModel(), rounds=1)
    play(tmp_path, "long", CustomResponseModel(), rounds=4)
    found = table(tmp_path, "--games", "2", "--models", "5", "--episodes", "10", "--at-once", "10", "--shards", "3")
    assert found["episodes"][0] == "100"
    assert found["calls per episode"] == ("5.0", "measured: 6 episodes of 2 games")
    assert found["calls"][0] == "500"
    assert found["hours of calls"][0] == "0"
    assert found["tokens of an answer"] == ("100", "given: --answer-tokens 100")
    assert found["files, --layout store"][0] == "15"
    assert found["files, classic layout"][0] == "500", "instance, interactions, completed and two of requests"
    assert "hours of game code and engine" not in found, "nothing says how long the games took"


@pytest.mark.slow
def test_times_of_models_replace_what_is_given(tmp_path: Path) -> None:
    play(tmp_path, "timed", Counts(ModelSpec(model_name="counts")), rounds=2)
    found = table(tmp_path)
    assert found["seconds of a call"][1] == "measured: 12 calls"
    assert found["calls"][0] == "1,560,000", "26 x 30 x 500 x 4"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--games", "0"], "--games must be above 0"),
        ([], "does not exist"),
        (["--model", "no-such"], "does not exist"),
    ],
)
def test_wrong_input_is_told(tmp_path: Path, arguments: list[str], told: str) -> None:
    done = subprocess.run(
        [sys.executable, COMMAND, tmp_path / "none", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert told in done.stderr
