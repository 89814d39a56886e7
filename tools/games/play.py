"""Play and score every game of a collection with the mock, one game per process, in the environment of your choice.

::

    play="python tools/games/play.py --collection clembench --work build/work"
    $play --python venv372/bin/python --results build/theirs
    $play --results build/ours -- --rng process --concurrency 1
    python tools/games/compare.py build/theirs/taboo build/ours/taboo

It plays a copy of the collection below ``--work``, with 2 instances of 3 experiments per game. Use the same
``--work`` for all versions, since games record paths. What follows ``--`` is passed to ``clem run``. Each game
has a folder below ``--results`` with its records, and ``summary.json`` has a line per game.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from collection import Game, copy_trimmed, games_of

START = Path(__file__).with_name("start.py")
MEMORY = 12 << 30
# Characters of an error that are kept.
LONGEST = 300
# NumPy 2 has no NaN, which the games of 2025 still use. Python imports this file at its start.
RESTORE_NAN = "import numpy\n\nif not hasattr(numpy, 'NaN'):\n    numpy.NaN = numpy.nan\n"


def startup_for(folder: Path, *, restore_nan: bool) -> dict[str, str]:
    """Return the environment for the processes of games.

    Args:
        folder: where files for it may be put.
        restore_nan: give NumPy the name NaN.
    """
    environment = {**os.environ, "PYTHONHASHSEED": "0", "MPLBACKEND": "Agg"}
    if restore_nan:
        startup = folder / "startup"
        startup.mkdir(exist_ok=True)
        (startup / "sitecustomize.py").write_text(RESTORE_NAN)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(startup), os.environ.get("PYTHONPATH")]))
    return environment


def _limited(seconds: int) -> Callable[[], None]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return limit


def _run(
    command: Sequence[str], folder: Path, environment: dict[str, str], seconds: int, log: Path
) -> dict[str, Any]:
    """Run a command in a folder, and return how it ended."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with log.open("wb") as output:
        try:
            done = subprocess.run(  # noqa: S603 - an interpreter that was asked for
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=4 * seconds,
                preexec_fn=_limited(seconds),
                check=False,
            )
            status: int | str = done.returncode
        except subprocess.TimeoutExpired:
            status = "timeout"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"status": status, "seconds": round(time.monotonic() - began, 1), "cpu": round(cpu, 1)}


def _errors(text: str, records: Path) -> list[str]:
    """Return the last line of each traceback, and the error of each episode, once."""
    found: Counter[str] = Counter()
    inside = False
    for line in text.splitlines():
        if line.startswith("Traceback "):
            inside = True
        elif inside and line and not line.startswith((" ", "\t")):
            inside = False
            found[line[:LONGEST]] += 1
        elif line.startswith("clem: game '"):
            found[line.removeprefix("clem: ")[:LONGEST]] += 1
    for path in records.rglob("error.json"):
        error = json.loads(path.read_bytes())
        found[f"{error.get('type') or error.get('error')}: {error['message']}"[:LONGEST]] += 1
    return [line if count == 1 else f"{line} ({count} times)" for line, count in found.items()]


def play(
    game: Game, *, options: argparse.Namespace, collection: Path, environment: dict[str, str]
) -> dict[str, Any]:
    """Play and score one game, and return its line of the summary."""
    results = options.results / game.name
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    start = [options.python, str(START), "--seed", str(options.seed), "--"]
    line: dict[str, Any] = {"planned": game.planned()}
    records = results / "records"
    place = str(records)
    commands = {
        "run": ["run", "-g", game.name, "-m", "mock", "-r", place, *options.flags],
        "score": ["score", "-g", game.name, "-r", place],
    }
    for name, arguments in commands.items():
        (collection / "clembench.log").unlink(missing_ok=True)
        log = results / f"{name}.txt"
        line[name] = _run([*start, *arguments], collection, environment, options.seconds, log)
        text = log.read_text(encoding="utf-8", errors="replace")
        # 3.7.2 writes its tracebacks here.
        if (collection / "clembench.log").exists():
            shutil.move(collection / "clembench.log", results / f"{name}.clembench.log")
            text += (results / f"{name}.clembench.log").read_text(encoding="utf-8", errors="replace")
        line[name]["errors"] = _errors(text, records if name == "run" else Path(os.devnull))
    line["played"] = len(list(records.rglob("interactions.json")))
    line["scored"] = len(list(records.rglob("scores.json")))
    return line


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", type=Path, required=True, help="folder of the games; it is only read")
    parser.add_argument("--work", type=Path, required=True, help="folder for the trimmed copy; it is replaced")
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument(
        "--python", default=sys.executable, help="interpreter that has clemcore and the games' packages"
    )
    parser.add_argument("--game", action="append", help="play only this game (repeatable)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=180, help="CPU seconds per game (default: 180)")
    parser.add_argument("--experiments", type=int, default=3)
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument(
        "--restore-nan", action="store_true", help="give NumPy 2 the name NaN, for the games of 2025"
    )
    parser.add_argument("flags", nargs="*", help="flags of clem run, after --")
    options = parser.parse_args()
    options.work, options.results = options.work.absolute(), options.results.absolute()
    collection = options.work / "collection"
    copy_trimmed(options.collection, collection, experiments=options.experiments, instances=options.instances)
    environment = startup_for(options.work, restore_nan=options.restore_nan)
    summary_file = options.results / "summary.json"
    summary = json.loads(summary_file.read_bytes()) if options.game and summary_file.exists() else {}
    for game in games_of(collection):
        if options.game and game.name not in options.game:
            continue
        line = play(game, options=options, collection=collection, environment=environment)
        summary[game.name] = line
        summary_file.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        errors = [error for name in ("run", "score") for error in line[name]["errors"]]
        sys.stdout.write(
            f"{game.name}: {line['planned']} planned, {line['played']} played, {line['scored']} scored, "
            f"status {line['run']['status']}/{line['score']['status']}, {line['run']['cpu']:.0f} s"
            f"{'; ' + errors[0][:140] if errors else ''}\n"
        )
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
