"""Pieces that several bodies of a file share, each kept once by its SHA-256, and the dictionaries of games.

It does not know what the pieces are parts of.
"""

from __future__ import annotations

import hashlib
import itertools
import threading

from clemcore import forks
from clemcore.clemgame.store.commits import Commits
from clemcore.clemgame.store.frames import DamagedError, packed, unpacked

# How many pieces a writer remembers; it looks up others in the file.
_MOST_PIECES = 4096
# What the bodies of a game are compressed with: the first body, unless it is too short to help, or longer than what
# a body can look back to.
_SHORTEST_DICTIONARY, _LONGEST_DICTIONARY = 1_000, 24_000
_MOST_DICTIONARIES = 64


class SharedPieces:
    """The shared pieces of a file that is being written.

    Args:
        commits: writes into the file.
    """

    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self._lock = threading.Lock()
        self._numbers: dict[bytes, int] = {}
        self._dictionaries: dict[str, tuple[int, bytes]] = {}
        ((last,),) = commits.rows("SELECT max(id) FROM pieces")
        self._next = itertools.count((last or 0) + 1)
        forks.guard(self, "_lock")

    def number_of(self, body: bytes) -> int:
        """Return the number of a piece; one that is not in the file is written with the next commit."""
        digest = hashlib.sha256(body).digest()
        with self._lock:
            number = self._numbers.get(digest)
            if number is not None:
                return number
            if len(self._numbers) >= _MOST_PIECES:
                self._commits.flush()  # what is forgotten must be found in the file
                for old in list(itertools.islice(self._numbers, _MOST_PIECES // 2)):
                    del self._numbers[old]
            rows = self._commits.rows("SELECT id FROM pieces WHERE sha256 = ?", (digest,))
            if rows:
                number = int(rows[0][0])
            else:
                number = next(self._next)
                self._commits.later(("INSERT INTO pieces VALUES (?, ?, ?)", (number, digest, packed(body))))
            self._numbers[digest] = number
            return number

    def body_of(self, number: int) -> bytes:
        """Return a piece that is in the file.

        Raises:
            DamagedError: it is not there, or is not what was written.
        """
        rows = self._commits.rows("SELECT body FROM pieces WHERE id = ?", (number,))
        if not rows:
            raise DamagedError(f"piece {number} is missing")
        return unpacked(rows[0][0], self.body_of)

    def dictionary_of(self, game: str, body: bytes) -> tuple[int, bytes] | None:
        """Return the number and the content of the piece that the bodies of a game resemble, or None.

        Args:
            game: the game.
            body: one of its bodies; the first one becomes the dictionary.
        """
        known = self._dictionaries.get(game)
        if known is not None:
            return known
        rows = self._commits.rows("SELECT piece FROM dictionaries WHERE game = ?", (game,))
        if not rows and not _SHORTEST_DICTIONARY <= len(body) <= _LONGEST_DICTIONARY:
            return None
        number = rows[0][0] if rows else self.number_of(body)
        if not rows:
            self._commits.now(("INSERT OR IGNORE INTO dictionaries VALUES (?, ?)", (game, number)))
        if len(self._dictionaries) >= _MOST_DICTIONARIES:
            self._dictionaries.clear()
        found = self._dictionaries[game] = number, self.body_of(number)
        return found
