"""Writing a run: its plan, its notes and scores, and the attempts at its episodes.

Every method may be called from any thread; calls that end together share a commit. It knows the tables of the file,
not how an attempt is written (episode_writer.py) nor how threads share a commit (commits.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore.calls.encoding import to_json
from clemcore.clemgame.store import schema
from clemcore.clemgame.store.commits import Commits, Statement
from clemcore.clemgame.store.contents import ENDED, EpisodeState, state_of
from clemcore.clemgame.store.disk import journal_for
from clemcore.clemgame.store.episode_log import EpisodeLog
from clemcore.clemgame.store.episode_writer import EpisodeWriter
from clemcore.clemgame.store.faults import folder_error, write_error
from clemcore.clemgame.store.frames import (
    packed,
)
from clemcore.clemgame.store.lock import WriterLock
from clemcore.clemgame.store.shared import SharedPieces
from clemcore.errors import StoreError
from clemcore.secrets import scrub_json

if TYPE_CHECKING:
    from clemcore.clemgame.plan import EpisodeKey, PlannedEpisode
    from clemcore.clemgame.store.reader import StoredEpisode

# Seconds to wait for readers of a file with a rollback journal.
_WAIT = 60.0
# Pages of the write-ahead log until they are moved into the file.
_CHECKPOINT = 8000

# So many rows at a time: all together would take more memory than what is made of them.
_STATES = (
    "SELECT id, game, experiment, game_id, epoch, state, attempts, error FROM episodes"
    " WHERE id > ? {more} ORDER BY id LIMIT 1000"
)


class RunStore:
    """The one writer of a run's store. Open it with :meth:`open`.

    Attributes:
        path: the file.
        shard: the name of this writer, where several write the same run.
        journal: "wal" or "rollback", and why.
        facts: noted with each episode that ends from now on, beside its own facts.
    """

    def __init__(self, path: Path, lock: WriterLock, connection: sqlite3.Connection, journal: str) -> None:
        self.path = path
        self.shard = schema.shard_of(path)
        self.journal = journal
        self.facts: dict[str, Any] = {}
        self._lock_of_file = lock
        self._commits = Commits(connection, path)
        self._shared = SharedPieces(self._commits)
        self._log = EpisodeLog(self._commits, self._shared, path)

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
        except OSError as fault:
            raise folder_error(folder, fault) from fault
        try:
            lock = WriterLock(path)
        except OSError as fault:
            raise write_error(path, fault) from fault
        with contextlib.ExitStack() as on_error:
            on_error.callback(lock.release)
            connection, journal = _connect(path)
            on_error.callback(connection.close)
            try:
                store = cls(path, lock, connection, journal)
            except sqlite3.Error as fault:  # a full disk has no room for what readers share
                raise write_error(path, fault) from fault
            on_error.pop_all()
            return store

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

    def states(self, *, begun: bool = False) -> dict[EpisodeKey, EpisodeState]:
        """Return how far each episode is, in the order of the plan.

        Args:
            begun: leave out those that were never begun.
        """
        from clemcore.clemgame.plan import EpisodeKey

        self._commits.flush()
        found = [] if begun else self._commits.rows("SELECT id FROM episodes ORDER BY place, id")
        states: dict[EpisodeKey, EpisodeState] = {}
        in_order: dict[int, EpisodeKey] = {}
        last = 0
        while rows := self._commits.rows(_STATES.format(more="AND attempts > 0" if begun else ""), (last,)):
            for number, game, experiment, game_id, epoch, *state in rows:
                # There may be many, and nearly all have the same few names and states.
                key = EpisodeKey(sys.intern(game), sys.intern(experiment), game_id, epoch)
                states[key] = state_of(*state)
                if not begun:
                    in_order[number] = key
            last = rows[-1][0]
        return states if begun else {in_order[number]: states[in_order[number]] for (number,) in found}

    def note(self, name: str, value: Any) -> None:
        """Keep something about the run, also as JSON text; a later value of the same name replaces it."""
        text = scrub_json(value) if isinstance(value, bytes) else to_json(value)
        self._commits.now(("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, text)))

    def keep_scores(self, key: EpisodeKey, scores: bytes) -> None:
        """Keep the scores of an episode, the JSON of ``scores.json``."""
        self._commits.later(
            (
                "INSERT OR REPLACE INTO scores SELECT id, ? FROM episodes"
                " WHERE game = ? AND experiment = ? AND game_id = ? AND epoch = ?",
                (packed(scores), key.game, key.experiment, key.game_id, key.epoch),
            )
        )

    def drop_scores(self, key: EpisodeKey) -> None:
        """Remove the scores of an episode, if there are some."""
        self._commits.later(
            (
                "DELETE FROM scores WHERE episode = (SELECT id FROM episodes"
                " WHERE game = ? AND experiment = ? AND game_id = ? AND epoch = ?)",
                (key.game, key.experiment, key.game_id, key.epoch),
            )
        )

    def flush(self) -> None:
        """Write what waits for the next commit."""
        self._commits.flush()

    def notes(self) -> dict[str, Any]:
        """Return what is kept about the run, by name."""
        self._commits.flush()
        return {name: json.loads(value) for name, value in self._commits.rows("SELECT name, value FROM notes")}

    # -- episodes of other files -----------------------------------------------------------------------------------
    def number_of(self, piece: bytes) -> int:
        """Keep a piece that episodes share, and return its number."""
        return self._shared.number_of(piece)

    def put(
        self,
        number: int,
        episode: StoredEpisode,
        attempts: int,
        *,
        planned: tuple[bytes, bytes],
        body: tuple[bytes, bytes],
        facts: dict[str, Any],
        scores: bytes,
    ) -> None:
        """Take an episode as another file of the run has it.

        Args:
            number: a number that no episode of this file has.
            episode: which one, and how far it is.
            attempts: how often it was begun.
            planned: its experiment and its instance, as JSON.
            body: its interactions as JSON, and its frames, cut for this file.
            facts: what was noted about it.
            scores: its scores as JSON; empty if there are none.
        """
        key, state = episode.key, episode.state
        statements: list[Statement] = [
            (
                "INSERT INTO episodes (id, game, experiment, game_id, epoch, place, state, attempts,"
                " experiment_piece, instance_piece, ended, error, facts)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(
                        number,
                        key.game,
                        key.experiment,
                        key.game_id,
                        key.epoch,
                        episode.place,
                        state.state,
                        attempts,
                    ),
                    *map(self._shared.number_of, planned),
                    episode.ended,
                    None if state.error is None else to_json(state.error),
                    to_json(facts) if facts else None,
                ),
            )
        ]
        interactions, frames = body
        if state.state in ENDED:
            kept = packed(interactions + frames, self._shared.dictionary_of(key.game, interactions + frames))
            statements.append(("INSERT INTO finished VALUES (?, ?, ?)", (number, len(interactions), kept)))
        elif frames:
            statements.append(("INSERT INTO log (episode, frames) VALUES (?, ?)", (number, b"\x00" + frames)))
        if scores:
            statements.append(("INSERT INTO scores VALUES (?, ?)", (number, packed(scores))))
        self._commits.later(*statements)

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
        attempt, stream = self._log.begin(number, attempts)
        self._commits.later(
            ("UPDATE episodes SET state = 'live', attempts = ?, error = NULL WHERE id = ?", (attempt, number))
        )
        return EpisodeWriter(
            self._log, self._shared.number_of, (number, key.game), attempt, stream, facts=lambda: self.facts
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
