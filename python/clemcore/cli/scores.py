"""``clem score``: computes the scores of completed episodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clemcore.cli.greedy import GreedyCommand
from clemcore.cli.inputs import examples, results_folder
from clemcore.cli.terminal import note, progress, show_some
from clemcore.secrets import scrub

ALL = "all"


@click.command(
    cls=GreedyCommand,
    short_help="Compute the scores of completed episodes.",
    epilog=examples(
        "clem score",
        "clem score -r results/mock",
        "clem score -g taboo -m gpt-4o -r results",
    ),
)
@click.option("-g", "--game", default=ALL, metavar="GAME", help="A game or a selector (all).")
@click.option("-m", "--model", metavar="TEXT", help="Only results with this text in their path.")
@results_folder
def score(*, run: Path | None, game: str, model: str | None, results_dir: Path) -> int:
    """Compute the scores of completed episodes.

    RUN is the folder of a run, or one that holds some, as FOLDER. Results of clemcore 3.x and 1.x are read, too.
    Each game is scored in a process of its own. The scores of an episode are in scores.json beside its
    interactions, or in the store of a run without such files. Exit status 1: some episodes could not be scored.
    """
    return score_all(run or results_dir, game, model)


def score_all(path: Path, game: Any, model: str | None) -> int:
    """Score the episodes below a folder; return the exit status."""
    from clemcore.clemgame import scoring
    from clemcore.clemgame.registry import GameRegistry
    from clemcore.errors import RunError

    registry = GameRegistry.from_directories_and_cwd_files()
    if not path.is_dir():
        raise RunError(f"{path}: there is no such folder; name the folder of the results with -r")
    with progress(f"looking for episodes in {path}"):
        there = scoring.games_in(path, model)
    if not there:
        raise RunError(f"{path}: holds no completed episode{f' of {model}' if model else ''}")
    wanted = list(registry) if game == ALL else registry.get_game_specs_that_unify_with(game, verbose=False)
    specs = [spec for spec in wanted if spec.game_name in there]
    unknown = [name for name in there if name not in {spec.game_name for spec in wanted}] if game == ALL else []
    status = 0
    for name in unknown:
        note(f"clem: {name}: not scored, because there is no game of this name here; 'clem list games' shows all")
        status = 1
    with progress("scoring"):
        found = scoring.score(path, specs, model)
    for each in found:
        show_some([f"warning: {place}: {scrub(text)}" for place, text in each.warned])
        show_some([f"clem: {place}: {scrub(text)}" for place, text in each.failed])
        status = 1 if each.failed else status
        note(f"{each.game}: {each.count} episodes scored" + (f", {len(each.failed)} not" if each.failed else ""))
    return status
