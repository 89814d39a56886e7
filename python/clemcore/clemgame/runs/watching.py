"""How far a run is, read from its store: also while another process writes it.

It does not know how numbers are shown.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from clemcore.clemgame.engine.progress import calls_in_words, duration
from clemcore.clemgame.runs.outcome import one_line
from clemcore.clemgame.store import RunReader
from clemcore.clemgame.store.shards import missing_shards
from clemcore.clemgame.store.usage import total, usage_of

# The note of a store that the process that plays renews: its number, when it began, and how many episodes it ended.
NOTE = "progress"
_NEWEST = 5
_MINUTE = 60


@dataclass
class RunStatus:
    """How far a run is.

    Attributes:
        folder: the folder of the run.
        episodes: how many there are by state: "planned", "live", "played", "error", "limit". Where no process plays
            the run, live ones were interrupted, and the next command continues them.
        calls: calls of models.
        input_tokens: tokens of the prompts, where the models count them.
        output_tokens: tokens of the answers.
        usd: what the calls cost, where that is known.
        writer: process and host of the process that plays it; None if there is none.
        writers: the same of all processes that play shards of it.
        missing_shards: the shards that were never started, as ``I/N``.
        rate: episodes per minute of the process that plays it.
        seconds_left: how long it will still take at this rate; None if that is not known.
        errors: the newest errors, each with its episode.
    """

    folder: str
    episodes: dict[str, int]
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    writer: dict[str, Any] | None = None
    writers: list[dict[str, Any]] = field(default_factory=list)
    missing_shards: list[str] = field(default_factory=list)
    rate: float | None = None
    seconds_left: float | None = None
    errors: list[tuple[str, str]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    def summary(self) -> str:
        """Return it as one line."""
        count = sum(self.episodes.values())
        words = _WORDS if self.writer is not None else {**_WORDS, "live": "interrupted"}
        states = [f"{number} {words[state]}" for state, number in self.episodes.items() if number]
        parts = [f"{count} episodes: {', '.join(states) or 'none'}", calls_in_words(self.calls, 0)]
        if self.input_tokens or self.output_tokens:
            parts.append(f"{self.input_tokens:,} + {self.output_tokens:,} tokens")
        if self.usd:
            parts.append(f"{self.usd:.4g} USD")
        if self.missing_shards:
            parts.append(f"shards that were not started: {', '.join(self.missing_shards)}")
        if self.writer is None:
            return "; ".join([*parts, "no process is playing it"])
        if self.rate:
            parts.append(f"{self.rate:.3g} episodes per minute")
        if self.seconds_left is not None:
            parts.append(f"{duration(self.seconds_left)} left")
        who = [f"process {each.get('pid')} on {each.get('host')}" for each in self.writers]
        return "; ".join([*parts, f"{', '.join(who)} {'is' if len(who) == 1 else 'are'} playing it"])


_WORDS = {
    "played": "completed",
    "live": "in progress",
    "planned": "not begun",
    "error": "ended by an error",
    "limit": "ended by a limit",
}


def status_of(folder: Path) -> RunStatus:
    """Return how far a run is.

    Raises:
        StoreError: the folder has no store, or it cannot be read.
    """
    with RunReader(folder) as reader:
        episodes = reader.some_episodes()
        writers = reader.writers()
        noted = reader.notes().get(NOTE) if reader.is_one_file else None
    states = Counter(episode.state.state for episode in episodes)
    found = RunStatus(str(folder), {state: states.get(state, 0) for state in _WORDS})
    failed = sorted((each for each in episodes if each.state.error), key=lambda each: each.ended or "")
    found.errors = [(str(each.key), one_line(each.state.error or {})) for each in failed[-_NEWEST:]]
    found.missing_shards = [str(shard) for shard in missing_shards(folder)]
    if writers:
        found.writers = [dict(writer) for writer in writers]
        found.writer = found.writers[0]
    usage = total(usage_of(folder))
    found.calls, found.usd = usage.calls, usage.usd
    found.input_tokens, found.output_tokens = usage.input_tokens, usage.output_tokens
    # An earlier command, which was interrupted, may have left its note.
    if found.writer is not None and isinstance(noted, dict) and noted.get("pid") == found.writer.get("pid"):
        _set_rate(found, noted)
    return found


def _set_rate(found: RunStatus, noted: dict[str, Any]) -> None:
    """Take the rate of the process that plays from what it has noted."""
    began, ended = noted.get("began"), noted.get("ended", 0)
    if not isinstance(began, str) or not ended:
        return
    seconds = max(time.time() - datetime.fromisoformat(began).timestamp(), 0.001)
    found.rate = ended / seconds * _MINUTE
    left = found.episodes["planned"] + found.episodes["live"]
    found.seconds_left = left / ended * seconds
