"""Rows while they are being made, on disk: any number of them in the same memory.

They lie in a private database of SQLite's, come in as they are made, are gone through in reading order, and leave in the order of their ids.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pipeline.database import private
from pipeline.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")
_SCHEMA = """
CREATE TABLE sections (id TEXT PRIMARY KEY, title TEXT, heading TEXT, reached INTEGER) WITHOUT ROWID;
CREATE TABLE made (place INTEGER, part INTEGER, kind TEXT, row TEXT);
CREATE TABLE settled (kind TEXT, id TEXT, section TEXT, label TEXT, fresh INTEGER, row TEXT, PRIMARY KEY (kind, id));
CREATE TABLE marks (mark INTEGER, kind TEXT, id TEXT, PRIMARY KEY (mark, id)) WITHOUT ROWID;
BEGIN;
"""


@cache
def _names(record: Any) -> tuple[str, ...]:
    return tuple(column.name for column in fields(record))


def _packed(row: Any) -> str:
    return json.dumps([getattr(row, name) for name in _names(row.__class__)])


class Workbench:
    """Rows of several records, each known by its class."""

    def __init__(self, *records: type) -> None:
        """Open an empty bench for rows of these classes.

        Raises StorageError if there is no room for it.
        """
        self._records = {record.__name__: record for record in records}
        with _wrapped():
            self._db = private(_SCHEMA)

    def know(self, sections: Iterable[tuple[str, str, str]]) -> None:
        """Note the sections of the run: id, title, heading."""
        with _wrapped():
            self._db.executemany("INSERT OR IGNORE INTO sections VALUES (?, ?, ?, 0)", sections)

    def section(self, identity: str) -> tuple[str, str] | None:
        """Return a section's title and heading; None if the run has no such section."""
        with _wrapped():
            found = self._db.execute("SELECT title, heading FROM sections WHERE id = ?", (identity,)).fetchone()
        return (found[0], found[1]) if found else None

    def reach(self, identity: str) -> None:
        """Note that rows of a section have been made now."""
        with _wrapped():
            self._db.execute("UPDATE sections SET reached = 1 WHERE id = ?", (identity,))

    def reached(self, identity: str) -> bool:
        """Tell whether rows of a section have been made now."""
        with _wrapped():
            return self._db.execute("SELECT 1 FROM sections WHERE id = ? AND reached", (identity,)).fetchone() is not None

    def put(self, place: int, rows: Iterable[Any]) -> None:
        """Lay down the rows made at one place of the reading order."""
        made = [(place, part, type(row).__name__, _packed(row)) for part, row in enumerate(rows)]
        with _wrapped():
            self._db.executemany("INSERT INTO made VALUES (?, ?, ?, ?)", made)

    def clear(self) -> None:
        """Take away the rows laid down: they are made anew."""
        with _wrapped():
            self._db.execute("DELETE FROM made")
            self._db.execute("UPDATE sections SET reached = 0")

    def made(self) -> Iterator[Any]:
        """Yield the rows laid down, in reading order."""
        with _wrapped():
            found = self._db.execute("SELECT kind, row FROM made ORDER BY place, part")
            for kind, row in found:
                yield self._records[kind](*json.loads(row))

    def settle(self, row: Any, identity: str, section: str, label: str, *, fresh: bool, over: bool = False) -> bool:
        """Take a row into its file; tell whether it was (not where its id is taken, unless it goes `over` the other).

        `label` (a source, a reason) and `fresh` (made now) are for the counts.
        """
        how = "REPLACE" if over else "IGNORE"
        values = (type(row).__name__, identity, section, label, fresh, _packed(row))
        with _wrapped():
            return self._db.execute(f"INSERT OR {how} INTO settled VALUES (?, ?, ?, ?, ?, ?)", values).rowcount > 0  # noqa: S608 (two constants)

    def get(self, record: type[T], identity: str) -> T | None:
        """Return the settled row with this id."""
        with _wrapped():
            found = self._db.execute("SELECT row FROM settled WHERE kind = ? AND id = ?", (record.__name__, identity)).fetchone()
        return record(*json.loads(found[0])) if found else None

    def is_fresh(self, record: type, identity: str) -> bool:
        """Tell whether the row with this id was settled as one that was made now."""
        with _wrapped():
            found = self._db.execute("SELECT fresh FROM settled WHERE kind = ? AND id = ?", (record.__name__, identity)).fetchone()
        return bool(found and found[0])

    def mark(self, row: Any, identity: str, marks: Iterable[int]) -> None:
        """Remember a settled row by marks that rows like it share (signed 64 bits each)."""
        with _wrapped():
            self._db.executemany("INSERT OR IGNORE INTO marks VALUES (?, ?, ?)", [(mark, type(row).__name__, identity) for mark in marks])

    def marked(self, record: type[T], marks: Iterable[int]) -> Iterator[T]:
        """Yield each settled row that shares a mark, in the order of ids."""
        wanted = list(marks)
        query = f"SELECT DISTINCT id FROM marks WHERE kind = ? AND mark IN ({','.join('?' * len(wanted))}) ORDER BY id"  # noqa: S608 (placeholders)
        with _wrapped():
            for (identity,) in self._db.execute(query, (record.__name__, *wanted)).fetchall():
                row = self.get(record, identity)
                if row is not None:
                    yield row

    def rows(self, record: type[T]) -> Iterator[T]:
        """Yield the settled rows of a class in the order of their ids."""
        with _wrapped():
            for (row,) in self._db.execute("SELECT row FROM settled WHERE kind = ? ORDER BY id", (record.__name__,)):
                yield record(*json.loads(row))

    def counts(self, record: type, *, fresh: bool = False) -> dict[str, int]:
        """Return how many settled rows there are by label; `fresh`: of those made now."""
        query = "SELECT label, count(*) FROM settled WHERE kind = ? AND fresh >= ? GROUP BY label ORDER BY label"
        with _wrapped():
            return dict(self._db.execute(query, (record.__name__, int(fresh))).fetchall())

    def sections(self, record: type) -> int:
        """Return of how many sections there are settled rows."""
        with _wrapped():
            return int(self._db.execute("SELECT count(DISTINCT section) FROM settled WHERE kind = ?", (record.__name__,)).fetchone()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.close()


@contextmanager
def _wrapped() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(
            "there is no room for temporary rows", str(error), "free some space in /var/tmp, or name another folder in SQLITE_TMPDIR"
        ) from error
