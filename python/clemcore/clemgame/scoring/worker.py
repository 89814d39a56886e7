"""The process that scores episodes of one game after another: each game in a fork, so that modules do not mix.

It reads jobs from standard input, a line of JSON each, and tells what became of them on standard output. It writes
the files of scores. It does not know the ledger, nor which episodes need scores.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clemcore.clemgame.benchmark import GameBenchmark
from clemcore.clemgame.engine.garbage import rarely_collected
from clemcore.clemgame.layout.file_state import state_of
from clemcore.clemgame.metrics import write_scores
from clemcore.clemgame.reading.spec import GameSpec
from clemcore.clemgame.scoring.comparing import first_difference
from clemcore.clemgame.scoring.failures import FAILURE, write_failure
from clemcore.clemgame.scoring.ledger import short_hash
from clemcore.clemgame.scoring.records import Records, Source
from clemcore.clemgame.scoring.writes import Writes
from clemcore.errors import ClemcoreError

SCORES = "scores.json"
# Different warnings of one job that are shown.
_MOST_WARNINGS = 20
# So many scored episodes are reported in one message; a careful process sends one for each episode.
_AT_ONCE = 25


class _Teller:
    """Tells the parent process what happens, a line of JSON each.

    Args:
        is_careful: tell of each scored episode at once.
    """

    def __init__(self, *, is_careful: bool) -> None:
        self._at_once = 1 if is_careful else _AT_ONCE
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._scored: list[dict[str, Any]] = []
        os.dup2(2, 1)  # what scorers print must not stand between the results

    def tell(self, kind: str, **fields: Any) -> None:
        if self._scored:
            scored, self._scored = self._scored, []
            self._write({"kind": "scored", "episodes": scored})
        self._write({"kind": kind, **fields})
        self._out.flush()

    def scored(self, facts: dict[str, Any]) -> None:
        self._scored.append(facts)
        if len(self._scored) >= self._at_once:
            scored, self._scored = self._scored, []
            self._write({"kind": "scored", "episodes": scored})
            self._out.flush()

    def _write(self, value: dict[str, Any]) -> None:
        self._out.write(json.dumps(value) + "\n")


class _Warnings(logging.Handler):
    """Tells the warnings of a scorer, each once."""

    def __init__(self, teller: _Teller, place: str) -> None:
        super().__init__(logging.WARNING)
        self._teller = teller
        self._told: set[str] = set()
        self.place = place

    def emit(self, record: logging.LogRecord) -> None:
        """Tell a warning, unless it was told before."""
        text = " ".join(record.getMessage().split())
        if text not in self._told and len(self._told) < _MOST_WARNINGS:
            self._told.add(text)
            self._teller.tell("warned", place=self.place, text=text)


class _Job:
    """Scores some episodes of one game.

    Args:
        order: the specification, the episodes, and how they are scored.
        teller: tells what happens.
    """

    def __init__(self, order: dict[str, Any], teller: _Teller) -> None:
        self._spec = GameSpec.from_dict(order["spec"])
        self._order = order
        self._teller = teller
        self._warnings = _Warnings(teller, self._spec.game_name)
        self._is_told = False
        self._writes: Writes | None = None
        if order["is_watched"]:
            self._writes = Writes([str(Path.cwd()), str(self._spec.game_path)], self._stop)

    def _stop(self, path: str, line: str) -> None:
        self._teller.tell("writes", path=path, line=line)
        os._exit(0)  # before anything is written; code that catches everything could go on otherwise

    def run(self) -> None:
        """Score the episodes."""
        logging.getLogger().addHandler(self._warnings)
        own = str(self._spec.game_path)
        try:
            with (
                rarely_collected(),
                GameBenchmark.load_from_spec(self._spec) as benchmark,
                contextlib.closing(Records()) as records,
            ):
                for number, source in enumerate(map(Source._make, self._order["episodes"])):
                    self._warnings.place = source.folder
                    if self._order["is_careful"]:
                        self._teller.tell("begun", number=number)
                    try:
                        self._one(benchmark, records, number, source)
                    except (Exception, SystemExit) as fault:  # noqa: BLE001 - code of a game; the others go on
                        self._failed(number, source, fault)
        except ClemcoreError as fault:
            self._teller.tell("broken", text=" ".join(str(fault).split()))
        except Exception as fault:  # noqa: BLE001 - the game's own code, which may raise anything
            self._teller.tell("broken", text=_reason(fault, own))

    def _one(self, benchmark: GameBenchmark, records: Records, number: int, source: Source) -> None:
        found = records.read(source)
        with _folder_for(source, is_kept=not self._order["compare"]) as folder:
            scorer = benchmark.create_game_scorer(found.experiment, found.instance)
            with self._watched(folder):
                with _staying_here():
                    scorer.compute_scores(found.interactions)
                write_scores(scorer, folder)
            data, state = _written(scorer, f"{folder}/{SCORES}")
        if self._order["compare"]:
            self._compare(number, source, records, data, found.damage)
            return
        if not self._is_told:
            self._is_told = True
            self._teller.tell("making", files=_sources_of(type(scorer), str(self._spec.game_path)))
        facts = {"number": number, "hash": short_hash(data), "scores": state if source.has_files else None}
        if found.damage:  # nothing is written to a damaged store
            facts["damage"] = found.damage
        elif source.attempt:
            facts["body"] = data.decode()
        self._teller.scored(facts | found.facts)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{source.folder}/{FAILURE}")  # noqa: PTH108
            if not source.has_files:  # the error alone had made the folder of the episode
                with contextlib.suppress(OSError):
                    os.removedirs(source.folder)

    @contextlib.contextmanager
    def _watched(self, folder: str) -> Iterator[None]:
        """Stop the process in the block before something is written outside of a folder, unless it is alone."""
        if self._writes is None:
            yield
            return
        self._writes.allow(folder)
        self._writes.is_active = True
        try:
            yield
        finally:
            self._writes.is_active = False

    def _compare(self, number: int, source: Source, records: Records, data: bytes, damage: str) -> None:
        before = records.scores(source)
        difference = None if before is None else first_difference(before, json.loads(data))
        about = {"number": number, "place": source.folder, "damage": damage}
        self._teller.tell("compared", **about, is_scored=before is not None, text=difference)

    def _failed(self, number: int, source: Source, fault: BaseException) -> None:
        text = _reason(fault, str(self._spec.game_path))
        if not self._order["compare"]:
            trace = "".join(traceback.format_exception(fault))
            write_failure(source.folder, type(fault).__name__, str(fault), trace)
        self._teller.tell("failed", number=number, place=source.folder, text=text)


@contextlib.contextmanager
def _staying_here() -> Iterator[None]:
    """Go back to the working directory after the block: paths of results may be relative to it."""
    home = os.getcwd()  # noqa: PTH109 - for each episode
    try:
        yield
    finally:
        os.chdir(home)


def _written(scorer: Any, path: str) -> tuple[bytes, list[int]]:
    """Return the scores that a scorer wrote, with the state of the file."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a run has many
            data, status = file.readall(), os.fstat(file.fileno())
    except FileNotFoundError:
        where = _place_of(type(scorer).store_scores)
        raise ValueError(f"store_scores() wrote no {SCORES}{where}: call super().store_scores(…)") from None
    return data, list(state_of(status))


