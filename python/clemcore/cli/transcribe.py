"""``clem transcribe``: episodes as pages that people read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clemcore.cli.game_choice import ALL, game_names
from clemcore.cli.greedy import GreedyCommand
from clemcore.cli.inputs import examples, note_set_aside, results_folder
from clemcore.cli.terminal import note, progress, show_some
from clemcore.secrets import scrub

if TYPE_CHECKING:
    from clemcore.clemgame.registry import Selector


@click.command(
    cls=GreedyCommand,
    short_help="Write transcripts of episodes, as HTML and TeX.",
    epilog=examples(
        "clem transcribe",
        "clem transcribe -g taboo",
        "clem transcribe -r results/mock",
    ),
)
@click.option("-g", "--game", default=ALL, metavar="GAME", help="A game or a selector (all).")
@results_folder
def transcribe(*, run: Path | None, game: str, results_dir: Path) -> int:
    """Write transcript.html and transcript.tex of completed episodes.

    They are written beside the interactions, or where these would be if a run has none. Exit status 1: something
    could not be read.
    """
    return transcribe_all(run or results_dir, game)


def transcribe_all(path: Path, game: Selector) -> int:
    """Transcribe the episodes below a folder; return the exit status."""
    from clemcore.clemgame.repeats import without_repeats
    from clemcore.clemgame.transcripts import builder

    note_set_aside(path)
    with progress(f"transcribing {path}"):
        done = builder.transcribe(path, game_names([game]))
    show_some(without_repeats(f"clem: {place}: {scrub(text)}" for place, text in done.problems))
    left_out = f"; {done.left_out} did not end and have none" if done.left_out else ""
    failed = f", {done.failed} not" if done.failed else ""
    note(f"{done.episodes} episodes transcribed{failed}{left_out}")
    return 1 if done.problems else 0
