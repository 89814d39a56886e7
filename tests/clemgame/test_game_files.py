"""Files of games are read with every fault at its place, and with what to do about it."""

from __future__ import annotations

import copy
import json
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clemcore import _core
from clemcore.clemgame.instances import GameInstances
from clemcore.clemgame.registry import GameRegistry, GameSpec
from clemcore.errors import GameError, GameSpecError


def faults_of_games(folder: Path, text: str) -> list[str]:
    (folder / "clemgame.json").write_text(text)
    with pytest.raises(GameError) as caught:
        GameSpec.from_directory(str(folder))
    assert all(str(folder / "clemgame.json") == problem.source for problem in caught.value.problems)
    return [f"{problem.code} {problem.line}:{problem.column}" for problem in caught.value.problems]


def faults_of_instances(folder: Path, text: str) -> list[str]:
    (folder / "instances.json").write_text(text)
    with pytest.raises(GameError) as caught:
        GameInstances.from_file("g", str(folder))
    return [f"{problem.code} {problem.line}:{problem.column}" for problem in caught.value.problems]


GAMES = [
    ('"taboo"', ["G001 1:1"]),
    ('[\n "taboo", {"game_name": "g", "players": 1}]', ["G001 2:2"]),
    ("[{},\n {}]", ["G002 1:2", "G002 1:2", "G002 2:2", "G002 2:2"]),
    ('{"game_name": " ", "players": 0}', ["G003 1:15", "G003 1:31"]),
    ('{"game_name": "g", "players": "many", "roles": [1]}', ["G003 1:31", "G003 1:48"]),
    ('{"game_name": "g", "players": 1, "concurrency": true}', ["G003 1:49"]),
    ('{"game_name": "g", "players": 1, "instances": 3}', ["G003 1:47"]),
    ('[{"game_name": "g", "players": 1},\n{"game_name": "g", "players": 1}]', ["G004 2:15"]),
    ('{"game_name": "g", "players": 2,\n}', ["R010 1:32"]),
    ("{'game_name': 'g', \"players\": None}", ["R012 1:2", "R012 1:15", "R014 1:31"]),
    ('{"game_name": "g", "players": 2, "players": 1}', ["R030 1:34"]),
    ("", ["R003 1:1"]),
]


@pytest.mark.parametrize(("text", "faults"), GAMES)
def test_every_fault_of_a_spec_file_is_reported_at_its_place(tmp_path: Path, text: str, faults: list[str]) -> None:
    assert faults_of_games(tmp_path, text) == faults


INSTANCES = [
    ("[]", ["G010 1:1"]),
    ('{"experiment": []}', ["G010 1:1"]),
    ('{"experiments": []}', ["G010 1:17"]),
    ('{"experiments": ["a",\n {}]}', ["G011 1:18", "G011 2:2", "G011 2:2"]),
    ('{"experiments": [{"name": 1, "game_instances": {}}]}', ["G011 1:27", "G011 1:48"]),
    ('{"experiments": [{"name": "a", "game_instances": [1, {"game_id": 1}]}]}', ["G012 1:51"]),
    ('{"experiments": [{"name": "a", "game_instances": [{}, {"game_id": "1"}]}]}', ["G013 1:51", "G013 1:67"]),
    ('{"experiments": [{"name": "a", "game_instances": [{"game_id": 1.0}]}]}', ["G013 1:63"]),
    ('{"experiments": [{"name": "a", "game_instances": [{"game_id": true}]}]}', ["G013 1:63"]),
    ('{"experiments": [{"name": "a", "game_instances": [{"game_id": NaN}]}]}', ["R015 1:63"]),
]


@pytest.mark.parametrize(("text", "faults"), INSTANCES)
def test_every_fault_of_an_instance_file_is_reported_at_its_place(
    tmp_path: Path, text: str, faults: list[str]
) -> None:
    assert faults_of_instances(tmp_path, text) == faults


def test_two_instances_of_one_game_id_are_refused_with_both_places(tmp_path: Path) -> None:
    experiment = {"name": "easy", "game_instances": [{"game_id": 0}]}
    text = json.dumps({"experiments": [experiment, {**experiment, "name": "hard"}, experiment]}, indent=1)
    (tmp_path / "instances.json").write_text(text)
    with pytest.raises(GameError) as caught:
        GameInstances.from_file("g", str(tmp_path))
    [problem] = caught.value.problems
    assert (problem.code, problem.line) == ("G014", 23)
    assert problem.field == "experiments[2].game_instances[0].game_id"
    assert problem.help is not None
    assert problem.help.endswith("the other instance is at 7:17")


def test_a_report_names_file_line_column_and_help(tmp_path: Path) -> None:
    (tmp_path / "clemgame.json").write_text('{"game_name": "g", "palyers": 2}')
    with pytest.raises(GameError) as caught:
        GameSpec.from_directory(str(tmp_path))
    report = str(caught.value)
    assert f"{tmp_path / 'clemgame.json'}:1:1" in report
    assert "this game has no 'players'" in report
    assert "is 'palyers' meant to be 'players'?" in report


