"""``clem replay``: plays a run again from its recorded calls, and says which episodes go differently."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clemcore.cli.game_choice import game_names
from clemcore.cli.inputs import examples
from clemcore.cli.terminal import note, out, progress, show_some

if TYPE_CHECKING:
    from clemcore.clemgame.runs.replaying import Replayed


@click.command(
    short_help="Play a run again from its record, and compare.",
    epilog=examples(
        "clem replay results/mock",
        "clem replay results/gpt-4o -g taboo",
        "clem replay results --json",
    ),
)
@click.argument("path", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "games", "-g", "--game", multiple=True, metavar="GAME", help="A game or a selector (all); repeatable."
)
@click.option("as_json", "--json", is_flag=True, help="Print a JSON list of objects.")
@click.pass_context
def replay(ctx: click.Context, /, *, path: Path, games: tuple[str, ...], as_json: bool) -> int:
    """Play every completed episode again from its recorded calls, send nothing, and compare events and scores.

    Use it after a change of game code: it shows which episodes would have gone differently, and at which turn.
    Turns and events are counted from 0. RUN is the folder of a run, or one that holds some. Exit status 1: some
    differ.
    """
    from clemcore.clemgame.runs.replaying import replay as play_again
    from clemcore.clemgame.store.run_folder import hash_seed_of, runs_in
    from clemcore.cli.restart import restart_with_hash_seed

    folders = runs_in(path)
    names = game_names(games)
    _refuse_unknown(path, folders, names)
    wanted = hash_seed_of(folders[0])
    if wanted is not None:
        restart_with_hash_seed(ctx, wanted)
    found: list[tuple[Path, Replayed]] = []
    for folder in folders:
        with progress(f"playing {folder} again"):
            found.append((folder, play_again(folder, games=names or None)))
    if as_json:
        from clemcore.cli.respond import print_json

        print_json([_as_json(folder, each) for folder, each in found])
    else:
        for folder, each in found:
            _show(folder, each)
    return 0 if all(each.is_equal for _, each in found) else 1


def _refuse_unknown(path: Path, folders: list[Path], names: list[str]) -> None:
    """Refuse a game that no run has; without one, nothing would be played again, and nothing would differ."""
    from clemcore.clemgame.store import run_folder
    from clemcore.errors import RunError
    from clemcore.spelling import misspelling_of

    played = sorted({name for folder in folders for name in (run_folder.read(folder) or {}).get("games", ())})
    for name in names:
        if name not in played:
            near = misspelling_of(name, played)
            hint = f"did you mean '{near}'?" if near else f"it has those of {', '.join(played)}"
            raise RunError(f"{path}: holds no episode of the game '{name}': {hint}")


def _show(folder: Path, found: Replayed) -> None:
    from clemcore.clemgame.store.run_folder import hash_seed_of

    for difference in found.differences:
        out(str(difference))
    for scored in found.scores:
        for place, text in scored.different:
            out(f"{place}: scores differ: {text}")
        show_some([f"{place}: cannot be scored: {text}" for place, text in scored.failed])
    for problem in found.problems:
        note(problem)
    if found.differences and hash_seed_of(folder) is None:
        note(
            f"{folder}: was played with a random hash seed, so games that go through sets of texts may differ for "
            "that reason alone: set PYTHONHASHSEED for programs that play"
        )
    changed = len(found.differences)
    scores = sum(len(scored.different) for scored in found.scores)
    skipped = f", {found.skipped} were not completed and are left out" if found.skipped else ""
    unscored = sum(scored.unscored for scored in found.scores)
    without = f", {unscored} have no scores to compare" if unscored else ""
    note(
        f"{folder}: {found.count} episodes played again: {changed} differ, {scores} scores differ{without}{skipped}"
    )


def _as_json(folder: Path, found: Replayed) -> dict[str, object]:
    return {
        "folder": str(folder),
        "ok": found.is_equal,
        "episodes": found.count,
        "skipped": found.skipped,
        "differences": [
            {"episode": str(each.key), "turn": each.turn, "event": each.event, "text": each.text}
            for each in found.differences
        ],
        "scores": [{"place": place, "text": text} for scored in found.scores for place, text in scored.different],
        "problems": found.problems,
    }
