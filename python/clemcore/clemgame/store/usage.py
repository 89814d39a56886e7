"""What the calls of runs took: episodes, calls, tokens and USD, read from their stores.

It does not know what is done with the numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clemcore.calls.encoding import FACTS, JsonText
from clemcore.clemgame.store import RunReader, StoredCall
from clemcore.clemgame.store.contents import shared_calls_of
from clemcore.clemgame.store.schema import shard_of, store_files
from clemcore.errors import StoreError

# The name under which an episode that has ended holds what its calls took. An episode of several attempts has none.
USAGE = "usage"
_SUMS = ("episodes", "calls", "input_tokens", "output_tokens", "usd")


@dataclass
class Usage:
    """Sums over calls.

    Attributes:
        episodes: episodes that were completed.
        calls: calls of models.
        input_tokens: tokens of the prompts, where the models count them.
        output_tokens: tokens of the answers.
        usd: what the calls cost, where that is known.
        usd_by_model: the same by the models' names.
    """

    episodes: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    usd_by_model: dict[str, float] = field(default_factory=dict)

    def count(self, call: StoredCall) -> None:
        """Add a call; answers of programmatic players do not count."""
        if call.kind == "model":
            self.count_facts(json.loads(call.record).get(FACTS))

    def count_facts(self, facts: Any) -> None:
        """Add a call of a model, by the facts of its record."""
        self.calls += 1
        if not isinstance(facts, Mapping):
            return
        usage, cost = facts.get("usage"), facts.get("cost")
        if isinstance(usage, Mapping):
            self.input_tokens += _whole(usage.get("input_tokens"))
            self.output_tokens += _whole(usage.get("output_tokens"))
        usd = cost.get("usd") if isinstance(cost, Mapping) else None
        if isinstance(usd, (int, float)):
            self.usd += usd
            spec = facts.get("model_spec")
            if isinstance(spec, JsonText):
                spec = json.loads(spec)
            name = str(spec.get("model_name")) if isinstance(spec, Mapping) else ""
            self.usd_by_model[name] = self.usd_by_model.get(name, 0.0) + usd

    def to_dict(self) -> dict[str, Any]:
        """Return the sums of calls, as :meth:`of_episode` reads them."""
        sums: dict[str, Any] = {name: getattr(self, name) for name in _SUMS[1:]}
        return {**sums, "usd_by_model": dict(self.usd_by_model)}

    @classmethod
    def of_episode(cls, facts: Mapping[str, Any]) -> Usage | None:
        """Return what was noted with an episode when it ended; None if its calls must be read."""
        noted = facts.get(USAGE)
        return cls(**noted) if isinstance(noted, dict) else None

    def add(self, other: Usage) -> None:
        """Add the sums of others."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for model, usd in other.usd_by_model.items():
            self.usd_by_model[model] = self.usd_by_model.get(model, 0.0) + usd


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def usage_of(
    folder: Path,
    *,
    games: Iterable[str] | None = None,
    most: int | None = None,
    files: Sequence[Path] | None = None,
) -> dict[str, Usage]:
    """Return what the calls of a run took, by game. Calls that no longer count were paid, so they are in it.

    Args:
        folder: the folder of the run.
        games: only these games.
        most: look at so many completed episodes of each game only, and at no others.
        files: look only into these files of the store.

    Raises:
        StoreError: the store cannot be read.
    """
    wanted = None if games is None else set(games)
    found: dict[str, Usage] = {}
    with RunReader(folder, files=files) as reader:
        for episode in reader.episodes():
            name, state = episode.key.game, episode.state
            usage = found.setdefault(name, Usage())
            if (wanted is not None and name not in wanted) or not state.attempts:
                continue
            if most is not None and (state.state != "played" or usage.episodes >= most):
                continue
            usage.episodes += state.state == "played"
            if (noted := Usage.of_episode(episode.facts)) is not None:
                usage.add(noted)
                continue
            superseded = reader.superseded(episode) if most is None else []
            shared = shared_calls_of(episode.facts)
            for call in (*reader.calls(episode), *superseded):
                if call.number >= shared:
                    usage.count(call)
    return {name: usage for name, usage in found.items() if wanted is None or name in wanted}


def total(usages: Mapping[str, Usage] | Iterable[Usage]) -> Usage:
    """Return the sum of several."""
    whole = Usage()
    for usage in usages.values() if isinstance(usages, Mapping) else usages:
        whole.add(usage)
    return whole


def spent_in(folders: Iterable[Path], shard: str | None = None) -> Usage:
    """Return what runs have spent so far; a folder without a store has spent nothing.

    Args:
        folders: the folders of the runs.
        shard: only what this shard has spent; "": what was spent without shards; None: all of it.
    """
    return total(usage for folder in folders for usage in _usages(folder, shard))


def _usages(folder: Path, shard: str | None) -> Iterator[Usage]:
    files = None if shard is None else [path for path in store_files(folder) if shard_of(path) == shard]
    if files == []:
        return
    try:
        yield from usage_of(folder, files=files).values()
    except StoreError:
        if any(folder.glob("store*.sqlite3")):
            raise
