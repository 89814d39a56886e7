"""Shards: several processes play one run, each its part, and readers see one run."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.service.limits import resolve_limits, shared_limits
from clemcore.clemgame.plan import EpisodeKey
from clemcore.clemgame.store import RunReader, RunStore
from clemcore.clemgame.store.merging import merge
from clemcore.clemgame.store.shards import Shard
from clemcore.errors import RunError, SpecError, StoreError
from clemcore.registry.spec import ModelSpec
from support.clem import CLEM, Clem
from support.counting_server import CountingServer
from support.echo_game import write_game
from support.stored import planned, script

PRICES = {"input": 100.0, "output": 100.0}
KEYS = [EpisodeKey("g", f"e{number % 7}", number, epoch) for number in range(300) for epoch in (1, 2)]


# -- parts -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [1, 3, 8])
def test_each_episode_belongs_to_one_shard(count: int) -> None:
    shards = [Shard.parse(f"{number}/{count}") for number in range(1, count + 1)]
    assert all(sum(shard.has(key) for shard in shards) == 1 for key in KEYS)
    sizes = [sum(shard.has(key) for key in KEYS) for shard in shards]
    assert min(sizes) > 0.7 * len(KEYS) / count


def test_episodes_of_which_players_remember_stay_together() -> None:
    shards = [Shard(number, 4, keeps_experiments=True) for number in range(1, 5)]
    homes = {(key.experiment, key.epoch): {shard.number for shard in shards if shard.has(key)} for key in KEYS}
    for key in KEYS:
        assert {shard.number for shard in shards if shard.has(key)} == homes[key.experiment, key.epoch]


@pytest.mark.parametrize("whole", [1, 5, 8, 100])
def test_parts_of_a_limit_add_up_to_it(whole: int) -> None:
    assert sum(Shard(number, 8).part_of(whole) for number in range(1, 9)) == whole


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9/8", "there is no shard 9 of 8: they are 1/8 to 8/8"),
        ("0/2", "there is no shard 0 of 2"),
        ("1/0", "a run has at least one shard"),
        ("2", "must be I/N, such as 2/8"),
        ("a/b", "must be I/N"),
        ("-1/2", "must be I/N"),
    ],
)
def test_a_shard_that_does_not_exist(text: str, message: str) -> None:
    with pytest.raises(RunError, match=message):
        Shard.parse(text)


def test_the_limits_of_an_entry_are_divided() -> None:
    config = {"max_connections": 5, "requests_per_minute": 60, "tokens_per_minute": 1000}
    spec = ModelSpec(model_name="m", model_config=config)
    parts = []
    for number in (1, 2):
        with shared_limits(number, 2):
            parts.append(resolve_limits(spec))
    assert [part.max_connections for part in parts] == [3, 2]
    assert [part.requests_per_minute for part in parts] == [30, 30]
    assert [part.tokens_per_minute for part in parts] == [500, 500]
    assert resolve_limits(spec).max_connections == 5
    with shared_limits(1, 6), pytest.raises(SpecError, match=r"5 calls at once .* start at most 5"):
        resolve_limits(spec)


# -- commands --------------------------------------------------------------------------------------------------
def _start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([CLEM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _wait(ready: Any) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _table(path: str) -> str:
    return Path(path, "raw.csv").read_text()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_shards_that_are_killed_and_started_again_give_the_same_as_one_process(clem: Clem) -> None:
    write_game(Path(), instances=40, rounds=4)
    run = ["run", "-g", "echo", "-m", "counted", "-t", "1", "--layout", "store"]
    with CountingServer(delay=0.05) as server:
        config = {"max_connections": 16}
        Path("model_registry.json").write_text(json.dumps([server.entry(model_config=config)]))
        clem.ok(*run, "-r", "whole")
        whole = sorted(request.body for request in server.requests)
        server.requests.clear()
        server.gate.clear()  # all eight wait for their first answers
        shards = [[*run, "-r", "parts", "--shard", f"{number}/8"] for number in range(1, 9)]
        processes = [_start(*shard) for shard in shards]
        _wait(lambda: len(list(Path("parts/counted").glob("store-*.sqlite3"))) == 8 and len(server.requests) >= 16)
        twice = clem.fails(*shards[3], status=2)
        assert f"is being written by process {processes[3].pid} on " in twice
        server.gate.set()
        time.sleep(0.15)
        for process in processes[:3]:
            process.kill()
        for process in processes:
            process.communicate()
        for shard in shards[:3]:
            clem.ok(*shard)
        assert clem("status", "parts").stdout.startswith("parts/counted: 40 episodes: 40 completed; ")
        # What was sent again was under way when its process was killed, or had just been answered.
        assert sorted({request.body for request in server.requests}) == whole
        assert len(server.requests) <= len(whole) + 3 * 2 * 2
    for results in ("whole", "parts"):
        clem.ok("score", "-r", results)
        clem.ok("eval", "-r", results)
    assert _table("parts") == _table("whole")
    assert "8 files put together, 40 episodes" in clem("merge", "parts").stderr
    assert [path.name for path in Path("parts/counted").glob("store*")] == ["store.sqlite3"]
    clem.ok("eval", "-r", "parts")
    assert _table("parts") == _table("whole")
    assert "nothing to play (40 completed before)" in clem(*run, "-r", "parts").stderr


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_jobs_share_a_budget(clem: Clem) -> None:
    write_game(Path(), instances=40, rounds=4)
    with CountingServer(delay=0.0) as server:
        Path("model_registry.json").write_text(json.dumps([server.entry(prices=PRICES)]))
        run = ["run", "-g", "echo", "-m", "counted", "--layout", "store"]
        # A call costs 0.0015 USD, and may cost a bit more than 0.03. All of them cost 0.48 USD.
        done = clem(*run, "--jobs", "2", "--budget", "0.13")
        assert done.returncode == 3, done.stderr
        assert 0 < len(server.requests) * 0.0015 <= 0.13
        assert "[1/2] clem: results/counted: stopped: the budget" in done.stderr
        sent = len(server.requests)
        assert clem(*run, "--jobs", "2", "--budget", "0.13").returncode == 3
        assert len(server.requests) <= sent + 2  # what was spent is known
        done = clem(*run, "--jobs", "2", "--budget", "9")
        assert done.returncode == 0, done.stderr
        assert len(server.requests) == 320
        assert "clem: results/counted: 40 episodes: 40 completed; 320 calls" in done.stderr


@pytest.mark.slow
def test_what_does_not_go_with_shards_is_refused(clem: Clem) -> None:
    write_game(Path(), instances=6, rounds=2)
    run = ["run", "-g", "echo", "-m", "mock"]
    clem.ok(*run, "--shard", "1/2")
    assert "shards that were not started: 2/2" in clem.ok("status")
    assert "played in shards of 2: continue with --shard I/2 or --jobs 2" in clem.fails(*run, status=2)
    assert "played in shards of 2, not of 3" in clem.fails(*run, "--shard", "1/3", status=2)
    message = clem.fails(*run, "--shard", "2/2", "--epochs", "2", status=2)
    assert "shard 1/2 was started with another plan (6 episodes, now 12)" in message
    clem.ok(*run, "--shard", "2/2")
    clem.ok(*run, "--shard", "2/2", "--epochs", "2", "--accept-changes")
    clem.ok(*run, "--shard", "1/2", "--epochs", "2", "--accept-changes")
    assert "12 episodes: 12 completed" in clem.ok("status")
    for more, message in (
        (["--shard", "1/2", "--fresh"], "--fresh would begin anew in every shard"),
        (["--shard", "1/2", "--jobs", "2"], "--shard plays one part of the run, and --jobs plays all of them"),
        (["--shard", "1/2", "--rng", "process", "--concurrency", "1"], "rng = process"),
    ):
        assert message in clem.fails(*run, *more, status=2)


@pytest.mark.slow
def test_a_shard_that_is_typed_is_one_of_the_run_file(clem: Clem) -> None:
    write_game(Path(), instances=6, rounds=2)
    Path("run.toml").write_text('games = ["echo"]\nmodels = ["mock"]\njobs = 2\n')
    clem.ok("run", "run.toml", "--shard", "1/2")
    assert "shards that were not started: 2/2" in clem.ok("status")
    assert "--jobs 2 plays all 2 shards, and --shard 1/3 plays" in clem.fails(
        "run", "run.toml", "--shard", "1/3", status=2
    )
    assert clem("run", "run.toml").returncode == 0
    assert "6 episodes: 6 completed" in clem.ok("status")
    Path("run.toml").write_text('games = ["echo"]\nmodels = ["mock"]\njobs = 2\nshard = "1/2"\n')
    assert "run.toml: --shard plays one part of the run, and --jobs" in clem.fails("run", "run.toml", status=2)


def test_a_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("clemcore.clemgame.store.lock.fcntl.lockf", refuse)
    with pytest.raises(StoreError, match=r"has no locks.* choose a folder on another disk"):
        RunStore.open(tmp_path, shard="1-of-2")


# -- merging ---------------------------------------------------------------------------------------------------
def _play(folder: Path, shard: str, numbers: list[int], *, error: str = "", until: int | None = None) -> None:
    """Play some of six episodes into the file of a shard; with ``until``, leave them after so many steps."""
    plan = [planned(6)[number] for number in numbers]
    with RunStore.open(folder, shard=shard) as store:
        store.plan(plan)
        for episode in plan:
            played = script(episode.key)
            writer = store.begin(episode.key)
            for step in played.steps[:until]:
                writer.event(step) if isinstance(step, bytes) else writer.call(step)
            if until is None:
                fault = {"type": error, "message": "", "traceback": ""} if error else None
                text = json.dumps({"by": shard, **played.interactions}).encode()
                writer.finish("error" if error else "played", text, error=fault, facts={"usage": {"calls": 1}})
        store.note("models", [shard and "m"])


def _content(folder: Path) -> dict[str, Any]:
    with RunReader(folder) as reader:
        return {
            str(episode.key): (
                episode.state.state,
                reader.interactions(episode),
                reader.calls(episode),
                reader.superseded(episode),
                [] if episode.ended else reader.events(episode),
                reader.instance(episode),
                reader.experiment(episode),
                episode.facts,
            )
            for episode in reader.episodes()
        }


def test_merging_keeps_everything(tmp_path: Path) -> None:
    _play(tmp_path, "1-of-2", [0, 2])
    _play(tmp_path, "1-of-2", [4], until=5)
    _play(tmp_path, "2-of-2", [1, 3])
    _play(tmp_path, "2-of-2", [5], error="OSError")
    before = _content(tmp_path)
    shutil.copytree(tmp_path, tmp_path / "copy")
    assert (merge(tmp_path).files, merge(tmp_path).files) == (2, 1)
    assert sorted(path.name for path in tmp_path.glob("*store*")) == [".store.sqlite3.lock", "store.sqlite3"]
    assert _content(tmp_path) == before
    # As if it had been killed before the old files were removed.
    for path in (tmp_path / "copy").glob("store-*"):
        shutil.copy(path, tmp_path)
    assert merge(tmp_path).files == 3
    assert _content(tmp_path) == before
    with RunStore.open(tmp_path) as store:  # and it can be continued
        steps = script(planned(6)[4].key).steps[:5]
        assert len(store.begin(planned(6)[4].key).earlier) == sum(not isinstance(each, bytes) for each in steps)


def test_calls_of_an_attempt_that_no_longer_counts_are_kept(tmp_path: Path) -> None:
    _play(tmp_path, "", [0], error="OSError")
    _play(tmp_path, "1-of-2", [0])
    (calls,) = [found[2] for found in _content(tmp_path).values()]
    merge(tmp_path)
    ((state, _, counting, superseded, *_, facts),) = _content(tmp_path).values()
    assert (state, counting) == ("played", calls)
    assert [call.text for call in superseded] == [call.text for call in calls]
    assert facts == {}  # of several attempts, the calls are read


def test_contradictory_data_is_refused(tmp_path: Path) -> None:
    _play(tmp_path, "1-of-2", [0, 1])
    _play(tmp_path, "2-of-2", [1, 2])
    with pytest.raises(StoreError) as caught:
        merge(tmp_path)
    key = planned(6)[1].key
    assert f"{key} was completed in store-1-of-2.sqlite3 and in store-2-of-2.sqlite3, with different calls" in str(
        caught.value
    )
    assert len(list(tmp_path.glob("store-*.sqlite3"))) == 2
    assert not (tmp_path / ".merging").exists()


def test_a_run_that_is_written_is_not_merged(tmp_path: Path) -> None:
    _play(tmp_path, "1-of-2", [0])
    with RunStore.open(tmp_path, shard="2-of-2"), pytest.raises(StoreError, match="is being written by process"):
        merge(tmp_path)
