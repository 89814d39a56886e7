"""Shards: the parts of one run that several processes play, each into its own file of the run's folder.

Which shard an episode belongs to depends on the episode alone, so a longer plan moves none to another shard. It
does not know how episodes are played.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.store import RunReader
from clemcore.clemgame.store.schema import NAME, shard_of, store_files
from clemcore.errors import RunError, StoreError

if TYPE_CHECKING:
    from clemcore.clemgame.plan import EpisodeKey, PlannedGame
    from clemcore.clemgame.store import EpisodeState

# The note of a store that says which plan its shard has.
PLAN_NOTE = "plan"
_TEXT = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*")
_NAME = re.compile(r"(\d+)-of-(\d+)")

Json = dict[str, Any]


@dataclass(frozen=True)
class Shard:
    """One part of a run.

    Attributes:
        number: which one, from 1.
        count: how many there are.
        keeps_experiments: the episodes of an experiment stay together, because players remember them.
    """

    number: int
    count: int
    keeps_experiments: bool = False

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``I/N``.

        Raises:
            RunError: it is not that, or I is not one of 1 to N.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise RunError(f"shard {text!r}: must be I/N, such as 2/8 for the second of eight")
        number, count = int(found[1]), int(found[2])
        if count == 0:
            raise RunError(f"shard '{text}': a run has at least one shard, such as 1/1")
        if not 1 <= number <= count:
            raise RunError(
                f"shard '{text}': there is no shard {number} of {count}: they are 1/{count} to {count}/{count}"
            )
        return cls(number, count)

    @classmethod
    def of_store(cls, path: Path) -> Shard | None:
        """Return the shard that a store file belongs to, or None for the file of a run without shards."""
        found = _NAME.fullmatch(shard_of(path))
        return None if found is None else cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        """Write it as the option has it."""
        return f"{self.number}/{self.count}"

    @property
    def name(self) -> str:
        """Its name in the names of files."""
        return f"{self.number}-of-{self.count}"

    def has(self, key: EpisodeKey) -> bool:
        """Tell whether an episode belongs to it."""
        parts: tuple[str | int, ...] = (key.game, key.experiment, key.epoch)
        text = "\0".join(map(str, parts if self.keeps_experiments else (*parts, key.game_id)))
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1

    def part_of(self, whole: int) -> int:
        """Return its part of a limit that all shards keep together; the parts add up to the limit."""
        return whole // self.count + (self.number <= whole % self.count)


def plan_of(games: Sequence[PlannedGame]) -> Json:
    """Describe a whole plan: how many episodes, and a hash of which."""
    digest, count = hashlib.sha256(), 0
    for game in games:
        for key in game.episode_keys():
            digest.update(f"{key}\n".encode("utf-8", "surrogatepass"))
            count += 1
    return {"episodes": count, "sha256": digest.hexdigest()}


def shard_of_plan(
    games: Sequence[PlannedGame], shard: Shard, folder: Path, is_open: Callable[[EpisodeState], bool]
) -> list[PlannedGame]:
    """Return the games with the episodes of a shard that no other file of the run has completed.

    Args:
        games: the whole plan.
        shard: the shard.
        folder: the folder of the run.
        is_open: tells whether an episode that another file holds is to be played again.
    """
    others = [path for path in store_files(folder) if Shard.of_store(path) is None]
    states: dict[EpisodeKey, EpisodeState] = {}
    if others:
        with RunReader(folder, files=others) as reader:
            states = reader.states()
    done = {key for key, state in states.items() if not is_open(state)}
    return [
        replace(game, episodes=[each for each in game.episodes if shard.has(each.key) and each.key not in done])
        for game in games
    ]


def problems_of(
    folder: Path, shard: Shard | None, plan: Json, states: Sequence[EpisodeState], *, accepts_changes: bool
) -> Iterator[str]:
    """Say what keeps a shard from playing its part of a run, or a command without shards from playing all of it.

    Args:
        folder: the folder of the run.
        shard: the shard, or None.
        plan: the whole plan of the command (:func:`plan_of`).
        states: the states of the episodes of the run's file without shards.
        accepts_changes: the plan may be another one than that of other shards.
    """
    files = {path: Shard.of_store(path) for path in store_files(folder)}
    counts = sorted({each.count for each in files.values() if each is not None} - {shard.count if shard else 0})
    if counts and shard is None:
        yield (
            f"{folder}: this run is played in shards of {counts[0]}: continue with --shard I/{counts[0]} or "
            f"--jobs {counts[0]}, or put the shards together with 'clem merge {folder}'"
        )
        return
    if counts:
        yield (
            f"{folder}: this run is played in shards of {counts[0]}, not of {shard.count if shard else 1}: an "
            f"episode would be played twice. Continue with --shard I/{counts[0]}, or put the shards together with "
            f"'clem merge {folder}' and play the rest without shards"
        )
        return
    if shard is None:
        return
    begun = sum(state.state == "live" for state in states)
    if begun:
        yield (
            f"{folder}: {begun} episodes were begun without shards and have not ended. End them with the same "
            "command without --shard first, so that their calls are not paid for twice"
        )
    for path, other in files.items():
        if other is None or other.number == shard.number or accepts_changes:
            continue
        noted = _plan_note(folder, path)
        if noted is not None and noted != plan:
            yield (
                f"{folder}: shard {other} was started with another plan ({noted['episodes']} episodes, now "
                f"{plan['episodes']}). Start every shard with the same command; if the plan was extended on "
                "purpose, start every shard again with --accept-changes"
            )
            return


def _plan_note(folder: Path, path: Path) -> Json | None:
    try:
        with RunReader(folder, files=[path]) as reader:
            found = reader.notes().get(PLAN_NOTE)
    except StoreError:  # it is just being made
        return None
    return found if isinstance(found, dict) else None


def missing_shards(folder: Path) -> list[Shard]:
    """Return the shards of a run that were never started."""
    found = [shard for path in store_files(folder) if (shard := Shard.of_store(path)) is not None]
    if not found:
        return []
    there = {shard.number for shard in found}
    return [Shard(number, found[0].count) for number in range(1, found[0].count + 1) if number not in there]


def plain_states(folder: Path) -> list[EpisodeState]:
    """Return the states of the episodes in the run's file without shards."""
    if not (folder / NAME).is_file():
        return []
    with RunReader(folder, files=[folder / NAME]) as reader:
        return list(reader.states().values())
