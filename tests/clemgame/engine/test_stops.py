"""What stops a run, in processes of their own: Ctrl-C, kills, budgets, and code that cannot be interrupted."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support.tiny_games import Stage

TESTS = Path(__file__).parents[2]
HEAD = f"""
import sys, time, threading, re, random, json, os
sys.path.insert(0, {str(TESTS)!r})
from pathlib import Path
from clemcore import backends
from support.tiny_games import Stage, Talk, Talker

stage = Stage(Path(sys.argv[1]))

class Slow(backends.Model):
    conversations = None
    seconds = 0.05
    def __init__(self):
        super().__init__(backends.ModelSpec(model_name="slow", backend="test"))
        self.calls = open(sys.argv[1] + ".calls", "ab", buffering=0)
    def generate_response(self, messages):
        self.calls.write(b"asked\\n")
        time.sleep(self.seconds)
        text = f"{{len(messages[-1]['content'])}} {{random.random()}}"
        self.calls.write(b"answered\\n")
        return messages, {{"text": text}}, text

def show(summary):
    print(json.dumps([summary.stopped_by, summary.counts, summary.left, summary.exit_status, summary.notes]))
    sys.stdout.flush()
"""


def _start(folder: Path, code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + code, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _ended(process: subprocess.Popen[str], status: int | None = 0) -> Any:
    out, errors = process.communicate(timeout=60)
    assert status is None or process.returncode == status, errors
    return json.loads(out.splitlines()[-1]) if out else None


def _wait_for_calls(folder: Path, number: int) -> None:
    path = Path(f"{folder}.calls")
    for _ in range(600):
        if path.exists() and path.read_bytes().count(b"answered") >= number:
            return
        time.sleep(0.01)
    raise AssertionError("no calls")


def _counts(folder: Path) -> tuple[int, int]:
    text = Path(f"{folder}.calls").read_bytes()
    return text.count(b"asked"), text.count(b"answered")


TALK = "show(stage.play(stage.game(size=20, rounds=4), Slow(), concurrency={concurrency}))\n"


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 5])
def test_ctrl_c_lets_live_calls_end_and_begins_none(tmp_path: Path, concurrency: int) -> None:
    folder = tmp_path / "run"
    process = _start(folder, TALK.format(concurrency=concurrency))
    _wait_for_calls(folder, 12)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    stopped_by, counts, left, status, _ = _ended(process)
    assert time.monotonic() - begin < 15
    assert (stopped_by, status) == ("interrupt", 130)
    assert left == 20 - counts.get("played", 0)
    asked, answered = _counts(folder)
    assert asked == answered
    stored = [len(Stage(folder).reader().calls(key)) for key in Stage(folder).reader().states()]
    assert sum(stored) == answered

    assert _ended(_start(folder, TALK.format(concurrency=concurrency)))[:2] == [
        None,
        {"played": 20 - counts.get("played", 0)},
    ]
    assert _counts(folder) == (160, 160)


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 5])
def test_ctrl_c_twice_stops_at_once(tmp_path: Path, concurrency: int) -> None:
    folder = tmp_path / "run"
    code = "Slow.seconds = 20\n" + TALK.format(concurrency=concurrency) + "os._exit(0)"
    process = _start(folder, code)
    while not Path(f"{folder}.calls").exists() or not _counts(folder)[0]:
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert _ended(process)[0] == "interrupt"
    assert time.monotonic() - begin < 10


def test_a_handler_that_outlasts_the_wait_does_not_make_it_endless() -> None:
    """Up to CPython 3.12, `queue.SimpleQueue().get(timeout=0.1)` never returns here."""
    code = (
        "import signal, time\nfrom clemcore.clemgame.engine.team import Team\n"
        "signal.signal(signal.SIGALRM, lambda *_: time.sleep(0.15))\nsignal.setitimer(signal.ITIMER_REAL, 0.05)\n"
        "Team(iter(()), print, bool).wait(0.1)"
    )
    subprocess.run([sys.executable, "-c", code], timeout=30, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 10])
def test_a_killed_run_asks_for_no_answer_twice(tmp_path: Path, concurrency: int) -> None:
    folder = tmp_path / "run"
    draw = random.Random(concurrency)
    lost = 0
    for _ in range(6):
        process = _start(folder, "Slow.seconds = 0.01\n" + TALK.format(concurrency=concurrency))
        time.sleep(0.35 + draw.random() * 0.4)
        process.kill()
        process.communicate()
    _ended(_start(folder, "Slow.seconds = 0.01\n" + TALK.format(concurrency=concurrency)))
    asked, answered = _counts(folder)
    # Lost is only what was under way when a kill came.
    assert answered <= 160 + 6 * concurrency
    stage = Stage(folder)
    reader = stage.reader()
    assert set(stage.states().values()) == {"played"}
    assert sum(len(reader.calls(key)) for key in reader.states()) == 160
    lost = asked - 160
    assert lost <= 6 * concurrency


STUCK = {
    "regex": "re.match(r'(a+)+$', 'a' * 60 + 'b')",
    "sleep": "time.sleep(1000)",
    "lock": "(lambda lock: (lock.acquire(), lock.acquire()))(threading.Lock())",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", STUCK)
@pytest.mark.parametrize("concurrency", [1, 3])
def test_code_that_cannot_be_interrupted_ends_the_run_and_is_left_out(
    tmp_path: Path, kind: str, concurrency: int
) -> None:
    folder = tmp_path / "run"
    code = f"""
