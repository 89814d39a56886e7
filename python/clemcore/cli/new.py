"""``clem new``: a new game from a template, or fresh instances of a game."""

from __future__ import annotations

from pathlib import Path

import click

from clemcore.cli.inputs import examples
from clemcore.cli.respond import print_json
from clemcore.cli.terminal import note, out

_COPY_HELP = "Write a copy of the game into this folder."


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


@new.command(
    "instances",
    short_help="Draw fresh instances of a game, and compare them with the old ones.",
    epilog=examples(
        "clem new instances my_game --seed 2027",
        "clem run -g my_game -i instances_seed_2027 -m mock -r fresh",
        "clem new instances spot_the_change --seed 2027 -o ../fresh/spot_the_change",
    ),
)
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--seed", type=int, required=True, help="The seed of the game's generator.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help=_COPY_HELP)
@click.option("as_json", "--json", is_flag=True, help="Print the comparison as JSON.")
def instances(*, path: Path, seed: int, output: Path | None, as_json: bool) -> int:
    """Draw fresh instances with the generator of the game in the folder PATH.

    A model may have seen the old instances in its training. If it scores worse on fresh instances of the same
    distribution, its old score says too much. The comparison shows how many fresh instances equal old ones, and
    whether the fields look alike. The exit status is 1 if some equal old ones.

    A copy of the game (-o) has the same name, so write it outside of the folder in which you play the old game, and
    start 'clem run' in the folder around the copy.
    """
    from dataclasses import asdict

    from clemcore.clemgame.authoring.fresh_instances import fresh_instances
    from clemcore.clemgame.reading.spec import GameSpec
    from clemcore.errors import GameError

    specs = GameSpec.from_directory(str(path.absolute()))
    if len(specs) != 1:
        names = ", ".join(spec.game_name for spec in specs)
        raise GameError(f"{path} holds {len(specs)} games ({names}), which share a generator: draw by hand")
    found = fresh_instances(specs[0], seed, to=output)
    if as_json:
        print_json({"path": str(found.path), "experiments": [asdict(each) for each in found.reports]})
        return 1 if found.repeated else 0
    for report in found.reports:
        out(f"{report.name}: {report.new} instances ({report.old} before), {report.repeated} equal an old one")
        for name, fields in (("only in the old ones", report.missing), ("only in the new ones", report.added)):
            if fields:
                out(f"  {name}: {', '.join(fields)}")
        for each in report.fields:
            far = "; unlikely for one distribution" if each.is_far else ""
            out(f"  {each.name}: {each.old:.4g} before, {each.new:.4g} now (distance {each.distance:.2f}{far})")
    note(
        f"clem: {found.count} fresh instances, {found.repeated} of them equal to an old one; written: {found.path}"
    )
    return 1 if found.repeated else 0
