"""Reading one file of a run.

Files are opened read-only. There is one exception: a writer with a rollback journal that was killed in the middle
of a transaction leaves a file that nobody can read before that transaction is undone.

There is one class per version of the format; :data:`READERS` lists them.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clemcore.clemgame.store import belonging, schema
from clemcore.clemgame.store.contents import EpisodeState, StoredCall, state_of
from clemcore.clemgame.store.faults import damaged, read_error
from clemcore.clemgame.store.frames import DamagedError, Stream, cut_again, read_stream
from clemcore.clemgame.store.known_pieces import KnownPieces
from clemcore.clemgame.store.pieces import Cutter
from clemcore.errors import StoreError

if TYPE_CHECKING:
    from clemcore.clemgame.plan import EpisodeKey

_T = TypeVar("_T")
_WAIT = 60.0
# So many pieces behind those that are needed are read with them, if they have fewer bytes.
_PIECES_AHEAD, _SHORT_PIECE = 100, 4000

_ROWS = (
    "SELECT game, experiment, game_id, epoch, state, attempts, error, place, ended, facts, experiment_piece, "
    "instance_piece, id FROM episodes"
)
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
        pieces: the numbers of its experiment and of its instance among the shared pieces.
    """

    key: EpisodeKey
    place: int
    state: EpisodeState
    ended: str | None
    facts: dict[str, Any]
    number: int
    file: int
    pieces: tuple[int, int]


class ReaderOfVersion1:
    """Reads one file of version 1."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._pieces = KnownPieces(self._kept_pieces)
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
            *names, state, attempts, error, place, ended, facts, experiment, instance, number = row
            known = self._state(state, attempts, error)
            noted = {} if facts is None else self._json(facts)
            pieces = (experiment, instance)
            yield StoredEpisode(EpisodeKey(*names), place, known, ended, noted, number, index, pieces)

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
            yield key, place, self._state(state, attempts, error)

    def piece(self, number: int) -> bytes:
        """Return a shared piece."""
        return self._undamaged(lambda: self._pieces(number))

    def interactions(self, number: int) -> bytes:
        """Return the interactions of an episode that ended; the rest of its body is not decompressed."""
        rows = self._rows("SELECT interactions, body FROM finished WHERE episode = ?", (number,))
        return self._undamaged(lambda: self._pieces.body(rows[0][1], rows[0][0]) if rows and rows[0][0] else b"")

    def body(self, number: int) -> tuple[int, bytes]:
        """Return the body of an episode that ended, and the length of the interactions in it."""
        rows = self._rows("SELECT interactions, body FROM finished WHERE episode = ?", (number,))
        return self._undamaged(lambda: (rows[0][0], self._pieces.body(rows[0][1])) if rows else (0, b""))

    def calls_in(self, body: bytes, start: int) -> list[StoredCall] | None:
        """Return the calls that count of a body, in which they begin at a place; None if they are damaged."""
        return self._undamaged(lambda: self._pieces.calls(body, start))

    def scores(self, number: int) -> bytes:
        """Return the scores of an episode."""
        rows = self._rows("SELECT body FROM scores WHERE episode = ?", (number,))
        return self._undamaged(lambda: self._pieces.body(rows[0][0]) if rows else b"")

    def _undamaged(self, read: Callable[[], _T]) -> _T:
        try:
            return read()
        except DamagedError as fault:
            raise damaged(self.path, str(fault)) from fault

    def scored(self) -> list[int]:
        """Return the numbers of the episodes that have scores."""
        return [number for (number,) in self._rows("SELECT episode FROM scores")]

    def stream(self, number: int, *, has_ended: bool) -> Stream:
        """Return the frames of an episode."""
        return self._read(number, lambda bodies: read_stream(bodies, self._pieces), has_ended=has_ended)

    def cut_again(self, number: int, cutter: Cutter, *, has_ended: bool, with_events: bool) -> list[bytes]:
        """Return the frames of an episode, cut for another file."""
        return self._read(
            number,
            lambda bodies: cut_again(bodies, self._pieces, cutter, with_events=with_events),
            has_ended=has_ended,
        )

    def _read(self, number: int, read: Callable[[list[bytes]], _T], *, has_ended: bool) -> _T:
        """Return what a function makes of the bodies of an episode's frames."""
        # One query, so that an episode that ends in between is seen as it was before or after. The log has no
        # index: it holds the episodes that have not ended, and an index would cost each call.
        statement = "SELECT -1, interactions, body FROM finished WHERE episode = ?"
        values = [number]
        if not has_ended:
            statement += " UNION ALL SELECT id, 0, frames FROM log WHERE episode = ?"
            values.append(number)
        rows = self._rows(statement, values)
        return self._undamaged(lambda: read([self._pieces.body(body)[start:] for _, start, body in sorted(rows)]))

    def notes(self) -> dict[str, Any]:
        """Return what is kept about the run."""
        return {name: self._json(value) for name, value in self._rows("SELECT name, value FROM notes")}

    def played_with(self) -> dict[str, Any]:
        """Return what the file notes of that with which it was played; nothing if that cannot be read."""
        try:
            rows = self._rows("SELECT value FROM notes WHERE name = ?", (belonging.NOTE,))
            found = self._json(rows[0][0]) if rows else None
        except StoreError:  # what else is read says so
            return {}
        return found if isinstance(found, dict) else {}

    def _kept_pieces(self, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
        marks = ",".join("?" * len(numbers))
        # Episodes are mostly read in the order in which they were written, and so were their pieces.
        last = max(numbers)
        return self._rows(
            f"SELECT id, body FROM pieces WHERE id IN ({marks})"  # noqa: S608 - marks alone
            " UNION ALL SELECT * FROM (SELECT id, body FROM pieces WHERE id > ? AND length(body) < ? LIMIT ?)",
            (*numbers, last, _SHORT_PIECE, _PIECES_AHEAD),
        )

    def _state(self, state: str, attempts: int, error: bytes | None) -> EpisodeState:
        try:
            return state_of(state, attempts, error)
        except ValueError as fault:
            raise damaged(self.path, "an error in it is not JSON") from fault

    def _json(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except ValueError as fault:  # also bytes that are not UTF-8
            raise damaged(self.path, "a part of it is not JSON") from fault

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
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


READERS = {1: ReaderOfVersion1}


def opened(path: Path) -> ReaderOfVersion1 | None:
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
                raise StoreError(
                    f"{path} is not a store of clemcore, or its beginning is damaged. Restore the file from a "
                    "copy, or move it out of the folder"
                ) from fault
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
