"""Measures games: `python benches/games.py [PART …] --old PYTHON`.

PYTHON is the interpreter of an environment that has clemcore 3.7.2 (`python -m venv build/venv372`, and there
`pip install clemcore==3.7.2`). Each part prints what it measured, and what is wanted of it; the exit status is 1 if
something is missed. Both versions play the game in `benches/relay`, by turns. Parts:

* ``store``: the store of many short episodes, against the classic layout as 3.7.2 writes it;
* ``episode``: CPU of a short episode with the mock, against 3.7.2's;
* ``long``: CPU of a call in an episode of 200 calls, against 3.7.2's;
* ``remote``: 200 episodes against a loopback API that takes 200 ms, against one episode after the other;
* ``many``: CPU of a call among 1,000 live episodes of 20 calls at 20 ms, above the same calls in one batch;
* ``memory``: memory of a run of 20,000 episodes (1,000 instances in 20 epochs), against one of 1,000;
* ``replay``: CPU of playing 5,000 episodes again from their record, against 500.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import remote as loopback

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from clemcore.clemgame.store import RunStore, StoredCall
from support.stored import MODELS, Script, planned, script

VARIANTS = 100


def store(arguments: argparse.Namespace) -> list[str]:
    """Compare the store of many short episodes with the classic layout as 3.7.2 writes it."""
    rounds: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for _ in range(arguments.rounds):  # by turns, so that a busy machine is busy for both
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            rounds.append(
                (
                    _write_store(Path(folder) / "new", arguments.episodes),
                    _write_old(Path(folder) / "old", arguments.episodes, arguments.old),
                )
            )
    new, old = (min(each, key=lambda found: float(found["wall"])) for each in zip(*rounds, strict=True))
    for name, found in (("store", new), ("3.7.2", old)):
        print(
            f"{name}: {found['files']} files, {found['bytes'] / 1e6:.1f} MB on the disk,"
            f" {found['wall']:.2f} s, {found['cpu']:.2f} s of CPU"
        )
    return [
        *_wanted("files of a store", new["files"], 5),
        *_wanted("bytes, as part of 3.7.2's", new["bytes"] / old["bytes"], 1 / 2),
        *_wanted("seconds, as part of 3.7.2's", new["wall"] / old["wall"], 1 / 3),
    ]


def _wanted(name: str, found: float, most: float) -> list[str]:
    print(f"  {name}: {found:.3g} (wanted: at most {most:.3g})")
    return [] if found <= most else [name]


def _at_least(name: str, found: float, least: float) -> list[str]:
    print(f"  {name}: {found:.3g} (wanted: at least {least:.3g})")
    return [] if found >= least else [name]


def _write_store(folder: Path, count: int) -> dict[str, Any]:
    """Write episodes into a store, each call before the next, as a run does at concurrency 1."""
    wall = cpu = 0.0
    plan = planned(count)
    begin, begin_cpu = time.perf_counter(), time.process_time()
    run = RunStore.open(folder)
    run.plan(plan)
    wall += time.perf_counter() - begin
    cpu += time.process_time() - begin_cpu
    for episode in plan:
        played = script(episode.key)
        interactions = json.dumps(played.interactions, ensure_ascii=False).encode()
        begin, begin_cpu = time.perf_counter(), time.process_time()
        writer = run.begin(episode.key)
        for step in played.steps:
            if isinstance(step, StoredCall):
                writer.call(step)
            else:
                writer.event(step)
        writer.finish("played", interactions)
        wall += time.perf_counter() - begin
        cpu += time.process_time() - begin_cpu
    files, _ = _size(folder)
    begin, begin_cpu = time.perf_counter(), time.process_time()
    run.close()
    wall += time.perf_counter() - begin
    cpu += time.process_time() - begin_cpu
    return {"wall": wall, "cpu": cpu, "files": files, "bytes": _size(folder)[1]}


def _write_old(folder: Path, count: int, python: str) -> dict[str, Any]:
    plan = planned(min(count, VARIANTS))
    asked = {
        "folder": str(folder),
        "count": count,
        "experiment": plan[0].experiment,
        "models": MODELS,
        "episodes": [{"instance": each.instance, "turns": _with_calls(script(each.key))} for each in plan],
    }
    found = _worker("games_old.py", asked, python)
    files, size = _size(folder)
    return {**found, "files": files, "bytes": size}


def _worker(name: str, asked: Mapping[str, Any], python: str = sys.executable) -> dict[str, Any]:
    """Run a script of this folder, which reads what it is asked and prints what it found, both as JSON."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile("w+") as said:
        ran = subprocess.run(
            [python, str(Path(__file__).with_name(name))],
            input=json.dumps(asked),
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            check=False,
            cwd=home,
            env=clean,
        )
        if ran.returncode:
            said.seek(0)
            raise SystemExit(f"{name} failed with {python}:\n{said.read()[-3000:]}")
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def _with_calls(played: Script) -> list[list[Any]]:
    """Return the turns of an episode; beside the event of an answer stands its call."""
    calls = iter(played.calls)
    return [
        [[event, _pair(next(calls)) if event["action"]["type"] == "get message" else None] for event in turn]
        for turn in played.interactions["turns"]
    ]


