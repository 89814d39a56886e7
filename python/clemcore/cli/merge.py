"""``clem merge``: puts the files of a run's shards together into one."""

from __future__ import annotations

from pathlib import Path

import click

from clemcore.cli.inputs import examples
from clemcore.cli.terminal import note


@click.command(
    short_help="Put the shards of a run together into one file.",
    epilog=examples("clem merge results/mock", "clem merge results              all runs in a folder"),
)
@click.argument("run", type=click.Path(path_type=Path))
def merge(run: Path) -> None:
    """Put the files of the shards of RUN together into one, which is read again and compared first.

    RUN is the folder of a run, or a folder that holds some. Every command reads shards as one run, so this is only
    needed to go on without shards, or with another number of them. Contradictory data is refused.
    """
    from clemcore.clemgame.runs.shards import PLAN_NOTE
    from clemcore.clemgame.runs.watching import NOTE
    from clemcore.clemgame.store.merging import merge as merge_files
    from clemcore.clemgame.store.run_folder import runs_in

    for folder in runs_in(run):
        merged = merge_files(folder, left_out=frozenset({PLAN_NOTE, NOTE}))
        files = f"{merged.files} files put together" if merged.files > 1 else "one file already"
        note(f"{folder}: {files}, {merged.episodes} episodes")
