"""Fresh instances come from the game's own generator with another seed, and are compared with the old ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from clemcore import cli
from clemcore.clemgame import GameSpec
from clemcore.clemgame.authoring.fresh_instances import compare, fresh_instances
from clemcore.clemgame.authoring.new_game import new_game
from clemcore.errors import GameError

GAMES = Path(__file__).parents[3] / "examples" / "games"


def _spec(folder: Path) -> GameSpec:
    return GameSpec.from_directory(str(folder))[0]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_instances_and_the_old_ones_stay(tmp_path: Path) -> None:
    game = new_game("hunt", tmp_path)
    before = (game / "in" / "instances.json").read_bytes()
    found = fresh_instances(_spec(game), 99)
    assert found.path == game / "in" / "instances_seed_99.json"
    first = found.path.read_bytes()
    assert first != before
    assert [(each.name, each.old, each.new) for each in found.reports] == [("small_en", 3, 3), ("large_en", 3, 3)]
    assert fresh_instances(_spec(game), 99).path.read_bytes() == first
    assert (game / "in" / "instances.json").read_bytes() == before
    assert sorted(path.name for path in (game / "in").iterdir()) == ["instances.json", "instances_seed_99.json"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["word_dominoes", "lineup"])
def test_our_games_draw_fresh_instances(tmp_path: Path, name: str) -> None:
    shutil.copytree(GAMES / name, tmp_path / name)
    found = fresh_instances(_spec(tmp_path / name), 4711)
    assert found.count > 0
    assert found.repeated == 0
    assert not any(each.missing or each.added for each in found.reports)


@pytest.mark.slow
def test_a_game_with_pictures_needs_a_folder_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    game = tmp_path / "spot_the_change"
    shutil.copytree(GAMES / "spot_the_change", game)
    before = {path: path.read_bytes() for path in game.rglob("*") if path.is_file()}
    assert cli.main(["new", "instances", str(game), "--seed", "5"]) == 2
    assert "add -o FOLDER" in capsys.readouterr().err
    other = tmp_path / "fresh"
    assert cli.main(["new", "instances", str(game), "--seed", "5", "-o", str(other), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(other / "in" / "instances.json")
    assert {path: path.read_bytes() for path in game.rglob("*") if path.is_file()} == before
    assert cli.main(["check", "game", str(other), "--episodes", "1"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise ValueError('no words')", "ended with status 1: .*ValueError: no words"),
        ("random.seed(7)", "gives the same instances with the seed 1 as before"),
    ],
)
def test_a_generator_that_cannot_do_it_is_told(tmp_path: Path, code: str, told: str) -> None:
    game = new_game("hunt", tmp_path)
    path = game / "instancegenerator.py"
    path.write_text(
        path.read_text().replace("        for language in LANG", f"        {code}\n        for language in LANG")
    )
    with pytest.raises(GameError, match=told):
        fresh_instances(_spec(game), 1)
    assert [path.name for path in (game / "in").iterdir()] == ["instances.json"]


def test_a_game_without_a_generator_is_refused(tmp_path: Path) -> None:
    shutil.copytree(GAMES / "lineup", tmp_path / "lineup")
    (tmp_path / "lineup" / "instancegenerator.py").unlink()
    with pytest.raises(GameError, match="nothing can draw fresh instances"):
        fresh_instances(_spec(tmp_path / "lineup"), 1)


def _instances(name: str, values: list[Any]) -> dict[str, Any]:
    rows = [{"game_id": number, "value": value} for number, value in enumerate(values)]
    return {"experiments": [{"name": name, "game_instances": rows}]}


def test_repeated_instances_are_counted_whatever_their_number() -> None:
    (report,) = compare(_instances("e", [1, 2, 3]), _instances("e", [3, 4, 1]))
    assert (report.old, report.new, report.repeated) == (3, 3, 2)


def test_the_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    # Of [1, 2, 2, 5], 3/4 are at most 2; of [2, 3, 5, 5], 1/4: no other difference is as large.
    (report,) = compare(_instances("e", [1, 2, 2, 5]), _instances("e", [2, 3, 5, 5]))
    assert report.fields[0].distance == 0.5
    assert (report.fields[0].old, report.fields[0].new) == (2.5, 3.75)


def test_fields_of_another_distribution_are_named() -> None:
    old, new = list(range(50)), list(range(100, 150))
    (report,) = compare(_instances("e", old), _instances("e", new))
    assert report.fields[0].is_far
    (report,) = compare(_instances("e", ["a" * 3] * 9), _instances("e", ["b" * 3] * 9))
    assert not report.fields[0].is_far


def test_experiments_that_only_one_side_has_are_shown() -> None:
    reports = compare(_instances("old", [1]), _instances("new", [1]))
    assert [(each.name, each.old, each.new, each.repeated) for each in reports] == [
        ("old", 1, 0, 0),
        ("new", 0, 1, 1),
    ]
