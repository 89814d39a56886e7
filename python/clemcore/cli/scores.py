"""``clem score``: computes the scores of completed episodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clemcore.cli.greedy import GreedyCommand
from clemcore.cli.inputs import examples, results_folder
from clemcore.cli.terminal import note, progress, show_some
from clemcore.secrets import scrub

if TYPE_CHECKING:
    from clemcore.clemgame.scoring import Scored

ALL = "all"


@click.command(
    cls=GreedyCommand,
    short_help="Compute the scores of completed episodes.",
    epilog=examples(
        "clem score",
        "clem score -r results/mock",
        "clem score -g taboo -m gpt-4o -e high_en -r results",
        "clem score --force                         also what has current scores",
    ),
)
@click.option("-g", "--game", default=ALL, metavar="GAME", help="A game or a selector (all).")
@click.option("-m", "--model", metavar="TEXT", help="Only results with this text in their path.")
@click.option("-e", "--experiment", metavar="NAME", help="Only episodes of this experiment.")
@click.option("--force", is_flag=True, help="Score all episodes again.")
@results_folder
def score(
    *, run: Path | None, game: str, model: str | None, experiment: str | None, force: bool, results_dir: Path
) -> int:
    """Compute the scores of completed episodes.

    RUN is the folder of a run, or one that holds some, as FOLDER. Results of clemcore 3.x and 1.x are read, too.
    An episode is scored again only if its records, the code of its game or its scorer have changed. The scores are
    in scores.json beside the interactions, and in the store of the run. Exit status 1: some episodes could not be
    scored.
    """
    return score_all(run or results_dir, game, model, experiment=experiment, force=force)


def score_all(
    path: Path, game: Any, model: str | None, *, experiment: str | None = None, force: bool = False
) -> int:
    """Score the episodes below a folder; return the exit status."""
    from clemcore.clemgame.registry import GameRegistry
    from clemcore.clemgame.scoring import find, score
    from clemcore.errors import RunError

    registry = GameRegistry.from_directories_and_cwd_files()
    if not path.is_dir():
        raise RunError(f"{path}: there is no such folder; name the folder of the results with -r")
    with progress(f"looking for episodes in {path}"):
        found = find(path, model, experiment)
    status = 1 if found.problems else 0
    show_some([f"clem: {place}: {scrub(text)}" for place, text in found.problems])
    if not found.episodes:
        raise RunError(f"{path}: holds no completed episode{_selection(model, experiment)}")
    wanted = list(registry) if game == ALL else registry.get_game_specs_that_unify_with(game, verbose=False)
    specs = [spec for spec in wanted if spec.game_name in found.episodes]
    known = {spec.game_name for spec in wanted}
    unknown = [name for name in found.episodes if name not in known] if game == ALL else []
    for name in unknown:
        note(f"clem: {name}: not scored, because there is no game of this name here; 'clem list games' shows all")
        status = 1
    if game != ALL and not specs:
        names = ", ".join(sorted(found.episodes))
        raise RunError(f"{path}: holds no completed episode of the game {game}; it has those of {names}")
    with progress("scoring"):
        results = score(found, specs, force=force)
    for each in results:
        _show(each)
        status = 1 if each.failed else status
    return status


def _selection(model: str | None, experiment: str | None) -> str:
    parts = [f"-m {model}"] if model is not None else []
    parts += [f"-e {experiment}"] if experiment is not None else []
    return f" that passes {' '.join(parts)}" if parts else ""


def _show(result: Scored) -> None:
    show_some([f"warning: {place}: {scrub(text)}" for place, text in result.warned])
    show_some([f"clem: {place}: {scrub(text)}" for place, text in result.failed])
    told = [f"{result.count} episodes scored"]
    told += [f"{len(result.failed)} not"] if result.failed else []
    told += [f"{result.current} were up to date"] if result.current else []
    told += [f"in one process, because {result.writes}"] if result.writes else []
    note(f"{result.game}: {', '.join(told)}")
