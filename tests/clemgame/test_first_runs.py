"""What newcomers do wrong with runs, and what the commands say about it."""

from __future__ import annotations

import inspect
import json
import logging
import shutil
from pathlib import Path

import pytest

from clemcore.clemgame import GameInteractionsRecorder, GameScorer
from clemcore.clemgame.events import GameEventSource
from clemcore.clemgame.metrics import BENCH_SCORE
from support.clem import Clem
from support.echo_game import write_game

pytestmark = pytest.mark.slow

RUN = Path("results/mock")
SCRIPTED = '{"model_name": "mock", "model_config": {"responses": ["SAY one", "SAY two"], "on_exhausted": "repeat"}}'


@pytest.fixture(autouse=True)
def game() -> Path:
    return write_game(Path())


def _episode_folders() -> list[Path]:
    return [path.parent for path in RUN.rglob("interactions.json")]


# -- files and the store -------------------------------------------------------------------------------------------
def test_deleted_files_are_missed_and_can_be_written_again(clem: Clem) -> None:
    clem.ok("run", "-g", "echo", "-m", "mock")
    folders = _episode_folders()
    shutil.rmtree(folders[0])
    said = clem("run", "-g", "echo", "-m", "mock").stderr
    assert f"1 of {len(folders)} completed episodes have no files" in said
    assert f"'clem export {RUN} --to classic'" in said
    clem.ok("export", str(RUN), "--to", "classic")
    assert sorted(_episode_folders()) == sorted(folders)
    assert "no files" not in clem("run", "-g", "echo", "-m", "mock").stderr


def test_a_run_goes_on_in_the_layout_in_which_it_began(clem: Clem) -> None:
    clem.ok("run", "-g", "echo", "-m", "mock", "--layout", "store")
    done = clem("run", "-g", "echo", "-m", "mock", "--epochs", "2")
    assert "continued with the store alone" in done.stderr
    assert not _episode_folders()
    done = clem("run", "-g", "echo", "-m", "mock", "--epochs", "3", "--layout", "classic")
    count = len(_episode_folders())
    assert f"{2 * count} of {3 * count} completed episodes have no files" in done.stderr
    assert "episodes have no files" in clem("run", "-g", "echo", "-m", "mock", "--layout", "store").stderr


def test_two_games_are_scored_in_one_store_which_stays_one_file(clem: Clem) -> None:
    other = write_game(Path("other"))
    spec = json.loads((other / "clemgame.json").read_text())
    (other / "clemgame.json").write_text(json.dumps({**spec, "game_name": "other"}))
    clem.ok("run", "-g", "echo", "other", "-m", "mock", "--layout", "store")
    done = clem("score")
    assert done.returncode == 0, done.stderr
    assert not [path for path in RUN.iterdir() if path.name.endswith(("-wal", "-shm"))]


def test_an_export_does_not_nest_a_run_in_itself(clem: Clem) -> None:
    clem.ok("run", "-g", "echo", "-m", "mock", "--layout", "store")
    said = clem.fails("export", str(RUN), "--to", "classic", "-o", str(RUN), status=2)
    assert "is itself a run" in said
    assert not (RUN / "mock").exists()
    clem.ok("export", str(RUN), "--to", "classic", "-o", str(RUN.parent))
    assert _episode_folders()


def test_a_store_without_files_says_where_its_calls_are(clem: Clem) -> None:
    clem.ok("run", "-g", "echo", "-m", "mock", "--layout", "store")
    assert "'clem export RUN --to classic'" in clem.fails("verify", str(RUN))


# -- the mock ------------------------------------------------------------------------------------------------------
def test_a_mock_with_responses_gives_them_in_each_episode(clem: Clem) -> None:
    clem.ok("run", "-g", "echo", "-m", SCRIPTED)
    for folder in _episode_folders():
        turns = json.loads((folder / "interactions.json").read_text())["turns"]
        for player in ("Player 1", "Player 2"):  # each has a conversation of its own
            said = [
                each["action"]["content"]
                for turn in turns
                for each in turn
                if each["action"]["type"] == "get message" and each["from"] == player
            ]
            assert said == ["SAY one", "SAY two"]


def test_a_verified_mock_is_not_called_old(clem: Clem) -> None:
    clem.ok("run", "-g", "echo", "-m", "mock")
    said = clem.ok("verify", str(RUN))
    assert "answered by a program or a person, structure only" in said
    assert "older release" not in said


# -- bad input -----------------------------------------------------------------------------------------------------
def test_the_arguments_of_a_player_are_checked_at_their_place(clem: Clem) -> None:
    Path("run.toml").write_text(
        'games = ["echo"]\nmodels = ["mock"]\n\n[[players]]\ntemperature = "warm"\n\n[[players]]\nmax_tokens = 0\n'
    )
    said = clem.fails("run", "run.toml", status=2)
    assert "run.toml:5:1: players[0].temperature must be a number ≥ 0, not 'warm'" in said


