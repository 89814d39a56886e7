"""Measures results: `python benches/results.py eval --old PYTHON`.

PYTHON is the interpreter of an environment that has clemcore 3.7.2. Each part prints what it measured, and what is
wanted of it; the exit status is 1 if something is missed. Parts: ``eval``, ``score``, ``transcribe``, whose CPU
seconds are those of whole commands, with their start, ``render`` (see benches/results_render.py) and ``read`` (see
benches/results_read.py). Without ``--old``, ``eval`` is measured alone, because 3.7.2 takes minutes.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results_read import read
from results_render import rendered

FILES = ("raw.csv", "results.csv", "results.html")
METRICS = ("Aborted", "Lose", "Success", "Request Count", "Parsed Request Count", "Violated Request Count")
GAMES, MODELS, TURNS = 10, 20, 10
NEW = 100
SCORER = """\
from clemcore.clemgame import GameBenchmark, GameScorer
from clemcore.clemgame.metrics import BENCH_SCORE


class Scorer(GameScorer):
    def compute_round_score(self, round_idx, round_events):
        self.log_round_score(round_idx, "Parsed", sum(event["action"]["type"] == "parse" for event in round_events))

    def compute_episode_scores(self, interactions):
        self.log_episode_score(BENCH_SCORE, 100 / len(interactions["turns"]))


class Benchmark(GameBenchmark):
    def create_game_scorer(self, experiment, game_instance):
        return Scorer(self.game_name, experiment, game_instance)
"""


def write_scores(results: Path, count: int, *, first: int = 0, prefix: str = "model") -> None:
    """Write scores of episodes, as scorers of 3.7.2 do: ten games, twenty models, twelve metrics."""
    chance = random.Random(1)  # noqa: S311 - scores of a benchmark
    for number in range(first, first + count):
        game, model, instance = number % GAMES, number // GAMES % MODELS, number // (GAMES * MODELS)
        folder = (
            results / f"{prefix}-{model}" / f"game_{game}" / f"{instance % 5}_level" / f"instance_{instance:05d}"
        )
        aborted = int(chance.random() < 0.2)
        scores: dict[str, Any] = {name: chance.randint(0, 9) for name in METRICS}
        scores |= {"Aborted": aborted, "Request Success Ratio": chance.random()}
        scores |= {f"Extra {index}": chance.random() for index in range(4)}
        scores["Main Score"] = float("nan") if aborted else round(chance.uniform(0, 100), 2)
        turns = {str(turn): {"Accuracy": chance.random(), "Parsed Request Count": 1} for turn in range(TURNS)}
        written = {"meta": {"game_name": f"game_{game}"}, "turn scores": turns, "episode scores": scores}
        folder.mkdir(parents=True)
        (folder / "scores.json").write_text(json.dumps(written, indent=2))


def write_interactions(results: Path, count: int, *, games: int = GAMES, first: int = 0) -> None:
    """Write interactions of episodes with ten rounds, about 11 kB each."""
    chance = random.Random(1)  # noqa: S311 - texts of a benchmark
    words = [f"word{number}" for number in range(200)]
    players = {"GM": {"game_role": "Game Master", "model_name": "programmatic"}}
    players |= {f"Player {number}": {"game_role": f"Role {number}", "model_name": "mock"} for number in (1, 2)}
    keys: dict[str, Any] = {name: [1] * TURNS for name in METRICS[3:]}
    keys |= {"Aborted": 0, "Lose": 0, "Success": 1}
    for number in range(first, count):
        folder = results / "mock" / f"game_{number % games}" / "level" / f"instance_{number // games:05d}"
        rounds = []
        for turn in range(TURNS):
            player = f"Player {turn % 2 + 1}"
            text = " ".join(chance.choices(words, k=60))
            kinds = (("GM", player, "send message", text), (player, "GM", "get message", text[:80]))
            rounds.append(
                [
                    {"from": one, "to": other, "timestamp": "now", "action": {"type": kind, "content": said}}
                    for one, other, kind, said in (*kinds, ("GM", "GM", "parse", text[:20]))
                ]
            )
        meta: dict[str, Any] = {"game_name": f"game_{number % games}", "game_id": number // games}
        meta |= {"experiment_name": "level"}
        meta |= {"results_folder": "mock", "clem_version": "3.7.2", "round_count": TURNS, "completed": True}
        written = {"meta": meta, "player_models": {}, "players": players, "turns": rounds, **keys}
        folder.mkdir(parents=True)
        (folder / "interactions.json").write_text(json.dumps(written, indent=2))
        (folder / "instance.json").write_text(json.dumps({"game_id": number // games}, indent=2))
        (folder.parent / "experiment.json").write_text(json.dumps({"name": "level"}, indent=2))


def measure_transcribe(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Compare `clem transcribe` with that of 3.7.2 on the same episodes."""
    results = folder / "results"
    write_interactions(results, arguments.episodes)

    def timed(python: str, *, is_fresh: bool = True) -> tuple[float, float]:
        for path in results.rglob("transcript.*") if is_fresh else ():
            path.unlink()
        began = time.monotonic()
        cpu = cpu_of([_clem(python), "transcribe"], folder)
        return cpu, time.monotonic() - began

    ours = [timed(sys.executable) for _ in range(3)]
    again, _ = timed(sys.executable, is_fresh=False)
    theirs = timed(arguments.old)
    (cpu, wall), count = map(min, zip(*ours, strict=True)), arguments.episodes
    print(f"{count} episodes: {cpu:.2f} s of CPU ({again:.2f} s again), 3.7.2: {theirs[0]:.1f} s")
    print(f"  as a clock shows it: {wall:.1f} s, 3.7.2: {theirs[1]:.1f} s, {theirs[1] / wall:.3g} times as fast")
    return _wanted("times as fast as 3.7.2", theirs[0] / cpu, 10)


