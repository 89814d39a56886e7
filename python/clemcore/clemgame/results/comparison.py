"""Compares models, or runs, on the instances that they share.

It finds the results and refuses those that do not belong together; the core computes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clemcore._core import Evaluation
from clemcore.clemgame.results.adding import Problem
from clemcore.clemgame.results.kept import keep, kept_bytes
from clemcore.clemgame.results.origins import differences
from clemcore.clemgame.results.score_files import SCORED, UNSCORED, EpisodeScores, ScoreNames, find_outcomes
from clemcore.clemgame.runs.until import levels_of
from clemcore.errors import RunError
from clemcore.spelling import misspelling_of

# Differences of the last comparison. It may be removed at any time: then all are computed again.
DIFFERENCES = ".results.differences"
# As many differences between runs are listed in an error.
_SHOWN = 20


@dataclass
class Compared:
    """What a comparison found.

    Attributes:
        figures: models with their counts and ranks, and pairs with their differences (docs/statistics.md).
        across: what differs between the runs beside the models.
        problems: episodes that do not count.
    """

    figures: dict[str, Any]
    across: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def compare(
    names: Sequence[str],
    results: Path | str,
    *,
    games: Sequence[str] = (),
    across: bool = False,
) -> Compared:
    """Compare models or runs, each with each.

    Args:
        names: at least two; each is the folder of a run, or the name of a line-up in ``results``.
        results: the folder of the results.
        games: only these games.
        across: compare also what was played with other code, instances, templates or arguments.

    Raises:
        RunError: a name is not found or means several runs, the runs do not belong together, or no two of them
            have an instance in common.
    """
    runs = _chosen(names, Path(results))
    across_found = differences(list(runs.values()))
    if across_found and not across:
        shown = "\n".join(f"  {line}" for line in across_found[:_SHOWN])
        more = f"\n  … and {len(across_found) - _SHOWN} more" if len(across_found) > _SHOWN else ""
        raise RunError(
            f"the runs were not played with the same code, instances, templates and arguments, so more than the "
            f"models differs:\n{shown}{more}\n  Compare them anyway with --across"
        )
    evaluation, problems = _read(runs, games)
    kept = Path(results) / DIFFERENCES
    before = kept_bytes(kept)
    evaluation.remember(before)
    if not len(evaluation):
        filters = f" passes {' '.join(f'-g {game}' for game in games)}" if games else " has scores"
        where = ", ".join(map(str, runs.values()))
        raise RunError(f"{where}: there is nothing to compare, because no episode{filters}. 'clem eval' says why")
    figures: dict[str, Any] = json.loads(evaluation.comparison())
    if kept.parent.is_dir():
        keep(kept, evaluation.remembered(), before)
    if not any(pair["differences"] for pair in figures["pairs"]):
        unreadable = [f"\n  {problem.place} {problem.text}" for problem in problems if problem.place.is_dir()]
        raise RunError(
            f"{' and '.join(names)} have no instance in common that both played: compare results of the same "
            f"games, experiments and instances{''.join(unreadable)}"
        )
    return Compared(figures, across_found, problems)


def _chosen(names: Sequence[str], results: Path) -> dict[str, Path]:
    """Return the run of each name, labelled so that no two labels are equal."""
    if len(names) < 2:  # noqa: PLR2004 - a pair
        raise RunError("name at least two models or runs to compare")
    runs: dict[str, Path] = {}
    faults = []
    seen: set[Path] = set()
    for name in names:
        found = _runs_of(name, results)
        if len(found) != 1:
            faults.append(_not_one(name, found, results))
        elif found[0].resolve() in seen:
            faults.append(f"'{name}': names {found[0]} a second time; a run cannot be compared with itself")
        else:
            seen.add(found[0].resolve())  # results/../results/a and a link to it are the same run
            label = found[0].name
            runs[str(found[0]) if label in runs else label] = found[0]
    if faults:
        raise RunError("\n".join(faults))
    return runs


def _runs_of(name: str, results: Path) -> list[Path]:
    """Return the runs that a name means: those in a folder, or the folders of this name in the results."""
    path = Path(name)
    if path.is_dir():
        # What cannot be read is named when the runs are read.
        unreadable: list[tuple[Path, str]] = []
        runs = dict.fromkeys(_run_of(episode) for episode in find_outcomes(path, unreadable))
        runs |= {} if runs else dict.fromkeys(run for run, _ in unreadable)
        return [run.relative_to(Path.cwd()) if run.is_relative_to(Path.cwd()) else run for run in runs]
    return [run for run in _line_ups(results) if run.name == name]


def _run_of(episode: EpisodeScores) -> Path:
    return next(folder for folder in episode.place.parents if folder.name == episode.names.model)


def _line_ups(results: Path) -> list[Path]:
    """Return the folders in a folder of results, and those one level deeper, in another set of results."""
    if not results.is_dir():
        raise RunError(f"{results}: there is no such folder; name the folder of the results with -r")
    return sorted(each for depth in ("*", "*/*") for each in results.glob(depth) if each.is_dir())


def _not_one(name: str, found: Sequence[Path], results: Path) -> str:
    if found:
        return f"'{name}': means {len(found)} runs ({', '.join(map(str, found[:3]))}); name one folder"
    known = {run.name: None for run in _line_ups(results) if run.parent == results}
    near = misspelling_of(name, known)
    hint = f"did you mean '{near}'?" if near else f"there are: {', '.join(sorted(known)) or 'none'}"
    return f"'{name}': is neither a folder nor a line-up in {results}: {hint}"


def _read(runs: dict[str, Path], games: Sequence[str]) -> tuple[Evaluation, list[Problem]]:
    evaluation = Evaluation()
    problems: list[Problem] = []
    without: list[tuple[ScoreNames, str]] = []
    scored: list[tuple[ScoreNames, bytes]] = []
    places: list[Path] = []
    unreadable: list[tuple[Path, str]] = []
    for names, episode in _episodes(runs, games, problems, unreadable):
        if episode.outcome != SCORED:
            without.append((names, episode.outcome))
            continue
        try:
            scored.append((names, episode.read()))
            places.append(episode.place)
        except OSError as fault:
            problems.append(Problem(episode.place, f"cannot be read: {fault.strerror}"))
            without.append((names, UNSCORED))
    problems[:0] = [Problem(run, f"is not read completely: {text}") for run, text in unreadable]
    for at, played, text in evaluation.add(scored):
        problems.append(Problem(places[at], text, played))
        without.append((scored[at][0], UNSCORED))
    evaluation.count_played()
    evaluation.note_unknown(without)
    for label, run in runs.items():
        for game, level in levels_of(run).items():
            evaluation.set_level(game, label, level)
    return evaluation, problems


def _episodes(
    runs: dict[str, Path],
    games: Sequence[str],
    problems: list[Problem],
    unreadable: list[tuple[Path, str]],
) -> Iterator[tuple[ScoreNames, EpisodeScores]]:
    for label, run in runs.items():
        seen: set[ScoreNames] = set()
        for episode in find_outcomes(run, unreadable):
            names = episode.names._replace(model=label)
            if games and names.game not in games:
                continue
            if names.scope() in seen:
                problems.append(
                    Problem(episode.place, "is a second episode of the same instance; the first counts")
                )
                continue
            seen.add(names.scope())
            yield names, episode
