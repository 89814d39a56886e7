"""``clem list``: which models, games, instances, backends and keys there are."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from clemcore.cli.inputs import examples
from clemcore.cli.selection import complete_backend
from clemcore.cli.terminal import Styled, note, table
from clemcore.registry.spec import ModelSpec
from clemcore.secrets import MASK, mask_fields

WHAT = ["models", "games", "instances", "backends", "keys"]

_SHOWN = f"[{'|'.join(WHAT)}]"

# What is read from the files of games.
OF_GAMES = ("games", "instances")

# Where the models stand that need no entry.
BUILT_IN = "built in"

# Shown by -v beside the columns that are always there: heading and field.
MORE_COLUMNS = {
    "ALIASES": "aliases",
    "PARAMETERS": "parameters",
    "RELEASED": "release_date",
    "OPEN": "open_weight",
    "LANGUAGES": "languages",
    "LICENSE": "license",
    "CONFIG": "model_config",
}


@click.command(
    "list",
    short_help="List models, games, instances, backends or keys.",
    epilog=examples(
        "clem list",
        "clem list models llama --backend huggingface_local -v",
        "clem list models | cut -f1",
        "clem list games -v",
        "clem list instances taboo",
        "clem list games -s \"{'benchmark': ['3.0']}\"",
        "clem list backends",
        "clem list keys --json",
    ),
)
@click.argument("what", type=click.Choice(WHAT), required=False, metavar=_SHOWN)
@click.argument("filter_", required=False, metavar="[FILTER]")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    metavar="NAME",
    help="Only of this backend; repeatable.",
    shell_complete=complete_backend,
)
@click.option(
    "-s",
    "--selector",
    metavar="SELECTOR",
    help="Only games that this selects: a name, all, or fields as a dict.",
)
@click.option("-v", "--verbose", is_flag=True, help="More columns.")
@click.option("as_json", "--json", is_flag=True, help="Print a JSON list of objects, with all fields.")
def list_(
    *,
    what: str | None,
    filter_: str | None,
    backends: tuple[str, ...],
    selector: str | None,
    verbose: bool,
    as_json: bool,
) -> int:
    """List models (the default), games, instances of games, backends or keys.

    What this installation cannot use is listed with the reason: a backend is not included or needs packages, an
    entry has a fault, a game has no instances. FILTER is a part of the name (or of an alias, or of a model's id),
    in upper or lower case. Games are those of ./game_registry.json and of the folders here, or else those of
    $CLEMBENCH_HOME. Instances are counted per experiment, and listed one by one with -v. On a terminal this is a
    table with a header; in a pipe one line per row, cells separated by tabs, no header. Keys are never shown. Exit
    status 1: a file of instances could not be read.
    """
    shown = what or "models"
    if backends and shown in OF_GAMES:
        raise click.UsageError("--backend belongs to models and backends")
    if selector is not None and shown not in OF_GAMES:
        raise click.UsageError("--selector belongs to games and instances: clem list games --selector …")
    rows, faults = _rows(shown, selector, filter_)
    for name in backends:
        _check_known(name, {row["backend"] for row in rows})
    wanted = [
        row
        for row in rows
        if (not backends or row["backend"] in backends)
        and (filter_ is None or any(filter_.lower() in str(name).lower() for name in _names(row)))
    ]
    if as_json:
        from clemcore.cli.respond import print_json

        print_json([{**row, "spec": mask_fields(row["spec"])} if "spec" in row else row for row in wanted])
    elif not wanted and not faults:
        note(f"no {shown}" + (" pass this filter" if rows or filter_ is not None else ""))
    elif wanted:
        table(*_cells(shown, wanted, verbose))
    for fault in faults:
        note(f"clem list: {fault}")
    if what is None and not as_json:
        note(Styled("these are the models; 'clem list games' lists the games", "dim"))
    return 1 if faults else 0


def _rows(what: str, selector: str | None, filter_: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what there is, and the faults of files that are missing from it."""
    if what not in OF_GAMES:
        return {"models": _models, "backends": _backends, "keys": _keys}[what](), []
    from clemcore.cli.game_listing import game_rows, instance_rows

    return (game_rows(selector), []) if what == "games" else instance_rows(selector, filter_)


def _cells(what: str, rows: list[dict[str, Any]], verbose: bool) -> tuple[list[str], list[list[str]]]:
    if what not in OF_GAMES:
        return {"models": _model_cells, "backends": _backend_cells, "keys": _key_cells}[what](rows, verbose)
    from clemcore.cli.game_listing import game_cells, instance_cells

    return game_cells(rows, verbose) if what == "games" else instance_cells(rows, verbose)


def _check_known(backend: str, listed: set[str]) -> None:
    """Refuse a backend that does not exist and that no row has: it is probably misspelt."""
    from clemcore.backends.lookup import BackendRegistry

    known = listed | {row["backend"] for row in BackendRegistry.from_packaged_and_cwd_files()}
    if backend not in known:
        import difflib

        near = difflib.get_close_matches(backend, sorted(known), n=1)
        hint = f"did you mean '{near[0]}'?" if near else "'clem list backends' shows all"
        raise click.BadParameter(f"there is no backend '{backend}': {hint}", param_hint="--backend")


def _names(row: dict[str, Any]) -> list[str]:
    """Return what FILTER is looked for in."""
    if "game" in row:
        return [row["game"]]
    if "game_name" in row:
        return [row["game_name"]]
    spec = row.get("spec")
    if spec is None:
        return [row["backend"]]
    return [spec.get("model_name", ""), _model_id(spec), *(spec.get("aliases") or ())]


# -- models ----------------------------------------------------------------------------------------------------
def _models() -> list[dict[str, Any]]:
    from clemcore.backends.lookup import BackendRegistry
    from clemcore.backends.usability import Usability
    from clemcore.registry.registry import ModelRegistry

    registry = ModelRegistry.from_packaged_and_cwd_files()
    usability = Usability(BackendRegistry.from_packaged_and_cwd_files())
    rows = []
    for index, spec in enumerate(registry):
        source, line = registry.location(index)
        row = {"model_name": spec.get("model_name"), "backend": spec.get("backend"), "source": source, "line": line}
        obstacle = usability.obstacle(spec)
        row |= {"usable": obstacle is None, "obstacle": obstacle}
        rows.append({**row, "spec": spec.to_dict()})
    taken = {row["model_name"] for row in rows}
    return rows + [row for row in _built_in() if row["model_name"] not in taken]


def _built_in() -> list[dict[str, Any]]:
    """Return the models that need no entry."""
    from clemcore.registry.spec import HUMAN_NAMES, PROGRAMMATIC_NAMES

    rows = []
    for backend, names in (("mock", PROGRAMMATIC_NAMES), ("human", HUMAN_NAMES)):
        aliases = [name for name in names[1:] if not name.startswith("_")]
        spec = {"model_name": names[0], "backend": backend, "aliases": aliases}
        row = {"model_name": names[0], "backend": backend, "source": BUILT_IN, "line": None}
        rows.append({**row, "usable": True, "obstacle": None, "spec": spec})
    return rows


def _model_cells(rows: Sequence[dict[str, Any]], verbose: bool) -> tuple[list[str], list[list[str]]]:
    header = ["MODEL", "BACKEND", "MODEL ID", "SOURCE", "CONTEXT", *(MORE_COLUMNS if verbose else ()), "STATE"]
    shown = ("model_id", "huggingface_id", "context_size", *(MORE_COLUMNS.values() if verbose else ()))
    cells = []
    for row in rows:
        spec = mask_fields({field: row["spec"].get(field) for field in shown})  # all fields would take far longer
        where = _short(row["source"]) + ("" if row["line"] is None else f":{row['line']}")
        line = [row["model_name"], row["backend"], _model_id(spec), where, spec.get("context_size")]
        line += [spec.get(field) for field in MORE_COLUMNS.values()] if verbose else []
        cells.append([_cell(value) for value in [*line, row["obstacle"] or "ready"]])
    return header, cells


def _model_id(spec: dict[str, Any]) -> str:
    return str(spec.get("model_id") or spec.get("huggingface_id") or "")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    if isinstance(value, dict):
        return str(value["name"]) if "name" in value else ModelSpec.from_dict(value).to_string()
    return str(value) or "-"


@functools.cache  # one source has many entries
def _short(path: str) -> str:
    """Return a path as the person would write it: relative where it is below the working directory."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_absolute() and here in Path(path).parents else path


# -- backends --------------------------------------------------------------------------------------------------
def _backends() -> list[dict[str, Any]]:
    from clemcore.backends.lookup import BackendRegistry
    from clemcore.backends.requirements import missing_packages

    rows: list[dict[str, Any]] = []
    for row in BackendRegistry.from_packaged_and_cwd_files():
        if row["backend"].startswith("_"):  # second names of 3.7.2 for backends that are listed already
            continue
        missing, install = missing_packages(Path(row["file_path"]))
        rows.append(
            {
                "backend": row["backend"],
                "lookup_source": row["lookup_source"],
                "file": row["file_path"],
                "usable": not missing,
                "missing": missing,
                "install": install,
                "hidden": any(other["backend"] == row["backend"] for other in rows),
            }
        )
    return rows


def _backend_cells(rows: Sequence[dict[str, Any]], verbose: bool) -> tuple[list[str], list[list[str]]]:
    cells = []
    for row in rows:
        where = _short(row["file"]) if row["lookup_source"] == "cwd" else row["lookup_source"]
        state = "hidden by the one above" if row["hidden"] else row["install"] or "ready"
        cells.append(
            [row["backend"], where, state, *([row["file"], ",".join(row["missing"]) or "-"] if verbose else ())]
        )
    return ["BACKEND", "FROM", "STATE", *(["FILE", "MISSING"] if verbose else ())], cells


# -- keys ------------------------------------------------------------------------------------------------------
def _keys() -> list[dict[str, Any]]:
    from clemcore import keys
    from clemcore.backends.lookup import BackendRegistry

    registry = keys.KeyRegistry.from_json()
    names = [
        *registry,
        *(row["backend"] for row in BackendRegistry.from_packaged_and_cwd_files()),
        *keys.KNOWN_NAMES,
    ]
    rows = []
    for name in dict.fromkeys(names):
        found = registry.find(name)
        if found is not None:
            key, where = found
            fields = sorted(field for field in key if field != "api_key")
            rows.append({"backend": name, "source": where, "has_api_key": key.has_api_key(), "fields": fields})
    return rows


def _key_cells(rows: Sequence[dict[str, Any]], verbose: bool) -> tuple[list[str], list[list[str]]]:
    cells = []
    for row in rows:
        where = row["source"].replace(os.path.expanduser("~") + os.sep, "~/", 1)  # noqa: PTH111 - text, no path
        shown = MASK if row["has_api_key"] else "[MISSING]"
        cells.append([row["backend"], _short(where), shown, *([",".join(row["fields"]) or "-"] if verbose else ())])
    return ["BACKEND", "FROM", "KEY", *(["FURTHER FIELDS"] if verbose else ())], cells
