"""A new game runs, scores and tests itself without any editing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clemcore import cli
from clemcore.clemgame import GameSpec
from clemcore.clemgame.authoring.new_game import new_game
from clemcore.clemgame.checking.game import check_game
from clemcore.errors import GameError
from support.clem import Clem

pytestmark = pytest.mark.slow

KINDS = [
    {"players": players, "images": images, "languages": languages}
    for players in (1, 2)
    for images in (False, True)
    for languages in (["en"], ["en", "de", "fr"])
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_of_game_has_nothing_to_remark(tmp_path: Path, kind: dict[str, object]) -> None:
    folder = new_game("hunt", tmp_path, **kind)  # type: ignore[arg-type]
    (spec,) = GameSpec.from_directory(str(folder))
    remarks, played = check_game(spec, episodes=6)
    assert [str(remark) for remark in remarks] == []
    assert played == 6
    tests = subprocess.run([sys.executable, folder / "test_game.py"], capture_output=True, text=True, check=False)
    assert tests.returncode == 0, tests.stderr


def test_the_commands_of_the_guide_pass_in_a_fresh_folder(clem: Clem) -> None:
    clem.ok("new", "game", "my_game", "--players", "2", "--languages", "en,de")
    clem.ok("check", "game", "my_game")
    clem.ok("run", "-g", "my_game", "-m", "mock")
    clem.ok("score")
    done = clem.ok("eval")
    assert "100.00" in done
    assert sorted(path.name for path in Path().iterdir()) == ["my_game", "results"]


def test_the_same_seed_gives_the_same_game(tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        folder = new_game("hunt", tmp_path / name, images=True)
        files.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()})
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("My Game", "such as 'my_game'"),
        ("../up", "such as 'up'"),
        ("7", "such as 'my_game'"),
        ("game", "would hide those of clemcore"),
        ("there", "exists already and is left as it is"),
    ],
)
def test_a_bad_name_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    assert cli.main(["new", "game", name]) == 2
    assert told in capsys.readouterr().err
    assert [str(path) for path in Path().iterdir()] == ["there"]


def test_a_bad_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GameError, match="'english' is not a language"):
        new_game("hunt", tmp_path, languages=["english"])