def test_a_field_that_looks_misspelt_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "clemgame.json").write_text('{"game_name": "g", "players": 2, "concurency": 1, "mine": 0}')
    [spec] = GameSpec.from_directory(str(tmp_path))
    assert spec.mine == 0
    assert "G005" in caplog.text
    assert "is it meant to be 'concurrency'?" in caplog.text


@pytest.mark.parametrize("code", sorted({fault.split()[0] for _, faults in GAMES + INSTANCES for fault in faults}))
def test_every_kind_of_fault_has_a_page(code: str) -> None:
    assert code in str(_core.explain(code))


def test_a_missing_instance_file_says_how_to_get_it(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    with pytest.raises(GameError, match=rf"{tmp_path} has no instancegenerator.py"):
        GameInstances.from_file("g", str(folder))
    (tmp_path / "instancegenerator.py").touch()
    with pytest.raises(GameError, match=rf"run 'python instancegenerator.py' in {tmp_path}"):
        GameInstances.from_file("g", str(folder))
    folder.mkdir()
    (folder / "instances_v2.json").touch()
    with pytest.raises(GameError, match="or choose one of the files there: instances_v2"):
        GameInstances.from_file("g", str(folder))
    with pytest.raises(GameError, match="did you mean 'instances_v2'"):
        GameInstances.from_file("g", str(folder), "instance_v2")


# -- the registry ----------------------------------------------------------------------------------------------
def write(folder: Path, *games: dict[str, Any], master: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "clemgame.json").write_text(json.dumps(games[0] if len(games) == 1 else games))
    if master:
        (folder / "master.py").touch()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("CLEMBENCH_HOME", raising=False)
    return folder


def names(registry: GameRegistry) -> list[str]:
    return [spec.game_name for spec in registry]


def test_games_are_found_three_folders_deep_in_the_order_of_names(here: Path) -> None:
    write(here / "z", {"game_name": "z", "players": 1})
    write(here / "a" / "b" / "c", {"game_name": "deep", "players": 1})
    write(here / "a" / "b" / "c2" / "d", {"game_name": "too deep", "players": 1})
    write(here / "a" / "b" / "c" / "d", {"game_name": "in a game", "players": 1})
    write(here / ".hidden", {"game_name": "hidden", "players": 1})
    write(here / "docs", {"game_name": "documented", "players": 1})
    registry = GameRegistry.from_directories_and_cwd_files()
    assert names(registry) == ["deep", "z"]
    assert registry.get_game_spec("z").game_path == str(here / "z")


def test_home_is_searched_only_if_there_are_no_games_here(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "home" / "h", {"game_name": "h", "players": 1})
    monkeypatch.setenv("CLEMBENCH_HOME", str(tmp_path / "home"))
    assert names(GameRegistry.from_directories_and_cwd_files()) == ["h"]
    write(here / "g", {"game_name": "g", "players": 1})
    assert names(GameRegistry.from_directories_and_cwd_files()) == ["g"]


def test_a_registry_file_names_games_and_folders_of_games(here: Path, tmp_path: Path) -> None:
    write(tmp_path / "far" / "x", {"game_name": "x", "players": 1})
    write(here / "g", {"game_name": "g", "players": 1})
    entries = [
        {"game_name": "own", "players": "two", "game_path": "elsewhere"},
        {"benchmark_path": str(tmp_path / "far")},
        {"game_name": "g", "players": 1, "game_path": "g"},
    ]
    (here / "game_registry.json").write_text(json.dumps(entries))
    registry = GameRegistry.from_directories_and_cwd_files()
    assert names(registry) == ["own", "x", "g"]
    own = registry.get_game_spec("own")
    assert (own.game_path, own.players) == (str(here / "elsewhere"), 2)
    assert own.lookup_source == str(here / "game_registry.json")


def test_a_broken_registry_file_is_never_ignored(here: Path) -> None:
    (here / "game_registry.json").write_text('[{"game_name": "g"},]')
    with pytest.raises(GameError, match=r"game_registry.json:1:20"):
        GameRegistry.from_directories_and_cwd_files()


def test_a_broken_game_fails_alone_and_is_named_when_it_is_missed(here: Path) -> None:
    write(here / "g", {"game_name": "g", "players": 1})
    (here / "h").mkdir()
    (here / "h" / "clemgame.json").write_text('{"game_name": "h"}')
    registry = GameRegistry.from_directories_and_cwd_files()
    assert (names(registry), len(registry.faults)) == (["g"], 1)
    assert "this game has no 'players'" in str(registry.faults[0])
    with pytest.raises(GameError, match=rf"These files have faults, .*: {here / 'h' / 'clemgame.json'}$"):
        registry.get_game_spec("h")


def test_two_games_of_one_name_are_both_named_and_none_is_chosen(here: Path) -> None:
    write(here / "one", {"game_name": "g", "players": 1})
    write(here / "two", {"game_name": "g", "players": 1}, {"game_name": "h", "players": 1})
    registry = GameRegistry.from_directories_and_cwd_files()
    for selector in ("g", "all", {"players": 1}):
        with pytest.raises(GameError, match=rf"{here / 'one'} and {here / 'two'}"):
            registry.get_game_specs_that_unify_with(selector)
    assert registry.get_game_spec("h").game_path == str(here / "two")


SELECTORS = [
    ("g2", ["g2"]),
    ("all", ["g1", "g2", "plain", "empty"]),
    ({"main_game": "g"}, ["g1", "g2"]),
    ('{"main_game": "g", "players": 2}', ["g2"]),
    ("{'main_game': 'g', 'players': 1}", ["g1"]),
    ({"benchmark": ["2.0", "3.0"], "players": 9}, ["g1", "g2"]),
    ({"benchmark": "3.0"}, ["g2"]),
    (GameSpec.from_name("plain"), ["plain"]),
]


@pytest.fixture
def several(here: Path) -> GameRegistry:
    first = {"game_name": "g1", "main_game": "g", "players": 1, "benchmark": ["2.0"]}
    second = {"game_name": "g2", "main_game": "g", "players": 2, "benchmark": ["2.0", "3.0"]}
    write(here / "a", first, second)
    write(here / "b", {"game_name": "plain", "players": 1, "main_game": "plain"})
    write(here / "c", {"game_name": "empty", "players": 1, "main_game": "g"}, master=False)
    return GameRegistry.from_directories_and_cwd_files()


@pytest.mark.parametrize(("selector", "found"), SELECTORS)
def test_selectors_are_names_dicts_and_texts_of_dicts(
    several: GameRegistry, selector: str | dict[str, Any] | GameSpec, found: list[str]
) -> None:
    assert [spec.game_name for spec in several.get_game_specs_that_unify_with(selector)] == found


REFUSED = [
    ("g3", "there is no game 'g3': there are: g1, g2, plain, empty"),
    ("plian", "did you mean 'plain'"),
    ({"benchmark": ["9"]}, r"no game belongs to benchmark \['9'\]: the versions are 2.0, 3.0"),
    ('{"main_game": "g"', "was never closed at line 1, column 1"),
    ({"main_game": "x"}, r"no game matches .* \(folders without a master.py: .*/c\)"),
    ("", "a game name must be a non-empty string"),
    ({1: 2}, "field names of a game must be strings"),
]


@pytest.mark.parametrize(("selector", "why"), REFUSED)
def test_a_selector_that_means_nothing_is_refused(several: GameRegistry, selector: Any, why: str) -> None:
    with pytest.raises(GameError, match=why):
        several.get_game_specs_that_unify_with(selector)


def test_several_selectors_give_each_game_once_and_all_problems_at_once(several: GameRegistry) -> None:
    assert [spec.game_name for spec in several.select(["g2", {"main_game": "g"}])] == ["g2", "g1"]
    with pytest.raises(GameError, match=r"'plian'[^\0]*'g7'"):
        several.select(["plian", "g1", "g7"])


def test_an_empty_registry_says_where_it_looked(here: Path) -> None:
    with pytest.raises(GameError, match=rf"no games were found in {here} .* set \$CLEMBENCH_HOME"):
        GameRegistry.from_directories_and_cwd_files().get_game_spec("taboo")


def test_a_spec_without_a_required_field_is_a_key_error() -> None:
    with pytest.raises(KeyError) as caught:
        GameSpec(game_name="g", players=1)
    assert isinstance(caught.value, GameSpecError)
    assert str(caught.value).startswith("no game path specified")


# -- any content -----------------------------------------------------------------------------------------------
KEYS = ["game_name", "players", "roles", "concurrency", "benchmark", "instances", "experiments", "name", "game_id"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.just(0.5) | st.sampled_from(["", "g", "two"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS, "game_instances"]), inner),
    max_leaves=12,
)


