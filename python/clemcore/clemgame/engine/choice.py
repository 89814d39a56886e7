"""Which of the planned episodes a run plays, and which of them go one after another.

It does not know how they are played.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.engine.limits import Limit, Options, is_raised
from clemcore.clemgame.engine.watchdog import NAME, ending_of
from clemcore.clemgame.store import RunReader
from clemcore.errors import StoreError

if TYPE_CHECKING:
    from clemcore.clemgame.plan import EpisodeKey, PlannedEpisode, PlannedGame
    from clemcore.clemgame.store import EpisodeState, RunStore


def is_wanted(state: EpisodeState, options: Options) -> bool:
    """Tell whether an episode is to be played: it is not completed, or what ended it is to be tried again."""
    if state.state == "error":
        retry = options.retry_errors
        return retry if isinstance(retry, bool) else (state.error or {}).get("type") in retry
    if state.state == "limit":
        return is_raised(state.error, options)
    return state.state != "played"


def mark_of(store: RunStore) -> Path | None:
    """Return the watchdog's file of a run, or of a shard; None for what is not a store in a folder."""
    path: Path | None = getattr(store, "path", None)
    if path is None:
        return None
    return path.parent / (f"{NAME}-{store.shard}" if store.shard else NAME)


def last_ending(
    games: Sequence[PlannedGame], store: RunStore, options: Options
) -> tuple[PlannedEpisode, str, dict[str, Any]] | None:
    """Return the episode whose code ended an earlier process, with its outcome and error, or None."""
    mark = mark_of(store)
    found = None if mark is None else ending_of(mark)
    if found is None:
        return None
    states = store.states(begun=True)
    episodes = (episode for game in games for episode in game.episodes)
    episode = next((each for each in episodes if name_of(each.key) == found.name), None)
    if episode is None or not _is_open(states.get(episode.key)):
        return None
    if found.is_crash:
        cause = found.stacks.split("\n", 1)[0].removeprefix("Fatal Python error: ")
        message = f"its game code crashed the process ({cause})"
        return episode, "error", {"type": "ProcessCrash", "message": message, "traceback": found.stacks}
    limit = Limit("step_timeout", options.step_timeout or 0.0, found.stacks)
    return episode, "limit", {**limit.to_error(), "uninterruptible": True}


def _is_open(state: EpisodeState | None) -> bool:
    return state is None or state.state != "played"


def name_of(key: EpisodeKey) -> bytes:
    """Return what the watchdog's file calls an episode."""
    return f"{key.game}/{key.experiment}/{key.game_id}/{key.epoch}".encode("utf-8", "backslashreplace")


def tasks_of(game: PlannedGame, skipped: Container[EpisodeKey], options: Options) -> Iterator[list[PlannedEpisode]]:
    """Yield what one thread plays after another.

    That is one episode each. Where players keep their dialogue, it is all episodes of an experiment and epoch up to
    the last one that is to be played, completed ones included.
    """
    if options.keep_context != "experiment":
        yield from ([episode] for episode in game.episodes if episode.key not in skipped)
        return
    chains: dict[tuple[str, int], list[PlannedEpisode]] = {}
    for episode in game.episodes:
        chains.setdefault((episode.key.experiment, episode.key.epoch), []).append(episode)
    for chain in chains.values():
        last = max((number for number, episode in enumerate(chain) if episode.key not in skipped), default=-1)
        if last >= 0:
            yield chain[: last + 1]


def remembered(folder: Path | None, key: EpisodeKey) -> dict[str, list[Any]] | None:
    """Return what the players remembered at the end of a completed episode, or None if that is not stored."""
    if folder is None:
        return None
    try:
        with RunReader(folder) as reader:
            facts: Mapping[str, Any] = reader.episode(key).facts
    except (StoreError, KeyError):
        return None
    found = facts.get("contexts")
    return found if isinstance(found, dict) else None
