"""What episodes have written: rows of frames while they are live, one body when they have ended.

It knows which rows belong to which episode. It does not know what frames mean, nor the plan.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from clemcore.clemgame.store.commits import Commits
from clemcore.clemgame.store.faults import damaged
from clemcore.clemgame.store.frames import DamagedError, Pieces, Stream, packed_with, read_stream, unpacked
from clemcore.clemgame.store.record_cursor import RecordCursor
from clemcore.clemgame.store.shared import SharedPieces


class EpisodeLog:
    """The frames of all episodes of a store.

    Args:
        commits: writes and reads the file.
        shared: the pieces that episodes share.
        path: the file, for errors.
    """

    def __init__(self, commits: Commits, shared: SharedPieces, path: Path) -> None:
        """Find what interrupted attempts left."""
        self._commits = commits
        self._shared = shared
        self._path = path
        ((last,),) = commits.rows("SELECT max(id) FROM log")
        self._next_row = itertools.count((last or 0) + 1)
        # Rows of the log by episode: what interrupted attempts left, and what live ones write.
        self._rows: dict[int, list[int]] = {}
        # Attempts at the episodes that were begun here and have not ended.
        self._begun: dict[int, int] = {}
        for row, episode in commits.rows("SELECT id, episode FROM log ORDER BY id"):
            self._rows.setdefault(episode, []).append(row)

    def begin(self, episode: int, attempts: int) -> tuple[int, Stream]:
        """Begin an attempt at an episode; return its number, and what earlier attempts wrote.

        Args:
            episode: the number of the episode.
            attempts: how many attempts the file knows.
        """
        attempts = self._begun.get(episode, attempts)  # what was begun here may not be in the file yet
        stream = self.stream(episode) if attempts else Stream()
        self._begun[episode] = attempts + 1
        return attempts + 1, stream

    def stream(self, episode: int) -> Stream:
        """Read what earlier attempts wrote."""
        self._commits.flush()
        kept = self._commits.rows("SELECT interactions, body FROM finished WHERE episode = ?", (episode,))
        for row in self._rows.get(episode, ()):
            kept += self._commits.rows("SELECT 0, frames FROM log WHERE id = ?", (row,))
        try:
            bodies = [unpacked(body, self._shared.body_of)[start:] for start, body in kept]
            return read_stream(bodies, self._shared.body_of)
        except DamagedError as fault:
            raise damaged(self._path, str(fault)) from fault

    def cursor(self, frames: Sequence[bytes]) -> RecordCursor:
        """Return what reads the calls of an episode from its frames, which are in the file.

        Raises:
            StoreError: they are not what was written.
        """
        try:
            return RecordCursor(frames, self._shared.body_of)
        except (ValueError, LookupError, TypeError) as fault:
            raise damaged(self._path, str(fault)) from fault

    def append(self, episode: int, frames: Sequence[bytes], shared: Pieces = ()) -> None:
        """Write frames of a live episode; they are in the file when this returns.

        Args:
            episode: the number of the episode.
            frames: the frames.
            shared: the pieces that they have in common with those of other episodes.
        """
        row = next(self._next_row)
        self._rows.setdefault(episode, []).append(row)
        whole = b"".join(frames)
        body = packed_with(whole, [shared]) if shared else b"\x00" + whole
        self._commits.now(("INSERT INTO log VALUES (?, ?, ?)", (row, episode, body)))

    def note(self, episode: int, facts: bytes) -> None:
        """Note something about a live episode, as JSON; its end replaces it."""
        self._commits.later(("UPDATE episodes SET facts = ? WHERE id = ?", (facts, episode)))

    def finish(
        self,
        episode: tuple[int, str],
        state: str,
        body: tuple[int, bytes],
        error: bytes | None,
        facts: bytes | None,
        *,
        shared: Sequence[Pieces] = (),
    ) -> None:
        """End an attempt, in one transaction.

        Args:
            episode: its number, and the name of its game.
            state: how it ended.
            body: the length of the interactions, and the interactions with all frames behind them.
            error: the error that it ended with, as JSON.
            facts: what else is known, as JSON.
            shared: the pieces that the body has in common with those of other episodes, for each place.
        """
        number, game = episode
        kept = packed_with(body[1], shared, self._shared.dictionary_of(game, body[1]))
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
