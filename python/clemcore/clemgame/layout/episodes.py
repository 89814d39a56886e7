"""Reads episodes from any results: a store, or the classic layout of this or any older release.

All give the same :class:`Episode`. Bodies are read when they are asked for. It does not know how results are made.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Hashable, Iterator
from datetime import datetime
from functools import cached_property
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.layout import found
from clemcore.clemgame.layout.classic import FinishedEpisode
from clemcore.clemgame.layout.file_state import has_just_changed, state_of
from clemcore.clemgame.layout.names import episode_folder, name_of
from clemcore.clemgame.layout.runs import find_runs
from clemcore.clemgame.layout.walking import folders_in
from clemcore.clemgame.plan import EpisodeKey
from clemcore.clemgame.store.contents import ENDED, StoredCall, shared_calls_of
from clemcore.clemgame.store.schema import store_files
from clemcore.errors import MixedRunError, StoreError

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from clemcore.clemgame.store.reader import RunReader, StoredEpisode
    from clemcore.clemgame.store.shards import Absent


class Episode:
    """One episode of a run, played or not.

    Attributes:
        key: which one it is.
        run: the folder of its run.
        state: "played", "error", "limit", "live" (begun and not ended) or "planned".
        error: what ended it before its end, or None.
        has_epochs: whether its run has a folder for each epoch.
    """

    key: EpisodeKey
    run: Path
    state: str
    error: dict[str, Any] | None
    has_epochs: bool = False

    @property
    def path(self) -> str:
        """The folder of its classic files, as a text; with ``--layout store``, where it would be."""
        raise NotImplementedError

    @property
    def folder(self) -> Path:
        """The folder of its classic files; with ``--layout store``, where they would be."""
        return Path(self.path)

    def has_file(self, name: str) -> bool:
        """Tell whether its folder had a file of this name when it was found."""
        raise NotImplementedError

    @property
    def line_up(self) -> str:
        """The line-up of models: the name of the folder of its run."""
        return name_of(self.run.name)

    @cached_property
    def experiment(self) -> dict[str, Any]:
        """The experiment without its instances."""
        raise NotImplementedError

    @cached_property
    def instance(self) -> dict[str, Any]:
        """The instance as it was read."""
        raise NotImplementedError

    @cached_property
    def interactions(self) -> dict[str, Any]:
        """The interactions in the form of 3.7.2, as far as they came; empty if it did not end."""
        raise NotImplementedError

    def interactions_json(self) -> bytes:
        """Return the interactions of an episode that was played, as they are kept.

        Raises:
            StoreError: they cannot be read.
        """
        raise NotImplementedError

    def calls(self) -> list[StoredCall]:
        """Return the calls that count, by number."""
        raise NotImplementedError

    @property
    def shared_calls(self) -> int:
        """How many of its first calls were made in another episode, from which it branched off."""
        return 0

    def own_calls(self) -> list[StoredCall]:
        """Return the calls that count and were made in this episode, by number."""
        return [call for call in self.calls() if call.number >= self.shared_calls]

    @property
    def ended(self) -> str | None:
        """When it ended, ISO 8601, or None."""
        raise NotImplementedError

    @property
    def version(self) -> Hashable:
        """What differs after its calls or messages have changed; None if they may change at any moment."""
        return None

    @property
    def player_models(self) -> Any:
        """What the results say about the models, by the number of the role."""
        return self.interactions.get("player_models")

    @property
    def scores(self) -> dict[str, Any] | None:
        """The content of ``scores.json``, or None if it was not scored."""
        return found.read_scores(f"{self.path}/scores.json")

    def __repr__(self) -> str:
        """Show which one it is."""
        return f"<Episode {self.line_up}/{self.key} {self.state}>"


class _StoreEpisode(Episode):
    def __init__(
        self, run: Path, reader: RunReader, stored: StoredEpisode, has_epochs: bool, has_files: bool
    ) -> None:
        self._has_files = has_files
        self.run = run
        self.key = stored.key
        self.state = stored.state.state
        self.error = stored.state.error
        self._reader = reader
        self._stored = stored
        self.has_epochs = has_epochs

    @cached_property
    def path(self) -> str:
        return str(episode_folder(self.run, self.key, has_epochs=self.has_epochs))

    def has_file(self, name: str) -> bool:
        return self._has_files and os.path.exists(f"{self.path}/{name}")  # noqa: PTH110 - a run has many

    @cached_property
    def experiment(self) -> dict[str, Any]:
        return self._reader.experiment(self._stored)

    @cached_property
    def instance(self) -> dict[str, Any]:
        return self._reader.instance(self._stored)

    @cached_property
    def interactions(self) -> dict[str, Any]:
        text = self._reader.interactions(self._stored)
        return self._reader.parsed(self._stored, text, "record") if text else {}

    def interactions_json(self) -> bytes:
        return self._reader.interactions(self._stored)

    @property
    def scores(self) -> dict[str, Any] | None:
        in_file = found.read_scores(f"{self.path}/scores.json") if self._has_files else None
        if in_file is not None:
            return in_file
        text = self._reader.scores(self._stored)
        return self._reader.parsed(self._stored, text, "scores") if text else None

    def calls(self) -> list[StoredCall]:
        return self._reader.calls(self._stored)

    @property
    def shared_calls(self) -> int:
        return shared_calls_of(self._stored.facts)

    @property
    def ended(self) -> str | None:
        return self._stored.ended

    @property
    def version(self) -> Hashable:
        state = self._stored.state
        return None if state.state == "live" else (state.state, state.attempts, self._stored.ended)


class _ClassicEpisode(Episode):
    def __init__(self, folder: str, files: list[str]) -> None:
        place = found.found_at(folder, files)
        self.run = place.run
        self.key = EpisodeKey(place.game, place.experiment, place.game_id, place.epoch)
        self.state, self.error = found.read_state(place, files)
        self._place = place
        self._files = files

    @property
    def path(self) -> str:
        return self._place.path

    def has_file(self, name: str) -> bool:
        return name in self._files

    @cached_property
    def experiment(self) -> dict[str, Any]:
        return found.read_experiment(self._place)

    @cached_property
    def instance(self) -> dict[str, Any]:
        name = "instance.json"
        return found.read_json(f"{self.path}/{name}") if name in self._files else {}

    @cached_property
    def interactions(self) -> dict[str, Any]:
        return found.read_interactions(self._place)

    def interactions_json(self) -> bytes:
        return found.read_bytes(f"{self.path}/interactions.json")

    def calls(self) -> list[StoredCall]:
        return found.read_calls(self._place, self._files)

    @property
    def version(self) -> Hashable:
        try:
            states = [state_of(os.stat(f"{self.path}/{name}")) for name in self._files]  # noqa: PTH116 - as above
        except OSError:  # one has gone since
            return None
        return None if any(map(has_just_changed, states)) else (*self._files, *states)

    @property
    def ended(self) -> str | None:
        for name in ("completed.json", "error.json"):
            if name in self._files:
                stamp = found.read_json(f"{self.path}/{name}").get("timestamp")
                return stamp if isinstance(stamp, str) else None
        return None


class _AbsentEpisode(Episode):
    """An episode of a shard that is missing: only the plan knows it."""

    state, error = "planned", None

    def __init__(self, run: Path, key: EpisodeKey, path: str, has_epochs: bool) -> None:
        self.run, self.key, self.has_epochs, self._path = run, key, has_epochs, path
        self.experiment, self.instance, self.interactions = {"name": key.experiment}, {}, {}

    @property
    def path(self) -> str:
        return self._path

    def has_file(self, name: str) -> bool:  # noqa: ARG002 - it has none
        return False

    def interactions_json(self) -> bytes:
        raise StoreError(f"{self.path}: the shard of this episode is missing")

    def calls(self) -> list[StoredCall]:
        return []

    @property
    def ended(self) -> str | None:
        return None


def read_episodes(path: Path | str) -> Iterator[Episode]:
    """Give the episodes of a run, or of all runs in a folder, those that were not played included.

    Args:
        path: a run, a folder that holds some, or a folder within a run of the classic layout.

    Raises:
        StoreError: there are none, or a file cannot be read.
        StoreError: a store cannot be read.
    """
    path = Path(path)
    for run in find_runs(path):
        if store_files(run):
            yield from _of_store(run)
        else:
            yield from starmap(_ClassicEpisode, found.find_places(run))


def readable_episodes(run: Path) -> Iterator[Episode | str]:
    """Give the episodes of one run that can be read, and a text for each file that cannot.

    Args:
        run: the folder of the run.
    """
    if store_files(run):
        try:
            absent = yield from _of_store(run)
            yield from _absent(run, absent)
        except MixedRunError as fault:  # nobody knows which of the classic files are of this run
            yield str(fault)
            return
        except StoreError as fault:
            yield f"{fault}. Its classic files are read instead, if there are any"
        else:
            return
    for place in found.find_places(run):
        try:
            yield _ClassicEpisode(*place)
        except StoreError as fault:
            yield str(fault)


def all_readable(path: Path | str, unreadable: list[tuple[Path, str]]) -> Iterator[Episode]:
    """Give the episodes of a run, or of all runs in a folder, and note what cannot be read.

    Args:
        path: the arguments are those of :func:`read_episodes`.
        unreadable: takes runs, each with what cannot be read of it and why.

    Raises:
        StoreError: there are none that can be read.
    """
    is_empty = True
    problems = []
    for run in find_runs(Path(path)):
        for episode in readable_episodes(run):
            if isinstance(episode, str):
                problems.append((run, episode))
                unreadable.append(problems[-1])
            else:
                is_empty = False
                yield episode
    if is_empty and problems:
        raise StoreError("\n".join(text for _, text in problems))


def _of_store(run: Path) -> Generator[Episode, None, Absent]:
    """Give the episodes of a store, and return those of shards that are missing."""
    from clemcore.clemgame.store.reader import RunReader
    from clemcore.clemgame.store.shards import absent_episodes

    reader = RunReader(run)
    episodes = reader.some_episodes()
    for problem in reader.problems:
        logger.warning("%s", problem)
    absent = absent_episodes(reader, [episode.key for episode in episodes])
    has_files = bool(folders_in(run))
    for episode in episodes:
        yield _StoreEpisode(run, reader, episode, absent.has_epochs, has_files)
    return absent


def _absent(run: Path, absent: Absent) -> Iterator[Episode | str]:
    """Say which shards are missing, and give their episodes: by the classic files of those that have some."""
    if absent.problem:
        yield absent.problem
    for key in absent.keys:
        path = str(episode_folder(run, key, has_epochs=absent.has_epochs))
        files = os.listdir(path) if os.path.isdir(path) else []  # noqa: PTH112, PTH208 - a run has many
        is_there = not found.SIGNS.isdisjoint(files)
        yield _ClassicEpisode(path, files) if is_there else _AbsentEpisode(run, key, path, absent.has_epochs)


def _local(moment: str | None) -> str:
    """Return a time as the classic files have it: local, without a zone."""
    if moment is None:
        return datetime.now().isoformat()
    known = datetime.fromisoformat(moment)
    return known.isoformat() if known.tzinfo is None else known.astimezone().replace(tzinfo=None).isoformat()


def finished(episode: Episode) -> FinishedEpisode | None:
    """Return an episode as the classic layout takes it, or None if it did not end."""
    if episode.state not in ENDED:
        return None
    return FinishedEpisode(
        key=episode.key,
        experiment=episode.experiment,
        instance=episode.instance,
        state=episode.state,
        interactions=episode.interactions,
        calls=episode.calls(),
        player_models=episode.player_models,
        error=episode.error,
        ended=_local(episode.ended),
        has_epochs=episode.has_epochs,
    )
