"""``clem status``: how far a run is, also while another process plays it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clemcore.cli.inputs import examples
from clemcore.cli.terminal import note, say

if TYPE_CHECKING:
    from clemcore.clemgame.runs.watching import RunStatus


@click.command(
    short_help="Show how far a run is.",
    epilog=examples(
        "clem status results",
        "clem status results/mock",
        "clem status results/mock --json",
        "watch clem status results",
    ),
)
@click.argument("path", metavar="[RUN]", default="results", type=click.Path(path_type=Path))
@click.option("as_json", "--json", is_flag=True, help="Print a JSON list of objects.")
def status(*, path: Path, as_json: bool) -> int:
    """Show episodes by outcome, calls, tokens, USD, rate, time left and the newest errors.

    RUN is the folder of a run, or one that holds some. It is read only, also while another process writes it.
    """
    from clemcore.clemgame.runs.watching import status_of
    from clemcore.clemgame.store.run_folder import runs_in
    from clemcore.errors import StoreError

    found, problems = [], []
    for folder in runs_in(path):
        try:
            found.append(status_of(folder))
        except StoreError as fault:  # the others are shown
            problems.append(str(fault))
    if problems and not found:
        raise StoreError("\n".join(problems))
    for problem in problems:
        note(f"clem: {problem}")
    if as_json:
        from clemcore.cli.respond import print_json

        print_json([each.to_dict() for each in found])
        return int(bool(problems))
    for each in found:
        _show(each)
    return int(bool(problems))


def _show(found: RunStatus) -> None:
    say(f"{found.folder}: {found.summary()}")
    for place, text in found.errors:
        note(f"  {place}: {text}")
