"""Games and machines that do odd things: what they do stays with its episode, and the message says what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.clemgame.layout import write_episode
from clemcore.clemgame.runs import run as run_module
from clemcore.clemgame.runs.run import play
from clemcore.clemgame.runs.settings import RunSettings
from clemcore.clemgame.store import RunReader
from support.clem import CLEM, Clem
from support.echo_game import write_game
from support.tiny_games import Stage, Talk

RUN = Path("results/mock")


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path / "run", monkeypatch)


class Odd:
    def __repr__(self) -> str:
        raise LookupError("it cannot be shown")


class OddKeys(Talk):
    """Logs what JSON cannot represent, as values and as names."""

    def _on_after_game(self) -> None:
        self.log_key("raw", b"\x00\xff")
        self.log_key(b"by\xfftes", 1)  # type: ignore[arg-type]
        self.log_key(3, {(1, 2): {4}})  # type: ignore[arg-type]
        self.log_key("thing", object())


class OddValue(Talk):
    """Logs an object that raises when it is shown, in one of its episodes."""

    def _on_setup(self, **instance: Any) -> None:
        super()._on_setup(**instance)
        self.is_odd = instance["game_id"] == 1

    def _on_after_game(self) -> None:
        if self.is_odd:
            self.log_key("odd", Odd())


def test_names_and_values_that_json_cannot_hold_are_kept_visibly(stage: Stage, tmp_path: Path) -> None:
    mock = backends.get_model_for("mock")
    files = tmp_path / "files"
    summary = stage.play(stage.game(OddKeys, size=2), mock, layout=lambda each: write_episode(files, each))
    assert (dict(summary.counts), summary.unwritten) == ({"played": 2}, [])
    with stage.reader() as reader:
        kept = [json.loads(reader.interactions(key)) for key in sorted(reader.states())]
    for interactions in kept:
        assert interactions["raw"] == {"__type__": "builtins.bytes", "repr": "b'\\x00\\xff'"}
        assert interactions["b'by\\xfftes'"] == 1
        assert interactions["3"] == {"(1, 2)": [4]}
        # Without an address, which would differ in each replay.
        assert interactions["thing"] == {"__type__": "builtins.object", "repr": "<object object>"}
    written = sorted(files.rglob("interactions.json"))
    assert [json.loads(path.read_bytes()) for path in written] == kept


def test_an_object_that_cannot_be_shown_is_an_error_of_its_episode(stage: Stage, tmp_path: Path) -> None:
    mock = backends.get_model_for("mock")
    files = tmp_path / "files"
    summary = stage.play(stage.game(OddValue, size=3), mock, layout=lambda each: write_episode(files, each))
    assert dict(summary.counts) == {"played": 2, "error": 1}
    assert stage.states() == {"talk/0": "played", "talk/1": "error", "talk/2": "played"}
    [error] = files.rglob("error.json")
    assert json.loads(error.read_bytes())["message"] == "it cannot be shown"


class Leaving(Talk):
    """Ends the process in one of its episodes."""

    def _on_setup(self, **instance: Any) -> None:
        super()._on_setup(**instance)
        if instance["game_id"] == 1:
            os._exit(0)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_game_that_ends_the_process_ends_its_episode(stage: Stage, concurrency: int) -> None:
    before = os._exit
    summary = stage.play(stage.game(Leaving, size=3), backends.get_model_for("mock"), concurrency=concurrency)
    assert (dict(summary.counts), summary.exit_status) == ({"played": 2, "error": 1}, 1)
    assert summary.errors[0][1]["type"] == "SystemExit"
    assert os._exit is before


class ReplacesTurns(Talk):
    """Logs under a key that the record itself has."""

    def _on_after_game(self) -> None:
        self.log_key("turns", [])


def test_a_game_cannot_replace_its_record(stage: Stage) -> None:
    summary = stage.play(stage.game(ReplacesTurns, size=1), backends.get_model_for("mock"))
    (_, error), *_ = summary.errors
    assert error["message"] == "log_key('turns', …) would replace the turns of the record: choose another key"


@pytest.mark.slow
def test_a_thread_that_a_game_leaves_does_not_keep_the_command_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clem: Clem
) -> None:
    monkeypatch.chdir(tmp_path)
    code = write_game(tmp_path) / "master.py"
    code.write_text(
        f"{code.read_text()}\nimport threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\n"
    )
    done = clem("run", "-g", "echo", "-m", "mock")
    assert done.returncode == 0
    assert (
        "threads of a game or a backend still run (Thread-1 (sleep)); the command ends without them" in done.stderr
    )


class _SetBack(datetime):
    """A clock that is set back by an hour each time somebody looks at it."""

    looks = 0

    @classmethod
    def now(cls, tz: Any = None) -> _SetBack:
        cls.looks += 1
        shown = datetime.now(tz) - timedelta(hours=cls.looks)
        return cls.fromtimestamp(shown.timestamp(), tz)


def test_a_clock_that_is_set_back_gives_no_negative_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_game(tmp_path)
    monkeypatch.setattr(run_module, "datetime", _SetBack)
    result = play(RunSettings(games=["echo"], models=["mock"], epochs=2))
    assert (result.status, _SetBack.looks > 2) == (0, True)
    game = json.loads((RUN / "run.json").read_bytes())["games"]["echo"]
    assert 0 < game["duration_seconds"] < 60
    assert game["num_instances"] == 6


def test_a_file_that_a_game_writes_into_its_own_folder_is_named(clem: Clem) -> None:
    game = write_game(Path())
    master = game / "master.py"
    noted = '        open(__file__.replace("master.py", "notes.txt"), "a").write("x")\n'
    master.write_text(
        master.read_text().replace(
            "        self.instance = instance\n", noted + "        self.instance = instance\n"
        )
    )
    os.utime(master, (0, 0))
    assert clem("run", "-g", "echo", "-m", "mock").returncode == 0
    refused = clem.fails("run", "-g", "echo", "-m", "mock", status=2)
    assert f"written since the run began: {game.resolve() / 'notes.txt'}. If 'echo' itself writes there" in refused
    (game / "notes.txt").unlink()
    os.utime(master)  # newer than the run, but the same
    instances = game / "in" / "instances.json"
    before = instances.read_text()
    instances.write_text(before.replace('"w00"', '"other"'))
    refused = clem.fails("run", "-g", "echo", "-m", "mock", status=2)
    assert "written since the run began" not in refused
    instances.write_text(before)
    assert "3 completed before" in clem("run", "-g", "echo", "-m", "mock").stderr


@pytest.mark.slow
def test_a_main_score_that_is_a_text_is_kept_and_named(clem: Clem) -> None:
    game = write_game(Path())
    master = game / "master.py"
    master.write_text(master.read_text().replace('10 * interactions["said"]', '"very good"'))
    clem("run", "-g", "echo", "-m", "mock")
    said = clem("score")
    assert said.returncode == 0
    assert "Main Score" in said.stderr
    scores = json.loads((RUN / "echo/words_0/instance_00001/scores.json").read_bytes())
    assert scores["episode scores"]["Main Score"] == "very good"
    for command in ("eval", "transcribe", "page"):
        done = clem(command)
        assert "Traceback" not in done.stderr, done.stderr


@pytest.mark.slow
def test_an_export_that_is_killed_is_repeated(clem: Clem) -> None:
    write_game(Path(), instances=60)
    assert clem("run", "-g", "echo", "-m", "mock", "--layout", "store").returncode == 0
    target = Path("files")
    command = ["export", str(RUN), "--to", "classic", "-o", str(target)]
    process = subprocess.Popen([CLEM, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len([*target.rglob("completed.json")]) < 5:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for path in target.rglob("[!.]*.json"):
        json.loads(path.read_bytes())  # whole, or not there
    clem.ok(*command)
    assert len([*target.rglob("completed.json")]) == 60
    assert len([*target.rglob("interactions.json")]) == 60
    with RunReader(RUN) as reader:
        assert {state.state for state in reader.states().values()} == {"played"}


@pytest.mark.slow
def test_a_person_is_not_asked_again_after_a_kill(clem: Clem) -> None:
    write_game(Path(), instances=1)  # four answers
    command = ["run", "-g", "echo", "-m", "human"]
    process = subprocess.Popen([CLEM, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    _read_question(process.stdout.fileno())
    process.stdin.write(b"SAY one\n")
    process.stdin.flush()
    _read_question(process.stdout.fileno())  # the first answer is kept before the second one is asked for
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    done = clem(*command, stdin="SAY two\nSAY three\nSAY four\n")
    assert done.returncode == 0, done.stderr
    with RunReader(Path("results/human")) as reader:
        [key] = reader.states()
        assert [call.text for call in reader.calls(key)] == ["SAY one", "SAY two", "SAY three", "SAY four"]


def _read_question(stream: int) -> None:
    said = b""
    while b"Your response as" not in said:
        piece = os.read(stream, 4096)
        assert piece, said
        said += piece


@pytest.mark.slow
def test_an_episode_that_goes_on_with_changed_code_says_where_it_differs(clem: Clem) -> None:
    game = write_game(Path(), instances=2)
    command = ["run", "-g", "echo", "-m", "mock"]
    assert clem(*command, "--max-calls", "1").returncode == 1
    master = game / "master.py"
    master.write_text(master.read_text().replace("Say {instance", "Tell {instance"))
    assert "game 'echo', code: SHA-256" in clem.fails(*command, "--max-calls", "9", status=2)
    done = clem(*command, "--max-calls", "9", "--accept-changes")
    assert done.returncode == 0, done.stderr
    with RunReader(RUN) as reader:
        for episode in reader.episodes():
            at = {"number": 0, "player": "Player 1", "round": 0, "reason": "the request differs"}
            assert (episode.facts["changes"], episode.facts["differs_from"]) == (1, at)
            assert len(reader.calls(episode.key)) == 4
            assert [call.number for call in reader.superseded(episode.key)] == [0]
