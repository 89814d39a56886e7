"""Reading a run, also while it is being written: each look sees what was committed.

A run may have several files, one per writer. Of an episode that is in several, the one that is furthest counts.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.store import belonging, schema
from clemcore.clemgame.store.contents import ENDED, EpisodeState, StoredCall
from clemcore.clemgame.store.faults import damaged
from clemcore.clemgame.store.file_reader import ReaderOfVersion1, StoredEpisode, opened
from clemcore.clemgame.store.frames import Stream
from clemcore.clemgame.store.lock import writer_of
from clemcore.errors import StoreError

if TYPE_CHECKING:
    from clemcore.clemgame.plan import EpisodeKey

__all__ = ["RANK", "RunReader", "StoredEpisode"]

# Of several files, the one in which an episode is furthest counts; of equals the last, which is the newest.
RANK = {"planned": 0, "live": 1, "error": 2, "limit": 2, "played": 3}


class RunReader:
    """Reads the store of a run, all its files together.

    Args:
        folder: the folder of the run.
        files: only these files of it.

    Raises:
        StoreError: there is no store, or it cannot be read.
        MixedRunError: a file belongs to another run.
    """

    def __init__(self, folder: Path | str, *, files: Sequence[Path] | None = None) -> None:
        self.folder = Path(folder)
        paths = schema.store_files(self.folder) if files is None else files
        if not paths:
            raise StoreError(
                f"{self.folder} holds no {schema.NAME}. Name the folder of a run, which 'clem run' has made"
            )
        self._files: list[ReaderOfVersion1] = []
        self._paths = list(paths)
        # Whoever wants the calls of an episode mostly wants its interactions next: both are in one body.
        self._last: tuple[StoredEpisode | None, int, bytes] = (None, 0, b"")
        # Episodes that are read one by one keep the reader, and nobody else may be left to close it.
        weakref.finalize(self, _close, self._files)
        try:
            for path in paths:
                found = opened(path)
                if found is not None:
                    self._files.append(found)
            if files is None:
                belonging.refuse_mixed(self.folder, {file.path.name: file.played_with() for file in self._files})
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RunReader:
        """Return the reader itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self.close()

    def close(self) -> None:
        """Close the files."""
        _close(self._files)

    @property
    def problems(self) -> list[str]:
        """What could not be read of damaged files, so far."""
        if not self._files and not any(map(writer_of, self._paths)):
            return [
                f"{self._paths[0]} is empty: no episode was begun, or all were lost. Restore it from a copy, or "
                "repeat the command that played them"
            ]
        return [problem for file in self._files for problem in file.problems]

    def some_episodes(self) -> list[StoredEpisode]:
        """Return the episodes as :meth:`episodes` does.

        Raises:
            StoreError: none can be read; the error says why.
        """
        found = self.episodes()
        if self.problems and not found:
            raise StoreError("; ".join(self.problems))
        return found

    @property
    def files(self) -> Sequence[ReaderOfVersion1]:
        """The files, as ``StoredEpisode.file`` numbers them."""
        return self._files

    @property
    def is_one_file(self) -> bool:
        """Whether one writer alone has written the run."""
        return len(self._files) == 1

    def writers(self) -> list[dict[str, object]]:
        """Return ``pid`` and ``host`` of the processes that are writing the run."""
        found = (writer_of(path) for path in schema.store_files(self.folder))
        return [writer for writer in found if writer is not None]

    def episodes(self) -> list[StoredEpisode]:
        """Return the episodes in the order of the plan."""
        best: dict[EpisodeKey, StoredEpisode] = {}
        for index, file in enumerate(self._files):
            for episode in file.episodes(index):
                known = best.get(episode.key)
                if known is None or RANK[episode.state.state] >= RANK[known.state.state]:
                    best[episode.key] = episode
        return sorted(best.values(), key=lambda episode: (episode.place, episode.key))

    def states(self) -> dict[EpisodeKey, EpisodeState]:
        """Return how far each episode is, in the order of the plan."""
        best: dict[EpisodeKey, tuple[int, EpisodeState]] = {}
        for file in self._files:
            for key, place, state in file.states():
                known = best.get(key)
                if known is None or RANK[state.state] >= RANK[known[1].state]:
                    best[key] = place, state
        in_order = sorted(best.items(), key=lambda item: (item[1][0], item[0]))
        return {key: state for key, (_, state) in in_order}

    def episode(self, key: EpisodeKey) -> StoredEpisode:
        """Return one episode.

        Raises:
            StoreError: the plan has no such episode.
        """
        found = [each for index, file in enumerate(self._files) for each in file.episodes(index, key)]
        if not found:
            raise StoreError(f"{self.folder} has no episode {key}")
        return max(reversed(found), key=lambda episode: RANK[episode.state.state])

    def instance(self, episode: EpisodeKey | StoredEpisode) -> dict[str, Any]:
        """Return the instance of an episode, as it was read."""
        found = self._of(episode)
        return self.parsed(found, self._files[found.file].piece(found.pieces[1]), "instance")

    def experiment(self, episode: EpisodeKey | StoredEpisode) -> dict[str, Any]:
        """Return the experiment of an episode, without its instances."""
        found = self._of(episode)
        return self.parsed(found, self._files[found.file].piece(found.pieces[0]), "experiment")

    def parsed(self, episode: StoredEpisode, body: bytes, what: str) -> dict[str, Any]:
        """Return what JSON of an episode stands for.

        Args:
            episode: the episode.
            body: the JSON.
            what: its name, for the message.

        Raises:
            StoreError: it is not JSON; the message names the file.
        """
        try:
            value: dict[str, Any] = json.loads(body)
        except ValueError as fault:  # also bytes that are not UTF-8
            where = self._files[episode.file].path
            raise damaged(where, f"the {what} of {episode.key} cannot be read as JSON") from fault
        return value

    def interactions(self, episode: EpisodeKey | StoredEpisode) -> bytes:
        """Return the interactions of an episode that ended, as JSON; empty if it did not end."""
        found = self._of(episode)
        last, length, body = self._last
        return body[:length] if last is found else self._files[found.file].interactions(found.number)

    def scores(self, episode: EpisodeKey | StoredEpisode) -> bytes:
        """Return the scores of an episode that the store keeps, as JSON; empty if it keeps none."""
        found = self._of(episode)
        return self._files[found.file].scores(found.number)

    def shard_of(self, episode: StoredEpisode) -> str:
        """Return the name of the writer whose file an episode is in; the first one has none."""
        return schema.shard_of(self._files[episode.file].path)

    def scored(self) -> set[tuple[int, int]]:
        """Return file and number of the episodes whose scores the store keeps."""
        return {(index, number) for index, file in enumerate(self._files) for number in file.scored()}

    def events(self, episode: EpisodeKey | StoredEpisode) -> list[bytes]:
        """Return the events of an episode that did not end, each as JSON."""
        return self._stream(episode).events

    def calls(self, episode: EpisodeKey | StoredEpisode) -> list[StoredCall]:
        """Return the calls of an episode that count, by number."""
        found = self._of(episode)
        if found.state.state in ENDED:
            file = self._files[found.file]
            length, body = file.body(found.number)
            self._last = found, length, body
            calls = file.calls_in(body, length)
            if calls is not None:
                return calls
        return self._stream(found).ordered()

    def superseded(self, episode: EpisodeKey | StoredEpisode) -> list[StoredCall]:
        """Return the calls of an episode that no longer count."""
        return self._stream(episode).superseded

    def notes(self) -> dict[str, Any]:
        """Return what is kept about the run, by name; those of the first file win."""
        notes: dict[str, Any] = {}
        for file in reversed(self._files):
            notes.update(file.notes())
        return notes

    def _of(self, episode: EpisodeKey | StoredEpisode) -> StoredEpisode:
        return episode if isinstance(episode, StoredEpisode) else self.episode(episode)

    def _stream(self, episode: EpisodeKey | StoredEpisode) -> Stream:
        found = self._of(episode)
        return self._files[found.file].stream(found.number, has_ended=found.state.state in ENDED)


def _close(files: list[ReaderOfVersion1]) -> None:
    for file in files:
        file.close()
