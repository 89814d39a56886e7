"""``clem score``: computes the scores of completed episodes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clemcore.cli.game_choice import ALL
from clemcore.cli.greedy import GreedyCommand
from clemcore.cli.inputs import examples, note_set_aside, results_folder
from clemcore.cli.terminal import note, progress, show_some
from clemcore.secrets import scrub

if TYPE_CHECKING:
    from clemcore.clemgame.registry import GameRegistry, GameSpec
    from clemcore.clemgame.scoring import Scored


@click.command(
    cls=GreedyCommand,
    short_help="Compute the scores of completed episodes.",
    epilog=examples(
        "clem score",
        "clem score -r results/mock",
        "clem score -g taboo -g wordle -m gpt-4o -m mock",
        "clem score -g taboo -e high_en -r results",
        "clem score --force                         also what has current scores",
    ),
)
@click.option(
    "-g", "--game", "games", multiple=True, metavar="GAME", help="A game or a selector (all); repeatable."
)
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="TEXT",
    help="Only results with this text in their path; repeatable.",
)
@click.option(
    "-e",
    "--experiment",
    "experiments",
    multiple=True,
    metavar="NAME",
    help="Only episodes of this experiment; repeatable.",
)
@click.option("--force", is_flag=True, help="Score all episodes again.")
@results_folder
def score(
    *,
    run: Path | None,
    games: tuple[str, ...],
    models: tuple[str, ...],
    experiments: tuple[str, ...],
    force: bool,
    results_dir: Path,
) -> int:
    """Compute the scores of completed episodes.

    RUN is the folder of a run, or one that holds some, as FOLDER. Results of clemcore 3.x and 1.x are read, too.
    An episode is scored again only if its records, the code of its game or its scorer have changed. The scores are
    in scores.json beside the interactions, and in the store of the run. Exit status 1: some episodes could not be
    scored.
    """
    return score_all(run or results_dir, games or (ALL,), models, experiments=experiments, force=force)


def score_all(
    path: Path,
    games: Sequence[Any],
    models: Sequence[str],
    *,
    experiments: Sequence[str] = (),
    force: bool = False,
) -> int:
    """Score the episodes below a folder; return the exit status.

    Args:
        path: a run, or a folder that holds some.
        games: names or selectors; those of any of them are scored, and "all" stands for all.
        models: only results with one of these texts in their path; all if there is none.
        experiments: only episodes of these experiments; all if there is none.
        force: score also what has current scores.
    """
    from clemcore.clemgame.registry import GameRegistry
    from clemcore.clemgame.scoring import Processes, find, score
    from clemcore.errors import RunError

    registry = GameRegistry.from_directories_and_cwd_files()
    if not path.is_dir():
        raise RunError(f"{path}: there is no such folder; name the folder of the results with -r")
    note_set_aside(path)
    with Processes() as processes:
        with progress(f"looking for episodes in {path}"):
            # Processes start while the rest is looked for.
            found = find(path, models, experiments, on_pending=processes.expect)
        try:
            present = {episode.experiment for episodes in found.episodes.values() for episode in episodes}
            absent = [name for name in experiments if name not in present]
            if not found.episodes or absent:
                raise RunError(f"{path}: holds no completed episode{_selection(models, absent or experiments)}")
            is_all = ALL in games
            if is_all:
                wanted, unusable = _of_episodes(registry, found.episodes)
            else:
                wanted, unusable = _named(registry, games, path, found.episodes), []
            specs = [spec for spec in wanted if spec.game_name in found.episodes]
            for text in unusable:
                note(f"clem: {text}")
            with progress("scoring"):
                results = score(found, specs, force=force, processes=processes)
        finally:  # scoring can find out more about a damaged store
            show_some([f"clem: {place}: {scrub(text)}" for place, text in found.problems])
    status = 1 if found.problems or unusable else 0
    for each in results:
        _show(each)
        status = 1 if each.failed or each.missed else status
    return status


def _of_episodes(registry: GameRegistry, episodes: Collection[str]) -> tuple[list[GameSpec], list[str]]:
    """Return the games of all episodes, and why some of them cannot be scored."""
    from clemcore.errors import GameError

    found: list[GameSpec] = []
    unusable: list[str] = []
    for name in episodes:
        try:
            spec = registry.find_game_spec(name)
        except GameError as error:  # several folders have it
            unusable.append(f"{name}: not scored: {error}")
            continue
        if spec is None:
            unusable.append(
                f"{name}: not scored, because there is no game of this name here; 'clem list games' shows all"
            )
        else:
            found.append(spec)
    return found, unusable


def _named(registry: GameRegistry, games: Sequence[Any], path: Path, episodes: Collection[str]) -> list[GameSpec]:
    """Return the games that are asked for, each once; each selector must mean one with episodes."""
    from clemcore.errors import RunError

    found: dict[str, GameSpec] = {}
    for game in games:
        specs = registry.get_game_specs_that_unify_with(game, verbose=False)
        if not any(spec.game_name in episodes for spec in specs):
            names = ", ".join(sorted(episodes))
            raise RunError(f"{path}: holds no completed episode of the game {game}; it has those of {names}")
        found |= {spec.game_name: spec for spec in specs}
    return list(found.values())


def _selection(models: Sequence[str], experiments: Sequence[str]) -> str:
    parts = [f"-m {model}" for model in models]
    parts += [f"-e {experiment}" for experiment in experiments]
    return f" that passes {' '.join(parts)}" if parts else ""


def _show(result: Scored) -> None:
    show_some([f"warning: {place}: {scrub(text)}" for place, text in result.warned])
    show_some([f"clem: {place}: {scrub(text)}" for place, text in result.failed])
    told = [f"{result.count} episodes scored"]
    told += [f"{result.missed} not"] if result.missed else []
    told += [f"{result.current} were up to date"] if result.current else []
    told += [f"in one process, because {result.writes}"] if result.writes else []
    note(f"{result.game}: {', '.join(told)}")
