"""``clem view``: the page of results from the stores, also while a run is going on."""

from __future__ import annotations

from pathlib import Path

import click

from clemcore.cli.inputs import examples, note_set_aside
from clemcore.cli.terminal import note, out, progress


@click.command(
    short_help="Show results in a browser, also of a run in progress.",
    epilog=examples("clem view", "clem view results/gpt-4o", "clem view results/gpt-4o --port 8100"),
)
@click.argument("runs", nargs=-1, metavar="[RUN]...", type=click.Path(path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="The port on the loopback address; by default a free one.",
)
def view(*, runs: tuple[Path, ...], port: int) -> int:
    """Serve the page of RUNs on this machine until you press Ctrl-C.

    Without a RUN, it shows all runs in the folder 'results'. Each load of the page shows what the runs hold then.
    The address has a token: whoever does not know it sees nothing.
    """
    from clemcore.clemgame.pages.server import ViewServer

    paths = list(runs) or [Path("results")]
    note_set_aside(*paths)
    with progress(f"reading {', '.join(map(str, paths))}"):
        server = ViewServer(paths, port)
    out(server.address)
    note("Open this address in a browser on this machine. Ctrl-C ends the server.")
    try:
        server.serve()
    except KeyboardInterrupt:
        note("")
    return 0
