"""Evaluates scores: writes ``raw.csv``, ``results.csv``, ``results.html`` and ``results.json``.

The numbers are those of 3.7.2, unless episodes are missing: then the clemscore is not known, and has bounds.

Files are read and written here; the core computes. It does not know what a score means, or how to show a table.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clemcore._core import Evaluation, ResultsTable
from clemcore.clemgame.layout.jsonfile import indented
from clemcore.clemgame.layout.walking import folders_in
from clemcore.clemgame.results.adding import Adding, Problem
from clemcore.clemgame.results.kept import keep, kept_bytes
from clemcore.clemgame.results.known_scores import KnownScores
from clemcore.clemgame.results.score_files import ScoreNames, find_changes
from clemcore.clemgame.store.marks import is_run
from clemcore.errors import RunError

RAW, TABLE = "raw.csv", "results"
# Intervals of the last evaluation. It may be removed at any time: then all are computed again.
INTERVALS = ".results.intervals"
# Rows that are written at once.
_ROWS = 100_000


class PlayedScoreError(RunError):
    """A game computes the metric "Played", which the evaluation computes from "Aborted"."""


@dataclass
class Evaluated:
    """What an evaluation found and wrote.

    Attributes:
        table: the table of all models and games.
        episodes: how many episodes were read.
        unknown: how many episodes have no scores, by game and line-up, and by what became of them.
        kept: how many rows of an earlier ``raw.csv`` were kept.
        rows: how many rows ``raw.csv`` has now.
        problems: the episodes that do not count.
        files: what was written.
        figures: the content of ``results.json``: all figures with their counts and intervals.
    """

    table: ResultsTable
    episodes: int = 0
    unknown: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    kept: int = 0
    rows: int = 0
    problems: list[Problem] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


def evaluate(
    path: Path | str,
    *,
    model: str | None = None,
    game: str | None = None,
    deviation: bool = False,
    by_clemscore: bool = False,
    ignore_missing: bool = False,
    costs: bool = False,
    force: bool = False,
) -> Evaluated:
    """Read the scores below a folder, and write the tables into it.

    With ``model`` or ``game``, an earlier ``raw.csv`` is brought up to date: its rows of the selection are replaced
    by what is there now, and the tables show all its rows.

    Args:
        path: a folder of results, or a run.
        model: read only line-ups with this text in their name.
        game: read only this game.
        deviation: add columns with the standard deviation of the main score.
        by_clemscore: put the best clemscore first, instead of sorting by names.
        ignore_missing: leave episodes without scores out of account, as 3.7.2 did. Otherwise the clemscore of a
            line-up that has some is empty, and the table has bounds of it.
        costs: read the calls, too, and write ``costs.csv``.
        force: read all files, and compute all intervals; otherwise those of the last evaluation are used where
            nothing has changed.

    Raises:
        RunError: there is nothing to evaluate, or ``raw.csv`` cannot be brought up to date.
        OSError: a file cannot be written; an old one is as it was.
    """
    path = Path(path)
    if not path.is_dir():
        raise RunError(f"{path}: there is no such folder; name the folder of the results")
    evaluation = Evaluation()
    raw = path / RAW
    if (model is not None or game is not None) and raw.is_file():
        try:
            evaluation.keep(raw.read_bytes(), model, game)
        except ValueError as fault:
            raise RunError(f"{raw} {fault}. Evaluate all results, without a selection, to write it again") from None
    kept = len(evaluation)
    unreadable: list[tuple[Path, str]] = []
    known = KnownScores(evaluation, path, is_used=not force)
    adding = Adding(evaluation, known, model=model, game=game)
    adding.add(find_changes(path, unreadable, known))
    problems, without = adding.problems, adding.without
    problems[:0] = [Problem(run, f"is not read completely: {text}") for run, text in unreadable]
    if model is None and game is None:  # a selection knows only its part
        known.save()
    evaluation.count_played()
    if not len(evaluation):
        raise RunError(_nothing(path, model, game, problems))
    evaluation.note_unknown(without)
    runs = _runs(path)
    _set_levels(evaluation, runs)
    table = evaluation.table(deviation=deviation, by_clemscore=by_clemscore, ignore_missing=ignore_missing)
    files = [raw, *(path / f"{TABLE}.{kind}" for kind in ("csv", "html", "json"))]
    _write(files[0], (evaluation.raw_csv(at, _ROWS) for at in range(0, len(evaluation), _ROWS)))
    _write(files[1], [table.csv().encode()])
    _write(files[2], [table.html().encode()])
    figures = _figures(evaluation, path / INTERVALS, force=force)
    problems += [Problem(path, text) for text in _add_line_ups(figures, runs, path)]
    if figures["pairs"]:
        files.append(path / "pairs.csv")
        _write(files[-1], [_csv(*_pair_rows(figures["pairs"]))])
    if costs:
        from clemcore.clemgame.results.costs import cost_report, rows_of

        without_costs: list[tuple[Path, str]] = []
        figures["costs"] = cost_report(path, figures, without_costs)
        problems += [Problem(place, f"is not in the costs: {text}") for place, text in without_costs]
        files.append(path / "costs.csv")
        _write(files[-1], [_csv(*rows_of(figures["costs"]))])
    _write(files[3], [indented(figures).encode("utf-8", "backslashreplace"), b"\n"])
    return Evaluated(table, adding.count, _counted(without), kept, len(evaluation), problems, files, figures)


def _figures(evaluation: Evaluation, path: Path, *, force: bool) -> dict[str, Any]:
    """Return all figures; intervals whose episodes are as they were come from the file of the last evaluation."""
    before = kept_bytes(path)
    evaluation.remember(b"" if force else before)
    figures: dict[str, Any] = json.loads(evaluation.json())
    keep(path, evaluation.remembered(), before)
    return figures


def _runs(path: Path) -> list[Path]:
    """Return the runs in a folder that have a manifest; none if it is within one, or they are at another depth."""
    return [path] if is_run(path) else [each for each in folders_in(path) if is_run(each)]


def _add_line_ups(figures: dict[str, Any], runs: Sequence[Path], path: Path) -> list[str]:
    """Add who plays in each line-up, whether they are people, and pairs; return what is wrong with winners."""
    figures["pairs"], figures["strengths"] = [], {}
    for model in figures["models"].values():
        model["roles"] = model["people"] = None
    if not runs:  # nothing says who played
        return []
    from clemcore.clemgame.results.pairs import pairs_of, roles_of

    roles = roles_of(runs)
    for name, model in figures["models"].items():
        known = roles.get(name)
        model["roles"] = known.models if known else None
        model["people"] = any(known.people) if known else None
    found = pairs_of(figures, roles, path)
    figures["pairs"] = found.rows
    figures["strengths"] = found.strengths
    return found.problems


def _pair_rows(pairs: Sequence[dict[str, Any]]) -> tuple[Sequence[str], list[list[Any]]]:
    counts = ("planned", "played", "aborted", "lost", "limit", "error", "missing", "unscored")
    header = ["game", "role 1", "role 2", "line_up", *counts, "instances", "clemscore", "low", "high"]
    rows = []
    for pair in pairs:
        interval = pair["intervals"]["clemscore"]
        row = [
            pair["game"],
            pair["first"],
            pair["second"],
            pair["line_up"],
            *(pair["counts"][name] for name in counts),
        ]
        rows.append([*row, pair["instances"], pair["clemscore"], interval["low"], interval["high"]])
    return header, rows


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _set_levels(evaluation: Evaluation, runs: Iterable[Path]) -> None:
    """Give the intervals of games that were stopped early the level that their looks need."""
    for run in runs:
        from clemcore.clemgame.runs.until import levels_of  # only where there is a manifest

        for game, level in levels_of(run).items():
            evaluation.set_level(game, run.name, level)


def _counted(without: Iterable[tuple[ScoreNames, str]]) -> dict[tuple[str, str], Counter[str]]:
    """Count outcomes by game and line-up."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for names, outcome in without:
        counts.setdefault((names.game, names.model), Counter())[outcome] += 1
    return counts


def _nothing(path: Path, model: str | None, game: str | None, problems: list[Problem]) -> str:
    if problems:
        return f"{problems[0].place} {problems[0].text}. No episode below {path} has scores that can be read"
    filters = [f"-m {model}"] if model is not None else []
    filters += [f"-g {game}"] if game is not None else []
    if filters:
        return f"{path}: no scored episode passes {' '.join(filters)}; without it, all results are evaluated"
    return f"{path}: no episode has scores; compute them with 'clem score' first"


def _write(path: Path, parts: Iterable[bytes]) -> None:
    """Replace a file as a whole."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("wb") as file:
            for part in parts:
                file.write(part)
        temporary.replace(path)
    except OSError as fault:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108 - it may not exist
        raise OSError(fault.errno, f"cannot be written: {fault.strerror}", str(path)) from None
