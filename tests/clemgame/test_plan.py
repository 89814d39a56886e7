"""From folders on disk to a plan: games are found, selected, and their episodes are put in order."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from clemcore.clemgame.plan import EpisodeKey, check_line_up, make_plan, unreadable_games
from clemcore.clemgame.registry import GameRegistry, GameSpec
from clemcore.errors import GameError


def make_game(folder: Path, name: str, *, instances: Any = None, **fields: Any) -> Path:
    """Write a game's folder with two experiments of two instances."""
    (folder / "in").mkdir(parents=True, exist_ok=True)
    (folder / "clemgame.json").write_text(json.dumps({"game_name": name, "players": 2, **fields}))
    (folder / "master.py").write_text("# a game\n")
    default = {
        "experiments": [
            {"name": each, "level": each, "game_instances": [{"game_id": 0}, {"game_id": 1}]}
            for each in ("easy", "hard")
        ]
    }
    text = instances if isinstance(instances, str) else json.dumps(instances or default)
    (folder / "in" / "instances.json").write_text(text)
    return folder


@pytest.fixture
def games(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLEMBENCH_HOME", raising=False)
    make_game(tmp_path / "b", "b")
    make_game(tmp_path / "a", "a", roles=["Asker", "Guesser"])
    return tmp_path


def test_a_plan_keeps_the_order_of_files_and_plays_epochs_one_after_another(games: Path) -> None:
    specs = GameRegistry.from_directories_and_cwd_files().select(["b", "a"])
    plan = make_plan(specs, epochs=2)
    assert [game.spec.game_name for game in plan] == ["b", "a"]
    keys = [episode.key for episode in plan[0].episodes]
    assert keys[:5] == [
        EpisodeKey("b", "easy", 0, 1),
        EpisodeKey("b", "easy", 1, 1),
        EpisodeKey("b", "hard", 0, 1),
        EpisodeKey("b", "hard", 1, 1),
        EpisodeKey("b", "easy", 0, 2),
    ]
    assert [episode.place for game in plan for episode in game.episodes] == list(range(16))
    assert plan[0].episodes[0].experiment == {"name": "easy", "level": "easy"}


def test_a_game_that_cannot_be_read_fails_alone(games: Path) -> None:
    (games / "b" / "in" / "instances.json").unlink()
    (games / "b" / "instancegenerator.py").touch()
    plan = make_plan(GameRegistry.from_directories_and_cwd_files())
    assert [len(game.episodes) for game in plan] == [4, 0]
    assert f"run 'python instancegenerator.py' in {games / 'b'}" in str(plan[1].problem)


def test_games_that_cannot_be_read_are_planned_as_such(games: Path) -> None:
    (games / "c").mkdir()
    (games / "c" / "clemgame.json").write_text("{}")
    [broken] = unreadable_games(GameRegistry.from_directories_and_cwd_files())
    assert (broken.spec.game_name, broken.episodes) == ("c", [])
    assert broken.problem is not None
    assert f"clem check game {games / 'c'}" in str(broken.problem)
    assert {problem.code for problem in broken.problem.problems} == {"G002"}


def test_filters_choose_experiments_and_instances(games: Path) -> None:
    specs = GameRegistry.from_directories_and_cwd_files().select(["a"])
    [game] = make_plan(specs, experiment="hard", instances_filter=lambda row: row["game_instance"]["game_id"] == 1)
    assert [episode.key for episode in game.episodes] == [EpisodeKey("a", "hard", 1)]
    with pytest.raises(GameError, match="there is no experiment 'hrad': did you mean 'hard'"):
        make_plan(specs, experiment="hrad")
    with pytest.raises(GameError, match="did you mean"):
        raise make_plan(specs, instances="instance")[0].problem or AssertionError


def test_a_line_up_of_another_size_lists_the_roles(games: Path) -> None:
    spec = GameRegistry.from_directories_and_cwd_files().get_game_spec("a")
    check_line_up(spec, ["m"])
    check_line_up(spec, ["m", "n"])
    with pytest.raises(GameError, match=r"2 players \(Asker, Guesser\), but 3 models are given \(m, n, o\)"):
        check_line_up(spec, ["m", "n", "o"])


@pytest.mark.parametrize("file", ["master.py", "words.txt", "in/instances.json"])
def test_a_change_of_a_file_changes_one_hash(games: Path, file: str) -> None:
    (games / "a" / "words.txt").write_text("word")
    spec = GameRegistry.from_directories_and_cwd_files().get_game_spec("a")
    before = make_plan([spec])[0].sha256
    path = games / "a" / file
    path.write_text(path.read_text() + "\n")
    after = make_plan([spec])[0].sha256
    which = {"master.py": "code", "words.txt": "resources", "in/instances.json": "instances"}[file]
    assert {name for name in before if before[name] != after[name]} == {which}


def test_results_in_a_game_folder_change_no_hash(games: Path) -> None:
    spec = GameRegistry.from_directories_and_cwd_files().get_game_spec("a")
    before = make_plan([spec])[0].sha256
    run = games / "a" / "results" / "mock"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (games / "a" / "results" / "raw.csv").write_text("a,b")
    (games / "a" / "run.log").write_text("a line")
    assert make_plan([spec])[0].sha256 == before


def test_a_spec_is_equal_by_name() -> None:
    spec = GameSpec(game_name="g", game_path="p", players="two")
    assert (spec.player_count, spec.role_names) == (2, ["Player 1", "Player 2"])
    assert spec == GameSpec.from_name("g")
    assert len({spec, GameSpec.from_name("g")}) == 1


def test_a_plan_keeps_the_text_of_its_instances_and_not_their_objects(games: Path) -> None:
    instances = [{"game_id": 7 - i, "numbers": [i + n / 4 for n in range(100)], "word": "ä"} for i in range(300)]
    make_game(games / "a", "a", instances={"experiments": [{"name": "e", "game_instances": instances}]})
    [spec] = GameRegistry.from_directories_and_cwd_files().select(["a"])
    make_plan([spec])  # imports
    tracemalloc.start()
    [game] = make_plan([spec], epochs=2)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2 * (games / "a" / "in" / "instances.json").stat().st_size  # as objects, more than 5 times it
    assert [episode.instance for episode in game.episodes] == 2 * instances
    assert [*game.episode_keys()] == [episode.key for episode in game.episodes]
    assert len({id(episode.experiment) for episode in game.episodes}) == 1


def test_an_id_that_the_store_cannot_hold_is_refused_with_its_place(games: Path) -> None:
    instances = [{"game_id": 2**63 - 1}, {"game_id": -(2**63)}, {"game_id": 2**63}]
    make_game(games / "a", "a", instances={"experiments": [{"name": "e", "game_instances": instances}]})
    [game] = make_plan(GameRegistry.from_directories_and_cwd_files().select(["a"]))
    assert re.search(r"'game_id' must fit into 64 bits\n --> \S+/in/instances\.json:1:\d+", str(game.problem))
