"""Writing a run: each call before its player sees the answer, and the end of an episode as one transaction.

Every method may be called from any thread; calls that end together share a commit. It knows what is stored and in
which order, not how bytes are cut (pieces.py) nor how threads share a commit (commits.py).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore.calls.encoding import to_json
from clemcore.clemgame.store import schema
from clemcore.clemgame.store.commits import Commits, Statement
from clemcore.clemgame.store.contents import ENDED, EpisodeState, StoredCall
from clemcore.clemgame.store.disk import journal_for
from clemcore.clemgame.store.faults import damaged, write_error
from clemcore.clemgame.store.frames import (
    DamagedError,
    Stream,
    call_frame,
    differs_frame,
    events_frame,
    packed,
    read_stream,
    unpacked,
)
from clemcore.clemgame.store.lock import WriterLock
from clemcore.clemgame.store.pieces import Cutter
from clemcore.clemgame.store.shared import SharedPieces
from clemcore.errors import StoreError
from clemcore.secrets import scrub_json

if TYPE_CHECKING:
    from clemcore.clemgame.plan import EpisodeKey, PlannedEpisode

# Seconds to wait for readers of a file with a rollback journal.
_WAIT = 60.0
# Pages of the write-ahead log until they are moved into the file.
_CHECKPOINT = 8000


class RunStore:
    """The one writer of a run's store. Open it with :meth:`open`.

    Attributes:
        path: the file.
        journal: "wal" or "rollback", and why.
        facts: noted with each episode that ends from now on, beside its own facts.
    """

    def __init__(self, path: Path, lock: WriterLock, connection: sqlite3.Connection, journal: str) -> None:
        self.path = path
        self.journal = journal
        self.facts: dict[str, Any] = {}
        self._lock_of_file = lock
        self._commits = Commits(connection, path)
        self._shared = SharedPieces(self._commits)
        ((last,),) = self._commits.rows("SELECT max(id) FROM log")
        self._next_row = itertools.count((last or 0) + 1)
        # Rows of the log by episode: what interrupted attempts left, and what live ones write.
        self._rows: dict[int, list[int]] = {}
        # Attempts at the episodes that were begun here and have not ended.
        self._begun: dict[int, int] = {}
        for row, episode in self._commits.rows("SELECT id, episode FROM log ORDER BY id"):
            self._rows.setdefault(episode, []).append(row)

    @classmethod
    def open(cls, folder: Path | str, *, shard: str = "") -> RunStore:
        """Open the store of a run, or make it.

        Args:
            folder: the folder of the run.
            shard: the name of this writer, where several write the same run.

        Raises:
            StoreError: another process is writing it, it is damaged, or it is a file of another program.
        """
        folder = Path(folder)
        path = folder / schema.file_name(shard)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = WriterLock(path)
        except OSError as fault:
            raise write_error(path, fault) from fault
        try:
            connection, journal = _connect(path)
            return cls(path, lock, connection, journal)
        except BaseException:
            lock.release()
            raise

    def __enter__(self) -> RunStore:
        """Return the store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the store."""
        self.close()

    # -- the plan --------------------------------------------------------------------------------------------------
    def plan(self, episodes: Iterable[PlannedEpisode]) -> None:
        """Add the episodes that are not there yet, and update the instances of those that did not end."""
        statements: list[Statement] = []
        # By identity: episodes share their experiment, and to compare takes longer than to write.
        experiments: dict[int, tuple[dict[str, Any], int]] = {}
        for episode in episodes:
            key = episode.key
            known = experiments.get(id(episode.experiment))
            if known is None:
                own = {name: value for name, value in episode.experiment.items() if name != "game_instances"}
                known = experiments[id(episode.experiment)] = (
                    episode.experiment,
                    self._shared.number_of(to_json(own)),
                )
            row = (
                key.game,
                key.experiment,
                key.game_id,
                key.epoch,
                episode.place,
                known[1],
                self._shared.number_of(to_json(episode.instance)),
            )
            statements.append(
                (
                    "INSERT INTO episodes (game, experiment, game_id, epoch, place, state, attempts,"
                    " experiment_piece, instance_piece) VALUES (?, ?, ?, ?, ?, 'planned', 0, ?, ?)"
                    " ON CONFLICT (game, experiment, game_id, epoch) DO UPDATE SET place = excluded.place,"
                    " experiment_piece = excluded.experiment_piece, instance_piece = excluded.instance_piece"
                    " WHERE state IN ('planned', 'live')",
                    row,
                )
            )
            if len(statements) >= 1000:  # noqa: PLR2004 - a plan may be long
                self._commits.now(*statements)
                statements = []
        self._commits.now(*statements)

    def states(self) -> dict[EpisodeKey, EpisodeState]:
        """Return how far each episode is, in the order of the plan."""
        from clemcore.clemgame.plan import EpisodeKey

        self._commits.flush()
        rows = self._commits.rows(
            "SELECT game, experiment, game_id, epoch, state, attempts, error FROM episodes ORDER BY place, id"
        )
        return {
            EpisodeKey(*row[:4]): EpisodeState(row[4], row[5], None if row[6] is None else json.loads(row[6]))
            for row in rows
        }

    def note(self, name: str, value: Any) -> None:
        """Keep something about the run; a later value of the same name replaces it."""
        self._commits.now(("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, to_json(value))))

    def keep_scores(self, key: EpisodeKey, scores: bytes) -> None:
        """Keep the scores of an episode, the JSON of ``scores.json``."""
        self._commits.later(
            (
                "INSERT OR REPLACE INTO scores SELECT id, ? FROM episodes"
                " WHERE game = ? AND experiment = ? AND game_id = ? AND epoch = ?",
                (packed(scores), key.game, key.experiment, key.game_id, key.epoch),
            )
        )

    def notes(self) -> dict[str, Any]:
        """Return what is kept about the run, by name."""
        self._commits.flush()
        return {name: json.loads(value) for name, value in self._commits.rows("SELECT name, value FROM notes")}

    # -- episodes --------------------------------------------------------------------------------------------------
    def begin(self, key: EpisodeKey) -> EpisodeWriter:
        """Begin a new attempt at an episode that was planned.

        Raises:
            StoreError: it was not planned.
        """
        rows = self._commits.rows(
            "SELECT id, attempts FROM episodes WHERE game = ? AND experiment = ? AND game_id = ? AND epoch = ?",
            (key.game, key.experiment, key.game_id, key.epoch),
        )
        if not rows:
            raise StoreError(f"{self.path} has no episode {key}: plan it before it begins")
        ((number, attempts),) = rows
        attempts = self._begun.get(number, attempts)  # what was begun here may not be in the file yet
        stream = self._stream(number) if attempts else Stream()
        self._begun[number] = attempts + 1
        self._commits.later(
            ("UPDATE episodes SET state = 'live', attempts = ?, error = NULL WHERE id = ?", (attempts + 1, number))
        )
        return EpisodeWriter(self, number, key.game, attempts + 1, stream)

    def _stream(self, episode: int) -> Stream:
        """Read what earlier attempts wrote."""
        self._commits.flush()
        kept = self._commits.rows("SELECT interactions, body FROM finished WHERE episode = ?", (episode,))
        for row in self._rows.get(episode, ()):
            kept += self._commits.rows("SELECT 0, frames FROM log WHERE id = ?", (row,))
        try:
            bodies = [unpacked(body, self._shared.body_of)[start:] for start, body in kept]
            return read_stream(bodies, self._shared.body_of)
        except DamagedError as fault:
            raise damaged(self.path, str(fault)) from fault

    def _append(self, episode: int, frames: Sequence[bytes]) -> None:
        """Write frames of a live episode; they are in the file when this returns."""
        row = next(self._next_row)
        self._rows.setdefault(episode, []).append(row)
        self._commits.now(("INSERT INTO log VALUES (?, ?, ?)", (row, episode, b"\x00" + b"".join(frames))))

    def _finish(
        self,
        episode: tuple[int, str],
        state: str,
        body: tuple[int, bytes],
        error: bytes | None,
        facts: bytes | None,
    ) -> None:
        number, game = episode
        kept = packed(body[1], self._shared.dictionary_of(game, body[1]))
        rows = self._rows.pop(number, [])
        self._begun.pop(number, None)
        ended = datetime.now(timezone.utc).isoformat()
        self._commits.now(
            *(("DELETE FROM log WHERE id BETWEEN ? AND ?", stretch) for stretch in _stretches(rows)),
            ("INSERT OR REPLACE INTO finished VALUES (?, ?, ?)", (number, body[0], kept)),
            ("DELETE FROM scores WHERE episode = ?", (number,)),  # they were those of an earlier attempt
            (
                "UPDATE episodes SET state = ?, ended = ?, error = ?, facts = ? WHERE id = ?",
                (state, ended, error, facts, number),
            ),
        )

    def close(self) -> None:
        """Write what is left, and let another writer in. Only the process that opened the store can do this.

        Raises:
            StoreError: what is left could not be written.
        """
        try:
            self._commits.close()
        finally:
            self._lock_of_file.release()


class EpisodeWriter:
    """Writes one attempt at an episode. Only one thread at a time may use it.

    Attributes:
        attempt: the number of this attempt, from 1.
        earlier: the calls of earlier attempts that still count, by number.
    """

    def __init__(self, store: RunStore, episode: int, game: str, attempt: int, stream: Stream) -> None:
        self.attempt = attempt
        self.earlier: Sequence[StoredCall] = tuple(stream.ordered())
        self._store = store
        self._episode = episode
        self._game = game
        self._frames: list[bytes] = []
        self._events: list[bytes] = []
        self._waiting: list[bytes] = []
        self._counting = {call.number: call for call in self.earlier}
        self._is_torn = False
        self._follow(stream)

    def _follow(self, stream: Stream) -> None:
        """Continue behind what is in the file."""
        self._frames = stream.frames
        self._cutter = Cutter(self._store._shared.number_of)
        for call, record in zip(stream.made, stream.records, strict=True):
            self._cutter.add(call.player, record)

    def _mend(self) -> None:
        """Find out whether a call is in the file whose write was interrupted: later ones may refer to it."""
        stream = self._store._stream(self._episode)
        if len(stream.frames) > len(self._frames):
            self._waiting.clear()
            self._events.clear()
        self._follow(stream)
        self._is_torn = False

    def event(self, event: bytes) -> None:
        """Take the JSON of one logged event; it is written with the next call."""
        self._events.append(scrub_json(event))

    def call(self, call: StoredCall) -> None:
        """Write a call, and the events before it; they are in the file when this returns.

        A call of an earlier attempt that still counts is in the file already. Another call of the same number takes
        its place, and the earlier calls behind it no longer count.

        Raises:
            StoreError: it could not be written; then nothing more is.
        """
        known = self._counting.pop(call.number, None) if self._counting else None
        if known is not None:
            if known.record == call.record:
                return
            self.differs_from(call.number)
        if call.attempt != self.attempt:
            call = replace(call, attempt=self.attempt)
        if self._is_torn:
            self._mend()
        self._is_torn = True
        frames = [*self._waiting, call_frame(call, self._cutter)]
        self._store._append(self._episode, [events_frame(self._events), *frames] if self._events else frames)
        self._frames += frames
        self._waiting.clear()
        self._events.clear()
        self._is_torn = False

    def differs_from(self, number: int) -> None:
        """Let earlier calls from a number on no longer count; they stay in the file as superseded."""
        self._counting = {known: call for known, call in self._counting.items() if known < number}
        self._waiting.append(differs_frame(number))

    def finish(
        self,
        state: str,
        interactions: bytes,
        *,
        error: dict[str, Any] | None = None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        """End the attempt, in one transaction.

        Args:
            state: "played", "error" or "limit".
            interactions: the episode's interactions as JSON, as far as it came.
            error: type, message, traceback, and the name and value of a limit.
            facts: what else is known of this attempt.

        Raises:
            StoreError: it could not be written.
        """
        if state not in ENDED:
            raise ValueError(f"an episode ends as {', '.join(sorted(ENDED))}, not as {state!r}")
        if self._is_torn:
            self._mend()
        interactions = scrub_json(interactions)
        calls = b"".join([*self._frames, *self._waiting])
        noted = {**self._store.facts, **(facts or {})}
        self._store._finish(
            (self._episode, self._game),
            state,
            (len(interactions), interactions + calls),
            None if error is None else to_json(error),
            to_json(noted) if noted else None,
        )


def _stretches(rows: Sequence[int]) -> list[tuple[int, int]]:
    """Put consecutive numbers together.

    Examples:
        >>> _stretches([1, 2, 3, 7, 8])
        [(1, 3), (7, 8)]
    """
    found: list[tuple[int, int]] = []
    for row in rows:
        if found and found[-1][1] == row - 1:
            found[-1] = found[-1][0], row
        else:
            found.append((row, row))
    return found


def _connect(path: Path) -> tuple[sqlite3.Connection, str]:
    is_local, why = journal_for(path.parent)
    connection: sqlite3.Connection | None = None
    try:
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
        connection = sqlite3.connect(path, timeout=_WAIT, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA page_size = 2048")
        version = schema.version_of(connection, path)
        mode = connection.execute(f"PRAGMA journal_mode = {'WAL' if is_local else 'TRUNCATE'}").fetchone()[0]
        # A kill loses nothing, and a power cut damages nothing; it may cost the last calls.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
        if version is None:
            schema.make_tables(connection)
    except BaseException as fault:
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        if isinstance(fault, sqlite3.DatabaseError) and "not a database" in str(fault):
            raise StoreError(
                f"{path} is not a store of clemcore; it is left as it is. Choose another folder for the run"
            ) from fault
        if isinstance(fault, (sqlite3.Error, OSError)):
            raise write_error(path, fault) from fault
        raise
    return connection, f"{'wal' if mode == 'wal' else 'rollback'}: {why}"
