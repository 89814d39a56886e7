"""Who played with whom, and how well: line-ups by the models of their roles, and strengths of models that compete.

A game has winners if its scorer logs the episode score ``Winner``: the number of the role that won, from 1, or 0
for a draw. It takes figures from ``results.json``, and does not know how they are computed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clemcore._core import bradley_terry
from clemcore.clemgame.results.score_files import find_scores
from clemcore.clemgame.store import run_folder
from clemcore.errors import RunError

WINNER = "Winner"
# Backends whose players are people.
_PEOPLE = frozenset({"human", "slurk"})
# Why strengths have no intervals.
_SINGLE = "a single instance"
_ALIKE = "all instances have the same results, so nobody knows how much results vary"
_DRAW, _FIRST, _SECOND = 0, 1, 2
_FIGURES = ("counts", "instances", "clemscore", "played_percent", "quality_score", "intervals")


@dataclass
class LineUpRoles:
    """The models of a line-up.

    Attributes:
        models: their names by role; one model may play all roles.
        people: which of them are people.
    """

    models: list[str]
    people: list[bool]


@dataclass
class Pairs:
    """Line-ups by game and role, and strengths.

    Attributes:
        rows: for each game and pair of models, the figures of ``results.json``.
        strengths: for each game that has winners, models with their strengths, or a note.
        problems: episodes whose winner is not a role.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    strengths: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def roles_of(runs: Iterable[Path]) -> dict[str, LineUpRoles]:
    """Return the models of the line-ups of runs, as far as ``run.json`` names them."""
    return {run.name: roles for run in runs if (roles := _roles(run)) is not None}


def _roles(run: Path) -> LineUpRoles | None:
    try:
        content = run_folder.read(run) or {}
    except RunError:
        content = _plain(run / run_folder.FILE)
    described = content.get("player_models")
    if not isinstance(described, Mapping) or not described:
        return None
    found = LineUpRoles([], [])
    for role in sorted(described, key=str):
        spec = described[role].get("model_spec") if isinstance(described[role], Mapping) else None
        spec = spec if isinstance(spec, Mapping) else {}
        found.models.append(str(spec.get("model_name", "unknown")))
        found.people.append(spec.get("backend") in _PEOPLE)
    return found


def _plain(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def pairs_of(figures: Mapping[str, Any], roles: Mapping[str, LineUpRoles], path: Path) -> Pairs:
    """Return the figures of all line-ups of two models, and the strengths of models that compete.

    Args:
        figures: the content of ``results.json``.
        roles: the models of the line-ups.
        path: the folder of the results, where winners are read.
    """
    of_pairs = {name: each.models for name, each in roles.items() if len(each.models) == _SECOND}
    games = {game for name in of_pairs for game in figures["models"].get(name, {"games": {}})["games"]}
    found = Pairs()
    played: dict[str, list[str]] = {}
    for line_up, model in figures["models"].items():
        models = roles[line_up].models if line_up in roles else []
        models = models * 2 if len(models) == 1 else models
        if len(models) != _SECOND:
            continue
        played[line_up] = models
        for game, cell in model["games"].items():
            if game in games:
                values = {name: cell.get(name) for name in _FIGURES}
                found.rows.append(
                    {"game": game, "first": models[0], "second": models[1], "line_up": line_up, **values}
                )
    found.rows.sort(key=lambda row: (row["game"], row["first"], row["second"], row["line_up"]))
    if games:
        _add_strengths(found, played, games, path)
    return found


def _add_strengths(found: Pairs, played: Mapping[str, Sequence[str]], games: Iterable[str], path: Path) -> None:
    results: dict[str, list[tuple[str, str, float, str]]] = {}
    wanted = set(games)
    for episode in find_scores(path):
        names = episode.names
        models = played.get(names.model)
        if models is None or names.game not in wanted or models[0] == models[1]:
            continue
        winner = _winner(episode.read())
        if winner is None:
            continue
        if winner not in (_DRAW, _FIRST, _SECOND):
            found.problems.append(f'{episode.place} has the "{WINNER}" {winner}: it must be 0, 1 or 2')
            continue
        score = {_DRAW: 0.5, _FIRST: 1.0, _SECOND: 0.0}[int(winner)]
        instance = f"{names.experiment}/{names.episode.rpartition('/')[2]}"
        results.setdefault(names.game, []).append((models[0], models[1], score, instance))
    for game, matches in sorted(results.items()):
        found.strengths[game] = strengths_of(matches)


def _winner(data: bytes) -> float | None:
    try:
        value = json.loads(data).get("episode scores", {}).get(WINNER)
    except (ValueError, AttributeError):
        return None  # the evaluation has named it
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and not math.isnan(value) else None


def strengths_of(matches: Sequence[tuple[str, str, float, str]]) -> dict[str, Any]:
    """Return the Bradley-Terry strengths of models.

    Args:
        matches: first and second model, what the first one got (1, 0.5 or 0), and the instance.

    Returns:
        ``models``: for each, ``wins``, ``draws``, ``defeats``, ``strength``, ``low`` and ``high``, the strongest
        first; ``episodes``; and ``note``, which says why strengths or intervals are missing.
    """
    names = sorted({name for match in matches for name in match[:2]})
    numbers = {name: number for number, name in enumerate(names)}
    instances = {name: number for number, name in enumerate(dict.fromkeys(match[3] for match in matches))}
    counts = {name: {"wins": 0, "draws": 0, "defeats": 0} for name in names}
    for first, second, score, _ in matches:
        for name, got in ((first, score), (second, 1 - score)):
            counts[name]["wins" if got == 1 else "defeats" if got == 0 else "draws"] += 1
    rows = [(numbers[one], numbers[other], score, instances[each]) for one, other, score, each in matches]
    note = None
    ends: list[tuple[float | None, float | None, float | None]] = [(None, None, None)] * len(names)
    try:
        ends = [_finite(each) for each in bradley_terry(rows, len(names))]
        if all(low is None for _, low, _ in ends):
            note = _SINGLE if len(instances) == 1 else _ALIKE
    except ValueError as fault:
        note = str(fault)
    models = {
        name: {**counts[name], "strength": value, "low": low, "high": high}
        for name, (value, low, high) in zip(names, ends, strict=True)
    }
    ordered = sorted(models.items(), key=lambda each: -(each[1]["strength"] or 0.0))
    return {"models": dict(ordered), "episodes": len(matches), "instances": len(instances), "note": note}


def _finite(numbers: tuple[float, float, float]) -> tuple[float | None, float | None, float | None]:
    value, low, high = (round(each, 6) if math.isfinite(each) else None for each in numbers)
    return value, low, high
