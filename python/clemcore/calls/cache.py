"""Answers of services, kept so that a call that was answered once is not sent, or paid for, again.

Off unless you switch it on: ``with backends.cache(PATH):``, ``$CLEMCORE_CALL_CACHE`` or ``--cache PATH``.
The store is an SQLite file that several processes and threads may use at once; a reply is in it whole or not at
all. It knows bytes and their identity, not what they mean: the caller says that a reply is good.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from clemcore import forks
from clemcore.calls import scope
from clemcore.errors import CacheError
from clemcore.files import cache_dir
from clemcore.secrets import holds_key

logger = logging.getLogger(__name__)

VARIABLE = "CLEMCORE_CALL_CACHE"
# In the file's header: what says that a file is one of these ("clem").
_APPLICATION_ID = 0x636C656D
_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
  key TEXT PRIMARY KEY,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  stored TEXT NOT NULL,
  status INTEGER NOT NULL,
  headers TEXT NOT NULL,
  body BLOB NOT NULL,
  sha256 TEXT NOT NULL
) WITHOUT ROWID
"""
# All columns of a row; the body as bytes, whatever type it was given.
_FIND = (
    "SELECT key, provider, model, stored, status, headers, CAST(body AS BLOB), sha256 FROM replies WHERE key = ?"
)
_WAIT = 30.0


@dataclass(frozen=True)
class KeptReply:
    """A reply as it came.

    Attributes:
        key: its key.
        stored: when it was kept, ISO 8601 with time zone.
        status: HTTP status.
        headers: the headers that were kept.
        body: the reply's body.
    """

    key: str
    stored: str
    status: int
    headers: dict[str, str]
    body: bytes


class CallCache:
    """Keeps replies in a file while it is open.

    Args:
        path: the SQLite file; by default ``calls.sqlite3`` in the user's cache folder.
        sampling: keep also answers of calls that sample (a temperature other than 0 and no seed). The second such
            call of one run with the same body is another call than the first: it has a reply of its own.
        epoch: part of the key of calls that sample; use another number to ask again.

    Raises:
        CacheError: the file is not a cache, or cannot be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        sampling: bool = False,
        epoch: int = 0,
        is_of_environment: bool = False,
    ) -> None:
        """Open or make the file. The cache of the environment is used where no other is, and is never closed."""
        self.path = default_path() if path is None else Path(path).expanduser().absolute()
        self.sampling = sampling
        self.epoch = epoch
        self._lock = threading.Lock()
        # How often each key was asked for, in each scope that has labels, and by all other calls together.
        self._asked: Counter[str] = Counter()
        self._asked_in: weakref.WeakKeyDictionary[scope.Scope, Counter[str]] = weakref.WeakKeyDictionary()
        self._connection = _opened(self.path, make=True)
        self._pid = os.getpid()
        self._scope: scope.Scope | None = None if is_of_environment else scope.attach("caches", self)
        self.is_open = True
        forks.guard(self, "_lock")

    def close(self) -> None:
        """Stop using the file."""
        self.is_open = False
        node, self._scope = self._scope, None
        if node is not None:
            scope.detach("caches", self, node)
        with self._lock:
            if self._pid == os.getpid():
                self._connection.close()

    def __enter__(self) -> CallCache:
        """Return the cache itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def repeat_of(self, key: str, belongs: scope.Scope | None = None) -> int:
        """Count the calls that have a key, and return the number of this one, from 0.

        Args:
            key: the key.
            belongs: count within this scope; None: all calls that have no scope with labels.
        """
        with self._lock:
            asked = self._asked if belongs is None else self._asked_in.setdefault(belongs, Counter())
            number = asked[key]
            asked[key] += 1
        return number

    def find(self, key: str) -> KeptReply | None:
        """Return the reply of a key, or None; a row that is damaged, or is another one, counts as none."""
        try:
            with self._lock:
                row = self._usable().execute(_FIND, (key,)).fetchone()
        except sqlite3.Error as fault:
            logger.warning("the cache %s cannot be read (%s): the call is sent", self.path, fault)
            return None
        if row is None:
            return None
        *values, digest = row
        found, _, _, stored, status, headers, body = values
        if found != key or _digest(values) != digest:
            logger.warning("a reply in the cache %s was damaged: the call is sent", self.path)
            return None
        return KeptReply(key, stored, status, json.loads(headers), bytes(body))

    def keep(self, key: str, provider: str, model: str, reply: tuple[int, Mapping[str, str], bytes]) -> str | None:
        """Keep a reply; return why it was not kept, or None. A fault of the store never costs an answer."""
        status, headers, body = reply
        written = json.dumps(dict(headers))
        if holds_key(body) or holds_key(written.encode()):
            return "it holds a key"
        row = (key, provider, model, _now(), status, written, body)
        try:
            with self._lock, self._usable() as connection:
                connection.execute(
                    "INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, _digest(row))
                )
        except sqlite3.Error as fault:
            logger.warning("the cache %s cannot be written (%s): an answer was not kept", self.path, fault)
            return f"the store failed: {fault}"
        return None

    def _usable(self) -> sqlite3.Connection:
        """Return a connection of this process: those of a parent must not be used in a forked child."""
        if self._pid != os.getpid():
            _inherited.append(self._connection)  # never closed here: that would undo what the parent writes
            self._connection, self._pid = _opened(self.path, make=True), os.getpid()
        return self._connection


