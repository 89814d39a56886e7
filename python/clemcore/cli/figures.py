"""Shows figures of ``results.json`` as tables: who plays with whom, strengths, and costs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clemcore.cli.terminal import note, out, table

_KINDS = ("input_tokens", "output_tokens", "usd", "seconds")


def show_pairs(figures: dict[str, Any]) -> None:
    """Show for each game the clemscore of each pair: first roles in lines, second roles in columns."""
    if not figures["pairs"]:
        note("clem: no line-up has two models, so there are no pairs; play some with 'clem run --pairs all'")
        return
    for game in dict.fromkeys(row["game"] for row in figures["pairs"]):
        rows = [row for row in figures["pairs"] if row["game"] == game]
        firsts, seconds = (list(dict.fromkeys(sorted(row[role] for row in rows))) for role in ("first", "second"))
        cells: dict[tuple[str, str], list[str]] = {}
        for row in rows:
            cells.setdefault((row["first"], row["second"]), []).append(_cell(row))
        out("")
        note(f"{game}: clemscore (interval, episodes played/planned); role 1 in lines, role 2 in columns")
        lines = [[first, *("; ".join(cells.get((first, second), [""])) for second in seconds)] for first in firsts]
        table((game, *seconds), lines)
        note_cautions(row["intervals"]["clemscore"] for row in rows)
    for game, found in figures["strengths"].items():
        out("")
        note(f"{game}: Bradley-Terry strengths over {found['episodes']} episodes; their mean is 0")
        if found["note"]:
            has_strengths = any(each["strength"] is not None for each in found["models"].values())
            note(f"clem: {game}: no {'intervals' if has_strengths else 'strengths'}: {found['note']}")
        table(("model", "strength", "95 % interval", "wins", "draws", "defeats"), [
            [name, _number(each["strength"]), ends_of(each), *(str(each[x]) for x in ("wins", "draws", "defeats"))]
            for name, each in found["models"].items()
        ])  # fmt: skip


def _cell(row: dict[str, Any]) -> str:
    counts, interval = row["counts"], row["intervals"]["clemscore"]
    is_incomplete = counts["planned"] > counts["played"] + counts["aborted"]
    clemscore = "incomplete" if is_incomplete else _number(row["clemscore"])
    return f"{clemscore} ({ends_of(interval)}, {counts['played']}/{counts['planned']})"


def show_costs(figures: dict[str, Any]) -> None:
    """Show what the episodes of each line-up cost, and which are on the Pareto front of clemscore and cost."""
    report = figures["costs"]
    rows = []
    for name, each in report["models"].items():
        for unit in ("call", "turn", "episode", "point"):
            values = [_number(each[f"per_{unit}"][kind], digits=4) for kind in _KINDS]
            is_episode = unit == "episode"
            rows.append(
                [name, unit, *values, *((_fronts(name, report), _shares(each)) if is_episode else ("", ""))]
            )
    out("")
    table(
        (
            "model",
            "per",
            "input tokens",
            "output tokens",
            "USD",
            "seconds",
            "on the Pareto front of",
            "played/planned",
        ),
        rows,
    )
    note(
        "point: what an episode takes, divided by the clemscore. A field is empty unless it is known for every call"
    )


def _shares(costs: dict[str, Any]) -> str:
    counts = costs["counts"]
    return f"{counts['played']}/{counts['planned']}" if counts else ""


def _fronts(name: str, report: dict[str, Any]) -> str:
    return ", ".join(kind for kind in _KINDS if name in report["pareto_front"][kind])


def ends_of(found: dict[str, Any], sign: str = "") -> str:
    """Show an interval, or why there is none; an asterisk marks one that may be too narrow."""
    if found["low"] is None or found["high"] is None:
        return f"none{': ' + found['note'] if found.get('note') else ''}"
    return f"{found['low']:{sign}.2f} to {found['high']:{sign}.2f}{'*' if found.get('caution') else ''}"


def note_cautions(intervals: Iterable[dict[str, Any]]) -> None:
    """Say what the asterisks of intervals mean, if there are some."""
    if cautions := sorted({found["caution"] for found in intervals if found.get("caution")}):
        note(f"*: may be too narrow ({'; '.join(cautions)})")


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"
