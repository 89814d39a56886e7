"""Plays games in a run that is killed halfway, resumes it and scores it.

It uses the command ``clem`` and the files of the run, as you would, and nothing inside clemcore.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GAMES_FOLDER = Path(__file__).resolve().parents[1] / "games"
GAMES = ("word_dominoes", "lineup")
CLEM = str(Path(sys.executable).with_name("clem"))


class RunError(RuntimeError):
    """A command of the demo failed; the text holds what it printed."""


@dataclass(frozen=True)
class KilledRun:
    """A run that was killed, resumed and scored.

    Attributes:
        folder: the folder of the run.
        finished_before: the episodes that were finished when it was killed.
        finished: the episodes that are finished now.
    """

    folder: Path
    finished_before: int
    finished: int

    def requests(self) -> int:
        """Count the answers in the records of all episodes."""
        return sum(sum(_read(path)["Request Count"]) for path in self.folder.rglob("interactions.json"))

    def turns(self) -> dict[str, Any]:
        """Return what happened in each episode, without the times."""
        found = {}
        for path in self.folder.rglob("interactions.json"):
            turns = _read(path)["turns"]
            for event in (event for turn in turns for event in turn):
                del event["timestamp"]
            found[str(path.relative_to(self.folder))] = turns
        return found

    def table(self) -> list[str]:
        """Return one line per game: how its episodes ended, and the mean Main Score of those that were played."""
        lines = [f"{'':<14} episodes  aborted  lost  won  Main Score"]
        for game in GAMES:
            scores = [_read(path)["episode scores"] for path in self.folder.rglob(f"{game}/*/*/scores.json")]
            counts = Counter(name for each in scores for name in ("Aborted", "Lose", "Success") if each[name])
            # The score of an aborted episode is not a number, which is null in JSON.
            main = [each["Main Score"] for each in scores if not each["Aborted"]]
            mean = f"{math.fsum(main) / len(main):.1f}" if main else "-"
            numbers = f"{counts['Aborted']:>7}  {counts['Lose']:>4}  {counts['Success']:>3}"
            lines.append(f"{game:<14} {len(scores):>8}  {numbers}  {mean:>10}")
        return lines


def prepare(work: Path) -> None:
    """Tell the commands in a working folder where our games are."""
    entry = {"benchmark_path": str(GAMES_FOLDER)}
    (work / "game_registry.json").write_text(json.dumps([entry], indent=2) + "\n", encoding="utf-8")


def play_and_kill(work: Path, model: str, episodes: int, options: list[str]) -> KilledRun:
    """Play with a model, kill the run when half of the episodes are finished, resume it and score it.

    Args:
        work: the working folder, with the registries of games and models.
        model: the model's name, which is also the name of the run's folder.
        episodes: how many episodes the options plan.
        options: more options of ``clem run``.

    Raises:
        RunError: the run ended before it could be killed, or a command failed.
    """
    folder = work / "results" / model
    command = [CLEM, "run", "-g", *GAMES, "-m", model, "-r", "results", *options]
    with (work / "run.out").open("wb") as sink:
        process = subprocess.Popen(command, cwd=work, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            while process.poll() is None and _finished(folder) < episodes / 2:
                time.sleep(0.02)
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before = _finished(folder)
    if process.returncode != -signal.SIGKILL or before == episodes:
        raise RunError(f"the run ended before it was killed: {(work / 'run.out').read_text(encoding='utf-8')}")
    run(work, command)
    run(work, [CLEM, "score", "-r", "results"])
    return KilledRun(folder, before, _finished(folder))


def play(work: Path, model: str, options: list[str], results: str) -> KilledRun:
    """Play with a model without a kill, into another folder."""
    run(work, [CLEM, "run", "-g", *GAMES, "-m", model, "-r", results, *options])
    folder = work / results / model
    return KilledRun(folder, 0, _finished(folder))


def run(work: Path, command: list[str]) -> str:
    """Run a command and return what it printed.

    Raises:
        RunError: its exit status is not 0.
    """
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RunError(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _finished(folder: Path) -> int:
    return sum(1 for _ in folder.rglob("interactions.json"))


def _read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value
