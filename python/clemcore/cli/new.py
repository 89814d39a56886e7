"""``clem new``: a new game from a template, or fresh instances of a game."""

from __future__ import annotations

from pathlib import Path

import click

from clemcore.cli.inputs import examples
from clemcore.cli.terminal import note, out


@click.group(epilog=examples("clem new game my_game", "clem new game my_game --players 2 --languages en,de"))
def new() -> None:
    """Make a new game, or fresh instances of a game."""


@new.command(
    "game",
    short_help="Write a game that runs, scores and tests itself.",
    epilog=examples(
        "clem new game my_game",
        "clem new game my_game --players 2 --images --languages en,de",
        "clem check game my_game && clem run -g my_game -m mock && clem score && clem eval",
    ),
)
@click.argument("name")
@click.option("--players", type=click.IntRange(1, 2), default=1, show_default=True, help="How many players it has.")
@click.option("--images", is_flag=True, help="A player sees pictures.")
@click.option("--languages", default="en", show_default=True, metavar="CODE,…", help="Languages of the game.")
def game(*, name: str, players: int, images: bool, languages: str) -> None:
    """Write a new game into the folder NAME: rules, instances, code, scores and tests.

    One player finds a secret number. With two players, the other one gives hints. Change it into your own game.
    """
    from clemcore.clemgame.authoring.new_game import WRITTEN_IN, new_game

    wanted = list(dict.fromkeys(code.strip() for code in languages.split(",") if code.strip())) or ["en"]
    folder = new_game(name, Path(), players=players, images=images, languages=wanted)
    out(f"{folder}: a game with {players} player{'s' if players > 1 else ''}; next: clem check game {folder}")
    for language in wanted:
        if language not in WRITTEN_IN:
            note(f"clem: {folder}/resources/{language} is in English: translate it, and run instancegenerator.py")
