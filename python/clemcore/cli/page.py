"""``clem page``: results as pages that a browser shows."""

from __future__ import annotations

from pathlib import Path

import click

from clemcore.cli.inputs import examples, note_set_aside
from clemcore.cli.terminal import note, out, progress, show_some
from clemcore.secrets import scrub


@click.command(
    short_help="Write results as a page for browsers.",
    epilog=examples(
        "clem page",
        "clem page results/gpt-4o results/mock -o my-page",
        "clem page results/mock --single mock.html",
    ),
)
@click.argument("runs", nargs=-1, metavar="[RUN]...", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    default="page",
    show_default=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Write the page into this folder; an earlier page there is replaced.",
)
@click.option(
    "--single",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write one file instead, for up to 1,000 episodes.",
)
def page(*, runs: tuple[Path, ...], output: Path, single: Path | None) -> int:
    """Write a page with tables, plots, every episode and every call of RUNs.

    Without a RUN, it shows all runs in the folder 'results'. Open its index.html, or put the folder on any web
    server; the page loads nothing but its own files. Exit status 1: some files could not be read; the page names
    them.
    """
    from clemcore.clemgame.pages.folder import write_folder, write_single
    from clemcore.clemgame.repeats import without_repeats

    paths = list({path.resolve(): path for path in runs}.values()) or [Path("results")]
    note_set_aside(*paths)
    with progress(f"writing the page of {', '.join(map(str, paths))}"):
        done = write_folder(paths, output) if single is None else write_single(paths, single)
    show_some(without_repeats(f"clem: {scrub(problem)}" for problem in done.problems))
    note(f"{done.episodes:,} episodes" + (f", {len(done.problems)} problems" if done.problems else ""))
    out(str(done.path))
    return 1 if done.problems else 0