def faults_of(folder: str) -> Iterator[GameError]:
    """What the two readers say; what they accept must be usable."""
    try:
        for spec in GameSpec.from_directory(folder):
            assert len(spec.role_names) == spec.player_count >= 1
    except GameError as fault:
        yield fault
    try:
        assert GameInstances.from_file("g", folder).describe()
    except GameError as fault:
        yield fault


@given(JSON)
@settings(max_examples=60, deadline=None)
def test_whatever_a_file_holds_it_is_read_or_refused_with_a_place(content: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("clemgame.json", "instances.json"):
            (Path(folder) / name).write_text(json.dumps(content))
        for fault in faults_of(folder):
            assert fault.problems
            assert all(problem.line == 1 and problem.column >= 1 and problem.help for problem in fault.problems)


def _sent(spec: GameSpec) -> Any:
    return pickle.loads(pickle.dumps(spec))  # noqa: S301 - our own bytes


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, _sent])
def test_a_specification_is_copied_and_sent_to_other_processes(copied: Any) -> None:
    spec = GameSpec(game_name="g", game_path="here", players=2, roles=["A", "B"])
    other = copied(spec)
    assert type(other) is GameSpec
    assert vars(other) == vars(spec)
    assert (other.roles is spec.roles) is (copied is copy.copy)
