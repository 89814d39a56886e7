"""``clem weights``: models of the hub on this machine: list, download, remove."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from clemcore.cli.inputs import examples
from clemcore.cli.respond import print_json
from clemcore.cli.selection import model_argument
from clemcore.cli.terminal import is_terminal, note, out, table
from clemcore.registry.spec import ModelSpec
from clemcore.visible import visible

_HEADER = ["MODEL", "COMMIT", "REFS", "SIZE", "LAST USE"]
_SHOWN = 12


@click.group(
    epilog=examples(
        "clem weights list",
        "clem weights fetch MODEL",
        "clem weights rm HuggingFaceTB/SmolLM2-135M-Instruct",
    )
)
def weights() -> None:
    """See, download and remove the weights of the hub's models on this machine."""


@weights.command("list")
@click.option("as_json", "--json", is_flag=True, help="Print a JSON list of objects.")
def list_(*, as_json: bool) -> None:
    """Show which commits of which models are here, their size, and when they were last used."""
    from clemcore.backends.local.hub import stored
    from clemcore.backends.local.memory import size_text

    found = stored()
    if as_json:
        print_json([_row(one) for one in found])
        return
    if found:
        cells = [
            [
                one.source,
                one.commit[:_SHOWN],
                ", ".join(one.refs) or "-",
                size_text(one.bytes),
                f"{one.used:%Y-%m-%d %H:%M}",
            ]
            for one in found
        ]
        table(_HEADER, cells)
    note(f"{_commits(len(found))}, {size_text(sum(one.bytes for one in found))}")


@weights.command()
@model_argument
@click.option("--small", is_flag=True, help="Only configuration and tokenizer, which 'clem fit' needs.")
def fetch(*, model: ModelSpec, small: bool) -> None:
    """Download a model; what is here already is not downloaded again."""
    from clemcore import loading
    from clemcore.backends.local import hub
    from clemcore.backends.local.entry import read_entry
    from clemcore.backends.local.transformers.loading import hub_options
    from clemcore.errors import SpecError

    spec = loading.resolve(model)
    if spec.get("backend") != "huggingface_local":
        raise SpecError(f"model '{spec['model_name']}' has no weights to download (backend {spec.get('backend')})")
    entry = read_entry(spec)
    if entry.is_folder:
        note(f"{entry.source} is a folder: there is nothing to download")
        return
    out(str(hub.fetch(entry, hub_options(entry).get("token"), small=small)))


@weights.command()
@click.argument("model", metavar="MODEL")
@click.option("--commit", metavar="HASH", help="Only this commit; its first characters are enough.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def rm(*, model: str, commit: str | None, yes: bool) -> None:
    """Remove a model from this machine, by its id on the hub or its name in the registry.

    It says how much that frees, and asks first. Without a terminal, --yes is needed.
    """
    from clemcore.backends.local import hub
    from clemcore.backends.local.memory import size_text

    source = _source_of(model)
    found = [one for one in hub.stored() if one.source == source and one.commit.startswith(commit or "")]
    if not found:
        if Path(os.path.expandvars(source)).expanduser().exists():
            raise click.UsageError(
                f"{visible(source)} is a file or folder of your own, and 'clem weights rm' removes only what was "
                "downloaded from the hub: delete it yourself if nothing else uses it."
            )
        at = f" at commit {commit}" if commit else ""
        raise click.UsageError(f"{visible(source)}{at} is not on this machine; 'clem weights list' shows what is.")
    commits = [one.commit for one in found]
    freed = size_text(hub.remove(commits, only_plan=True))
    if not yes:
        question = f"Remove {_commits(len(found))} of {source}? That frees {freed}."
        if not is_terminal(sys.stdin):
            raise click.UsageError(f"{question} Nobody can be asked here: add --yes.")
        click.confirm(visible(question), abort=True, err=True)
    hub.remove(commits)
    note(f"{source}: {_commits(len(found))} removed, {freed} freed")


def _source_of(model: str) -> str:
    """Return the hub id that a name of the registry stands for, or the id that was given."""
    from clemcore import loading
    from clemcore.errors import ClemcoreError

    if "/" in model:
        return model
    try:
        return str(loading.resolve(model).get("huggingface_id") or model)
    except ClemcoreError:
        return model


def _row(one: Any) -> dict[str, Any]:
    return {
        "model": one.source,
        "commit": one.commit,
        "refs": list(one.refs),
        "bytes": one.bytes,
        "last_use": one.used.isoformat(),
        "folder": str(one.folder),
    }


def _commits(number: int) -> str:
    return "1 commit" if number == 1 else f"{number} commits"
