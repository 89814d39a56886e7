"""A run that is killed again and again: no answer is lost, and none is asked for twice.

``CLEMCORE_KILLS=100 CLEMCORE_KILL_SLACK=0.05`` makes it as hard as the figures in docs/performance.md; the slack is
for machines that are busy.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from clemcore.clemgame.layout.episodes import read_episodes
from support.clem import CLEM, Clem
from support.counting_server import Counted, CountingServer
from support.echo_game import write_game

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

KILLS = int(os.environ.get("CLEMCORE_KILLS", "6"))
SLACK = float(os.environ.get("CLEMCORE_KILL_SLACK", "1.0"))
ARGUMENTS = ["run", "-g", "echo", "-t", "1", "--concurrency", "50", "-m", "counted"]


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_times(item)
            for name, item in value.items()
            if name not in ("timestamp", "results_folder", "call_start", "call_duration")
        }
    return [_without_times(item) for item in value] if isinstance(value, list) else value


def _records(path: Path) -> dict[str, Any]:
    """Everything that the results say about each episode, without times."""
    found = {}
    for episode in read_episodes(path):
        assert episode.state == "played"
        calls = [
            (call.number, call.player, call.round, call.kind, call.request, call.text) for call in episode.calls()
        ]
        found[str(episode.key)] = _without_times(episode.interactions), calls
    return found


def _start(*more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([CLEM, *ARGUMENTS, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Kill(NamedTuple):
    """When a run was killed, and when everything that it had sent was with the server."""

    time: float
    over: float


def _kill_at_random(server: CountingServer, *more: str) -> Kill | None:
    """Kill the command some time after it has sent its first request; return when, or None if it was too fast."""
    before = len(server.requests)
    run = _start(*more)
    while len(server.requests) == before and run.poll() is None:
        time.sleep(0.002)
    time.sleep(random.uniform(0, 1.0))
    if run.poll() is not None:
        return None
    run.kill()
    killed = time.time()
    run.wait()
    time.sleep(0.4)  # what was under way is answered into the void
    return Kill(killed, time.time())


def _ages_of_lost_answers(requests: list[Counted], kills: list[Kill]) -> list[float]:
    """How long before a kill those requests were answered that were sent again.

    Requests that the server had not answered when the client was killed are left out.
    """
    by_body: dict[str, list[Counted]] = defaultdict(list)
    for request in requests:
        by_body[request.body].append(request)
    ages = []
    for sent in by_body.values():
        for request in sent[:-1]:
            # A busy server reads a request some time after it was sent.
            kill = next((kill for kill in kills if kill.over >= request.came), None)
            assert kill is not None, "it was sent again without a kill"
            if request.answered is not None and request.answered < kill.time:
                ages.append(kill.time - request.answered)
    return sorted(ages)


@pytest.mark.parametrize(("others", "calls"), [([], 640), (["mock"], 320)], ids=["models", "model-and-program"])
def test_kills_at_random_moments_cost_nothing(clem: Clem, others: list[str], calls: int) -> None:
    arguments = [*ARGUMENTS, *others]
    write_game(Path(), instances=40, rounds=8)
    with CountingServer(delay=0.2) as server:
        Path("model_registry.json").write_text(json.dumps([server.entry(model_config={"max_connections": 50})]))
        clem.ok(*arguments, "-r", "whole")
        whole = {request.body for request in server.requests}
        assert len(whole) == len(server.requests) == calls
        kills: list[Kill] = []
        runs = 0
        while len(kills) < KILLS:  # a run that is completed is followed by another one
            server.requests.clear()
            first = len(kills)
            folder = f"killed_{runs}"
            while len(kills) < KILLS and (killed := _kill_at_random(server, *others, "-r", folder)) is not None:
                kills.append(killed)
            clem.ok(*arguments, "-r", folder)
            runs += 1
            assert {request.body for request in server.requests} == whole
            assert _records(Path(folder)) == _records(Path("whole"))
            late = _ages_of_lost_answers(server.requests, kills[first:])
            assert [age for age in late if age >= SLACK] == []


def test_a_full_disk_stops_the_run_and_costs_nothing(clem: Clem) -> None:
    """The limit on the size of a file stands for the disk: writing fails beyond it."""
    write_game(Path(), instances=40, rounds=8)
    with CountingServer(delay=0.005) as server:
        Path("model_registry.json").write_text(json.dumps([server.entry(model_config={"max_connections": 50})]))
        clem.ok(*ARGUMENTS, "-r", "whole")
        server.requests.clear()
        command = f"ulimit -f 400; exec {CLEM} {' '.join(ARGUMENTS)} -r full"  # blocks of 1,024 bytes
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stderr
        assert "the store cannot be written" in done.stderr
        assert "Every answered call is safe; the same command continues" in done.stderr
        clem.ok(*ARGUMENTS, "-r", "full")
        assert _records(Path("full")) == _records(Path("whole"))
        # Those that were answered when writing failed had no place; with each live episode there is one at most.
        assert len(server.requests) <= 640 + 50


def test_a_killed_run_with_a_local_model_continues(tiny_chat: Path) -> None:
    write_game(Path(), instances=3, rounds=3)
    entry = {"model_name": "tiny", "backend": "huggingface_local", "huggingface_id": str(tiny_chat)}
    Path("model_registry.json").write_text(json.dumps([entry]))
    arguments = ["run", "-g", "echo", "-m", "tiny", "-t", "1", "-l", "8", "--layout", "store"]
    subprocess.run([CLEM, *arguments, "-r", "whole"], check=True)
    for wait in (0.0, 0.2):
        run = subprocess.Popen([CLEM, *arguments, "-r", "killed"], stderr=subprocess.DEVNULL)
        store = Path("killed/tiny/store.sqlite3")
        while not store.exists() and run.poll() is None:
            time.sleep(0.01)
        time.sleep(wait)
        run.kill()
        run.wait()
    subprocess.run([CLEM, *arguments, "-r", "killed"], check=True)
    assert _records(Path("killed")) == _records(Path("whole"))
