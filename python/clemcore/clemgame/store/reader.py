"""Reading a run, also while it is being written: each look sees what was committed.

Files are opened read-only. There is one exception: a writer with a rollback journal that was killed in the middle
of a transaction leaves a file that nobody can read before that transaction is undone.

A run may have several files, one per writer. There is one class per version of the format; :data:`READERS` lists
them.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clemcore.clemgame.store import belonging, schema
from clemcore.clemgame.store.contents import ENDED, EpisodeState, StoredCall, state_of
from clemcore.clemgame.store.faults import damaged, read_error
from clemcore.clemgame.store.frames import DamagedError, Stream, cut_again, read_stream, unpacked
from clemcore.clemgame.store.lock import writer_of
from clemcore.clemgame.store.pieces import Cutter
from clemcore.errors import StoreError

if TYPE_CHECKING:
    from clemcore.clemgame.plan import EpisodeKey

_T = TypeVar("_T")
_WAIT = 60.0
_MOST_PIECES = 1024
# Of several files, the one in which an episode is furthest counts; of equals the last, which is the newest.
RANK = {"planned": 0, "live": 1, "error": 2, "limit": 2, "played": 3}

_ROWS = "SELECT game, experiment, game_id, epoch, state, attempts, error, place, ended, facts, id FROM episodes"
_EPISODES = f"{_ROWS} ORDER BY place, id"
_EPISODE = _EPISODES.replace("ORDER", "WHERE game = ? AND experiment = ? AND game_id = ? AND epoch = ? ORDER")

_STATES = "SELECT game, experiment, game_id, epoch, state, attempts, error, place FROM episodes"


@dataclass(frozen=True)
class StoredEpisode:
    """One episode of the plan, without its bodies.

    Attributes:
        key: which one it is.
        place: its place in the plan, from 0.
        state: how far it is.
        ended: when it ended, ISO 8601 in UTC, or None.
        facts: what was noted about its last attempt.
    """

    key: EpisodeKey
    place: int
    state: EpisodeState
    ended: str | None
    facts: dict[str, Any]
    number: int
    file: int


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
        # Episodes that are read one by one keep the reader, and nobody else may be left to close it.
        weakref.finalize(self, _close, self._files)
        try:
            for path in paths:
                found = _opened(path)
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
        return [problem for file in self._files for problem in file.problems]

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
        value: dict[str, Any] = json.loads(self._files[found.file].planned(found.number)[1])
        return value

    def experiment(self, episode: EpisodeKey | StoredEpisode) -> dict[str, Any]:
        """Return the experiment of an episode, without its instances."""
        found = self._of(episode)
        value: dict[str, Any] = json.loads(self._files[found.file].planned(found.number)[0])
        return value

    def interactions(self, episode: EpisodeKey | StoredEpisode) -> bytes:
        """Return the interactions of an episode that ended, as JSON; empty if it did not end."""
        found = self._of(episode)
        return self._files[found.file].interactions(found.number)

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
        return self._stream(episode).ordered()

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


class ReaderOfVersion1:
    """Reads one file of version 1."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._pieces: OrderedDict[int, bytes] = OrderedDict()
        self.problems: list[str] = []

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def episodes(self, index: int, key: EpisodeKey | None = None) -> Iterator[StoredEpisode]:
        """Give one episode, or all in the order of the plan."""
        from clemcore.clemgame.plan import EpisodeKey

        statement, values = _EPISODES, ()  # type: tuple[str, tuple[Any, ...]]
        if key is not None:
            statement, values = _EPISODE, (key.game, key.experiment, key.game_id, key.epoch)
        try:
            rows = self._rows(statement, values)
        except StoreError as fault:
            if key is not None:
                raise
            rows = self._readable_rows(fault)
        for row in rows:
            *names, state, attempts, error, place, ended, facts, number = row
            known = state_of(state, attempts, error)
            noted = {} if facts is None else json.loads(facts)
            yield StoredEpisode(EpisodeKey(*names), place, known, ended, noted, number, index)

    def _readable_rows(self, fault: StoreError) -> list[tuple[Any, ...]]:
        """Return the rows of episodes before and behind the damage, in the order of the plan.

        Raises:
            StoreError: there are none.
        """
        found: dict[int, tuple[Any, ...]] = {}
        for order in ("ASC", "DESC"):
            # A damaged page ends a query, which has given the rows before it.
            with contextlib.suppress(sqlite3.Error):
                for row in self._connection.execute(f"{_ROWS} ORDER BY id {order}"):
                    found[row[-1]] = row
        if not found:
            raise fault
        lost = max(found) - len(found)
        told = f"{lost} of its episodes" if lost else "some of its episodes"
        problem = f"{fault}. {len(found)} episodes are read from it, and {told} cannot be"
        if problem not in self.problems:
            self.problems.append(problem)
        return sorted(found.values(), key=lambda row: (row[7], row[-1]))

    def states(self) -> Iterator[tuple[EpisodeKey, int, EpisodeState]]:
        """Give key, place and state of all episodes."""
        from clemcore.clemgame.plan import EpisodeKey

        try:
            rows = self._rows(_STATES)
        except StoreError as fault:
            rows = [row[:8] for row in self._readable_rows(fault)]
        for game, experiment, game_id, epoch, state, attempts, error, place in rows:
            key = EpisodeKey(sys.intern(game), sys.intern(experiment), game_id, epoch)
            yield key, place, state_of(state, attempts, error)

    def planned(self, number: int) -> tuple[bytes, bytes]:
        """Return experiment and instance of an episode, as JSON."""
        ((experiment, instance),) = self._rows(
            "SELECT experiment_piece, instance_piece FROM episodes WHERE id = ?", (number,)
        )
        try:
            return self._piece(experiment), self._piece(instance)
        except DamagedError as fault:
            raise damaged(self.path, str(fault)) from fault

    def interactions(self, number: int) -> bytes:
        """Return the interactions of an episode that ended."""
        rows = self._rows("SELECT interactions, body FROM finished WHERE episode = ?", (number,))
        try:
            return unpacked(rows[0][1], self._piece, rows[0][0]) if rows and rows[0][0] else b""
        except DamagedError as fault:
            raise damaged(self.path, str(fault)) from fault

    def scores(self, number: int) -> bytes:
        """Return the scores of an episode."""
        rows = self._rows("SELECT body FROM scores WHERE episode = ?", (number,))
        try:
            return unpacked(rows[0][0], self._piece) if rows else b""
        except DamagedError as fault:
            raise damaged(self.path, str(fault)) from fault

    def scored(self) -> list[int]:
        """Return the numbers of the episodes that have scores."""
        return [number for (number,) in self._rows("SELECT episode FROM scores")]

    def stream(self, number: int, *, has_ended: bool) -> Stream:
        """Return the frames of an episode."""
        return self._read(number, lambda bodies: read_stream(bodies, self._piece), has_ended=has_ended)

    def cut_again(self, number: int, cutter: Cutter, *, has_ended: bool, with_events: bool) -> list[bytes]:
        """Return the frames of an episode, cut for another file."""
        return self._read(
            number,
            lambda bodies: cut_again(bodies, self._piece, cutter, with_events=with_events),
            has_ended=has_ended,
        )

    def _read(self, number: int, read: Callable[[list[bytes]], _T], *, has_ended: bool) -> _T:
        """Return what a function makes of the bodies of an episode's frames."""
        # One query, so that an episode that ends in between is seen as it was before or after. The log has no
        # index: it holds the episodes that have not ended, and an index would cost each call.
        statement = "SELECT -1, interactions, body FROM finished WHERE episode = ?1"
        if not has_ended:
            statement += " UNION ALL SELECT id, 0, frames FROM log WHERE episode = ?1"
        rows = self._rows(statement, (number,))
        try:
            return read([unpacked(body, self._piece)[start:] for _, start, body in sorted(rows)])
        except DamagedError as fault:
            raise damaged(self.path, str(fault)) from fault

    def notes(self) -> dict[str, Any]:
        """Return what is kept about the run."""
        return {name: json.loads(value) for name, value in self._rows("SELECT name, value FROM notes")}

    def played_with(self) -> dict[str, Any]:
        """Return what the file notes of that with which it was played; nothing if that cannot be read."""
        try:
            rows = self._rows("SELECT value FROM notes WHERE name = ?", (belonging.NOTE,))
        except StoreError:  # what else is read says so
            return {}
        found = json.loads(rows[0][0]) if rows else None
        return found if isinstance(found, dict) else {}

    def _piece(self, number: int) -> bytes:
        body = self._pieces.get(number)
        if body is None:
            rows = self._rows("SELECT body FROM pieces WHERE id = ?", (number,))
            if not rows:
                raise DamagedError(f"piece {number} is missing")
            body = self._pieces[number] = unpacked(rows[0][0], _no_piece)
            if len(self._pieces) > _MOST_PIECES:
                self._pieces.popitem(last=False)
        return body

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.OperationalError as fault:
                if not _is_half_written(fault):
                    raise
                _roll_back(self.path)
                return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as fault:
            raise read_error(self.path, fault) from fault


