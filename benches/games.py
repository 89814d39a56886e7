"""Measures games: `python benches/games.py store --old PYTHON`.

PYTHON is the interpreter of an environment that has clemcore 3.7.2. Each part prints what it measured, and what is
wanted of it; the exit status is 1 if something is missed. Parts: ``store``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

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
    worker = Path(__file__).with_name("games_old.py")
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as home:
        ran = subprocess.run(
            [python, str(worker)],
            input=json.dumps(asked),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=home,
            env=clean,
        )
    found: dict[str, Any] = json.loads(ran.stdout)
    files, size = _size(folder)
    return {**found, "files": files, "bytes": size}


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


PARTS = {"store": store}


def main() -> int:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to measure; by default everything")
    parser.add_argument("--old", required=True, help="Python interpreter of an environment with clemcore 3.7.2")
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2, help="the fastest round counts")
    parser.add_argument("--folder", help="where to write; by default the system's temporary folder")
    arguments = parser.parse_args()
    missed = [each for part in arguments.parts or PARTS for each in PARTS[part](arguments)]
    for each in missed:
        print(f"missed: {each}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
