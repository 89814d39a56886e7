"""Which games and instances there are, as rows for ``clem list``.

It imports no game: what is listed comes from the files of the games.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clemcore.clemgame.instances import GameInstances
from clemcore.clemgame.reading.instance_files import file_name
from clemcore.clemgame.registry import ALL, GameRegistry, GameSpec
from clemcore.cli.terminal import is_terminal
from clemcore.errors import GameError

# Shown by -v beside the columns that are always there: heading and field.
MORE_COLUMNS = {
    "MAIN GAME": "main_game",
    "ROLES": "roles",
    "BENCHMARK": "benchmark",
    "LANGUAGES": "languages",
    "IMAGE": "image",
    "CONCURRENCY": "concurrency",
}
_LONGEST = 60
_SHOWN_FIELDS = 6


def game_rows(selector: str | None) -> list[dict[str, Any]]:
    """Return the games, those that cannot be used with the reason.

    Raises:
        GameError: the selector matches no game.
    """
    registry = GameRegistry.from_directories_and_cwd_files()
    clashes = registry.same_names()
    rows = []
    for spec in _chosen(registry, selector):
        obstacle = _obstacle(spec, clashes.get(spec.game_name, []))
        row = {"game_name": spec.game_name, "game_path": str(spec.game_path), "players": spec.players}
        rows.append({**row, "usable": obstacle is None, "obstacle": obstacle, "spec": spec.to_dict()})
    return rows


def instance_rows(selector: str | None, part: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the instances of the games, and the faults of the files that cannot be read.

    Args:
        selector: what selects the games.
        part: a part of the name that the games must have.

    Raises:
        GameError: the selector matches no game.
    """
    rows: list[dict[str, Any]] = []
    faults: list[str] = []
    for spec in _chosen(GameRegistry.from_directories_and_cwd_files(), selector):
        if part is not None and part.lower() not in spec.game_name.lower():
            continue
        try:
            instances = GameInstances.from_game_spec(spec)
        except GameError as fault:
            faults.append(str(fault))
            continue
        # The names of the first fields are those of a data set for `to_instance_filter`.
        rows += [
            {
                "game": spec.game_name,
                "experiment": row["experiment"]["name"],
                "task_id": row["game_instance"]["game_id"],
                "file": file_name(spec),
                "game_instance": row["game_instance"],
            }
            for row in instances
        ]
    return rows, faults


def _chosen(registry: GameRegistry, selector: str | None) -> list[GameSpec]:
    if selector is None or selector == ALL:
        return registry.get_game_specs()
    return registry.get_game_specs_that_unify_with(selector, verbose=False)


def _obstacle(spec: GameSpec, same: Sequence[GameSpec]) -> str | None:
    """Return why a game cannot be played as it is, or None."""
    others = [str(other.game_path) for other in same if other.game_path != spec.game_path]
    if others:
        return f"the same name as in {', '.join(others)}"
    if not spec.game_file_exists():
        return "no master.py"
    name = f"in/{file_name(spec).removesuffix('.json')}.json"
    if not (Path(spec.game_path) / name).exists():
        return f"no {name}"
    try:
        GameInstances.from_game_spec(spec)
    except GameError:
        return f"{name} has faults: 'clem check game {spec.game_name}' shows them"
    return None


def game_cells(rows: Sequence[dict[str, Any]], verbose: bool) -> tuple[list[str], list[list[str]]]:
    """Return header and cells of a table of games."""
    header = ["GAME", "PLAYERS", "DESCRIPTION", *(MORE_COLUMNS if verbose else ()), "FOLDER", "STATE"]
    cells = []
    for row in rows:
        spec = row["spec"]
        text = str(spec.get("description") or "-")
        line = [row["game_name"], str(row["players"]), _cut(text) if is_terminal(sys.stdout) else text]
        line += [_cell(spec.get(field)) for field in MORE_COLUMNS.values()] if verbose else []
        cells.append([*line, _short(row["game_path"]), row["obstacle"] or "ready"])
    return header, cells


def instance_cells(rows: Sequence[dict[str, Any]], verbose: bool) -> tuple[list[str], list[list[str]]]:
    """Return header and cells of a table: one row per experiment, or per instance if verbose."""
    if verbose:
        header = ["GAME", "EXPERIMENT", "GAME_ID", "FIELDS"]
        return header, [[row["game"], row["experiment"], str(row["task_id"]), _fields(row)] for row in rows]
    counts: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = (row["game"], row["experiment"], row["file"])
        counts[key] = counts.get(key, 0) + 1
    cells = [[game, experiment, str(count), file] for (game, experiment, file), count in counts.items()]
    return ["GAME", "EXPERIMENT", "INSTANCES", "FILE"], cells


def _fields(row: dict[str, Any]) -> str:
    names = [name for name in row["game_instance"] if name != "game_id"]
    return ",".join(names[:_SHOWN_FIELDS]) + (",…" if len(names) > _SHOWN_FIELDS else "") or "-"


def _cell(value: Any) -> str:
    if value is None or value == []:
        return "-"
    return ",".join(str(item) for item in value) if isinstance(value, list) else str(value)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _short(path: str) -> str:
    """Return a path relative to the working directory where it is below it."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if here in Path(path).parents else path