def _no_piece(number: int) -> bytes:
    raise DamagedError(f"a piece refers to another, {number}")


READERS = {1: ReaderOfVersion1}


def _opened(path: Path) -> ReaderOfVersion1 | None:
    """Open a file for reading; None if it has no tables yet."""
    try:
        try:
            return _connected(path, "?mode=ro")
        except sqlite3.OperationalError as fault:
            if not _is_half_written(fault):
                raise
            _roll_back(path)
            return _connected(path, "?mode=ro")
    except sqlite3.Error as fault:
        if "unable to open" not in str(fault):
            if "not a database" in str(fault):
                raise StoreError(f"{path} is not a store of clemcore. Name the folder of a run") from fault
            if "malformed" in str(fault) and (found := _truncated(path)) is not None:
                return found
            raise read_error(path, fault) from fault
    try:
        # A disk that cannot be written to has no room for what readers share; then nobody writes, either.
        return _connected(path, "?mode=ro&immutable=1")
    except sqlite3.Error as fault:
        raise read_error(path, fault) from fault


def _truncated(path: Path) -> ReaderOfVersion1 | None:
    """Open a file that ends before its last page, for what is left; None if nothing can be read."""
    try:
        found = _connected(path, "?mode=ro", is_truncated=True)
    except sqlite3.Error:
        return None
    if found is not None:
        found.problems.append(f"{path} is cut off: what is behind its end cannot be read")
    return found


def _is_half_written(fault: sqlite3.OperationalError) -> bool:
    """Tell whether a writer with a rollback journal was killed in the middle of a transaction."""
    return "readonly database" in str(fault)


def _roll_back(path: Path) -> None:
    """Undo the transaction that a killed writer left half done: until then, nobody can read the file."""
    connection = sqlite3.connect(path.resolve().as_uri() + "?mode=rw", uri=True, timeout=_WAIT)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    finally:
        connection.close()


def _connected(path: Path, how: str, *, is_truncated: bool = False) -> ReaderOfVersion1 | None:
    connection = sqlite3.connect(
        path.resolve().as_uri() + how, uri=True, timeout=_WAIT, check_same_thread=False, isolation_level=None
    )
    try:
        if is_truncated:
            # Otherwise SQLite refuses a file that is shorter than its header says. Nothing can be written here.
            connection.execute("PRAGMA writable_schema = ON")
        version = schema.version_of(connection, path)
    except BaseException:
        connection.close()
        raise
    if version is None:
        connection.close()
        return None
    return READERS[version](path, connection)
