"""Episodes with a model behind an API: seeds, budgets, and kills after which no answer is asked for twice."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import pytest

from clemcore import backends
from support.remote import make_model, open_model
from support.tiny_games import Stage
from support.wire_server import Answer, Received, WireServer, completion

TESTS = Path(__file__).parents[2]


def _at_random(server: WireServer, seconds: float = 0.0) -> list[tuple[int, float]]:
    """Let a server answer at random, as at temperature 1; return the seeds that it has answered, with the time."""
    answered: list[tuple[int, float]] = []
    draw = random.Random(1)

    def answer(received: Received) -> Answer:
        time.sleep(draw.random() * seconds)
        answered.append((received.json["seed"], time.monotonic()))
        return completion(f"answer {draw.random()}")

    server.script = [answer]
    return answered


def test_each_call_sends_a_seed_of_its_own(stage: Stage, wire_server: WireServer) -> None:
    _at_random(wire_server)
    model = open_model(wire_server.url, {"temperature": 1.0})
    assert stage.play(stage.game(size=4, rounds=2), model, concurrency=4).counts == {"played": 4}
    seeds = [received.json["seed"] for received in wire_server.requests]
    assert len(set(seeds)) == 16
    other = Stage(stage.folder / "other")
    other.play(other.game(size=4, rounds=2), model, concurrency=1)
    again = [received.json["seed"] for received in wire_server.requests][16:]
    assert sorted(again) == sorted(seeds)
    reader = stage.reader()
    call = reader.calls(min(reader.states()))[0]
    assert json.loads(call.record)["clemcore"]["gen_args"]["sent"]["seed"] in seeds


def test_only_models_that_send_a_seed_get_one(wire_server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-not-a-real-key-0000")
    assert open_model(wire_server.url).knows_argument("seed")
    assert not open_model(wire_server.url).knows_argument("sead")
    assert not make_model("anthropic").knows_argument("seed")
    assert not backends.get_model_for("mock").knows_argument("seed")


@pytest.mark.parametrize("concurrency", [1, 6])
def test_a_budget_is_kept_within_one_call(stage: Stage, wire_server: WireServer, concurrency: int) -> None:
    prices = {"input": 1000.0, "output": 1000.0}
    model = make_model(
        "openai_compatible",
        {"max_tokens": 4},
        base_url=f"{wire_server.url}/v1",
        model_config={"requires_api_key": False},
        prices=prices,
    )
    wire_server.script = [completion("fine")]
    with backends.budget(1.0) as limit:
        summary = stage.play(stage.game(size=8, rounds=5), model, concurrency=concurrency)
    assert (summary.stopped_by, summary.exit_status) == ("budget", 3)
    assert summary.usd == pytest.approx(limit.spent)
    assert limit.spent <= 1.0
    sent = len(wire_server.requests)
    reader = stage.reader()
    assert sum(len(reader.calls(key)) for key in reader.states()) == sent
    with backends.budget(100.0, spent=limit.spent):
        assert stage.play(stage.game(size=8, rounds=5), model, concurrency=concurrency).exit_status == 0
    assert len(wire_server.requests) == 80


@pytest.mark.slow
def test_killed_runs_ask_for_nothing_that_was_answered(tmp_path: Path, wire_server: WireServer) -> None:
    answered = _at_random(wire_server, 0.1)
    folder, live = tmp_path / "run", 50
    code = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from pathlib import Path
from support.remote import open_model
from support.tiny_games import Stage
model = open_model({wire_server.url!r}, {{"temperature": 1.0}}, max_connections={live})
stage = Stage(Path({str(folder)!r}))
print(stage.play(stage.game(size=60, rounds=5), model, concurrency={live}).counts)
"""
    draw = random.Random(2)
    kills = 6
    for _ in range(kills):
        process = subprocess.Popen([sys.executable, "-c", code])
        before = len(wire_server.requests)
        while len(wire_server.requests) < before + 30 and process.poll() is None:
            time.sleep(0.005)
        time.sleep(draw.random() * 0.5)
        process.kill()
        process.wait()
    subprocess.run([sys.executable, "-c", code], check=True)
    assert set(Stage(folder).states().values()) == {"played"}

    times = defaultdict(list)
    for seed, moment in answered:
        times[seed].append(moment)
    assert len(times) == 600
    # An episode asks again only for the one answer that was not in the store when its run was killed. How late that
    # may be is measured by tests/clemgame/test_killed_runs.py.
    assert sum(len(moments) - 1 for moments in times.values()) <= live * kills
    reader = Stage(folder).reader()
    for key in reader.states():
        records = [json.loads(call.record) for call in reader.calls(key)]
        asked = [times[record["clemcore"]["gen_args"]["sent"]["seed"]] for record in records]
        assert len(asked) == 10
        assert all(max(one) < min(following) for one, following in itertools.pairwise(asked))
    assert threading.active_count() < 200
