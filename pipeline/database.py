"""SQLite as this program uses it: a file that is whole whenever a process is killed, and a private one that is gone with its process.

Both commit each statement by itself unless a transaction is begun. What SQLite raises is wrapped by who knows the file.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from pipeline.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LASTING = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
_PRIVATE = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE;"


def lasting(path: Path, schema: str) -> sqlite3.Connection:
    """Open or create a file whose last commit is there after a kill (WAL, one writer: 6,000 commits a second on a laptop).

    Raises sqlite3.DatabaseError if it is no database, or cannot be written.
    """
    return _opened(str(path), _LASTING + schema)


def private(schema: str = "") -> sqlite3.Connection:
    """Open an empty database of no name: it has a file once it outgrows SQLite's cache, and that is gone when the process ends, however it ends.

    Raises sqlite3.DatabaseError if there is no room for it.
    """
    return _opened("", _PRIVATE + schema)


def _opened(name: str, script: str) -> sqlite3.Connection:
    database = sqlite3.connect(name, isolation_level=None)
    try:
        database.executescript(script)
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def scratch_database() -> Iterator[sqlite3.Connection]:
    """Open a private database while the block runs.

    Raises StorageError if the disk for temporary files is full.
    """
    try:
        with closing(private()) as database:
            yield database
    except sqlite3.DatabaseError as error:
        raise StorageError("a temporary file cannot be written", str(error), "free some space, or set TMPDIR to a folder that has it") from error
