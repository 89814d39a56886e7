"""What results cost: tokens, USD and seconds per call, turn, episode and point of clemscore; the Pareto front.

It reads the calls of episodes. It does not know how a clemscore is computed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clemcore.calls.encoding import FACTS
from clemcore.clemgame.layout.episodes import all_readable
from clemcore.errors import StoreError

# What is paid for, and what it is divided by.
KINDS = ("input_tokens", "output_tokens", "usd", "seconds")
UNITS = ("call", "turn", "episode", "point")
# What became of the episodes, as in `results.json`. "episodes" beside them are those with a call of a model.
COUNTS = ("planned", "played", "aborted", "lost", "limit", "error", "missing", "unscored")


@dataclass
class Costs:
    """Sums over the episodes of a line-up, or of one of its games.

    Attributes:
        episodes: episodes with a call of a model.
        turns: rounds in which a model was called.
        calls: calls of models.
        sums: the sum of each kind, over the calls of which it is known.
        known: of how many calls each kind is known.
    """

    episodes: int = 0
    turns: int = 0
    calls: int = 0
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    known: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))

    def count(self, facts: Mapping[str, Any]) -> None:
        """Add a call of a model, by the facts of its record."""
        self.calls += 1
        for kind, value in _of_call(facts).items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                self.sums[kind] += value
                self.known[kind] += 1

    def total(self, kind: str) -> float | None:
        """Return a sum; None if it is not known for every call."""
        return self.sums[kind] if self.calls and self.known[kind] == self.calls else None

    def per(self, kind: str, unit: str, clemscore: float | None) -> float | None:
        """Return the cost of a call, turn or episode, or of an episode for each point of clemscore."""
        total = self.total(kind)
        counts = {"call": self.calls, "turn": self.turns, "episode": self.episodes, "point": self.episodes}
        if total is None or not counts[unit]:
            return None
        if unit == "point":
            return total / self.episodes / clemscore if clemscore else None
        return total / counts[unit]


def _of_call(facts: Mapping[str, Any]) -> dict[str, Any]:
    usage, cost = facts.get("usage"), facts.get("cost")
    usage = usage if isinstance(usage, Mapping) else {}
    return {
        "input_tokens": usage.get("input_tokens"),
        "output_tokens": usage.get("output_tokens"),
        "usd": cost.get("usd") if isinstance(cost, Mapping) else None,
        "seconds": facts.get("duration_seconds"),
    }


def costs_of(path: Path | str, unreadable: list[tuple[Path, str]] | None = None) -> dict[str, dict[str, Costs]]:
    """Return the costs below a folder, by line-up and game; all games together are under the empty name.

    Args:
        path: a run, or a folder that holds some.
        unreadable: takes the folders of episodes and of runs that cannot be read, and why.

    Raises:
        StoreError: there are no episodes.
    """
    unreadable = [] if unreadable is None else unreadable
    found: dict[str, dict[str, Costs]] = {}
    for episode in all_readable(path, unreadable):
        rounds = set()
        games = found.setdefault(episode.line_up, {"": Costs()})
        both = (games[""], games.setdefault(episode.key.game, Costs()))
        try:
            calls = episode.own_calls()
        except (StoreError, OSError, ValueError, LookupError, TypeError, AttributeError) as fault:
            unreadable.append((episode.folder, str(fault)))
            for costs in both:
                costs.count({})  # at least one call of which nothing is known
            continue
        for call in calls:
            if call.kind != "model":
                continue
            facts = json.loads(call.record).get(FACTS)
            rounds.add(call.round)
            for costs in both:
                costs.count(facts if isinstance(facts, Mapping) else {})
        for costs in both:
            costs.episodes += bool(rounds)
            costs.turns += len(rounds)
    return found


def described(costs: Costs, clemscore: float | None) -> dict[str, Any]:
    """Return costs as JSON: the counts, the totals, and each kind per unit; null if not known for every call."""
    per = {unit: {kind: costs.per(kind, unit, clemscore) for kind in KINDS} for unit in UNITS}
    totals = {kind: costs.total(kind) for kind in KINDS}
    return {
        "episodes": costs.episodes,
        "turns": costs.turns,
        "calls": costs.calls,
        "known_calls": costs.known,
        "total": totals,
        **{f"per_{unit}": values for unit, values in per.items()},
    }


def front(points: Mapping[str, tuple[float | None, float | None]]) -> list[str]:
    """Return the models for which no other one is at least as good and as cheap, and better in one of both.

    Args:
        points: for each model, its clemscore and its cost; None if not known, which leaves it out.
    """
    known = {
        name: (score, cost) for name, (score, cost) in points.items() if score is not None and cost is not None
    }

    def is_beaten(score: float, cost: float) -> bool:
        others: Iterable[tuple[float, float]] = known.values()
        return any(s >= score and c <= cost and (s > score or c < cost) for s, c in others)

    return [name for name, (score, cost) in known.items() if not is_beaten(score, cost)]


def cost_report(
    path: Path | str, figures: Mapping[str, Any], unreadable: list[tuple[Path, str]] | None = None
) -> dict[str, Any]:
    """Return the costs of all line-ups in ``results.json``, and those on the Pareto front of score and cost.

    Args:
        path: the folder of the results.
        figures: the content of ``results.json``.
        unreadable: takes the folders of episodes and of runs that cannot be read, and why.

    Raises:
        StoreError: there are no episodes.
    """
    models: dict[str, Any] = {}
    for line_up, games in costs_of(path, unreadable).items():
        model = figures["models"].get(line_up, {})
        cells: Mapping[str, Any] = model.get("games", {})
        scores = {"": model.get("clemscore"), **{game: cell.get("clemscore") for game, cell in cells.items()}}
        whole = described(games.pop(""), scores[""])
        whole["games"] = {game: described(costs, scores.get(game)) for game, costs in sorted(games.items())}
        whole["clemscore"] = scores[""]
        whole["counts"] = model.get("counts")
        for game, each in whole["games"].items():
            each["counts"] = cells.get(game, {}).get("counts")
        models[line_up] = whole
    fronts = {
        kind: front({name: (each["clemscore"], each["per_episode"][kind]) for name, each in models.items()})
        for kind in KINDS
    }
    return {"models": models, "pareto_front": fronts}


def rows_of(report: Mapping[str, Any]) -> tuple[Sequence[str], list[list[Any]]]:
    """Return a report as a table: a line for each line-up and game, and one for all games of a line-up."""
    header = ["model", "game", *COUNTS, "episodes", "turns", "calls"]
    header += [f"{kind} per {unit}" for unit in UNITS for kind in KINDS] + [
        f"on the front of {kind}" for kind in KINDS
    ]
    rows = []
    for name, whole in report["models"].items():
        for game, each in [("", whole), *whole["games"].items()]:
            counts = each["counts"] or {}
            row = [name, game, *(counts.get(count) for count in COUNTS)]
            row += [each["episodes"], each["turns"], each["calls"]]
            row += [each[f"per_{unit}"][kind] for unit in UNITS for kind in KINDS]
            row += ["" if game else int(name in report["pareto_front"][kind]) for kind in KINDS]
            rows.append(row)
    return header, rows
