"""Compare the episodes that two versions of clemcore recorded in the classic layout.

::

    python tools/games/compare.py results-of-3.7.2 results-of-ours

Equal means: the same episodes, the same ``turns`` apart from timestamps, the same keys logged by the game, and the
same scores. A literal NaN of 3.7.2 equals null. Events of players that a game calls directly are missing from the
``turns`` of 3.7.2, so an event with the label "forget" or "pseudo" that only ours has is counted, not compared.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DIRECT = {"forget", "pseudo"}
# Characters that are shown before a difference of two texts.
CONTEXT = 30
# What names the place, the version or the clock, not the game.
LEFT_OUT = {"meta", "player_models", "turns"}


@dataclass
class Comparison:
    """What two folders of results have in common, and where they differ."""

    episodes: int = 0
    equal_turns: int = 0
    scored: int = 0
    equal_scores: int = 0
    direct_events: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        """Whether all turns and scores are equal."""
        return not self.differences


def _load(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _plain(value: Any) -> Any:
    """Return the value with null for NaN and infinities, which JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def first_difference(left: Any, right: Any, at: str = "") -> str | None:
    """Say where two JSON values differ first."""
    if isinstance(left, dict) and isinstance(right, dict):
        if only := [key for key in [*left, *right] if key not in left or key not in right]:
            return f"{at}.{only[0]}: only {'left' if only[0] in left else 'right'}"
        inside = (first_difference(left[key], right[key], f"{at}.{key}") for key in left)
        return next((found for found in inside if found), None)
    if isinstance(left, list) and isinstance(right, list):
        pairs = enumerate(zip(left, right, strict=False))
        inside = (first_difference(one, other, f"{at}[{place}]") for place, (one, other) in pairs)
        lengths = f"{at}: {len(left)} items, {len(right)} items" if len(left) != len(right) else None
        return next((found for found in inside if found), lengths)
    # In Python True == 1 == 1.0; in the files of games these are different values.
    if left == right and isinstance(left, bool) == isinstance(right, bool):
        return None
    texts = (str(left), str(right))
    same = next((at for at, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
    start = max(0, same - CONTEXT) if same > CONTEXT else 0
    return f"{at}: " + ", ".join(f"{'…' if start else ''}{text[start : same + 3 * CONTEXT]!r}" for text in texts)


def events_of(turns: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """Return turns without times, and with "Player 1" for the "Player 1 (Guesser)" of 2.x."""
    return [
        [
            {
                key: value.partition(" (")[0] if key in {"from", "to"} else value
                for key, value in event.items()
                if key != "timestamp"
            }
            for event in turn
        ]
        for turn in turns
    ]


def _without_direct(
    left: list[list[dict[str, Any]]], right: list[list[dict[str, Any]]]
) -> tuple[list[list[dict[str, Any]]], int]:
    """Return right without the events of direct calls that left lacks, and their number."""
    kept, dropped = [], 0
    for place, turn in enumerate(right):
        expected = left[place] if place < len(left) else []
        rest, at = [], 0
        for event in turn:
            if at < len(expected) and event == expected[at]:
                at += 1
            elif event["action"].get("label") in DIRECT:
                dropped += 1
                continue
            rest.append(event)
        kept.append(rest)
    return kept, dropped


def _as_in_3(turns: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """Return turns of 2.x as 3.x writes them: an initial prompt is part of the context after it, without images."""
    rewritten = []
    for turn in turns:
        events: list[dict[str, Any]] = []
        for event in turn:
            action = {key: value for key, value in event["action"].items() if key != "image"}
            before = events[-1]["action"] if events else {}
            if before.get("label") == "initial prompt":
                events.pop()
                action["content"] = f"{before['content']}\n\n{action['content']}"
            events.append({**event, "action": action})
        rewritten.append(events)
    return rewritten


def _episodes(folder: Path) -> dict[tuple[str, str, int], Path]:
    """Return the folders of episodes by game, experiment and instance; 2.x numbers experiments and episodes."""
    found = {}
    for path in folder.rglob("interactions.json"):
        game, experiment, episode = path.relative_to(folder).parts[-4:-1]
        if episode.startswith("episode_"):
            experiment = experiment.partition("_")[2]
        found[game, experiment, int(_load(path.parent / "instance.json")["game_id"])] = path.parent
    return found


def _episode_differences(left: Path, right: Path, result: Comparison) -> Iterator[str]:
    one, other = _plain(_load(left / "interactions.json")), _plain(_load(right / "interactions.json"))
    is_old = "completed" not in one.get("meta", {})
    expected, turns = events_of(one["turns"]), events_of(other["turns"])
    if is_old:
        expected, turns = _as_in_3(expected), _as_in_3(turns)
    turns, dropped = _without_direct(expected, turns)
    result.direct_events += dropped
    found = first_difference(expected, turns, "turns")
    result.equal_turns += found is None
    if found:
        yield found
    left_out = {*LEFT_OUT, "players"} if is_old else LEFT_OUT
    keys = [{key: value for key, value in side.items() if key not in left_out} for side in (one, other)]
    if found := first_difference(*keys, "interactions"):
        yield found
    facts = [
        {k: side.get("meta", {}).get(k) for k in ("round_count", "completed", "game_id")} for side in (one, other)
    ]
    if not is_old and (found := first_difference(*facts, "meta")):
        yield found
    files = [side / "scores.json" for side in (left, right)]
    if not any(file.exists() for file in files):
        return
    if not all(file.exists() for file in files):
        yield f"scores: only {'left' if files[0].exists() else 'right'}"
        return
    result.scored += 1
    scores = [{k: v for k, v in _plain(_load(file)).items() if k not in left_out} for file in files]
    found = first_difference(*scores, "scores")
    result.equal_scores += found is None
    if found:
        yield found


def compare(left: Path, right: Path) -> Comparison:
    """Compare all episodes of two folders of results."""
    result = Comparison()
    lefts, rights = _episodes(left), _episodes(right)
    for key in sorted(lefts | rights):
        name = "/".join(map(str, key))
        if key not in lefts or key not in rights:
            result.differences.append(f"{name}: only {'left' if key in lefts else 'right'}")
            continue
        result.episodes += 1
        result.differences += [
            f"{name}: {found}" for found in _episode_differences(lefts[key], rights[key], result)
        ]
    return result


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("left", type=Path)
    parser.add_argument("right", type=Path)
    options = parser.parse_args()
    result = compare(options.left, options.right)
    sys.stdout.write(
        f"{result.episodes} episodes in both: {result.equal_turns} with equal turns; {result.scored} scored: "
        f"{result.equal_scores} equal; {result.direct_events} events of direct calls\n"
    )
    sys.stdout.writelines(f"  {line}\n" for line in result.differences)
    return 0 if result.is_equal else 1


if __name__ == "__main__":
    raise SystemExit(main())
