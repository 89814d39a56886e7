"""The plots of each game, drawn by the core, for light and for dark pages.

It does not know where they are written.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clemcore._core import game_plots

# The outcomes in the order of the core.
_ORDER = "plaiemu"


@dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes:
        game: the number of the game.
        text: what it shows, for people who do not see it.
        images: the SVG for light and for dark pages, in base64.
    """

    game: int
    text: str
    images: tuple[str, str]


def draw(start: Mapping[str, Any]) -> Iterator[Plot]:
    """Draw the plots of all games.

    Args:
        start: what the page begins with.
    """
    counts = _counts(start["cells"])
    for game, name in enumerate(start["games"]):
        found = [(start["models"][model], each) for (of, model), each in counts.items() if of == game]
        lines = [_line(model, each, start["results"]["models"], name) for model, each in found]
        lines.sort(key=lambda line: (line[2] is None, -(line[2] or 0.0), line[0]))
        light, dark = ([_base64(svg) for svg in game_plots(lines, is_dark)] for is_dark in (False, True))
        told = (
            f"{name}: how the episodes of each model ended, in percent, with their numbers",
            f"{name}: quality score of each model{_with_intervals(lines)}",
        )
        for at, text in enumerate(told):
            yield Plot(game, text, (light[at], dark[at]))


def _counts(cells: Mapping[str, Any]) -> dict[tuple[int, int], list[int]]:
    """Return how many episodes have which outcome, by game and model."""
    counts: dict[tuple[int, int], list[int]] = {}
    for game, model, outcome, number in zip(cells["g"], cells["m"], cells["o"], cells["n"], strict=True):
        counts.setdefault((game, model), [0] * len(_ORDER))[_ORDER.index(outcome)] += number
    return counts


def _line(
    model: str, counts: list[int], results: Mapping[str, Any], game: str
) -> tuple[str, list[int], float | None, tuple[float, float] | None]:
    about = results.get(model, {}).get("games", {}).get(game, {})
    interval = about.get("intervals", {}).get("quality_score", {})
    low, high = interval.get("low"), interval.get("high")
    pair = None if low is None or high is None else (float(low), float(high))
    return model, counts, about.get("quality_score"), pair


def _with_intervals(lines: Sequence[tuple[str, list[int], float | None, tuple[float, float] | None]]) -> str:
    return ", with 95 % intervals" if any(line[3] for line in lines) else ""


def _base64(svg: str) -> str:
    return base64.b64encode(svg.encode("utf-8")).decode("ascii")
