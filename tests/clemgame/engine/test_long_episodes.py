"""Long episodes: what stays in memory while they are played, and that nothing is lost by it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.clemgame.layout import write_episode
from clemcore.clemgame.store import RunReader
from clemcore.model import Model
from support.tiny_games import Stage, Talk

CALLS, LIVE = 60, 12
# A message, and therefore about half of what a call adds to the dialogue.
LONG = 4_000


class Meeting(Model):
    """Answers at length. All episodes meet at their last call."""

    conversations = None

    def __init__(self, live: int) -> None:
        super().__init__(backends.ModelSpec(model_name="meeting", backend="tests"))
        self.live = threading.Barrier(live, action=self.look)
        self.seen: list[int] = []

    def look(self) -> None:
        self.seen.append(_memory())

    def generate_response(self, messages: Any) -> Any:
        asked = len(messages) // 2
        if asked in (1, CALLS - 1):
            self.live.wait(60)
        return messages, {"n": asked}, f"{asked} " + "word " * (LONG // 5)


def _memory() -> int:
    """Return the memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _play(folder: str, live: str) -> None:
    stage, model = Stage(Path(folder)), Meeting(int(live))
    summary = stage.play(stage.game(size=int(live), players=1, rounds=CALLS), model, concurrency=int(live))
    assert dict(summary.counts) == {"played": int(live)}, summary
    early, late = model.seen
    print(json.dumps((late - early) / int(live)))


@pytest.mark.slow
def test_the_memory_of_a_live_episode_grows_with_its_text_and_not_with_the_square_of_its_calls(
    tmp_path: Path,
) -> None:
    code = f"from test_long_episodes import _play; _play({str(tmp_path / 'run')!r}, '{LIVE}')"
    path = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {code}"],
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    )
    grown = json.loads(ran.stdout)
    text = CALLS * 2 * LONG  # of the whole dialogue
    assert grown < 16 * text  # it stands in messages, events, frames and hashes; all prompts are 30 times it


class Counting(Model):
    """Answers at length, with the number of the turn."""

    conversations = None

    def __init__(self, fails_at: int = -1) -> None:
        super().__init__(backends.ModelSpec(model_name="counting", backend="tests"))
        self.fails_at = fails_at
        self.asked = 0

    def generate_response(self, messages: Any) -> Any:
        self.asked += 1
        if len(messages) // 2 == self.fails_at:
            raise KeyboardInterrupt
        return messages, {"n": len(messages)}, f"{len(messages)} " + "word " * (LONG // 5)


@pytest.mark.parametrize("stops_at", [-1, 8])
def test_the_files_of_a_long_episode_hold_every_call_also_when_it_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops_at: int
) -> None:
    stage, files = Stage(tmp_path / "run", monkeypatch), tmp_path / "files"
    game = stage.game(Talk, size=1, players=2, rounds=15)
    models = [Counting(stops_at), Counting()]

    def layout(episode: Any) -> None:
        write_episode(files, episode, requests="single")

    stage.play(game, models, layout=layout, concurrency=1)
    if stops_at >= 0:
        assert stage.states() == {"talk/0": "live"}
        again = [Counting(), Counting()]
        stage.play(game, again, layout=layout, concurrency=1)
        assert sum(model.asked for model in again) == 30 - 2 * stops_at
    (written,) = files.rglob("requests.json")
    with RunReader(tmp_path / "run") as reader:
        calls = reader.calls(*reader.states())
    assert [call.number for call in calls] == list(range(30))
    assert written.read_bytes() == b"[\n%s\n]\n" % b",\n".join(call.record for call in calls)
    assert len(json.loads(written.read_bytes())) == 30
