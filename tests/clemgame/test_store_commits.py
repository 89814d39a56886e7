"""Threads that write into a store and threads that read from it do not hold each other up."""

from __future__ import annotations

import sqlite3
import statistics
import threading
import time
from pathlib import Path

from clemcore.clemgame.store.commits import Commits

# Takes a millisecond.
QUERY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT count(*) FROM n"
READERS = 16


def test_a_commit_does_not_wait_for_all_queries(tmp_path: Path) -> None:
    """The queries of episodes that begin again would otherwise keep an answer out of the file."""
    path = tmp_path / "store.sqlite3"
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("CREATE TABLE numbers (number)")
    commits = Commits(connection, path)
    done: list[int] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            done.append(len(commits.rows(QUERY)))

    readers = [threading.Thread(target=read) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    waited = []
    try:
        for number in range(20):
            time.sleep(0.01)
            before = len(done)
            commits.now(("INSERT INTO numbers VALUES (?)", (number,)))
            waited.append(len(done) - before)
    finally:
        over.set()
        for reader in readers:
            reader.join()
    assert commits.rows("SELECT count(*) FROM numbers") == [(20,)]
    commits.close()
    assert statistics.median(waited) < READERS / 2
