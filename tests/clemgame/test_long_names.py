"""Names that are longer than those of files can be: folders get a shorter name, and nothing else changes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from clemcore.clemgame.layout.episodes import read_episodes
from support.clem import Clem
from support.echo_game import write_game

LONG = 300


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["classic", "store"])
def test_long_names_of_games_models_and_experiments(clem: Clem, layout: str) -> None:
    name = "ü" * LONG
    game = write_game(Path(), instances=2)
    spec = json.loads((game / "clemgame.json").read_text())
    (game / "clemgame.json").write_text(json.dumps({**spec, "game_name": name}))
    instances = json.loads((game / "in" / "instances.json").read_text())
    instances["experiments"] = [{**instances["experiments"][0], "name": name + end} for end in ("1", "2")]
    (game / "in" / "instances.json").write_text(json.dumps(instances))
    entries = [{"model_name": name, "backend": "mock"}, {"model_name": f"{name}2", "backend": "mock"}]
    Path("model_registry.json").write_text(json.dumps(entries))
    for command in (
        ["run", "-g", name, "-m", name, f"{name}2", "--layout", layout],
        ["score"],
        ["eval"],
        ["transcribe"],
    ):
        done = clem(*command)
        assert done.returncode == 0, (command[0], done.stderr)
    assert [each.key.game for each in read_episodes("results")] == [name] * 4
    assert {each.key.experiment for each in read_episodes("results")} == {f"{name}1", f"{name}2"}
    rows = list(csv.DictReader(Path("results/raw.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["game"] for row in rows} == {name}
    assert {row["experiment"] for row in rows} == {f"{name}1", f"{name}2"}
    assert all(len(part.encode()) <= 255 for path in Path("results").rglob("*") for part in path.parts)