def _pair(call: StoredCall) -> list[Any]:
    record = json.loads(call.record)
    return [record["manipulated_prompt_obj"], record["raw_response_obj"]]


def _size(folder: Path) -> tuple[int, int]:
    """Return the number of files and folders below a folder, and the bytes that they take on the disk."""
    count = size = 0
    for base, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            count += 1
            size += os.lstat(os.path.join(base, name)).st_blocks * 512  # noqa: PTH118 - many files
    return count, size


# -- episodes ------------------------------------------------------------------------------------------------
# A model that costs nothing, from `benches/relay/numbers_api.py`.
NUMBERS = {"model_name": "numbers", "backend": "numbers"}


def episode(arguments: argparse.Namespace) -> list[str]:
    """Compare short episodes of two programs: six calls, 25 events."""
    asked = {"episodes": 400, "calls": 6, "players": 2, "model": "mock", "folder": arguments.folder}
    old, classic, store_only = _by_turns(
        arguments, asked, (arguments.old, {}), ("", {"layout": "classic"}), ("", {"layout": "store"})
    )
    print(f"a short episode: 3.7.2 {old:.2f} ms of CPU, classic layout {classic:.2f}, store alone {store_only:.2f}")
    return [
        *_wanted("CPU with the classic layout, as part of 3.7.2's", classic / old, 1),
        *_wanted("CPU with the store alone, as part of 3.7.2's", store_only / old, 1 / 2),
    ]


def long(arguments: argparse.Namespace) -> list[str]:
    """Compare episodes of 200 calls to a model that costs nothing; the whole dialogue is sent each time."""
    calls = 200
    asked = {"episodes": 10, "calls": calls, "players": 1, "model": NUMBERS, "folder": arguments.folder}
    settings = ({"layout": "classic", "concurrency": 1}, {"layout": "store", "concurrency": 1})
    old, *new = _by_turns(arguments, asked, (arguments.old, {}), *(("", each) for each in settings))
    old, classic, store_only = (1000 * each / calls for each in (old, *new))
    print(f"a call: 3.7.2 {old:.0f} us of CPU, classic layout {classic:.0f}, store alone {store_only:.0f}")
    return _wanted("CPU of a call with the classic layout, as part of 3.7.2's", classic / old, 1 / 20)


def _by_turns(
    arguments: argparse.Namespace, asked: Mapping[str, Any], *sides: tuple[str, Mapping[str, Any]]
) -> list[float]:
    """Return the least milliseconds of CPU per episode of each side: an interpreter ("" for ours) and settings."""
    rounds = [
        [
            float(_worker("games_play.py", {**asked, "settings": settings}, python or sys.executable)["cpu"])
            for python, settings in sides
        ]
        for _ in range(arguments.rounds)
    ]
    return [1000 * min(each) / int(asked["episodes"]) for each in zip(*rounds, strict=True)]


def _serve(pipe: Connection, latency: float) -> None:
    loopback.LATENCY = latency
    loopback.serve(pipe)


