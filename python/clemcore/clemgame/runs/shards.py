"""Plays a run in shards: which part of a plan each of several processes plays, and what keeps one from playing it.

It does not know how episodes are played.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.store import RunReader
from clemcore.clemgame.store.schema import NAME, store_files
from clemcore.clemgame.store.shards import Shard
from clemcore.errors import StoreError

if TYPE_CHECKING:
    from clemcore.clemgame.plan import EpisodeKey, PlannedGame
    from clemcore.clemgame.store import EpisodeState

# The note of a store that says which plan its shard has.
PLAN_NOTE = "plan"

Json = dict[str, Any]


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


def plain_states(folder: Path) -> list[EpisodeState]:
    """Return the states of the episodes in the run's file without shards."""
    if not (folder / NAME).is_file():
        return []
    with RunReader(folder, files=[folder / NAME]) as reader:
        return list(reader.states().values())
