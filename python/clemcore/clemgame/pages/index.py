"""What the page begins with: names, counts behind every cell, and a table of all episodes of each game.

It does not know what is in an episode, or how the page is written.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clemcore._core import Evaluation
from clemcore.clemgame.pages.contents import ERROR, LIMIT, MISSING, UNSCORED, ShownEpisode
from clemcore.clemgame.repeats import without_repeats
from clemcore.clemgame.results.evaluation import INTERVALS
from clemcore.clemgame.results.kept import kept_bytes

_UNKNOWN = {ERROR: "error", LIMIT: "limit", MISSING: "missing", UNSCORED: "unscored"}
# Problems that the page lists one by one.
_MOST_PROBLEMS = 200
_SUMS = ("n", "k", "s", "calls", "tokens", "usd", "seconds")
_PLAIN = re.compile(r"[^a-z0-9]+")
_SHORT = 24


class Names:
    """Names, each with its number in the order in which they came."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """Return the number of a name."""
        return self.numbers.setdefault(name, len(self.numbers))

    def __iter__(self) -> Iterator[str]:
        """Give the names in the order of their numbers."""
        return iter(self.numbers)

    def ids(self) -> list[str]:
        """Return what stands for the names in addresses: letters and digits of the name, and its hash."""
        return [_id(name) for name in self.numbers]


def _id(name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{_PLAIN.sub('-', name.lower())[:_SHORT].strip('-')}.{digest}"


@dataclass
class _Table:
    """The episodes of one game, by column: the letters are those of the page's script."""

    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in "qmxlipsnkdw"})
    outcomes: list[str] = field(default_factory=list)


class Index:
    """Everything that is counted, filtered and sorted.

    Args:
        intervals: those of an earlier page or evaluation, to be used where nothing changed.
    """

    def __init__(self, intervals: bytes = b"") -> None:
        self.models, self.games, self.experiments, self.languages, self.kinds = (Names() for _ in range(5))
        self.problems: list[str] = []
        self.count = 0
        self._tables: dict[int, _Table] = {}
        self._cells: dict[tuple[int, int, int, int, int, str], list[float]] = {}
        self._evaluation = Evaluation()
        self._evaluation.remember(intervals)
        self._unknown: list[tuple[tuple[str, str, str, str], str]] = []
        self._seen: set[tuple[str, str, str, int, int]] = set()

    def add(self, shown: ShownEpisode) -> bool:
        """Add an episode; return whether it counts. Of two with the same names, the first one counts."""
        self.problems += shown.problems
        key = (shown.model, shown.game, shown.experiment, shown.instance, shown.epoch)
        if key in self._seen:
            named = ", ".join(map(str, key))
            self.problems.append(f"A second episode has the same names and does not count: {named}")
            return False
        self._seen.add(key)
        model, game = self.models.number(shown.model), self.games.number(shown.game)
        experiment, language = self.experiments.number(shown.experiment), self.languages.number(shown.language)
        columns = self._tables.setdefault(game, _Table()).columns
        score = shown.score
        kind = self.kinds.number(shown.kind) if shown.kind else -1
        row: dict[str, Any] = {
            "q": self.count,
            "m": model,
            "x": experiment,
            "l": language,
            "i": shown.instance,
            "p": shown.epoch,
        }
        row |= {"s": score, "n": shown.calls, "k": kind, "d": round(shown.usd, 8), "w": round(shown.seconds, 3)}
        for name, value in row.items():
            columns[name].append(value)
        self._tables[game].outcomes.append(shown.outcome)
        cell = self._cells.setdefault(
            (model, game, experiment, language, shown.epoch, shown.outcome), [0.0] * len(_SUMS)
        )
        values = (1, score is not None, score or 0.0, shown.calls, shown.tokens, shown.usd, shown.seconds)
        for at, value in enumerate(values):
            cell[at] += value
        self.count += 1
        self._evaluate(shown)
        return True

    def _evaluate(self, shown: ShownEpisode) -> None:
        names = (shown.game, shown.model, shown.experiment, shown.name)
        if shown.outcome in _UNKNOWN:
            self._unknown.append((names, _UNKNOWN[shown.outcome]))
            return
        self._evaluation.add_rows([(names, metric, value) for metric, value in shown.metrics.items()])

    def results(self) -> dict[str, Any]:
        """Return the content of ``results.json``, as ``clem eval`` writes it."""
        evaluation = self._evaluation
        evaluation.count_played()
        evaluation.note_unknown(self._unknown)
        found: dict[str, Any] = json.loads(evaluation.json())
        return found

    def intervals(self) -> bytes:
        """Return the intervals of the results, for a later page."""
        return self._evaluation.remembered()

    def tables(self) -> dict[str, bytes]:
        """Return the tables of all games as JSON, by the name of their part of the data."""
        return {
            f"r{game}": _json({**table.columns, "o": "".join(table.outcomes)})
            for game, table in self._tables.items()
        }

    def start(self, more: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the page begins with.

        Args:
            more: what is known elsewhere: about, chunks, texts, places, plots.
        """
        cells = sorted(self._cells.items())
        keys = {name: [key[at] for key, _ in cells] for at, name in enumerate("mgxlp")}
        sums = {name: [_plain(values[at]) for _, values in cells] for at, name in enumerate(_SUMS)}
        named = {"models": self.models, "games": self.games, "experiments": self.experiments}
        named |= {"languages": self.languages, "kinds": self.kinds}
        models, games = len(self.models.numbers), len(self.games.numbers)
        problems = without_repeats(self.problems)
        summary = f"{_several(self.count, 'episode')}, {_several(models, 'model')}, {_several(games, 'game')}"
        return {
            **{name: [each or "not named" for each in names] for name, names in named.items()},
            "ids": {name: names.ids() for name, names in named.items()},
            "epochs": sorted({key[4] for key, _ in cells}),
            "cells": {**keys, **sums, "o": "".join(key[5] for key, _ in cells)},
            "results": self.results(),
            "summary": summary,
            "problems": problems[:_MOST_PROBLEMS],
            "more_problems": max(0, len(problems) - _MOST_PROBLEMS),
            "plots": [],
            **more,
        }


def kept_intervals(paths: Sequence[Path]) -> bytes:
    """Return the intervals that ``clem eval`` has kept in the first of these folders that has some."""
    return next((kept for path in paths if (kept := kept_bytes(path / INTERVALS))), b"")


def _several(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _plain(number: float) -> float:
    """Return a sum without the noise of its last digits."""
    rounded = round(number, 6)
    return int(rounded) if rounded == int(rounded) else rounded


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
        "utf-8", "backslashreplace"
    )


def to_json(value: Any) -> str:
    """Return JSON text for the page; what is not finite is null, and half a character is an escape of JSON."""
    text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