@contextmanager
def _server(latency: float, connections: int) -> Iterator[dict[str, Any]]:
    """Run a server in a process of its own; yield the entry of its model."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, latency))
    process.start()
    try:
        yield {
            "model_name": "m",
            "backend": "openai_compatible",
            "model_id": "m",
            "base_url": f"http://127.0.0.1:{ours.recv()}/v1",
            "model_config": {"requires_api_key": False, "max_connections": connections},
        }
    finally:
        ours.send("done")
        process.join()


def remote(arguments: argparse.Namespace) -> list[str]:
    """Compare many live episodes with one after the other, and with what the latency allows."""
    calls, count, alone = 10, 200, 4
    latency = loopback.LATENCY
    with _server(latency, count) as model:
        asked = {"calls": calls, "players": 1, "model": model, "folder": arguments.folder}
        slow = _worker("games_play.py", {**asked, "episodes": alone, "settings": {"concurrency": 1}})
        rounds = [
            _worker("games_play.py", {**asked, "episodes": count, "settings": {"concurrency": count}})
            for _ in range(arguments.rounds)
        ]
    best = min(float(each["wall"]) for each in rounds)
    rate, ideal, one = calls * count / best, count / latency, calls * alone / float(slow["wall"])
    print(f"{count} episodes of {calls} calls: {best:.2f} s, {rate:.0f} calls/s; one at a time {one:.2f} calls/s")
    return [
        *_at_least("speed-up over one episode after the other", rate / one, 30),
        *_at_least("share of the ideal rate", rate / ideal, 0.85),
    ]


def many(arguments: argparse.Namespace) -> list[str]:
    """Compare the CPU of calls of many live episodes with that of the same calls in one batch."""
    calls, count = 20, 1000
    with _server(0.02, count) as model:
        asked = {"episodes": count, "calls": calls, "players": 1, "model": model, "folder": arguments.folder}
        rounds = [
            (
                float(_worker("games_play.py", {**asked, "batch": True})["cpu"]),
                float(
                    _worker("games_play.py", {**asked, "settings": {"concurrency": count, "layout": "store"}})[
                        "cpu"
                    ]
                ),
            )
            for _ in range(arguments.rounds)
        ]
    batch, played = (1000 * min(each) / (calls * count) for each in zip(*rounds, strict=True))
    print(f"a call: {batch:.3f} ms of CPU in one batch, {played:.3f} ms among {count} live episodes")
    return _wanted("ms of CPU that the engine adds to a call", played - batch, 0.25)


def memory(arguments: argparse.Namespace) -> list[str]:
    """Compare the memory of a short run with that of a long one, and with that of as many different instances."""
    asked = {"calls": 6, "players": 2, "model": "mock", "folder": arguments.folder}
    one, epochs, instances = (
        float(_worker("games_play.py", {**asked, "episodes": count, "settings": settings})["memory"])
        for count, settings in (
            (1_000, {"layout": "store"}),
            (1_000, {"layout": "store", "epochs": 20}),
            (20_000, {"layout": "store"}),
        )
    )
    print(f"memory: 1,000 episodes {one:.1f} MB, in 20 epochs {epochs:.1f} MB; 20,000 instances {instances:.1f} MB")
    return [
        *_wanted("memory of 20,000 episodes, as part of that of 1,000", epochs / one, 1.2),
        *_wanted("memory of 20,000 instances, as part of that of 1,000", instances / one, 1.2),
    ]


def replay(arguments: argparse.Namespace) -> list[str]:
    """Compare the CPU of a replayed episode in a short and in a long run."""
    asked = {"calls": 6, "players": 2, "model": "mock", "folder": arguments.folder, "replay": True}
    few, many_ = (
        1000
        * float(_worker("games_play.py", {**asked, "episodes": count, "settings": {"layout": "store"}})["cpu"])
        / count
        for count in (500, 5_000)
    )
    print(f"a replayed episode: {few:.2f} ms of CPU among 500, {many_:.2f} ms among 5,000")
    return _wanted("CPU of an episode among 5,000, as part of that among 500", many_ / few, 1.2)


PARTS = {
    "store": store,
    "episode": episode,
    "long": long,
    "remote": remote,
    "many": many,
    "memory": memory,
    "replay": replay,
}


def main() -> int:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to measure; by default everything")
    parser.add_argument("--old", required=True, help="Python interpreter of an environment with clemcore 3.7.2")
    parser.add_argument("--episodes", type=int, default=10_000, help="of the part store")
    parser.add_argument("--rounds", type=int, default=2, help="the fastest round counts")
    parser.add_argument("--folder", help="where to write; by default the system's temporary folder")
    arguments = parser.parse_args()
    missed = [each for part in arguments.parts or PARTS for each in PARTS[part](arguments)]
    for each in missed:
        print(f"missed: {each}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
