"""The tables of a store file, its version, and how a file is recognised. It does not know what the bodies mean.

``docs/store.md`` describes the format. A change of the tables or of the bodies needs a new version here, and the
reader of the old one stays.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clemcore.errors import StoreError

if TYPE_CHECKING:
    import sqlite3  # its import takes longer than a look at names of files

# In the file's header: what says that a file is a store ("clrn").
APPLICATION_ID = 0x636C726E
VERSION = 1
NAME = "store.sqlite3"

_TABLES = """
CREATE TABLE notes (
  name TEXT PRIMARY KEY,
  value BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE pieces (
  id INTEGER PRIMARY KEY,
  sha256 BLOB NOT NULL UNIQUE,
  body BLOB NOT NULL
);
CREATE TABLE episodes (
  id INTEGER PRIMARY KEY,
  game TEXT NOT NULL,
  experiment TEXT NOT NULL,
  game_id INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  place INTEGER NOT NULL,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  experiment_piece INTEGER NOT NULL,
  instance_piece INTEGER NOT NULL,
  ended TEXT,
  error BLOB,
  facts BLOB,
  UNIQUE (game, experiment, game_id, epoch)
);
CREATE TABLE log (
  id INTEGER PRIMARY KEY,
  episode INTEGER NOT NULL,
  frames BLOB NOT NULL
);
CREATE TABLE dictionaries (
  game TEXT PRIMARY KEY,
  piece INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE finished (
  episode INTEGER PRIMARY KEY,
  interactions INTEGER NOT NULL,
  body BLOB NOT NULL
);
CREATE TABLE scores (
  episode INTEGER PRIMARY KEY,
  body BLOB NOT NULL
);
"""


def file_name(shard: str) -> str:
    """Return the name of the file of a shard; the first writer of a run has none."""
    return f"store-{shard}.sqlite3" if shard else NAME


def shard_of(path: Path) -> str:
    """Return the shard of a store file; the file of the first writer has none."""
    return "" if path.name == NAME else path.name.removeprefix("store-").removesuffix(".sqlite3")


def is_store_file(name: str) -> bool:
    """Tell whether a file of this name is the store of a run, or of a shard."""
    return name == NAME or (name.startswith("store-") and name.endswith(".sqlite3"))


def store_files(folder: Path) -> list[Path]:
    """Return the store files of a run, the one without a shard's name first."""
    return [
        *(path for path in [folder / NAME] if path.is_file()),
        *sorted(path for path in folder.glob("store-*.sqlite3") if path.is_file()),
    ]


def make_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of a new file."""
    connection.executescript(
        f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"
        f"{_TABLES} COMMIT;"
    )


def version_of(connection: sqlite3.Connection, path: Path) -> int | None:
    """Return the version of a store, or None if the file is still empty.

    Raises:
        StoreError: it is a database of another program, or a newer clemcore wrote it.
        sqlite3.DatabaseError: it is not a database.
    """
    # Another process may make the tables between two of these reads. It makes them and the ID at once, so a file
    # that had tables before we read the ID has its ID.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (found,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not tables and not found:
        return None
    if found != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program; it is left as it is. Choose another folder")
    if not 1 <= version <= VERSION:
        raise StoreError(
            f"{path} has the format {version}, and this clemcore reads formats up to {VERSION}. Install a newer "
            "clemcore"
        )
    return int(version)
