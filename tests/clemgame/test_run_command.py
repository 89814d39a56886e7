"""`clem run` as a whole: real processes, a small game, and a server that counts."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clemcore.clemgame.layout.episodes import Episode, read_episodes
from clemcore.clemgame.store import RunReader
from support.clem import CLEM, Clem
from support.counting_server import CountingServer
from support.echo_game import write_game, write_instances

pytestmark = pytest.mark.slow

RUN = Path("results/mock")
PRICES = {"input": 100.0, "output": 100.0}


@pytest.fixture
def game() -> Path:
    return write_game(Path())


@pytest.fixture
def server() -> Iterator[CountingServer]:
    with CountingServer() as server:
        yield server


def _register(server: CountingServer, **fields: Any) -> None:
    Path("model_registry.json").write_text(json.dumps([server.entry(**fields)]), encoding="utf-8")


def _run(clem: Clem, *more: str, status: int = 0, model: str = "mock", **environment: str) -> str:
    done = clem("run", "-g", "echo", "-m", model, *more, **environment)
    assert done.returncode == status, done.stderr
    assert done.stdout == "" or "--dry-run" in more
    return done.stderr


def _episodes(path: Path = RUN) -> list[Episode]:
    return list(read_episodes(path))


def _without_times(value: Any) -> Any:
    """Interactions without times."""
    if isinstance(value, dict):
        return {name: _without_times(item) for name, item in value.items() if name not in ("timestamp", "meta")}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


def _records(path: Path) -> dict[str, Any]:
    return {str(episode.key): _without_times(episode.interactions) for episode in _episodes(path)}


# -- playing and continuing ------------------------------------------------------------------------------------
def test_a_game_is_played_and_scored(clem: Clem, game: Path) -> None:
    assert "results/mock: 3 played; 12 answers by programs" in _run(clem)
    files = {path.name for path in (RUN / "echo/words_0/instance_00001").iterdir()}
    assert files == {
        "instance.json", "interactions.json", "completed.json", "player_1.requests.json", "player_2.requests.json",
    }  # fmt: skip
    assert "echo: 3 episodes scored" in clem("score").stderr
    scores = json.loads((RUN / "echo/words_0/instance_00001/scores.json").read_text())
    assert scores["episode scores"]["Main Score"] == 40
    played = json.loads((RUN / "run.json").read_text())["games"]["echo"]
    assert played["num_instances"] == 3
    assert set(played) >= {"game_path", "benchmark_start", "benchmark_end", "duration", "duration_seconds"}


def test_the_same_command_plays_nothing_twice(clem: Clem, game: Path, server: CountingServer) -> None:
    _register(server)
    _run(clem, model="counted")
    before = len(server.requests)
    assert before == 12
    assert "3 completed before" in _run(clem, model="counted")
    assert len(server.requests) == before


def test_more_instances_experiments_and_epochs_extend_a_run(clem: Clem, game: Path) -> None:
    _run(clem)
    first = _records(RUN)
    write_instances(game, experiments=2, instances=4)
    assert "13 played, 3 completed before" in _run(clem, "--epochs", "2")
    both = _records(RUN)
    assert len(both) == 16
    assert {key: both[key] for key in first} == first
    assert {path.name for path in RUN.iterdir() if path.is_dir()} == {"epoch_00001", "epoch_00002"}
    assert all(episode.folder.is_dir() for episode in _episodes())


def test_several_experiments_are_chosen_in_each_way_that_options_are_written(clem: Clem) -> None:
    write_game(Path(), experiments=3)
    for number, options in enumerate((["-e", "words_0", "words_2"], ["-e", "words_0", "-e", "words_2"])):
        assert "6 played" in _run(clem, *options, "-r", f"r{number}")
    Path("run.toml").write_text('games = "echo"\nmodels = "mock"\nexperiment = ["words_0", "words_2"]\n')
    assert "6 played" in clem("run", "run.toml", "-r", "file").stderr
    assert "3 played" in clem("run", "-e", "words_1", "run.toml", "-r", "flag").stderr
    assert {str(key) for key in _records(Path("file/mock"))} == {str(key) for key in _records(Path("r0/mock"))}
    assert "there is no experiment 'words_7'" in _run(clem, "-e", "words_0", "words_7", status=2)


def test_results_do_not_depend_on_order_concurrency_or_hash_seed(clem: Clem, server: CountingServer) -> None:
    write_game(Path(), instances=6)
    _register(server)
    for number, more in enumerate((["--concurrency", "1"], ["--concurrency", "6"], [])):
        _run(clem, "-t", "1", "-r", f"r{number}", *more, model="counted")
    assert _records(Path("r0/counted")) == _records(Path("r1/counted")) == _records(Path("r2/counted"))


# -- refusing --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-g", "ecko", "-m", "mock"], "there is no game 'ecko': did you mean 'echo'?"),
        (["-g", "echo", "-m", "zephyr-7b-bet"], "did you mean 'zephyr-7b-beta'"),
        (
            ["-g", "echo", "-m", "mock", "-e", "words_1"],
            "there is no experiment 'words_1': did you mean 'words_0'?",
        ),
        (["-g", "echo", "-m", "mock", "mock", "mock"], "the game 'echo' has 2 players"),
        (["-g", "echo", "-m", "mock", "-i", "one", "two"], "'two' belongs to no option and is not a run file"),
        (["-g", "echo"], "no model is given"),
        (["-m", "mock"], "no game is given"),
        (["-g", "echo", "-m", "mock", "--epochs", "0"], "epochs must be a whole number ≥ 1, not 0"),
        (["-g", "echo", "-m", "mock", "--pairs", "al"], "must be one of self, all, given, not 'al'"),
        (["-g", "echo", "-m", "mock", "--pairs", "given"], "add 'line_ups'"),
    ],
)
def test_what_cannot_be_played_is_refused(clem: Clem, game: Path, arguments: list[str], message: str) -> None:
    assert message in clem.fails("run", *arguments, status=2)
    assert not Path("results").exists()


def test_a_wrong_game_and_a_wrong_model_are_refused_at_once(clem: Clem, game: Path) -> None:
    message = clem.fails("run", "-g", "ecko", "-m", "zephyr-7b-bet", status=2)
    assert "did you mean 'echo'?" in message
    assert "did you mean 'zephyr-7b-beta'" in message


def test_folders_of_other_programs_stay_as_they_are(clem: Clem, game: Path) -> None:
    RUN.mkdir(parents=True)
    (RUN / "thesis.tex").write_text("")
    assert "is not a run: it holds 'thesis.tex'" in _run(clem, status=2)
    assert [path.name for path in RUN.iterdir()] == ["thesis.tex"]


def test_a_change_of_what_determines_results_is_refused(clem: Clem, game: Path) -> None:
    _run(clem)
    code = game / "master.py"
    code.write_text(code.read_text().replace("SAY", "SHOUT"))
    write_instances(game, instances=4)
    message = _run(clem, "-t", "0.5", status=2)
    assert "game 'echo', code: SHA-256 " in message
    assert "generation argument temperature: 0.0 → 0.5" in message
    assert "--accept-changes" in message
    _run(clem, "-t", "0.5", "--accept-changes")
    with RunReader(RUN) as reader:
        noted = [episode.facts.get("changes") for episode in reader.episodes()]
    assert noted == [None, None, None, 2]
    changes = json.loads((RUN / "run.json").read_text())["clemcore"]["changes"]
    assert [change["what"] for change in changes] == [
        "model 1, generation argument temperature", "game 'echo', code",
    ]  # fmt: skip
    assert "4 completed before" in _run(clem, "-t", "0.5")


def test_fresh_moves_the_old_run_aside(clem: Clem, game: Path) -> None:
    _run(clem)
    assert "the old run is now results/mock.until_2" in _run(clem, "--seed", "5", "--fresh")
    assert json.loads((RUN / "run.json").read_text())["clemcore"]["seed"] == 5
    assert clem.ok("status").count("episodes:") == 1
    [aside] = Path("results").glob("mock.until_*")
    assert len(_records(aside)) == 3


def test_a_run_that_was_set_aside_counts_only_if_it_is_named(clem: Clem, game: Path) -> None:
    _run(clem)
    _run(clem, "--fresh")
    [aside] = Path("results").glob("mock.until_*")
    for command, told in {"score": "echo: 3 episodes", "eval": "3 episodes", "transcribe": "3 episodes"}.items():
        done = clem(command)
        assert done.returncode == 0
        assert told in done.stderr
        assert [line for line in done.stderr.splitlines() if aside.name in line] == [
            f"clem: left out, because 'clem run --fresh' has set it aside: {aside}. To read such a run, name its "
            "folder, or rename it"
        ]
        assert aside.name not in done.stdout
    assert f"\n{aside.name}" not in Path("results/results.csv").read_text()
    assert clem("score", str(aside)).stderr == "echo: 3 episodes scored\n"
    assert aside.name in clem.ok("eval", str(aside))
    aside.rename("results/before")
    assert "before" in clem.ok("eval")


def test_a_run_without_its_description_is_refused(clem: Clem, game: Path) -> None:
    _run(clem)
    (RUN / "run.json").unlink()
    assert "has a store and no run.json" in _run(clem, status=2)
    assert "3 played" in _run(clem, "--fresh")


def test_two_processes_do_not_write_one_run(clem: Clem, game: Path, server: CountingServer) -> None:
    server.gate.clear()
    _register(server)
    other = subprocess.Popen([CLEM, "run", "-g", "echo", "-m", "counted"], stderr=subprocess.PIPE)
    _wait_for_requests(server, 1)
    message = _run(clem, status=2, model="counted")
    assert f"is being written by process {other.pid} on " in message
    other.kill()
    other.communicate()


def _wait_for_requests(server: CountingServer, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(server.requests) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- errors ----------------------------------------------------------------------------------------------------
def test_errors_end_their_episodes_alone_and_can_be_retried(clem: Clem, server: CountingServer) -> None:
    write_game(Path(), instances=6)
    _register(server)
    server.fails_every = 5
    message = _run(clem, status=1, model="counted")
    failed = [episode for episode in _episodes(Path("results/counted")) if episode.state == "error"]
    assert failed
    assert f"{len(failed)} ended by an error" in message
    assert "BadRequestError" in message
    assert "--retry-errors" in message
    assert (failed[0].folder / "error.json").is_file()
    assert not (failed[0].folder / "interactions.json").exists()
    server.fails_every = 0
    sent = len(server.requests)
    message = _run(clem, status=1, model="counted")  # errors stay errors
    assert f"nothing to play ({6 - len(failed)} completed before, {len(failed)} ended by an error" in message
    assert "--retry-errors plays the episodes again that ended by an error before" in message
    assert len(server.requests) == sent
    message = _run(clem, "--retry-errors", "RateLimitError", "BadRequestErorr", status=1, model="counted")
    assert "no failed episode has the error 'RateLimitError': errors are BadRequestError" in message
    assert "no failed episode has the error 'BadRequestErorr': did you mean 'BadRequestError'?" in message
    assert len(server.requests) == sent
    _run(clem, "--retry-errors", "BadRequestError", model="counted")
    assert all(episode.state == "played" for episode in _episodes(Path("results/counted")))
    # What the failed attempts were answered is not asked again.
    assert len(server.requests) - sent < 6 * 4


def test_a_game_that_raises_what_ctrl_c_raises_fails_alone(clem: Clem, game: Path) -> None:
    code = game / "master.py"
    text = code.read_text()
    at = text.index("def _on_setup")
    line = text.index("\n", at) + 1
    planted = "        if instance['game_id'] == 1:\n            raise KeyboardInterrupt\n"
    code.write_text(text[:line] + planted + text[line:])
    message = _run(clem, status=1)
    assert "2 played, 1 ended by an error" in message
    assert "echo/words_0/1/1: KeyboardInterrupt" in message


def test_a_pilot_without_a_dry_run_is_refused(clem: Clem, game: Path) -> None:
    assert "--dry-run" in _run(clem, "--pilot", "2", status=2)
    assert not RUN.exists()


def test_a_mock_of_another_name_is_replayed(clem: Clem, game: Path) -> None:
    _run(clem, model='{"model_name": "my", "backend": "mock"}')
    assert "3 episodes played again: 0 differ" in clem("replay", "results/my").stderr


def test_a_run_with_one_stream_for_all_episodes_is_replayed(clem: Clem, game: Path) -> None:
    master = game / "master.py"
    master.write_text(
        "import numpy as np\n" + master.read_text().replace("random.randrange(1000)", "np.random.rand()")
    )
    _run(clem, "--rng", "process", "--concurrency", "1")
    assert "3 episodes played again: 0 differ" in clem("replay", str(RUN)).stderr


def test_an_interrupted_replay_says_nothing_about_the_rest(clem: Clem) -> None:
    write_game(Path(), instances=1500)
    _run(clem, "--layout", "store")
    again = subprocess.Popen([CLEM, "replay", str(RUN)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(1.5)
    again.send_signal(signal.SIGINT)
    _, said = again.communicate(timeout=60)
    if again.returncode == 0:
        pytest.skip("the replay was over before it was interrupted")
    assert again.returncode == 130
    assert "played again" not in said


def test_a_limit_is_an_outcome_of_its_own(clem: Clem, game: Path) -> None:
    message = _run(clem, "--max-calls", "2", status=1)
    assert "3 ended by a limit" in message
    assert "0 played" not in message
    assert "nothing to play" in _run(clem, "--max-calls", "2", status=1)
    assert "3 played" in _run(clem, "--max-calls", "10")


def test_a_game_that_cannot_be_imported_fails_alone(clem: Clem, game: Path) -> None:
    other = write_game(Path(), "other")
    (other / "master.py").write_text("import nowhere_to_be_found\n")
    done = clem("run", "-g", "echo", "other", "-m", "mock")
    assert done.returncode == 1
    assert "3 played" in done.stderr
    assert "nowhere_to_be_found" in done.stderr


def test_a_scorer_that_raises_is_one_line(clem: Clem, game: Path) -> None:
    _run(clem)
    code = game / "master.py"
    text = code.read_text().replace('10 * interactions["said"]', "1 / (self.game_instance['game_id'] - 1)")
    code.write_text(text)
    done = clem("score")
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if "ZeroDivisionError" in line]
    assert line.startswith("clem: results/mock/echo/words_0/instance_00001: ZeroDivisionError: division by zero (")
    assert "echo: 2 episodes scored, 1 not" in done.stderr
    assert "Traceback" not in done.stderr


# -- budgets ---------------------------------------------------------------------------------------------------
def test_a_budget_stops_the_run_and_counts_what_was_spent(clem: Clem, server: CountingServer) -> None:
    write_game(Path(), instances=8)
    _register(server, prices=PRICES)
    # A call costs 15 * 100 / 10**6 USD, and at most a bit more than 300 * 100 / 10**6.
    message = _run(clem, "--budget", "0.06", status=3, model="counted")
    assert "stopped: the budget does not allow a further call" in message
    spent = len(server.requests) * 0.0015
    assert 0 < spent <= 0.06
    sent = len(server.requests)
    _run(clem, "--budget", "0.06", status=3, model="counted")
    assert len(server.requests) <= sent + 1  # the spent amount was counted
    _run(clem, "--budget", "5", "--budget-per-model", "counted=5", model="counted")
    assert len(server.requests) == 32
    assert "0.048 USD" in clem.ok("status")


# -- interrupts ------------------------------------------------------------------------------------------------
def test_ctrl_c_ends_the_run_and_the_next_command_continues(clem: Clem, game: Path, server: CountingServer) -> None:
    server.gate.clear()
    _register(server)
    run = subprocess.Popen([CLEM, "run", "-g", "echo", "-m", "counted"], stderr=subprocess.PIPE, text=True)
    _wait_for_requests(server, 3)
    run.send_signal(signal.SIGINT)
    time.sleep(1)  # it makes no call from now on
    server.gate.set()
    _, message = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Every answered call is safe; the same command continues" in message
    assert len(server.requests) == 3
    _run(clem, model="counted")
    assert len(server.requests) == 12


# -- looking ---------------------------------------------------------------------------------------------------
def test_a_dry_run_shows_the_plan_and_sends_nothing(clem: Clem, server: CountingServer) -> None:
    write_game(Path(), instances=10)
    _register(server, prices=PRICES)
    done = clem("run", "-g", "echo", "-m", "counted", "--dry-run")
    assert done.stdout == "counted\techo\t10\tunknown\tunknown\tunknown\tunknown\n"
    assert "10 episodes to play; no completed episode of echo to estimate from: --pilot N" in done.stderr
    assert not server.requests
    done = clem("run", "-g", "echo", "-m", "counted", "--dry-run", "--pilot", "2")
    assert len(server.requests) == 8
    assert done.stdout == "counted\techo\t8\t32\t320\t160\t0.048\n"
    _run(clem, model="counted")
    assert len(server.requests) == 40


def test_status_shows_a_run_that_another_process_plays(clem: Clem, game: Path, server: CountingServer) -> None:
    server.gate.clear()
    _register(server)
    run = subprocess.Popen([CLEM, "run", "-g", "echo", "-m", "counted"], stderr=subprocess.PIPE)
    _wait_for_requests(server, 3)
    for _ in range(20):  # what is in progress is written every few seconds
        shown = clem.ok("status")
        if "3 in progress" in shown:
            break
    assert "3 in progress" in shown
    assert f"process {run.pid} on " in shown
    run.send_signal(signal.SIGTERM)
    server.gate.set()
    run.communicate(timeout=60)
    assert run.returncode == 130
    shown = clem.ok("status")  # what was begun is not shown as if it had not been
    # The server may answer between the signal and its handler; then the next calls are sent already.
    assert re.search(r"3 episodes: 3 interrupted; [3-6] calls", shown)
    assert clem("run", "-g", "echo", "-m", "counted").returncode == 0
    counted = clem.ok("status", "results/counted")
    assert "3 completed; 12 calls; 120 + 60 tokens; no process is playing it" in counted
    [row] = json.loads(clem.ok("status", "--json"))
    assert row["episodes"]["played"] == 3


# -- replaying -------------------------------------------------------------------------------------------------
def test_replay_names_exactly_what_a_change_of_the_parser_changes(clem: Clem, server: CountingServer) -> None:
    game = write_game(Path(), instances=8, rounds=3)
    _register(server)
    _run(clem, "-t", "1", model="counted")
    clem("score")
    sent = len(server.requests)
    done = clem("replay", "results/counted")
    assert (done.returncode, done.stdout) == (0, "")
    assert "8 episodes played again: 0 differ, 0 scores differ" in done.stderr
    code = game / "master.py"
    code.write_text(code.read_text().replace("return response\n", 'return response.replace("a", "4")\n'))
    expected = {}
    for episode in _episodes(Path("results/counted")):
        for turn, events in enumerate(episode.interactions["turns"]):
            said = [event["action"]["content"] for event in events if event["action"]["type"] == "get message"]
            # The next player hears what was parsed; what the last one of the game says is heard by nobody.
            heard = said if turn < 2 else said[:-1]
            if any("a" in text for text in heard):
                late = "a" not in "".join(said[:-1])
                expected[str(episode.key)] = turn + 1 if late else turn
                break
    done = clem("replay", "results/counted")
    found = {line.split(": ")[0]: int(line.split("turn ")[1].split(",")[0]) for line in done.stdout.splitlines()}
    assert found == expected
    assert len(found) > 0
    assert done.returncode == 1
    assert len(server.requests) == sent


def test_replay_compares_scores(clem: Clem, game: Path) -> None:
    _run(clem)
    clem("score")
    code = game / "master.py"
    code.write_text(code.read_text().replace('10 * interactions["said"]', '11 * interactions["said"]'))
    done = clem("replay", "results")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == (
        "results/mock/echo/words_0/instance_00000: scores differ: episode scores, Main Score: 40 → 44"
    )
    assert "0 differ, 3 scores differ" in done.stderr


# -- run files -------------------------------------------------------------------------------------------------
def test_flags_take_precedence_over_a_run_file(clem: Clem, game: Path) -> None:
    Path("run.toml").write_text(
        'games = "echo"\nline_ups = [["mock"], ["mock", {model_name = "mock", temperature = 1.0}]]\n'
        'epochs = 2\nlayout = "store"\n'
    )
    assert "2 left" not in clem("run", "run.toml", "--epochs", "1").stderr
    assert sorted(path.name for path in Path("results").iterdir()) == ["mock", "mock--mock"]
    assert len(_episodes()) == 3
    assert sorted(path.name for path in RUN.iterdir()) == [
        ".store.sqlite3.lock", "run.json", "run.log", "store.sqlite3",
    ]  # fmt: skip
    models = json.loads(Path("results/mock--mock/run.json").read_text())["player_models"]
    assert [model["gen_args"]["temperature"] for model in models.values()] == [0.0, 1.0]


def test_a_store_gets_the_scores_and_gives_the_files(clem: Clem, game: Path) -> None:
    _run(clem, "--layout", "store")
    clem("score")
    assert not (RUN / "echo").exists()
    assert [episode.scores["episode scores"]["Main Score"] for episode in _episodes() if episode.scores] == [40] * 3
    assert clem("replay", "results").returncode == 0
    clem.ok("export", str(RUN), "--to", "classic")
    assert json.loads((RUN / "echo/words_0/instance_00002/scores.json").read_text())["episode scores"]["Lose"] == 0


def test_too_many_episodes_need_a_layout(clem: Clem, game: Path) -> None:
    message = _run(clem, "--epochs", "20000", "--dry-run", status=2)
    assert "the plan has 60,000 episodes" in message
    assert "--layout store" in message


def test_one_stream_of_random_numbers_needs_an_order(clem: Clem, game: Path) -> None:
    assert "add --concurrency 1" in _run(clem, "--rng", "process", status=2)
    assert "3 played" in _run(clem, "--rng", "process", "--concurrency", "1")


def test_a_run_keeps_its_hash_seed(clem: Clem, game: Path) -> None:
    code = game / "master.py"
    text = code.read_text().replace(
        "self.said = []", "self.said = []; self.log_key('order', list({'a', 'b', 'c', 'd'}))"
    )
    code.write_text(text)
    orders = []
    five = {"PYTHONHASHSEED": "5"}
    environments: list[dict[str, Any]] = [{}, {}, five, five]
    for number, environment in enumerate(environments):
        _run(clem, "-r", f"r{number}", **environment)
        orders.append([episode.interactions["order"] for episode in _episodes(Path(f"r{number}"))])
    assert orders[0] == orders[1]
    assert orders[2] == orders[3]
    assert orders[0] != orders[2]
    assert "hash_seed (PYTHONHASHSEED): 0 → 5" in _run(clem, "-r", "r0", status=2, PYTHONHASHSEED="5")
    assert clem("replay", "r2").returncode == 0


def test_garbage_is_recorded_as_it_is_and_shown_escaped(clem: Clem, game: Path, server: CountingServer) -> None:
    _register(server)
    garbage = ["\x00\x1b[2J", "\ud800", " ", "x" * 1_000_000]
    server.text = lambda asked: garbage[len(asked["messages"][-1]["content"]) % 4]
    _run(clem, model="counted")
    said = {
        event["action"]["content"]
        for episode in _episodes(Path("results/counted"))
        for turn in episode.interactions["turns"]
        for event in turn
        if event["action"]["type"] == "get message"
    }
    # Half a character is replaced in the text of a reply; the recorded bytes have it.
    assert said <= {*garbage, "", "\ufffd"}
    assert len(said) > 1
    assert clem("replay", "results").returncode == 0


def test_results_of_older_releases_are_scored(clem: Clem, game: Path) -> None:
    _run(clem)
    clem("score")
    expected = [episode.scores for episode in _episodes()]
    played = RUN / "echo/words_0"
    # 3.7.2 has no store; 1.x has other names.
    old, oldest = Path("old/mock-t0.0/echo/words_0"), Path("oldest/mock-t0.0--mock-t0.0/echo/0_words_0")
    for place, experiment, episode in (
        (old, "experiment", "instance_{:05d}"),
        (oldest, "experiment_words_0", "episode_{}"),
    ):
        place.mkdir(parents=True)
        (place / f"{experiment}.json").write_bytes((played / "experiment.json").read_bytes())
        for number in range(3):
            inner = place / episode.format(number)
            inner.mkdir()
            for name in ("instance.json", "interactions.json"):
                (inner / name).write_bytes((played / f"instance_{number:05d}" / name).read_bytes())
    for root in (Path("old"), Path("oldest")):
        done = clem("score", "-r", str(root), "-m", "mock-t0.0")
        assert (done.returncode, done.stderr) == (0, "echo: 3 episodes scored\n")
        assert [episode.scores for episode in _episodes(root)] == expected
    assert "holds no completed episode" in clem.fails("score", "-r", "old", "-m", "gpt", status=2)


def test_a_budget_without_prices_is_refused_before_an_episode_begins(clem: Clem, server: CountingServer) -> None:
    write_game(Path(), instances=3)
    _register(server)
    for option in (("--budget", "1"), ("--budget-per-model", "counted=1")):
        message = _run(clem, *option, status=2, model="counted")
        assert "model 'counted' has no prices in its entry" in message
        assert message.count("no prices") == 1
        assert not Path("results/counted/store.sqlite3").exists()  # no episode has an error to be retried
    assert not server.requests
