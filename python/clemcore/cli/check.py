"""``clem check``: is a game ready to be run?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clemcore.cli.inputs import examples
from clemcore.cli.respond import print_json
from clemcore.cli.terminal import Styled, out
from clemcore.errors import GameError

if TYPE_CHECKING:
    from clemcore.clemgame.registry import GameSpec

FAULTY = 1
STYLES = {"error": "red", "warning": "yellow", "hint": "dim"}


@click.group(epilog=examples("clem check game", "clem check game taboo"))
def check() -> None:
    """Check games before they are run."""


@check.command(
    "game",
    short_help="Check the files, the code and a few episodes of games.",
    epilog=examples(
        "clem check game                      the game in this folder, or all games here",
        "clem check game taboo games/wordle   a name, or a folder",
        "clem check game taboo --episodes 10",
    ),
)
@click.argument("games", nargs=-1, metavar="[GAME]...")
@click.option(
    "--episodes", type=click.IntRange(min=0), default=3, help="Episodes to play with the mock (3); 0 plays none."
)
@click.option("--max-steps", type=click.IntRange(min=1), default=200, help="Most steps of an episode (200).")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=60.0, help="Most seconds of an episode (60).")
@click.option("as_json", "--json", is_flag=True, help="Print a JSON list of objects.")
def game(*, games: tuple[str, ...], episodes: int, max_steps: int, timeout: float, as_json: bool) -> int:
    """Check games: their files, whether they can be imported, and a few episodes with the mock and their scores.

    It also finds variables of modules and classes that an episode changes. Live episodes share such variables, so a
    game that keeps its state there needs "concurrency": 1 in its clemgame.json. The exit status is 0 if no game has
    an error, otherwise 1.
    """
    from clemcore.clemgame.checking.game import ERROR, check_game

    os.environ.setdefault("MPLBACKEND", "Agg")  # nobody looks at the windows of a trial
    rows: list[dict[str, str]] = []
    is_faulty = False
    for spec in _specs(games):
        remarks, played = check_game(spec, episodes=episodes, most_steps=max_steps, seconds=timeout)
        is_faulty = is_faulty or any(remark.severity == ERROR for remark in remarks)
        rows += [{"game": spec.game_name, **remark._asdict()} for remark in remarks]
        if as_json:
            continue
        for remark in remarks:
            out(Styled(f"{remark.severity}: ", STYLES[remark.severity]), f"{spec.game_name}: {remark.message}")
        state = "cannot be run as it is" if any(each.severity == ERROR for each in remarks) else "ready"
        out(Styled(f"{spec.game_name}: {state}", "bold"), f" ({played} episodes played with the mock)")
    if as_json:
        print_json(rows)
    return FAULTY if is_faulty else 0


def _specs(games: tuple[str, ...]) -> list[GameSpec]:
    """Return the games that were named, by name or folder; without a name, that of this folder or all games here.

    Raises:
        GameError: there are none, or files have faults; all of them are in the error.
    """
    from clemcore.clemgame.game_files import SPEC_FILE
    from clemcore.clemgame.registry import ALL, GameRegistry, GameSpec

    specs: list[GameSpec] = []
    faults: list[str] = []
    registry = None
    for name in games or ((".",) if Path(SPEC_FILE).exists() else (ALL,)):
        try:
            if (Path(name) / SPEC_FILE).exists():
                specs += GameSpec.from_directory(str(Path(name).absolute()))
                continue
            registry = registry or GameRegistry.from_directories_and_cwd_files()
            specs += registry.get_game_specs_that_unify_with(name, verbose=False)
        except GameError as fault:
            faults.append(str(fault))
    if faults:
        raise GameError("\n".join(dict.fromkeys(faults)))
    return list(dict.fromkeys(specs))
