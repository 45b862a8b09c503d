"""crawl.sqlite: each page that a wiki sent, on disk before anything reads it.

A page is kept by its wiki, title and revision. What lies here is not fetched again while the wiki names
the same revision: so a crawl that was killed goes on, and one that is run again fetches what changed.
HTML is compressed (zlib, level 1: a sixth of the size, half a millisecond a page).
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pipeline.database import lasting
from pipeline.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS fetched (
    wiki TEXT NOT NULL, title TEXT NOT NULL, revision_id INTEGER NOT NULL, retrieved_at TEXT NOT NULL,
    links TEXT NOT NULL, html BLOB NOT NULL, PRIMARY KEY (wiki, title)
);
CREATE TABLE IF NOT EXISTS anew (wiki TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS collected (
    wiki TEXT NOT NULL, page_id INTEGER NOT NULL, title TEXT NOT NULL, revision_id INTEGER, PRIMARY KEY (wiki, page_id, title)
);
"""
Known = tuple[int, str, int | None]
"""page_id, title, revision_id"""


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of a stored page without unpacking it."""

    retrieved_at: str
    links: tuple[str, ...]


class FetchedPages:
    """The pages of one wiki, in one run folder."""

    def __init__(self, path: Path, wiki: str) -> None:
        """Open or create the file at `path`; `wiki` is the address of the API that the pages come from.

        Raises StorageError if the file is no SQLite database, or cannot be written.
        """
        self._path, self._wiki = path, wiki
        with self._wrapped():
            self._db = lasting(path, _SCHEMA)

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, zlib.error, ValueError) as error:
            do = "if the disk is full or read-only, mend that; if the file is damaged, delete it: its pages are fetched again"
            raise StorageError("the fetched pages cannot be used", f"{self._path}: {error}", do) from error

    def put(self, title: str, revision_id: int, retrieved_at: str, links: Sequence[str], html: str) -> None:
        """Store a page in place of an earlier revision; it is on disk when this returns."""
        packed = zlib.compress(html.encode("utf-8", "replace"), 1)
        row = (self._wiki, title, revision_id, retrieved_at, json.dumps(list(links)), packed)
        with self._wrapped():
            self._db.execute("INSERT OR REPLACE INTO fetched VALUES (?, ?, ?, ?, ?, ?)", row)

    def get(self, title: str, revision_id: int) -> Stored | None:
        """Return what is stored of a page if it is this revision, else None."""
        query = "SELECT retrieved_at, links FROM fetched WHERE wiki = ? AND title = ? AND revision_id = ?"
        with self._wrapped(), closing(self._db.cursor()) as cursor:
            row = cursor.execute(query, (self._wiki, title, revision_id)).fetchone()
            return Stored(row[0], tuple(json.loads(row[1]))) if row else None

    def html(self, title: str) -> str:
        """Return the HTML of a stored page.

        Raises StorageError if there is none.
        """
        with self._wrapped(), closing(self._db.cursor()) as cursor:
            row = cursor.execute("SELECT html FROM fetched WHERE wiki = ? AND title = ?", (self._wiki, title)).fetchone()
            if row:
                return zlib.decompress(row[0]).decode("utf-8")
        raise StorageError("a fetched page is not there any more", f"{self._path}: {title}", "run the same command again")

    def titles(self) -> list[str]:
        """Return the titles of all stored pages, sorted."""
        with self._wrapped(), closing(self._db.cursor()) as cursor:
            return [title for (title,) in cursor.execute("SELECT title FROM fetched WHERE wiki = ? ORDER BY title", (self._wiki,))]

    def forget(self, titles: Iterable[str]) -> None:
        """Remove pages that the wiki no longer has."""
        with self._wrapped():
            self._db.executemany("DELETE FROM fetched WHERE wiki = ? AND title = ?", [(self._wiki, title) for title in titles])

    def begin_anew(self) -> None:
        """Remove this wiki's pages, so that all are fetched again; not those that came since an earlier call, until `finish`."""
        with self._wrapped():
            self._db.execute("BEGIN IMMEDIATE")
            if self._db.execute("INSERT OR IGNORE INTO anew VALUES (?)", (self._wiki,)).rowcount:
                self._db.execute("DELETE FROM fetched WHERE wiki = ?", (self._wiki,))
            self._db.execute("COMMIT")

    def finish(self, known: Iterable[Known]) -> None:
        """Note the pages of a collect that came to its end: the next one tells what is different."""
        with self._wrapped():
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM anew WHERE wiki = ?", (self._wiki,))
            self._db.execute("DELETE FROM collected WHERE wiki = ?", (self._wiki,))
            self._db.executemany("INSERT OR REPLACE INTO collected VALUES (?, ?, ?, ?)", [(self._wiki, *page) for page in known])
            self._db.execute("COMMIT")

    def collected(self) -> list[Known]:
        """Return the pages of the last collect from this wiki that came to its end."""
        query = "SELECT page_id, title, revision_id FROM collected WHERE wiki = ? ORDER BY page_id, title"
        with self._wrapped(), closing(self._db.cursor()) as cursor:
            return list(cursor.execute(query, (self._wiki,)))

    def close(self) -> None:
        """Close the file (the WAL is folded back into it)."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
