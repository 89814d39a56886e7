"""``clem eval``: the tables of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clemcore.cli.figures import ends_of, note_cautions, show_costs, show_pairs
from clemcore.cli.game_choice import game_names
from clemcore.cli.greedy import GreedyCommand
from clemcore.cli.inputs import examples, note_set_aside, results_folder
from clemcore.cli.terminal import note, progress, show_some, table
from clemcore.secrets import scrub

if TYPE_CHECKING:
    from clemcore._core import ResultsTable

_BOUNDS = ("-, clemscore (lower bound)", "-, clemscore (upper bound)")
_BEST = 100
_SHOWN = ("-, clemscore", "all, Average % Played", "all, Average Quality Score")
_HEADER = ("model", "clemscore", "95 % interval", "% played", "quality score")


@click.command(
    "eval",
    cls=GreedyCommand,
    short_help="Compute the tables of scores.",
    epilog=examples(
        "clem eval",
        "clem eval -r results --sort clemscore --std",
        "clem eval -m gpt-4o                        reads one model again, keeps all others",
        "clem eval -m gpt-4o -g taboo",
    ),
)
@click.option("-m", "--model", metavar="TEXT", help="Read only line-ups with this text in their name again.")
@click.option("-g", "--game", metavar="GAME", help="Read only this game again; a name, or a selector of one.")
@click.option("--std", is_flag=True, help="Add columns with the standard deviation of the quality score.")
@click.option(
    "--sort",
    type=click.Choice(["model_name", "clemscore"]),
    default="model_name",
    show_default=True,
    help="The order of the models.",
)
@click.option(
    "--missing",
    type=click.Choice(["bounds", "ignore"]),
    default="bounds",
    show_default=True,
    help="What becomes of a clemscore if episodes have no scores; 'ignore' gives that of 3.7.2.",
)
@click.option(
    "--parquet/--no-parquet",
    default=None,
    help="Also write episodes.parquet and calls.parquet; by default if pyarrow is installed.",
)
@click.option(
    "--excel",
    is_flag=True,
    help="Also write a copy of each CSV file (raw-excel.csv, …) in which a spreadsheet finds no formula.",
)
@click.option("--pairs", is_flag=True, help="Also show who plays how well with whom, by role.")
@click.option("--costs", is_flag=True, help="Also show tokens, USD and seconds; reads all calls.")
@click.option("--force", is_flag=True, help="Read all scores again, and compute all intervals.")
@results_folder
def eval_(
    *,
    run: Path | None,
    model: str | None,
    game: str | None,
    std: bool,
    sort: str,
    missing: str,
    parquet: bool | None,
    excel: bool,
    pairs: bool,
    costs: bool,
    force: bool,
    results_dir: Path,
) -> int:
    """Compute raw.csv, results.csv, results.html and results.json from the scores of episodes.

    The files are written into the folder of the results. With -m or -g, raw.csv is brought up to date: its rows of
    this selection are replaced, and the tables show all rows. Exit status 1: some files of scores do not count.
    """
    from clemcore.clemgame.repeats import without_repeats
    from clemcore.clemgame.results.evaluation import evaluate
    from clemcore.clemgame.results.known_scores import FILE

    path = run or results_dir
    chosen_games = [] if game is None else game_names([game])
    if len(chosen_games) > 1:
        raise click.UsageError(
            f"-g {game} means {', '.join(chosen_games)}: name one of them, or leave -g out for all"
        )
    game = chosen_games[0] if chosen_games else None
    note_set_aside(path)
    with progress(f"evaluating {path}"):
        done = evaluate(
            path,
            model=model,
            game=game,
            deviation=std,
            by_clemscore=sort == "clemscore",
            ignore_missing=missing == "ignore",
            costs=costs,
            force=force,
        )
    if not done.episodes:  # all rows are earlier ones
        chosen = [f"-m {model}"] * (model is not None) + [f"-g {game}"] * (game is not None)
        note(f"clem: no scored episode passes {' '.join(chosen)}")
    show_some(without_repeats(f"clem: {problem.place} {scrub(problem.text)}" for problem in done.problems))
    show_some([_unknown(names, counts) for names, counts in done.unknown.items()])
    show_some([f"clem: {scrub(line)}" for line in _odd_scales(done.figures)])
    show_some([f"clem: {scrub(line)}" for line in _without_outcome(done.figures)])
    table(_HEADER, _rows(done.table, done.figures))
    note_cautions(model["intervals"]["clemscore"] for model in done.figures["models"].values())
    for name, found in done.figures["models"].items():
        if found["counts"]["aborted"] == found["counts"]["planned"] > 0:
            note(f"clem: {scrub(name)}: all episodes were aborted, so nothing has a quality score or a clemscore")
    if pairs:
        show_pairs(done.figures)
    if costs:
        show_costs(done.figures)
    kept = f", {done.kept} earlier rows kept" if done.kept else ""
    refused = sum(problem.place.name == FILE for problem in done.problems)
    left_out = f", {refused} not" if refused else ""
    if excel:
        from clemcore.clemgame.results.excel import write_for_excel

        done.files += [write_for_excel(file) for file in done.files if file.suffix == ".csv"]
    unreadable = _write_parquet(path, parquet, done.files, model, game)
    note(f"{done.episodes} episodes evaluated{left_out}{kept}; written: {', '.join(map(str, done.files))}")
    return 1 if done.problems or unreadable else 0


def _write_parquet(path: Path, wanted: bool | None, files: list[Path], model: str | None, game: str | None) -> bool:
    """Write the Parquet files and add them to the files; tell whether some episodes cannot be read."""
    if wanted is False:
        return False
    from clemcore.clemgame.repeats import without_repeats
    from clemcore.clemgame.results.parquet import is_available, write_parquet
    from clemcore.errors import RunError, StoreError

    if wanted is None and not is_available():
        return False
    if not is_available():
        raise RunError("--parquet needs pyarrow: pip install 'clemcore[results]'")
    try:
        with progress("writing Parquet files"):
            written, unreadable = write_parquet(path, model=model, game=game)
    except StoreError:
        if wanted:
            raise
        return False  # a folder that holds scores and no records
    files += written
    lines = (f"clem: {place}: not in the Parquet files: {scrub(text)}" for place, text in unreadable)
    show_some(without_repeats(lines))
    return bool(unreadable)


def _rows(found: ResultsTable, figures: dict[str, Any]) -> list[list[str]]:
    rows = []
    for name, cells in zip(found.models, found.cells, strict=True):
        of = dict(zip(found.columns, cells, strict=True))
        clemscore, *rest = (_number(of[column]) for column in _SHOWN)
        lower, upper = (of.get(column, math.nan) for column in _BOUNDS)
        if not math.isnan(lower):
            clemscore = f"incomplete: {_number(lower)} to {_number(upper)}"
        interval = figures["models"][name]["intervals"]["clemscore"]
        rows.append([name, clemscore, ends_of(interval), *rest])
    return rows


def _unknown(names: tuple[str, str], counts: Mapping[str, int]) -> str:
    game, model = names
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    number = sum(counts.values())
    return f"clem: {model}, {game}: {number} {'episode has' if number == 1 else 'episodes have'} no scores ({told})"


def _without_outcome(figures: dict[str, Any]) -> list[str]:
    """Say which scores do not tell whether their episodes were played."""
    lines = []
    for name, model in figures["models"].items():
        for game, cell in model["games"].items():
            if number := cell.get("without_outcome", 0):
                what = "1 episode has scores" if number == 1 else f"{number} episodes have scores"
                lines.append(
                    f'{name}, {game}: {what} without an "Aborted" from 0 to 1, so nobody knows what was played '
                    "to its end, and the clemscore is incomplete. Correct the scorer and run 'clem score --force'"
                )
    return lines


def _odd_scales(figures: dict[str, Any]) -> list[str]:
    """Say which games have main scores that are not on the scale of the others."""
    ranges: dict[str, list[Any]] = {}
    for model in figures["models"].values():
        for game, cell in model["games"].items():
            if cell.get("main_score_range"):
                ranges.setdefault(game, []).extend(cell["main_score_range"])
    # JSON has no infinity: the end of such a range is null.
    endless = {game: None in found for game, found in ranges.items()}
    ranges = {game: found for game, found in ranges.items() if not endless[game]}
    lines = [
        f"{game}: some main scores are infinite or too large, so its means are not numbers. "
        "Correct the scorer and run 'clem score --force'"
        for game, is_endless in endless.items()
        if is_endless
    ]
    lines += [
        f"{game}: main scores from {min(found):g} to {max(found):g} are not on the scale from 0 to 100, "
        "so means over games mix scales"
        for game, found in ranges.items()
        if min(found) < 0 or max(found) > _BEST
    ]
    return lines + [
        f"{game}: main scores from {min(found):g} to {max(found):g} seem to be on a scale from 0 to 1; "
        "a mean over games takes them for scores from 0 to 100"
        for game, found in ranges.items()
        if min(found) >= 0 and 0 < max(found) <= 1
    ]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"
