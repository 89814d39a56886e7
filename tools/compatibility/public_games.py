"""The part of ``docs/compatibility.md`` about public games: what both versions made of them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "games"))

from compare import compare

# What to know about a game beside its figures.
NOTES = {
    "hellogame": "it has no scorer",
    "mm_clean_up": "its instances name a path on its author's machine",
    "st_clean_up": "its episodes never end by themselves; `--max-calls` ends them",
}
LONGEST_ERROR = 100

HEAD = """## Games

Both versions played and scored every game with the mock: one game per process, the same seeds, 2 instances of 3
experiments. "equal" means that all `turns`, apart from times, and all scores are equal. A cell shows the episodes
that were played / scored, of those planned. If 3.7.2 cannot play a game, the release for which it was written is
compared.

```sh
# needs a clone, an environment with 3.7.2, and a collection of games
play="python tools/games/play.py --collection clembench --work build/work"
$play --python venv372/bin/python --results build/theirs
$play --results build/ours -- --rng process --concurrency 1
python tools/compatibility/write.py --games 'clembench/clembench adff278=build/theirs:build/ours'
```
"""


def compared(theirs: Path, ours: Path, older: Path | None, version: str) -> dict[str, dict[str, Any]]:
    """Compare folders that ``tools/games/play.py`` filled, game by game.

    Args:
        theirs: results of 3.7.2.
        ours: results of this version.
        older: results of an older release, for games that 3.7.2 does not play.
        version: of the older release.
    """
    summaries = {"theirs": theirs, "ours": ours}
    lines = {side: json.loads((folder / "summary.json").read_bytes()) for side, folder in summaries.items()}
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys([*lines["theirs"], *lines["ours"]]):
        result = compare(theirs / name / "records", ours / name / "records")
        found[name] = {
            "both": result.episodes,
            "equal_turns": result.equal_turns,
            "scored": result.scored,
            "equal_scores": result.equal_scores,
            "direct_events": result.direct_events,
            "other_differences": len(result.differences),
        }
        if older is not None and not result.scored and (older / name).exists():
            result = compare(older / name / "records", ours / name / "records")
            found[name]["older"] = {
                "version": version,
                "both": result.episodes,
                "equal_turns": result.equal_turns,
                "scored": result.scored,
                "equal_scores": result.equal_scores,
            }
        for side, summary in lines.items():
            if (one := summary.get(name)) is not None:
                counts = {key: one[key] for key in ("planned", "played", "scored")}
                errors = [*one["run"]["errors"], *one["score"]["errors"]]
                found[name][side] = {**counts, "errors": list(map(_without_place, errors[:3]))}
    return found


def _without_place(error: str) -> str:
    """Shorten an error: without how often it came, and without paths of the machine on which it did."""
    error = re.sub(r" \(\d+ times\)$", "", error)
    error = re.sub(r" ?\((unknown location|/[^)]*)(\)|$)", "", error)
    return re.sub(r"/[\w.+-]+/[\w./+-]*", "…/", error)


def _counts(side: dict[str, Any] | None) -> str:
    if side is None or side["planned"] is None:
        return ""
    return f"{side['played']} / {side['scored']} of {side['planned']}"


def _is_complete(side: dict[str, Any]) -> bool:
    return bool(side["planned"] == side["played"] == side["scored"])


def result_of(name: str, line: dict[str, Any]) -> str:
    """Say how a game ended, and why."""
    parts = []
    turns, both, scores, scored = (line[key] for key in ("equal_turns", "both", "equal_scores", "scored"))
    if both and turns == both and scores == scored:
        parts.append("equal")
    elif both:
        parts.append(f"**differs**: {turns} of {both} `turns` and {scores} of {scored} scores are equal")
    older = line.get("older")
    if older and older["both"]:
        is_equal = older["equal_turns"] == older["both"] and older["equal_scores"] == older["scored"]
        parts.append(f"{'equal to' if is_equal else '**differs** from'} clemcore {older['version']}")
    if line["direct_events"]:
        parts.append(f"{line['direct_events']} more events here, of players that the game calls directly")
    sides = [line[side] for side in ("theirs", "ours") if side in line]
    if all(side["planned"] is None for side in sides):
        return "its repository lacks the instance file"
    if name in NOTES:
        parts.append(NOTES[name])
        if len({side["played"] for side in sides}) == 1:
            return "; ".join(parts)
    errors = {}
    for side, version in (("theirs", "3.7.2"), ("ours", "here")):
        one = line.get(side)
        if one and not _is_complete(one) and one["errors"]:
            errors[version] = one["errors"][0].replace("`", "'")
    if len(errors) > len(set(errors.values())):
        errors = {"both": errors["here"]}
    for version, error in errors.items():
        parts.append(f"{version}: `{error[:LONGEST_ERROR]}{'…' if len(error) > LONGEST_ERROR else ''}`")
    return "; ".join(parts)


def games_part(collections: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """Return the lines about games."""
    lines = [HEAD]
    for title, games in collections.items():
        lines += [f"### {title}", "", "| game | 3.7.2 | here | result |", "|---|---|---|---|"]
        for name, line in games.items():
            cells = (f"`{name}`", _counts(line.get("theirs")), _counts(line.get("ours")), result_of(name, line))
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return lines