def test_games_after_a_comma_are_pointed_out(clem: Clem) -> None:
    assert "separate several games by spaces: -g echo echo" in clem.fails(
        "run", "-g", "echo,echo", "-m", "mock", status=2
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "-g", "nope", "-m", "mock"),
        ("score", "-g", "nope"),
        ("check", "game", "nope"),
        ("list", "games", "-s", "nope"),
        ("replay", "nowhere"),
        ("status", "nowhere"),
        ("score", "nowhere"),
        ("export", "nowhere", "--to", "classic"),
    ],
)
def test_what_does_not_exist_is_refused_with_one_status(clem: Clem, arguments: tuple[str, ...]) -> None:
    clem.ok("run", "-g", "echo", "-m", "mock")
    assert "Usage" not in clem.fails(*arguments, status=2)


def test_a_damaged_description_is_named_by_every_command(clem: Clem) -> None:
    clem.ok("run", "-g", "echo", "-m", "mock")
    (RUN / "run.json").write_text("{")
    for arguments in (("run", "-g", "echo", "-m", "mock"), ("status",), ("status", str(RUN)), ("replay", str(RUN))):
        assert f"{RUN / 'run.json'}: is not JSON" in clem.fails(*arguments, status=2)


def test_a_broken_file_of_instances_is_no_ready_game(clem: Clem, game: Path) -> None:
    (game / "in" / "instances.json").write_text('{"experiments": [')
    done = clem("list", "instances")
    assert done.returncode == 1
    assert "this [ is never closed" in done.stderr
    assert "in/instances.json has faults" in clem.ok("list", "games")


def test_a_game_without_instances_is_refused_and_an_empty_experiment_named(clem: Clem, game: Path) -> None:
    path = game / "in" / "instances.json"
    content = json.loads(path.read_text())
    content["experiments"].append({**content["experiments"][0], "name": "empty", "game_instances": []})
    path.write_text(json.dumps(content))
    assert "the experiment 'empty' has no instances" in clem("run", "-g", "echo", "-m", "mock").stderr
    for experiment in content["experiments"]:
        experiment["game_instances"] = []
    path.write_text(json.dumps(content))
    assert "the instances of the game 'echo' are empty" in clem.fails(
        "run", "-g", "echo", "-m", "mock", "-r", "new", status=2
    )
    assert not Path("new").exists()


# -- warnings ------------------------------------------------------------------------------------------------------
def test_a_key_that_json_cannot_hold_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    class Source(GameEventSource):
        pass

    source, recorder = Source(), GameInteractionsRecorder("g", "e", 0, "run", {})
    source.register(recorder)
    with caplog.at_level(logging.WARNING):
        source.log_key("picture", b"\x00")
        source.log_key("seen", {3})
        source.log_key("words", ["a"])
        source.log_key("seen", {4})
    assert recorder.interactions["seen"] == [4]
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "log_key('picture', …): JSON has no bytes",
        "log_key('seen', …): JSON has no set",
    ]


def test_a_main_score_that_is_a_text_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    scorer = GameScorer("g", {}, {})
    with caplog.at_level(logging.WARNING):
        line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
        scorer.log_episode_score(BENCH_SCORE, "good")
        scorer.log_episode_score("Words", "many")
    assert [record.getMessage() for record in caplog.records] == [
        "g: score 'Main Score' of the episode is a str, so that it cannot be averaged: log a number from 0 to 100 "
        f"({__file__}:{line})"
    ]


def test_warnings_of_a_scorer_are_shown(clem: Clem, game: Path) -> None:
    clem.ok("run", "-g", "echo", "-m", "mock")
    master = game / "master.py"
    master.write_text(
        master.read_text().replace("log_episode_score(BENCH_SCORE, ", "log_episode_score(BENCH_SCORE, str(")
    )
    text = master.read_text()
    line = next(line for line in text.splitlines() if "BENCH_SCORE, str(" in line)
    master.write_text(text.replace(line, f"{line})"))
    done = clem("score")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("score 'Main Score' of the episode is a str") == 1


def test_what_a_game_writes_past_the_streams_goes_to_the_log(clem: Clem, game: Path) -> None:
    master = game / "master.py"
    writes = 'import os\n        import subprocess\n        os.write(1, b"raw \\x1b[2J \\xff\\n")\n        '
    starts = 'subprocess.run(["echo", "from a program"])\n        self.said = []'
    master.write_text(master.read_text().replace("self.said = []", writes + starts))
    done = clem("run", "-g", "echo", "-m", "mock")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    log = (RUN / "run.log").read_text()
    assert log.count("[-] raw \\x1b[2J \\xff") == log.count("[-] from a program") == len(_episode_folders())
