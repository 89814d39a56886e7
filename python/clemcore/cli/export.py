"""``clem export``: the classic files of a run, written from its store."""

from __future__ import annotations

from pathlib import Path

import click

from clemcore.cli.inputs import examples
from clemcore.cli.terminal import note


@click.command(
    epilog=examples(
        "clem export results/mock --to classic              into the run itself",
        "clem export results --to classic -o classic        all runs, into another folder",
        "clem export results/mock --to classic --requests single",
    )
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", "layout", type=click.Choice(["classic"]), required=True, help="The layout to write.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of results to write to; by default the run itself.",
)
@click.option(
    "--requests",
    type=click.Choice(["players", "single", "both"]),
    default="players",
    show_default=True,
    help="Calls in one file per player, in a single requests.json, or in both.",
)
def export(run: Path, layout: str, output: Path | None, requests: str) -> None:  # noqa: ARG001 - one layout so far
    """Write the episodes of RUN in another layout.

    RUN is the folder of a run, or a folder that holds some. Episodes that did not end have no files.
    """
    from clemcore.clemgame.exporting import export_classic

    exported = export_classic(run, to=output, requests=requests)
    for folder in exported.folders:
        click.echo(folder)
    rest = f"; {exported.left_out} did not end and have no files" if exported.left_out else ""
    note(f"{exported.episodes} episodes written{rest}")
