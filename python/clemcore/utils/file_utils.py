"""Files by game folder and name, as games of all releases load them.

Relative game folders are looked up in the current folder.
"""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any


def project_root() -> str:
    """Return the folder that relative paths start from: the current one."""
    return str(Path.cwd())


def clemcore_root() -> str:
    """Return the folder of the package."""
    return str(Path(__file__).resolve().parent.parent)


def file_path(file_name: str, game_path: str | None = None) -> str:
    """Return the absolute path of a file of a game.

    Args:
        file_name: its path inside the game's folder.
        game_path: the folder; by default the current one.
    """
    return os.path.join(project_root(), game_path or "", file_name)  # noqa: PTH118 - absolute parts win, as before


def results_root(results_dir: str) -> str:
    """Return the absolute path of a folder of results."""
    return os.path.normpath(os.path.join(project_root(), results_dir))  # noqa: PTH118


def game_results_dir(results_dir: str, dialogue_pair: str, game_name: str) -> str:
    """Return the folder of a game's results.

    Args:
        results_dir: the folder of all results.
        dialogue_pair: the folder of the run.
        game_name: the game.
    """
    return str(Path(results_root(results_dir)) / dialogue_pair / game_name)


def load_file(file_name: str, game_path: str | None = None, file_ending: str | None = None) -> str:
    """Read a text file of a game.

    Args:
        file_name: its path inside the game's folder.
        game_path: the folder; by default the current one.
        file_ending: added to the name if it is missing.
    """
    if file_ending and not file_name.endswith(file_ending):
        file_name += file_ending
    return Path(file_path(file_name, game_path)).read_text(encoding="utf-8")


def load_template(file_name: str, game_path: str | None = None) -> str:
    """Read a ``.template`` file of a game."""
    return load_file(file_name, game_path, ".template")


def load_json(file_name: str, game_path: str | None = None) -> Any:
    """Read a ``.json`` file of a game."""
    return json.loads(load_file(file_name, game_path, ".json"))


def load_csv(file_name: str, game_path: str | None = None) -> list[list[str]]:
    """Read a CSV file of a game; its encoding is ISO 8859-2."""
    with Path(file_path(file_name, game_path)).open(encoding="iso8859_2") as file:
        return list(csv.reader(file))


def load_results_json(file_name: str, results_dir: str, dialogue_pair: str, game_name: str) -> Any:
    """Read a JSON file from a game's results."""
    return load_json(file_name, game_results_dir(results_dir, dialogue_pair, game_name))


def store_file(
    data: Any, file_name: str, dir_path: str, sub_dir: str | None = None, do_overwrite: bool = True
) -> str:
    """Write a file; a name that ends in ``.json`` makes it JSON in one line.

    Args:
        data: the content: a text, or a value for JSON.
        file_name: the name of the file.
        dir_path: its folder, which is made if needed.
        sub_dir: a folder inside it.
        do_overwrite: replace the file if it exists.

    Returns:
        The path of the file.

    Raises:
        FileExistsError: the file exists and may not be replaced.
    """
    folder = Path(dir_path, sub_dir) if sub_dir else Path(dir_path)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name
    if not do_overwrite and path.exists():
        raise FileExistsError(str(path))
    path.write_text(json.dumps(data, ensure_ascii=False) if file_name.endswith(".json") else data, encoding="utf-8")
    return str(path)