# Connections of a forked child's ancestors.
_inherited: list[sqlite3.Connection] = []
_of_environment: dict[str, CallCache] = {}
_lock = threading.Lock()
forks.guard(sys.modules[__name__], "_lock")


def cache(path: str | os.PathLike[str] | None = None, *, sampling: bool = False, epoch: int = 0) -> CallCache:
    """Keep the answers of services and reuse them, until the block or the process ends.

    ``docs/cache.md`` says what is kept, under which key, and what is never kept.

    Args:
        path: the file; by default ``calls.sqlite3`` in the user's cache folder.
        sampling: also keep the answers of calls that sample.
        epoch: part of the key of calls that sample; use another number to ask again.

    Raises:
        CacheError: the file is not a cache, or cannot be opened.
    """
    return CallCache(path, sampling=sampling, epoch=epoch)


def cache_of(belongs: scope.Membership) -> CallCache | None:
    """Return the cache that a call uses: the innermost of its scope, else that of the environment, or None."""
    if belongs.cache is not None:
        return belongs.cache
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    with _lock:
        found = _of_environment.get(named)
        if found is None or not found.is_open:
            found = _of_environment[named] = CallCache(named, is_of_environment=True)
    return found


def key_of(identity: Sequence[Any], body: bytes) -> str:
    """Return the key of a call: the SHA-256 of everything that the answer depends on.

    Args:
        identity: JSON: provider, protocol, address, model, headers of the protocol, …
        body: the request as bytes.

    Examples:
        >>> key_of(["openai", "gpt-4o"], b"{}") == key_of(["openai", "gpt-4o-mini"], b"{}")
        False
    """
    # As a list, so that no field can run over into the next; the body by its own digest.
    parts = [*identity, hashlib.sha256(body).hexdigest()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def default_path() -> Path:
    """Return the file that is used when none is named: ``$CLEMCORE_CALL_CACHE``, or one in the cache folder."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser().absolute() if named else cache_dir() / "calls.sqlite3"


def statistics(path: Path) -> list[dict[str, Any]]:
    """Return what a cache holds: one row for each provider and model.

    Raises:
        CacheError: there is no such file, or it is something else.
    """
    with closing(_opened(path, make=False)) as connection:
        rows = connection.execute(
            "SELECT provider, model, count(*), sum(length(body)), min(stored), max(stored) FROM replies"
            " GROUP BY provider, model ORDER BY provider, model"
        ).fetchall()
    names = ("provider", "model", "replies", "bytes", "first", "last")
    return [dict(zip(names, row, strict=True)) for row in rows]


def clear(path: Path, *, model: str | None = None, before: str | None = None) -> int:
    """Remove replies, and return how many; the file gets smaller.

    Args:
        path: the cache.
        model: only those of this model, by its name at the service.
        before: only those kept before this time (ISO 8601).

    Raises:
        CacheError: there is no such file, or it is something else.
    """
    with closing(_opened(path, make=False)) as connection:
        with connection:
            count = connection.execute(
                "DELETE FROM replies WHERE (? IS NULL OR model = ?)"
                " AND (? IS NULL OR julianday(stored) < julianday(?))",
                (model, model, before, before),
            ).rowcount
        connection.execute("VACUUM")
    return count


def _opened(path: Path, *, make: bool) -> sqlite3.Connection:
    if make:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # answers are private
    elif not path.is_file():
        raise CacheError(f"{path}: no cache of calls was found")
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(path, timeout=_WAIT, check_same_thread=False)
        connection.execute("BEGIN IMMEDIATE")  # several processes may open a new file at once: one makes it
        (found,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        is_foreign = bool(tables) and found != _APPLICATION_ID
        if not tables:
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(_SCHEMA)
        connection.commit()
        if not is_foreign:
            _log_ahead(connection)
    except sqlite3.Error as fault:
        reason = str(fault)
    except UnicodeDecodeError:  # SQLite quotes damaged names in its errors, and Python cannot read these
        reason = "it is damaged"
    else:
        if not is_foreign:
            return connection
        connection.close()
        raise CacheError(f"{path} is a database of another program; it is left as it is: name another file")
    if connection is not None:
        connection.close()
    raise CacheError(f"{path} is not a cache of calls ({reason}); it is left as it is: name another file")


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work at once; SQLite does not wait by itself while others open the file too."""
    deadline = time.monotonic() + _WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            break
    connection.execute("PRAGMA synchronous = NORMAL")  # a kill loses nothing; a power cut may lose the last


def _digest(row: Sequence[Any]) -> str:
    """Return the hash of a whole row; its key is part of it, so that no row can take the place of another."""
    *values, body = row
    head = json.dumps(values, default=repr).encode()
    return hashlib.sha256(b"%d\n%s%s" % (len(head), head, body if isinstance(body, bytes) else b"")).hexdigest()


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
