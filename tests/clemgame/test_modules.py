"""A game is imported with its own modules, and leaves nothing of them behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clemcore.clemgame.benchmark import GameBenchmark
from clemcore.clemgame.engine.episode import error_of
from clemcore.clemgame.registry import GameSpec
from clemcore.errors import GameLoadError

MASTER = """
from clemcore.clemgame import GameBenchmark
import helper
import parts.deep

class Mine(GameBenchmark):
    word = helper.WORD
    part = parts.deep.PART
"""


def make_game(folder: Path, word: str, master: str = MASTER, **fields: object) -> GameSpec:
    (folder / "parts").mkdir(parents=True)  # a package without __init__.py
    (folder / "parts" / "deep.py").write_text(f"PART = 'part of {word}'")
    (folder / "helper.py").write_text(f"WORD = {word!r}")
    (folder / "master.py").write_text(master)
    (folder / "clemgame.json").write_text(json.dumps({"game_name": folder.name, "players": 1, **fields}))
    return GameSpec.from_directory(str(folder))[0]


@pytest.fixture(autouse=True)
def nothing_stays() -> object:
    path, modules = list(sys.path), set(sys.modules)
    yield
    assert sys.path == path
    assert not {"helper", "parts", "parts.deep", "master", "shared"} & (set(sys.modules) - modules)


def test_two_games_have_modules_of_the_same_names(tmp_path: Path) -> None:
    for word in ("one", "two"):
        spec = make_game(tmp_path / word, word)
        with GameBenchmark.load_from_spec(spec) as benchmark:
            assert (benchmark.word, benchmark.part) == (word, f"part of {word}")  # type: ignore[attr-defined]
            assert {module.__name__ for module in benchmark.modules} == {word, "helper", "parts", "parts.deep"}
            assert benchmark.game_path == str(tmp_path / word)


def test_two_games_that_are_loaded_together_do_not_mix(tmp_path: Path) -> None:
    first = GameBenchmark.load_from_spec(make_game(tmp_path / "first", "first"))
    second = GameBenchmark.load_from_spec(make_game(tmp_path / "second", "second"))
    assert (first.word, second.word) == ("first", "second")  # type: ignore[attr-defined]
    first.close()
    assert sys.path[0] == str(tmp_path / "second")
    second.close()


def test_a_parent_folder_with_the_same_beginning_is_on_the_path(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "shared.py").write_text("WORD = 'shared'")
    lazy = MASTER + "    def later(self):\n        import shared\n        return shared.WORD\n"
    spec = make_game(tmp_path / "maps" / "maps_main", "own", lazy)
    with GameBenchmark.load_from_spec(spec) as benchmark:
        assert sys.path[:2] == [str(tmp_path / "maps" / "maps_main"), str(tmp_path / "maps")]
        assert benchmark.later() == "shared"  # type: ignore[attr-defined]


def test_packages_that_a_game_has_imported_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "g" / "env" / "lib" / "site-packages"
    inside.mkdir(parents=True)
    (inside / "installed_in_game.py").touch()
    (tmp_path / "installed_elsewhere.py").touch()
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        patch.syspath_prepend(str(inside))
        spec = make_game(tmp_path / "g", "g", MASTER + "import installed_in_game, installed_elsewhere\n")
        GameBenchmark.load_from_spec(spec).close()
    assert sys.modules.pop("installed_in_game")
    assert sys.modules.pop("installed_elsewhere")


def test_a_game_named_like_a_module_hides_nothing(tmp_path: Path) -> None:
    spec = make_game(
        tmp_path / "random", "random", MASTER + "import random\n    \nassert random.randint(1, 1) == 1\n"
    )
    with GameBenchmark.load_from_spec(spec) as benchmark:
        assert benchmark.game_name == "random"


def test_dataclasses_of_a_game_find_their_module(tmp_path: Path) -> None:
    code = "from __future__ import annotations\nfrom dataclasses import KW_ONLY, dataclass\n" + MASTER
    code += "@dataclass\nclass State:\n    _: KW_ONLY\n    rounds: int = 0\nassert State(rounds=1).rounds == 1\n"
    with GameBenchmark.load_from_spec(make_game(tmp_path / "states", "states", code)):
        pass


BROKEN = [
    ("import helper\nimport no_such_thing\n", r"No module named 'no_such_thing' \(.*/g/master.py:2\)"),
    ("import numpy_is_missing\n", "pip install -r .*requirements.txt"),
    ("def f(:\n", r"SyntaxError: .* \(.*/g/master.py:1\)"),
    ("import sys\nsys.exit(3)\n", r"SystemExit: 3 \(.*/g/master.py:2\)"),
    ("raise ValueError('a\\n**\\nb')\n", "ValueError: a b"),
    ("import helper\n", "defines no GameBenchmark: define exactly one subclass"),
    (MASTER + "class Other(GameBenchmark): pass\n", r"defines 2 subclasses of GameBenchmark \(Mine, Other\)"),
    (MASTER + "    def __init__(self, spec):\n        raise KeyError('no')\n", "KeyError: 'no'"),
]


@pytest.mark.parametrize(("master", "why"), BROKEN)
def test_a_game_that_cannot_be_loaded_says_why(tmp_path: Path, master: str, why: str) -> None:
    (tmp_path / "requirements.txt").touch()
    spec = make_game(tmp_path / "g", "g", master)
    with pytest.raises(GameLoadError, match=why) as caught:
        GameBenchmark.load_from_spec(spec)
    assert "the game 'g'" in str(caught.value)
    assert "clemcore/clemgame" not in caught.value.details
    # What the user is shown is the game's own code, or nothing where the message says it all.
    assert error_of(caught.value)["traceback"] == caught.value.details
    if "SyntaxError" in why or "ValueError" in why:
        assert str(tmp_path / "g" / "master.py") in caught.value.details


def test_a_base_class_beside_the_game_does_not_count(tmp_path: Path) -> None:
    spec = make_game(tmp_path / "g", "g", MASTER + "class Real(Mine): pass\n")
    with GameBenchmark.load_from_spec(spec) as benchmark:
        assert type(benchmark).__name__ == "Real"


def test_a_missing_package_of_the_extra_names_the_extra(tmp_path: Path) -> None:
    spec = make_game(tmp_path / "g", "g", "import helper\nimport nltk\n")
    code = f"""
import sys
sys.modules["nltk"] = None  # as if it was not installed
from clemcore.clemgame.registry import GameSpec
from clemcore.clemgame.benchmark import GameBenchmark
GameBenchmark.load_from_spec(GameSpec.from_directory({spec.game_path!r})[0])
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'clemcore[games]'" in ended.stderr


def test_importing_clemgame_imports_no_numpy() -> None:
    code = (
        "import sys, clemcore.clemgame.benchmark, clemcore.clemgame.plan, clemcore.clemgame.instances;"
        "assert not {'numpy', 'pandas', 'pettingzoo', 'nltk'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