import clemcore.clemgame.engine.watchdog as watchdog
watchdog.GRACE = 1.0
class Stuck(Talk):
    def _on_before_game(self):
        if self.state.game_id == 2:
            {STUCK[kind]}
summary = stage.play(stage.game(Stuck, size=6), backends.get_model_for("mock"), step_timeout=0.5,
    concurrency={concurrency}, batch_size=None)
show(summary)
os._exit(0)
"""
    first = _start(folder, code)
    out, errors = first.communicate(timeout=60)
    is_interruptible = concurrency == 1 and kind != "regex"  # signals reach the main thread
    if is_interruptible:
        assert json.loads(out)[:2] == [None, {"limit": 1, "played": 5}], errors
    elif kind == "regex":
        assert first.returncode == 1
        assert not out
    else:
        assert json.loads(out)[0] == "stuck", errors
    second = _ended(_start(folder, code))
    assert set(Stage(folder).states().values()) == {"played", "limit"}
    assert Stage(folder).states()["talk/2"] == "limit"
    if kind == "regex":
        assert "is left out" in second[4][0]
    states = Stage(folder).reader().states()
    (error,) = [state.error for state in states.values() if state.error]
    assert error["limit"] == "step_timeout"
    assert not (folder / "watchdog").exists()


CRASHES = {
    "abort": ("os.abort()", -signal.SIGABRT, "Aborted"),
    "segfault": ("__import__('ctypes').string_at(0)", -signal.SIGSEGV, "Segmentation fault"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CRASHES)
@pytest.mark.parametrize("concurrency", [1, 3])
def test_an_episode_whose_code_crashes_the_process_is_left_out(tmp_path: Path, kind: str, concurrency: int) -> None:
    folder = tmp_path / "run"
    crash, status, name = CRASHES[kind]
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
class Crashing(Talk):
    def _on_before_game(self):
        if self.state.game_id == 2:
            {crash}
show(stage.play(stage.game(Crashing, size=6), backends.get_model_for("mock"), concurrency={concurrency}))
"""
    first = _start(folder, code)
    first.communicate(timeout=60)
    assert first.returncode == status
    stopped_by, counts, _, exit_status, (note,) = _ended(_start(folder, code))
    assert (stopped_by, exit_status) == (None, 1)
    assert note.startswith("talk/e/2/1 is left out, because it ended an earlier process")
    assert f"crashed the process ({name}" in note
    assert counts["error"] == 1
    states = Stage(folder).states()
    assert states.pop("talk/2") == "error"
    assert set(states.values()) == {"played"}
    (error,) = [state.error for state in Stage(folder).reader().states().values() if state.error]
    assert error["type"] == "ProcessCrash"
    assert "in _on_before_game" in error["traceback"]
    assert not (folder / "watchdog").exists()


@pytest.mark.slow
def test_a_crash_of_another_thread_is_not_blamed_on_the_episode(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    code = """
import resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
class Threaded(Talk):
    def _on_before_game(self):
        if self.state.game_id == 2 and not os.path.exists(sys.argv[1] + ".crashed"):
            Path(sys.argv[1] + ".crashed").touch()
            threading.Thread(target=os.abort).start()
            time.sleep(30)
show(stage.play(stage.game(Threaded, size=6), backends.get_model_for("mock"), concurrency=3))
"""
    first = _start(folder, code)
    first.communicate(timeout=60)
    assert first.returncode == -signal.SIGABRT
    assert _ended(_start(folder, code))[4] == []
    assert set(Stage(folder).states().values()) == {"played"}


@pytest.mark.slow
def test_sigterm_stops_as_ctrl_c_does(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = _start(folder, TALK.format(concurrency=3))
    _wait_for_calls(folder, 3)
    process.send_signal(signal.SIGTERM)
    assert _ended(process)[0] == "interrupt"
    assert os.path.exists(folder / "store.sqlite3")  # noqa: PTH110