@contextlib.contextmanager
def _folder_for(source: Source, *, is_kept: bool) -> Iterator[str]:
    """Give the folder that a scorer writes into; what it leaves there besides the scores is kept."""
    if source.has_files and is_kept:
        yield source.folder
        return
    with tempfile.TemporaryDirectory(prefix="clem-scores-") as root:
        # As deep as the folder of an episode is, because scorers before 2.2 take it in three parts.
        folder = os.path.join(root, *Path(source.folder).parts[-4:])  # noqa: PTH118
        os.makedirs(folder)  # noqa: PTH103
        yield folder
        if is_kept:
            _keep_others(Path(folder), Path(source.folder))


def _keep_others(folder: Path, target: Path) -> None:
    """Move the files that a scorer left to where the files of the episode would be."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / SCORES:
            place = target / path.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())


def _reason(fault: BaseException, game_path: str) -> str:
    """Return an error in one line, with the last place of the game's own code."""
    text = " ".join(f"{type(fault).__name__}: {fault}".split())
    own = [frame for frame in traceback.extract_tb(fault.__traceback__) if frame.filename.startswith(game_path)]
    return f"{text} ({own[-1].filename}:{own[-1].lineno})" if own else text


def _place_of(function: Any) -> str:
    code = getattr(function, "__code__", None)
    return f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""


def _sources_of(scorer: type, game_path: str) -> dict[str, str]:
    """Return the files that a scorer's class comes from, other than those of its game, with their hashes."""
    files: dict[str, str] = {}
    for each in scorer.__mro__:
        file = getattr(sys.modules.get(each.__module__), "__file__", None)
        if file and not file.startswith(game_path):
            with contextlib.suppress(OSError):
                files[file] = short_hash(Path(file).read_bytes())
    return files


def main() -> None:
    """Do jobs until there are no more, each in a process of its own where the system can fork."""
    for line in sys.stdin:
        order = json.loads(line)
        status = 0
        if hasattr(os, "fork"):
            child = os.fork()
            if not child:
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the next jobs are not for scorers
                _do(order)
                os._exit(0)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        else:  # pragma: no cover - the parent starts another process for the next job
            _do(order)
        # A job that was killed may have left half a line.
        sys.stdout.write("\n" + json.dumps({"kind": "end", "status": status}) + "\n")
        sys.stdout.flush()
        if not hasattr(os, "fork"):  # pragma: no cover
            return


def _do(order: dict[str, Any]) -> None:
    teller = _Teller(is_careful=order["is_careful"])
    _Job(order, teller).run()
    teller.tell("done")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # Python would free all objects first, while the process that started this one waits
