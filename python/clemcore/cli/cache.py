"""``clem cache``: what a cache of calls holds, and removing it."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from clemcore.cli.inputs import examples, read_time
from clemcore.cli.respond import print_json
from clemcore.cli.terminal import is_terminal, note, table
from clemcore.visible import visible

HEADER = ["PROVIDER", "MODEL", "REPLIES", "BYTES", "FIRST", "LAST"]


@click.group(
    epilog=examples(
        'clem respond -m MODEL --cache calls.sqlite3 "Hello!"',
        "clem cache stat calls.sqlite3",
        "clem cache clear calls.sqlite3 --model gpt-4o --before 2026-11-01",
    )
)
def cache() -> None:
    """See and clear the answers that were kept of services.

    A cache is used only where one is named: by 'clem respond --cache FILE', backends.cache(FILE), or
    $CLEMCORE_CALL_CACHE.
    """


def _path(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Path:
    from clemcore.calls.cache import default_path

    return default_path() if text is None else Path(text).expanduser()


def _file(command: Any) -> Any:
    return click.argument("path", required=False, callback=_path, metavar="[FILE]")(command)


@cache.command()
@_file
@click.option("as_json", "--json", is_flag=True, help="Print a JSON list of objects.")
def stat(*, path: Path, as_json: bool) -> None:
    """Show how many replies are kept, of which models."""
    from clemcore.calls.cache import statistics

    rows = statistics(path)
    if as_json:
        print_json(rows)
        return
    table(HEADER, [[str(value) for value in row.values()] for row in rows])
    note(f"{path}: {sum(row['replies'] for row in rows)} replies, {path.stat().st_size} bytes on disk")


@cache.command()
@_file
@click.option("--model", metavar="NAME", help="Only replies of this model, by its name at the service.")
@click.option(
    "--before", callback=read_time, metavar="TIME", help="Only replies kept before this time (2026-11-01)."
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def clear(*, path: Path, model: str | None, before: datetime | None, yes: bool) -> None:
    """Remove replies; without options all.

    You are asked first. Without a terminal, --yes is needed: the replies may have cost money.
    """
    from clemcore.calls.cache import clear as remove
    from clemcore.calls.cache import statistics

    kept = sum(row["replies"] for row in statistics(path))
    if kept and not yes:
        some = "those that match" if model is not None or before is not None else "all of them"
        question = f"{path} keeps {kept} replies. Remove {some}?"
        if not is_terminal(sys.stdin):
            raise click.UsageError(f"{question} Nobody can be asked here: add --yes.")
        click.confirm(visible(question), abort=True, err=True)
    limit = None if before is None else before.astimezone().isoformat()
    note(f"{path}: {remove(path, model=model, before=limit)} replies removed")
