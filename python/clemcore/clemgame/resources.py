"""Files of games: reading templates and data, and writing whole files.

It does not know what is in the files.
"""

from __future__ import annotations

import csv
import json
import logging
import os
from pathlib import Path
from typing import Any

from clemcore.clemgame.layout.jsonfile import json_text, write_whole

__all__ = [
    "GameResourceLocator",
    "load_json",
    "load_packaged_file",
    "store_file",
    "store_image",
    "store_json",
    "store_results_file",
]

module_logger = logging.getLogger(__name__)

_PACKAGE = Path(__file__).parent.parent
_INDENT = 2


def store_json(
    data: Any, file_name: str, dir_path: str | Path, *, ensure_ascii: bool = False, indent: int | None = _INDENT
) -> str:
    """Write a JSON file as a whole; a number that is not finite becomes null.

    Args:
        data: the content.
        file_name: the name of the file.
        dir_path: its folder, which is made if needed.
        ensure_ascii: escape all characters beyond ASCII.
        indent: spaces per level; None for one line.

    Returns:
        The path of the file.
    """
    file_path = os.path.join(dir_path, file_name)  # noqa: PTH118 - the value that games get back is a str
    content = json_text(data)
    if ensure_ascii or indent != _INDENT:
        content = json.dumps(json.loads(content), ensure_ascii=ensure_ascii, indent=indent).encode("utf-8")
    write_whole(file_path, content)
    return file_path


def store_file(
    data: Any, file_name: str, dir_path: str | Path, sub_dir: str | None = None, do_overwrite: bool = True
) -> str:
    """Write a file as a whole; a name that ends in ``.json`` makes it JSON.

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
    folder = os.path.join(dir_path, sub_dir) if sub_dir else str(dir_path)  # noqa: PTH118
    file_path = os.path.join(folder, file_name)  # noqa: PTH118
    if not do_overwrite and Path(file_path).exists():
        raise FileExistsError(file_path)
    if file_name.endswith(".json"):
        return store_json(data, file_name, folder)
    write_whole(file_path, data.encode("utf-8"))
    return file_path


def store_results_file(  # noqa: PLR0917 - games give them by position
    game_name: str,
    data: Any,
    file_name: str,
    dialogue_pair: str,
    sub_dir: str | None = None,
    results_dir: str | None = None,
) -> str:
    """Write a file into the results of a game.

    Args:
        game_name: the game.
        data: the content.
        file_name: the name of the file.
        dialogue_pair: the folder of the run.
        sub_dir: a folder inside that of the game.
        results_dir: the folder of all results; by default ``results``.

    Returns:
        The path of the file.
    """
    return store_file(data, file_name, Path(results_dir or "results") / dialogue_pair / game_name, sub_dir)


def store_image(image_data: bytes, path: str, filename: str) -> str:
    """Write an image into ``images`` below a folder.

    Args:
        image_data: the bytes of the image.
        path: the folder.
        filename: the name of the file.

    Returns:
        The path of the file, or "" if it could not be written.
    """
    file_path = Path(path) / "images" / filename
    try:
        write_whole(str(file_path), image_data)
    except OSError as error:
        module_logger.error("image %s cannot be written: %s", file_path, error)  # noqa: TRY400 - no traceback needed
        return ""
    return str(file_path)


def load_json(file_path: str | Path) -> Any:
    """Read a JSON file; ``.json`` is added to the name if it is missing."""
    name = str(file_path)
    return json.loads(Path(name if name.endswith(".json") else f"{name}.json").read_text(encoding="utf-8"))


def load_packaged_file(file_path: str) -> str:
    """Read a text file of this package, by its path inside it."""
    return (_PACKAGE / file_path).read_text(encoding="utf-8")


class GameResourceLocator:
    """Gives a game its own files.

    Attributes:
        game_name: the game.
        game_path: its folder.
    """

    def __init__(self, name: str | None = None, path: str | None = None) -> None:
        self.game_name: Any = name
        self.game_path: Any = path

    def _path_of(self, file_path: str | Path, file_ending: str | None = None) -> Path:
        name = str(file_path)
        if file_ending and not name.endswith(file_ending):
            name += file_ending
        return Path(self.game_path) / name

    def load_file(self, file_name: str | Path, file_ending: str | None = None) -> str:
        """Read a text file of the game.

        Args:
            file_name: its path inside the game's folder.
            file_ending: added to the name if it is missing.
        """
        return self._path_of(file_name, file_ending).read_text(encoding="utf-8")

    def load_template(self, file_path: str | Path) -> str:
        """Read a ``.template`` file of the game."""
        return self.load_file(file_path, ".template")

    def load_json(self, file_path: str | Path) -> Any:
        """Read a ``.json`` file of the game."""
        return json.loads(self.load_file(file_path, ".json"))

    def load_csv(self, file_name: str | Path) -> list[list[str]]:
        """Read a CSV file of the game; its encoding is ISO 8859-2, as in all earlier releases."""
        with self._path_of(file_name).open(encoding="iso8859_2") as file:
            return list(csv.reader(file))

    def load_instances(self, instances_filename: str | None = None) -> Any:
        """Read an instance file of the game from its folder ``in``."""
        return self.load_json(f"in/{instances_filename or 'instances'}")

    def load_results_json(self, file_name: str, results_dir: str, dialogue_pair: str) -> Any:
        """Read a JSON file from the results of the game.

        Args:
            file_name: its path inside the results of the game.
            results_dir: the folder of all results.
            dialogue_pair: the folder of the run.
        """
        return load_json(Path(results_dir) / dialogue_pair / self.game_name / file_name)

    def store_file(self, data: Any, file_name: str, sub_dir: str | None = None) -> str:
        """Write a file of the game.

        Args:
            data: the content.
            file_name: the name of the file.
            sub_dir: a folder inside that of the game.

        Returns:
            The path of the file.
        """
        return store_file(data, file_name, self.game_path, sub_dir)

    # Before 2.2, scorers wrote their files by this.
    def store_results_file(
        self,
        data: Any,
        file_name: str,
        dialogue_pair: str,
        sub_dir: str | None = None,
        results_dir: str | None = None,
    ) -> str:
        """Write a file into the results of the game (before 2.2)."""
        return store_results_file(self.game_name, data, file_name, dialogue_pair, sub_dir, results_dir)
