"""Divides the scoring of episodes over processes, and keeps what they tell.

A game whose scorer writes into the working folder or into its own is scored in one process, and no two such games
at the same time: they might use the same files. It does not know what a scorer does.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.reading.fingerprint import code_of
from clemcore.clemgame.scoring.candidates import Candidate, Found
from clemcore.clemgame.scoring.failures import CRASH, ended, write_failure
from clemcore.clemgame.scoring.keeping import ScoreKeeper
from clemcore.clemgame.scoring.ledger import Making, hash_of
from clemcore.clemgame.scoring.processes import FEWEST, Process, Processes

if TYPE_CHECKING:
    from clemcore.clemgame.reading.spec import GameSpec

# Lines of a scorer's own output that are shown when its process ends unasked.
_TAIL = 5
# Characters of it that are kept.
_MOST_SAID = 10_000


@dataclass
class Scored:
    """What became of the episodes of one game.

    Attributes:
        game: the game.
        count: how many episodes were scored.
        current: how many episodes had scores that fit their records, the code and the scorer.
        failed: the place of each episode that was not scored, with the reason in one line; or the game, if
            several have the same reason.
        missed: how many episodes were to be scored and were not.
        warned: the place of the first episode with each warning of the scorer, with the warning in one line.
        writes: where the scorer writes into a folder that other processes use, so that it was scored alone; or "".
        different: in a comparison: the place of each episode whose scores differ, with the first difference.
        unscored: in a comparison: how many episodes have no scores to compare with.
    """

    game: str
    count: int = 0
    current: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    missed: int = 0
    warned: list[tuple[str, str]] = field(default_factory=list)
    writes: str = ""
    different: list[tuple[str, str]] = field(default_factory=list)
    unscored: int = 0


@dataclass
class _Job:
    """Some episodes of a game, for one process.

    Attributes:
        is_careful: whether the process says which episode it begins, because an earlier one ended unasked.
        files: what the scorer comes from beside the code of the game.
        has_ended: whether the process came to the end of the job.
        count: how many episodes were scored.
        failed: what was not, with the reasons.
        known: the numbers of the episodes of which it was told what became of them.
        begun: the number of the last episode that was begun, if the process is careful.
    """

    spec: GameSpec
    code: str
    episodes: Sequence[Candidate]
    result: Scored
    is_alone: bool = False
    is_careful: bool = False
    files: dict[str, str] = field(default_factory=dict)
    has_ended: bool = False
    count: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    known: set[int] = field(default_factory=set)
    begun: int | None = None

    def rest(self) -> _Job:
        """Return a careful job with the episodes of which nothing is known."""
        left = [each for number, each in enumerate(self.episodes) if number not in self.known]
        return _Job(self.spec, self.code, left, self.result, self.is_alone, is_careful=True)


def score(
    found: Found,
    specs: Iterable[GameSpec],
    *,
    force: bool = False,
    compare: bool = False,
    processes: Processes | None = None,
    on_scored: Callable[[int], None] | None = None,
) -> list[Scored]:
    """Score the completed episodes of games.

    Args:
        found: the episodes, from :func:`find`; its problems take stores that turn out to be damaged.
        specs: the games.
        force: also score episodes whose scores are current.
        compare: write nothing; compare with the scores that are there.
        processes: the processes that score; by default one per processor of this process.
        on_scored: called with the number of episodes that were scored since the last call.

    Raises:
        StoreError: another process writes the store of a run that has no classic files.
        OSError: a file cannot be written.
    """
    if processes is None:
        with Processes() as own:
            return score(found, specs, force=force, compare=compare, processes=own, on_scored=on_scored)
    results, jobs = [], []
    for spec in specs:
        result = Scored(spec.game_name)
        results.append(result)
        episodes = found.episodes.get(spec.game_name, [])
        code = "" if compare else code_of(spec)
        pending = episodes if force or compare else _pending(episodes, code, found)
        result.current = len(episodes) - len(pending)
        result.missed = len(pending)
        parts = max(1, min(processes.number, len(pending) // FEWEST))
        jobs += [_Job(spec, code, pending[part::parts], result) for part in range(parts) if pending]
    with ScoreKeeper(found.ledgers, on_scored) as keeper:
        lanes = _Lanes(processes, keeper, compare=compare)
        lanes.do(jobs)
    for result in results:
        result.missed -= result.count
    for run, (reason, count) in lanes.damaged.items():
        found.add_damage(run, reason, f"The records of {count} episodes were scored from their classic files")
    for run, reason in keeper.unwritten.items():
        found.add_damage(run, reason, "The scores of the run are in its files only")
    return results


def _pending(episodes: Sequence[Candidate], code: str, found: Found) -> list[Candidate]:
    """Return the episodes whose scores do not fit the records, the code or the scorer."""
    # Episodes share what they were made from: it is looked at once.
    known: dict[int, bool] = {}

    def is_same(episode: Candidate) -> bool:
        making = found.ledgers[episode.run].making_of(episode.name)
        place = id(making)
        if place not in known:
            known[place] = making.code == code and all(hash_of(path) == old for path, old in making.files.items())
        return known[place]

    return [each for each in episodes if not each.is_scored or not is_same(each)]


class _Lanes:
    """Processes that score, each driven by a thread.

    Attributes:
        damaged: runs in whose store records cannot be read: the first reason, and how many were read from files.
    """

    def __init__(self, processes: Processes, keeper: ScoreKeeper, *, compare: bool) -> None:
        self._keeper = keeper
        self._compare = compare
        self._processes = processes
        # Held by the game that writes into a shared folder.
        self._alone = threading.Lock()
        self._waiting: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        # Jobs that must be done again alone, by game.
        self._again: dict[str, list[_Job]] = {}
        self._lock = threading.Lock()
        self.damaged: dict[str, tuple[str, int]] = {}

    def do(self, jobs: Sequence[_Job]) -> None:
        """Do all jobs."""
        while jobs:
            # A single process cannot disturb another.
            is_single = self._processes.number == 1 or len(jobs) == 1
            for job in jobs:
                job.is_alone = job.is_alone or is_single
                self._waiting.put(job)
            lanes = min(self._processes.number, len(jobs))
            with ThreadPoolExecutor(max_workers=lanes) as pool:
                try:
                    list(pool.map(lambda _: self._lane(), range(lanes)))
                except BaseException:  # Ctrl-C, too: what was scored is kept
                    self._drop_waiting()
                    raise
            jobs = [_joined(each) for each in self._again.values()]
            self._again.clear()

    def _lane(self) -> None:
        """Give jobs to one process until there are no more."""
        process: Process | None = None
        try:
            while (job := self._next()) is not None:
                if process is not None and process.popen.poll() is not None:
                    process.end()
                    process = None
                process = process or self._processes.take()
                with self._alone if job.is_alone else contextlib.nullcontext():
                    self._one(job, process.popen, process.noise)
        except BaseException:
            self._drop_waiting()
            raise
        finally:
            if process is not None:
                process.end()

    def _drop_waiting(self) -> None:
        """Begin nothing more: processes end with what they do now."""
        while self._next() is not None:
            pass

    def _next(self) -> _Job | None:
        try:
            return self._waiting.get_nowait()
        except queue.Empty:
            return None

    def _one(self, job: _Job, process: subprocess.Popen[str], noise: Path) -> None:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - they are pipes
        start = noise.stat().st_size
        order = {
            "spec": job.spec.to_dict(),
            "compare": self._compare,
            "is_watched": not job.is_alone,
            "is_careful": job.is_careful,
            "episodes": [
                [e.run, e.folder, e.game, e.experiment, e.game_id, e.epoch, e.attempt, e.has_files]
                for e in job.episodes
            ],
        }
        with contextlib.suppress(BrokenPipeError):  # how it ended is said below
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        status: int | None = None
        for line in process.stdout:
            try:
                message = json.loads(line)
            except ValueError:  # blank, or half a line of a process that was killed
                continue
            if message["kind"] == "end":
                status = message["status"]
                break
            with self._lock:
                self._take(job, message)
        job.result.count += job.count
        job.result.failed += [each for each in job.failed if each not in job.result.failed]
        if job.has_ended and status in (0, None):
            return
        with noise.open("rb") as file:
            file.seek(start)
            said = file.read().decode("utf-8", "replace").strip()
        with self._lock:
            self._crashed(job, ended(process.wait() if status is None else status), said)

    def _crashed(self, job: _Job, how: str, said: str) -> None:
        """Blame the episode during which a process ended unasked, and let another process go on with the others.

        What the process had scored last was not told yet, and the first time nobody knows which episode it was at:
        the next process says so.
        """
        last = "; ".join(said.splitlines()[-_TAIL:])
        text = f"the process of the scorer {how}: {last or 'it said nothing'}"
        if job.begun is not None and job.begun not in job.known:
            episode = job.episodes[job.begun]
            job.known.add(job.begun)
            job.result.failed.append((episode.folder, text))
            if not self._compare:
                write_failure(episode.folder, CRASH, text, said[-_MOST_SAID:])
                self._keeper.failed(episode)
        elif job.is_careful or len(job.known) == len(job.episodes):  # it ended before or after all episodes
            job.result.failed.append((job.spec.game_name, text))
            return
        rest = job.rest()
        if rest.episodes:
            self._waiting.put(rest)

    def _take(self, job: _Job, message: dict[str, Any]) -> None:
        kind, result = message.pop("kind"), job.result
        if kind == "begun":
            job.begun = message["number"]
        elif kind == "making":
            job.files = message["files"]
        elif kind == "scored":
            making = Making(job.code, "", job.files)
            for facts in message["episodes"]:
                number = facts.pop("number")
                self._note_damage(job.episodes[number], facts.pop("damage", ""))
                self._keeper.keep(job.episodes[number], making, facts)
                job.known.add(number)
            job.count += len(message["episodes"])
        elif kind == "failed":
            job.failed.append((message["place"], message["text"]))
            job.known.add(message["number"])
            if not self._compare:
                self._keeper.failed(job.episodes[message["number"]])
        elif kind == "warned":
            if message["text"] not in {text for _, text in result.warned}:
                result.warned.append((message["place"], message["text"]))
        elif kind == "compared":
            job.known.add(message["number"])
            self._note_damage(job.episodes[message["number"]], message["damage"])
            self._compared(result, message)
        elif kind == "broken":
            job.failed.append((job.spec.game_name, message["text"]))
        elif kind == "writes":
            result.writes = f"{message['line']} writes {message['path']}"
            self._again.setdefault(job.spec.game_name, []).append(job)
            job.has_ended = True
            job.count, job.failed = 0, []  # all of them are scored again
        elif kind == "done":
            job.has_ended = True

    def _note_damage(self, episode: Candidate, damage: str) -> None:
        if damage:
            first, count = self.damaged.get(episode.run, (damage, 0))
            self.damaged[episode.run] = first, count + 1

    @staticmethod
    def _compared(result: Scored, message: dict[str, Any]) -> None:
        result.count += 1
        if not message["is_scored"]:
            result.unscored += 1
        elif message["text"] is not None:
            result.different.append((message["place"], message["text"]))


def _joined(jobs: Sequence[_Job]) -> _Job:
    """Return one job with what is left of several of the same game, in the order of the episodes."""
    first = jobs[0]
    episodes = sorted((each for job in jobs for each in job.episodes), key=lambda each: (each.run, each.name))
    return _Job(first.spec, first.code, episodes, first.result, is_alone=True)