def write_game(folder: Path) -> None:
    """Write a game that is only scored."""
    (folder / "in").mkdir(parents=True)
    about = {"game_name": folder.name, "game_path": ".", "description": "", "players": 2, "languages": ["en"]}
    (folder / "clemgame.json").write_text(json.dumps({**about, "main_game": folder.name, "image": "none"}))
    (folder / "in" / "instances.json").write_text(json.dumps({"experiments": []}))
    (folder / "master.py").write_text(SCORER)


def measure_score(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Compare `clem score` with that of 3.7.2 on the same episodes of one game, and the files that they write."""
    results, one = folder / "results", "0"
    both = ",".join(map(str, sorted(os.sched_getaffinity(0))[:2]))
    write_game(folder / "game_0")
    write_interactions(results, arguments.episodes, games=1)

    def timed(python: str, processors: str, *, is_fresh: bool = True) -> tuple[float, float]:
        if is_fresh:
            remove_scores(results)
        began = time.monotonic()
        cpu = cpu_of(["taskset", "-c", processors, _clem(python), "score"], folder)
        return cpu, time.monotonic() - began

    def least(python: str, processors: str) -> tuple[float, float]:
        cpu, wall = map(min, zip(*(timed(python, processors) for _ in range(2)), strict=True))
        return cpu, wall

    theirs, _ = least(arguments.old, one)
    wanted = scores_in(results)
    (ours, alone), (_, together) = least(sys.executable, one), least(sys.executable, both)
    is_equal = scores_in(results) == wanted
    write_interactions(results, arguments.episodes + NEW, games=1, first=arguments.episodes)
    time.sleep(2.1)  # files that have just changed are not known to be as they were
    again, _ = timed(sys.executable, one, is_fresh=False)
    print(f"{arguments.episodes} episodes: {ours:.2f} s of CPU, 3.7.2: {theirs:.1f} s; {NEW} new: {again:.2f} s")
    print(f"  one processor: {alone:.1f} s, two: {together:.1f} s; scores are {'' if is_equal else 'not '}equal")
    missed = [] if is_equal else ["equal scores"]
    missed += _wanted("times as fast as 3.7.2 on one processor", theirs / ours, 3)
    missed += _wanted("times as fast on two processors as on one", alone / together, 1.7)
    return missed + _wanted(f"times as fast after {NEW} new episodes", ours / again, 10)


def remove_scores(results: Path) -> None:
    """Remove what scoring has written."""
    for path in [*results.rglob("scores.json"), *results.rglob(".scored.json")]:
        path.unlink()


def scores_in(results: Path) -> list[Any]:
    """Return the scores of all episodes, in the order of their folders."""
    return [json.loads(path.read_bytes()) for path in sorted(results.rglob("scores.json"))]


def cpu_of(command: list[str], folder: Path) -> float:
    """Run a command in a folder, and return its CPU seconds."""
    # With bytecode, as users have it.
    unwanted = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_eval(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Compare `clem eval` with itself after new episodes, and with 3.7.2: times, and the files they write."""
    results = folder / "results"
    write_scores(results, arguments.episodes)

    time.sleep(2.1)  # files that have just changed are read again

    def fresh() -> float:
        for name in (".results.intervals", ".results.scores"):
            (results / name).unlink(missing_ok=True)
        return cpu_of([_clem(sys.executable), "eval", "--no-parquet"], folder)

    ours = min(fresh() for _ in range(3))
    kept = folder / "ours"
    kept.mkdir()
    for name in FILES:
        shutil.copy(results / name, kept / name)
    missed = []
    for what, first, prefix in (("in all cells", arguments.episodes, "model"), ("of new models", 0, "new")):
        write_scores(results, NEW, first=first, prefix=prefix)
        again = cpu_of([_clem(sys.executable), "eval", "--no-parquet"], folder)
        print(f"{arguments.episodes} episodes: {ours:.2f} s of CPU; {NEW} new {what}: {again:.2f} s")
        missed += _wanted(f"times as fast after {NEW} new episodes {what}", ours / again, 10)
    if arguments.old is None:
        return missed
    shutil.rmtree(results)
    write_scores(results, arguments.episodes)
    theirs = cpu_of([_clem(arguments.old), "eval"], folder)
    print(f"{arguments.episodes} episodes: {ours:.2f} s of CPU, 3.7.2: {theirs:.1f} s")
    differing = [name for name in FILES if not filecmp.cmp(results / name, kept / name, shallow=False)]
    print(f"  files that differ: {', '.join(differing) or 'none'}")
    return [*missed, *differing, *_wanted("times as fast as 3.7.2", theirs / ours, 300)]


def _clem(python: str) -> str:
    return str(Path(python).absolute().parent / "clem")


def _wanted(name: str, found: float, least: float) -> list[str]:
    print(f"  {name}: {found:.3g} (wanted: at least {least:.3g})")
    return [] if found >= least else [name]


def measure_render(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Compare transcripts as HTML with those of jinja2."""
    write_interactions(folder, min(arguments.episodes, 300))
    ours, reading, theirs = rendered([path.read_bytes() for path in folder.rglob("interactions.json")])
    print(f"a transcript: {1e6 * (ours - reading):.0f} us after {1e6 * reading:.0f} us of reading, "
          f"jinja2: {1e6 * theirs:.0f} us without reading")  # fmt: skip
    return _wanted("times as fast as jinja2, both from records that were read", theirs / (ours - reading), 3)


def measure_read(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Compare the reading of episodes with that of Python's json."""
    theirs, files, store = read(folder, arguments.episodes)
    print(f"{arguments.episodes} episodes: json {theirs:.2f} s of CPU, files {files:.2f} s, store {store:.2f} s")
    missed = _wanted("times as fast as json from files", theirs / files, 2.5)
    return missed + _wanted("times as fast as json from a store", theirs / store, 4)


PARTS = {
    "eval": measure_eval,
    "score": measure_score,
    "transcribe": measure_transcribe,
    "render": measure_render,
    "read": measure_read,
}


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--old", help="interpreter of an environment with clemcore 3.7.2")
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--folder", help="where to write; by default the system's folder for temporary files")
    arguments = parser.parse_args()
    if arguments.old is None and arguments.part not in ("render", "eval", "read"):
        parser.error(f"{arguments.part} needs --old")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        missed = PARTS[arguments.part](arguments, Path(folder))
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
