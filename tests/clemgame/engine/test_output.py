"""What games print and log goes to the run's log; progress goes to standard error."""

from __future__ import annotations

import io
import logging
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.clemgame.engine import Progress, RunLog, Tally, line_of
from support.tiny_games import Stage, Talk

_logger = logging.getLogger("a.game")


class Noisy(Talk):
    def _on_before_game(self) -> None:
        print("hello\x1b[2J", end=" ")
        print("world")
        sys.stderr.write("to stderr, no line end")
        _logger.info("logged %d", 5)
        _logger.debug("not logged")
        print("two\nlines")
        sys.stdout.writelines([f"encoding {sys.stdout.encoding.lower()}", "\n"])


def test_output_goes_to_the_log_with_its_scope(stage: Stage, tmp_path: Path, capsys: Any) -> None:
    log = RunLog(tmp_path / "run.log")
    stage.play(stage.game(Noisy, size=2), backends.get_model_for("mock"), concurrency=2, log=log)
    log.close()
    lines = (tmp_path / "run.log").read_text().splitlines()
    first = [line.partition(" [")[2] for line in lines if "/0/1]" in line]
    assert first == [
        "talk/e/0/1] hello\\x1b[2J world",
        "talk/e/0/1] INFO a.game: logged 5",
        "talk/e/0/1] two",
        "talk/e/0/1] lines",
        "talk/e/0/1] encoding utf-8",
        "talk/e/0/1] to stderr, no line end",
    ]
    assert capsys.readouterr().out == ""
    assert sys.stdout.write("") == 0
    assert not [handler for handler in logging.getLogger().handlers if type(handler).__module__.startswith("clem")]


def test_without_a_log_output_stays_where_it_is(stage: Stage, capsys: Any) -> None:
    stage.play(stage.game(Noisy, size=1), backends.get_model_for("mock"))
    assert "world" in capsys.readouterr().out


def test_progress_is_plain_where_there_is_no_terminal(stage: Stage) -> None:
    class Fails(Talk):
        def _on_before_game(self) -> None:
            if self.state.game_id == 1:
                raise ValueError("bad \x1b[31m luck")

    stream = io.StringIO()
    stage.play(stage.game(Fails, size=3), backends.get_model_for("mock"), progress=Progress(stream))
    assert stream.getvalue().splitlines() == [
        "talk/e/1/1: ValueError: bad \\x1b[31m luck",
        "3/3 episodes (errors 1), 12 answers by programs",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.slow  # a person takes longer than the time between two looks
def test_progress_leaves_room_for_a_person_who_types(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()

    def type_slowly(_: str = "") -> str:
        stream.write("typ")
        time.sleep(0.7)
        stream.write("ed\n")
        return "typed"

    monkeypatch.setattr("builtins.input", type_slowly)
    game = stage.game(size=2, players=1, rounds=2)
    stage.play(game, backends.get_model_for("human"), progress=Progress(stream))
    shown = stream.getvalue()
    assert "\x1b[K" not in shown
    assert shown.count("/2 episodes") <= 3  # one line for each episode, and one for the whole
    assert "2/2 episodes, 4 calls" in shown.splitlines()[-1]


def test_progress_is_renewed_on_a_terminal() -> None:
    stream, tally = Terminal(), Tally()
    progress = Progress(stream)
    tally.planned = 2
    progress.update(tally)
    tally.begin()
    tally.end("played")
    tally.count_call({"usage": {"input_tokens": 1200, "output_tokens": 30}, "cost": {"usd": 0.5}}, is_failed=False)
    progress.close(tally)
    assert stream.getvalue() == (
        "\r\x1b[K0/2 episodes, 0 calls\r\x1b[K1/2 episodes, 1 call, 1.2k + 30 tokens, 0.5000 USD\n"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(10.0, "0.1 episodes/s, 10 s left"), (4000.0, "0.00025 episodes/s, 1 h 6 min left")]
)
def test_the_rate_and_the_time_left(seconds: float, text: str) -> None:
    tally = Tally()
    tally.planned = 2
    tally.begin()
    tally.end("played")
    tally.began -= seconds
    assert line_of(tally).endswith(text)
