"""Transactions that threads share: the first to commit takes all that wait along.

Whoever asks for a commit goes on when it is in the file. A fault ends all writing, because what comes later refers
to what came before. It does not know what the statements do.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clemcore import forks
from clemcore.clemgame.store.faults import changed, write_error
from clemcore.errors import StoreError

Statement = tuple[str, Sequence[Any]]


class _Waiting:
    """Statements on their way into the file."""

    __slots__ = ("is_done", "statements")

    def __init__(self, statements: Sequence[Statement]) -> None:
        self.statements = statements
        self.is_done = False


# Connections of a forked child's ancestors: closing one would undo what the ancestor writes.
_inherited: list[sqlite3.Connection] = []


class Commits:
    """Writes statements into a database in the order in which they come.

    Args:
        connection: a connection in autocommit mode that may be used from any thread.
        path: the file, for messages, and to notice that it was replaced.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._name = str(path.absolute())  # a game may change the working directory
        self._pid = os.getpid()
        self._lock = threading.Lock()
        # Queries wait for each other here, so that a commit waits for one of them and not for all.
        self._queries = threading.Lock()
        self._pending: deque[_Waiting] = deque()
        self._fault: StoreError | None = None
        self._has_begun = False
        self._identity = _identity(self._name)
        self._version = self._data_version()
        forks.guard(self, "_queries", "_lock", in_child=Commits._start_in_child)

    def _start_in_child(self) -> None:
        _inherited.append(self._connection)
        self._pending.clear()  # the parent writes those
        self._fault = StoreError(
            f"{self._path} was opened by process {self._pid}, and its forked child {os.getpid()} must not write to "
            "it. Let the parent write, or open another run in the child"
        )

    def later(self, *statements: Statement) -> None:
        """Write statements with the next commit."""
        self._check()
        self._pending.append(_Waiting(statements))

    def now(self, *statements: Statement) -> None:
        """Write statements; they are in the file, all of them, when this returns.

        Raises:
            StoreError: they could not be written.
        """
        self._check()
        waiting = _Waiting(statements)
        self._pending.append(waiting)
        with self._lock:
            if not waiting.is_done:
                self._check()
                self._write()

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            if self._pending:
                self._check()
                self._write()

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query, with what was written so far."""
        self._check()
        with self._queries, self._lock:
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error as fault:
                raise write_error(self._path, fault) from fault

    def _check(self) -> None:
        if self._fault is not None:
            raise StoreError(*self._fault.args) from self._fault

    def _write(self) -> None:
        taken: list[_Waiting] = []
        while self._pending:
            taken.append(self._pending.popleft())
        try:
            self._commit(taken)
        except (StoreError, sqlite3.Error, OSError) as fault:
            self._roll_back()
            self._fault = fault if isinstance(fault, StoreError) else write_error(self._path, fault)
            raise self._fault from None
        except BaseException:  # an interrupt, which may also come right behind the commit
            if self._has_begun and not self._connection.in_transaction:
                self._mark(taken)
            else:  # what is not in the file is written next
                self._roll_back()
                self._pending.extendleft(reversed(taken))
            raise
        self._mark(taken)

    @staticmethod
    def _mark(taken: Sequence[_Waiting]) -> None:
        for each in taken:
            each.is_done = True

    def _commit(self, taken: Sequence[_Waiting]) -> None:
        execute = self._connection.execute
        self._has_begun = False
        # Within the transaction, because nobody else can write after this check.
        execute("BEGIN IMMEDIATE")
        self._has_begun = True
        if _identity(self._name) != self._identity:
            raise changed(self._path, "replaced or removed")
        if self._data_version() != self._version:
            raise changed(self._path, "written to")
        for each in taken:
            for statement, values in each.statements:
                execute(statement, values)
        execute("COMMIT")

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # the next process that opens the file rolls back
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _data_version(self) -> int:
        row: tuple[int] = self._connection.execute("PRAGMA data_version").fetchone()
        return row[0]

    def close(self) -> None:
        """Write what waits, and close the connection; nothing in a forked child.

        Raises:
            StoreError: what waits could not be written.
        """
        if self._pid != os.getpid():
            return
        try:
            if self._fault is None:
                self.flush()
        finally:
            with self._lock:
                # One plain file remains, which can be read from a disk that cannot be written to.
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                    self._connection.execute("PRAGMA journal_mode = DELETE")
                self._connection.close()
                self._fault = self._fault or StoreError(f"{self._path} is closed; open the run again")


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - once per commit
    except OSError:
        return None
    return status.st_dev, status.st_ino
