"""``clem check``: is a game ready to be run?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clemcore.cli.inputs import examples
from clemcore.cli.respond import print_json
from clemcore.cli.terminal import Styled, out
from clemcore.errors import GameError

if TYPE_CHECKING:
    from clemcore.clemgame.checking.remarks import Remark
    from clemcore.clemgame.registry import GameSpec

FAULTY = 1
STYLES = {"error": "red", "warning": "yellow", "hint": "dim"}


@click.group(epilog=examples("clem check game", "clem check game taboo"))
def check() -> None:
    """Check games before they are run."""


@check.command(
    "game",
    short_help="Check the files, the code, the texts and a few episodes of games.",
    epilog=examples(
        "clem check game                      the game in this folder, or all games here",
        "clem check game taboo games/wordle   a name, or a folder",
        "clem check game taboo --episodes 10",
        "clem check game --format github      in a workflow of GitHub",
        "clem check game --format sarif > check.sarif",
    ),
)
@click.argument("games", nargs=-1, metavar="[GAME]...")
@click.option(
    "--episodes", type=click.IntRange(min=0), default=3, help="Episodes to play with the mock (3); 0 plays none."
)
@click.option("--max-steps", type=click.IntRange(min=1), default=200, help="Most steps of an episode (200).")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=60.0, help="Most seconds of an episode (60).")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
    help="For people, programs, GitHub, or tools that read SARIF 2.1.0.",
)
@click.option("as_json", "--json", is_flag=True, help="The same as --format json.")
def game(*, games: tuple[str, ...], episodes: int, max_steps: int, timeout: float, form: str, as_json: bool) -> int:
    """Check games: files, code and texts, and episodes with the mock, with hostile players and in other orders.

    Findings have a file and a line. The checks find faults of clemgame.json and the instances, placeholders of
    templates that nothing fills, rules in several wordings, outcomes that cannot be reached, episodes that end in
    an error if a player does not keep to the rules, episodes that differ when they are played again, scores out of
    range, and variables that live episodes share. The exit status is 0 if no game has an error, otherwise 1.
    """
    from clemcore.clemgame.checking.game import check_game
    from clemcore.clemgame.checking.remarks import ERROR, as_github, as_sarif

    os.environ.setdefault("MPLBACKEND", "Agg")  # nobody looks at the windows of a trial
    form = "json" if as_json else form
    found: list[tuple[str, Remark]] = []
    try:
        specs = _specs(games)
    except GameError as fault:
        if form == "text":
            raise
        found, specs = _of_fault(fault), []
    for spec in specs:
        remarks, played = check_game(spec, episodes=episodes, most_steps=max_steps, seconds=timeout)
        found += [(spec.game_name, remark) for remark in remarks]
        if form == "text":
            _show(spec.game_name, remarks, played)
    if form == "json":
        print_json([{"game": name, **remark._asdict()} for name, remark in found])
    elif form == "github":
        for line in as_github(found, Path.cwd()):
            out(line)
    elif form == "sarif":
        out(as_sarif(found, Path.cwd()))
    return FAULTY if any(remark.severity == ERROR for _, remark in found) else 0


def _show(name: str, remarks: list[Remark], played: int) -> None:
    for remark in remarks:
        out(Styled(f"{remark.severity}: ", STYLES[remark.severity]), f"{name}: {remark}")
    state = "cannot be run as it is" if any(each.severity == "error" for each in remarks) else "ready"
    out(Styled(f"{name}: {state}", "bold"), f" ({played} episodes played with the mock)")


def _of_fault(fault: GameError) -> list[tuple[str, Remark]]:
    """Return what is wrong with files because of which there are no games to check."""
    from clemcore.clemgame.checking.game import remarks_of

    return [(Path(each.file).parent.name or "clem", each) for each in remarks_of(fault)]


@check.command(
    "schema",
    short_help="Print the JSON Schema of a file of a game.",
    epilog=examples("clem check schema clemgame > clemgame.schema.json", "clem check schema instances"),
)
@click.argument("name", type=click.Choice(["clemgame", "instances"]))
def schema(*, name: str) -> None:
    """Print the JSON Schema of clemgame.json, or of in/instances.json, for editors and other checkers.

    Editors use it if the file begins with "$schema" and the path of the schema.
    """
    from importlib import resources

    out(resources.files("clemcore.clemgame.schemas").joinpath(f"{name}.schema.json").read_text("utf-8").rstrip())


def _specs(games: tuple[str, ...]) -> list[GameSpec]:
    """Return the games that were named, by name or folder; without a name, that of this folder or all games here.

    Raises:
        GameError: there are none, or files have faults; all of them are in the error.
    """
    from clemcore.clemgame.reading.game_files import SPEC_FILE
    from clemcore.clemgame.registry import ALL, GameRegistry, GameSpec

    specs: list[GameSpec] = []
    faults: list[str] = []
    problems: list[Any] = []
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
            problems += fault.problems or ()
    if faults:
        raise GameError("\n".join(dict.fromkeys(faults)), problems)
    return list(dict.fromkeys(specs))
