"""ledger.sqlite: every reply that was paid for, raw, on disk before anything parses it.

One writer, WAL mode, one commit a reply (6,000 a second on a laptop, far above any model). Errors are
never stored: what failed is asked again. A key is a tagged hash of the canonical request, so that the
same request is never sent twice from one run folder, whatever happens in between.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from pipeline.database import lasting
from pipeline.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, request TEXT NOT NULL, reply TEXT NOT NULL,
    tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, attempts INTEGER NOT NULL, created_at TEXT NOT NULL,
    status INTEGER NOT NULL DEFAULT 200
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored reply: the raw body, its token counts (0 where the sender gave none), the attempts it took, its HTTP status."""

    reply: str
    tokens_in: int = 0
    tokens_out: int = 0
    attempts: int = 1
    status: int = 200


def _storable(text: str) -> str:
    """Lone surrogates (a JSON escape can make them) are no text that SQLite takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


class Ledger:
    """The replies of one run folder, as a mapping from request key to raw reply."""

    def __init__(self, path: Path) -> None:
        """Open or create the ledger at `path`.

        Raises LedgerError if the file is no SQLite database, or cannot be written.
        """
        self._path = path
        with self._wrapped():
            self._db = lasting(path, _SCHEMA)
            try:
                if not self._db.execute("SELECT 1 FROM pragma_table_info('replies') WHERE name = 'status'").fetchone():
                    self._db.execute("ALTER TABLE replies ADD COLUMN status INTEGER NOT NULL DEFAULT 200")  # a ledger of the first days
            except BaseException:
                self._db.close()
                raise

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise LedgerError(
                "the ledger cannot be used",
                f"{self._path}: {error}",
                "if the disk is full or read-only, mend that; if the file is damaged, move it away: a new one is"
                " started and the replies that were in it are asked for again",
            ) from error

    def get(self, key: str) -> Entry | None:
        """Return the stored reply for `key`, or None."""
        with self._wrapped(), closing(self._db.cursor()) as cursor:
            row = cursor.execute("SELECT reply, tokens_in, tokens_out, attempts, status FROM replies WHERE key = ?", (key,)).fetchone()
        return Entry(*row) if row else None

    def put(self, key: str, kind: str, request: str, entry: Entry) -> None:
        """Store a reply; it is on disk when this returns. An earlier reply to the same key is kept."""
        with self._wrapped():
            self._db.execute(
                "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    key, kind, _storable(request), _storable(entry.reply), entry.tokens_in, entry.tokens_out, entry.attempts,
                    datetime.now(UTC).isoformat(timespec="seconds"), entry.status,
                ),
            )  # fmt: skip

    def count(self, kind: str) -> int:
        """Return how many replies of this kind are stored."""
        with self._wrapped(), closing(self._db.cursor()) as cursor:
            return int(cursor.execute("SELECT count(*) FROM replies WHERE kind = ?", (kind,)).fetchone()[0])

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """Lend the database for tables that go with the replies; what it raises becomes a LedgerError. All of it counts, or nothing."""
        with self._wrapped():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file (the WAL is folded back into it)."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
