"""Makes the instances of "spot the change": ``python instancegenerator.py`` writes files and pictures into ``in``.

The pictures are PNG files of a few hundred bytes, written with the standard library alone. The same seed gives the
same instances and the same pixels.
"""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path
from typing import Any

from clemcore.clemgame import GameInstanceGenerator

SEED = 2611
INSTANCES = 4
PICTURES = 5
EXPERIMENTS = {"3x3": 3, "4x4": 4, "5x5": 5}
COLOURS = {
    "red": (214, 39, 40),
    "green": (44, 160, 44),
    "blue": (31, 119, 255),
    "yellow": (255, 215, 0),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}
GREY = (128, 128, 128)  # of the lines between the cells
CELL = 40  # pixels, with one line of LINE pixels
LINE = 4

Board = list[list[str]]


def png(board: Board) -> bytes:
    """Return the picture of a board: a PNG file with a palette and one byte per pixel."""
    names = list(COLOURS)
    line = bytes([len(names)]) * (len(board) * CELL + LINE)
    rows = [line] * LINE
    for row in board:
        pixels = (
            b"".join(line[:LINE] + bytes([names.index(colour)]) * (CELL - LINE) for colour in row) + line[:LINE]
        )
        rows += [pixels] * (CELL - LINE) + [line] * LINE
    header = struct.pack(">IIBBBBB", len(line), len(line), 8, 3, 0, 0, 0)
    palette = b"".join(bytes(colour) for colour in (*COLOURS.values(), GREY))
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def change(board: Board) -> tuple[Board, str, str]:
    """Return a copy of the board with one cell changed, the name of the cell, and its new colour."""
    row, column = random.randrange(len(board)), random.randrange(len(board))
    colour = random.choice([name for name in COLOURS if name != board[row][column]])
    changed = [list(line) for line in board]
    changed[row][column] = colour
    return changed, cell_name(row, column), colour


def cell_name(row: int, column: int) -> str:
    """Return the name of a cell, such as A1 for the one at the top left."""
    return f"{'ABCDEFGH'[column]}{row + 1}"


class SpotTheChangeGenerator(GameInstanceGenerator):
    """Draws a board and changes it, one cell per picture."""

    def on_generate(self, seed: int | None, **kwargs: Any) -> None:
        """Add all experiments and write the pictures; the framework has seeded `random`."""
        rules = self.load_template("resources/rules")
        for name, size in EXPERIMENTS.items():
            experiment = self.add_experiment(name)
            experiment["rules"] = rules
            experiment["size"] = size
            experiment["colours"] = list(COLOURS)
            experiment["max_parse_errors"] = 2
            experiment["max_violations"] = 2
            for game_id in range(INSTANCES):
                instance = self.add_game_instance(experiment, game_id)
                instance["rounds"] = self._draw(name, size, game_id)

    def _draw(self, experiment: str, size: int, game_id: int) -> list[dict[str, str]]:
        board = [[random.choice(list(COLOURS)) for _ in range(size)] for _ in range(size)]
        row, column = random.randrange(size), random.randrange(size)
        cell, colour = cell_name(row, column), board[row][column]
        rounds = []
        for number in range(PICTURES):
            if number:
                board, cell, colour = change(board)
            picture = f"in/pictures/{experiment}_{game_id}_{number}.png"
            path = Path(self.game_path, picture)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(board))
            rounds.append({"picture": picture, "cell": cell, "colour": colour})
        return rounds


def main() -> None:
    """Write all instances; ``small.json`` gets the first of each experiment, for a quick look (``-i small``)."""
    generator = SpotTheChangeGenerator(str(Path(__file__).resolve().parent))
    generator.generate(seed=SEED)
    for experiment in generator.instances["experiments"]:
        del experiment["game_instances"][1:]
    generator.store_file(generator.instances, "small.json", sub_dir="in")


if __name__ == "__main__":
    main()
