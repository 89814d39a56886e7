"""Games that fork: their children end as children do, and the parent alone plays the episode."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from typing import Any

import pytest

from clemcore import backends
from clemcore.clemgame.engine import RunLog
from support.tiny_games import Stage, Talk


def _sleep() -> None:
    time.sleep(60)


class Terminates(Talk):
    """Ends a child as the pools of multiprocessing end theirs."""

    def _on_before_game(self) -> None:
        child = multiprocessing.get_context("fork").Process(target=_sleep)
        child.start()
        time.sleep(0.1)  # it sleeps by now, most of the time
        child.terminate()
        child.join(20)
        self.log_key("status", child.exitcode)
        child.kill()


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_child_can_be_terminated(stage: Stage, concurrency: int) -> None:
    stage.play(stage.game(Terminates, size=2), backends.get_model_for("mock"), concurrency=concurrency)
    with stage.reader() as reader:
        for key in reader.states():
            assert f'"status":{-signal.SIGTERM}'.encode() in reader.interactions(key).replace(b" ", b"")


class Forks(Talk):
    """Has a child that leaves the game's code in a way of its own."""

    def _on_before_game(self) -> None:
        child = os.fork()
        if not child:
            self._leave()
            return
        self.log_key("status", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    def _leave(self) -> None:
        """End the child."""


class Raises(Forks):
    def _leave(self) -> None:
        raise ValueError("in the child")


class Quits(Forks):
    def _leave(self) -> None:
        raise SystemExit(7)


class QuitsWell(Forks):
    def _leave(self) -> None:
        raise SystemExit


class QuitsWithText(Forks):
    def _leave(self) -> None:
        raise SystemExit("it says why")


@pytest.mark.parametrize(
    ("game", "status", "said"),
    [
        (Forks, 1, "a forked child of the game has left the game's code"),
        (Raises, 1, "ValueError: in the child"),
        (Quits, 7, ""),
        (QuitsWell, 0, ""),
        (QuitsWithText, 1, "it says why"),
    ],
)
def test_a_child_that_leaves_the_game_ends(
    stage: Stage, capfd: Any, game: type[Forks], status: int, said: str
) -> None:
    mock = backends.get_model_for("mock")
    with contextlib.closing(RunLog(stage.folder.with_suffix(".log"))) as log:
        summary = stage.play(stage.game(game, size=2), mock, concurrency=2, log=log, step_timeout=20)
    assert dict(summary.counts) == {"played": 2}
    assert said in capfd.readouterr().err
    with stage.reader() as reader:
        for key in reader.states():
            assert f'"status":{status}'.encode() in reader.interactions(key).replace(b" ", b"")
