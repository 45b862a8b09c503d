"""What stands in the ledger of fine-tuning at a service: which files are there, which jobs were meant, begun and ended, what was told of them.

Each step is written down before the next is taken; the intention itself before anything is sent. A job is never begun twice, nor are
the same bytes uploaded twice, whenever the command is killed.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from sqlite3 import Connection

    from pipeline.ledger import Ledger

INTENDED, BEGUN, ENDED, FETCHED = "intended", "begun", "ended", "fetched"
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS tuning_files (
    endpoint TEXT NOT NULL, sha256 TEXT NOT NULL, file_id TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (endpoint, sha256)
    )""",
    """CREATE TABLE IF NOT EXISTS tuning_jobs (
    key TEXT NOT NULL, attempt INTEGER NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL, job_id TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL DEFAULT '', step INTEGER NOT NULL DEFAULT 0, intended_at INTEGER NOT NULL, said TEXT NOT NULL DEFAULT '{}',
    tag TEXT NOT NULL,
    PRIMARY KEY (key, attempt)
    )""",
    """CREATE TABLE IF NOT EXISTS tuning_events (
    number INTEGER PRIMARY KEY, job_id TEXT NOT NULL, event_id TEXT NOT NULL, said TEXT NOT NULL, UNIQUE (job_id, event_id)
    )""",
)
_COLUMNS = "key, attempt, endpoint, model, state, job_id, status, step, intended_at, said, tag"


@dataclass(frozen=True, slots=True)
class Note:
    """A job as far as it has come: what it is of (`key`), the how manieth of these, where, and what the service calls it and says of it."""

    key: str
    attempt: int
    endpoint: str
    model: str
    state: str
    job_id: str
    status: str
    step: int
    """the last step that was shown"""
    intended_at: int
    """seconds since 1970"""
    said: str
    """the job as the service last described it, JSON"""
    tag: str
    """what the job is found by among the service's; drawn at random, so that another run folder's equal order is another job"""

    @property
    def is_open(self) -> bool:
        """Whether it may still cost money."""
        return self.state in (INTENDED, BEGUN)

    @property
    def job(self) -> dict[str, Any]:
        """The job as the service last described it."""
        value = json.loads(self.said)
        return value if isinstance(value, dict) else {}


class JobBook:
    """The fine-tuning jobs of one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        """Open the book; it is empty in a ledger that never had jobs."""
        self._ledger = ledger
        with ledger.database() as db:
            for table in _SCHEMA:
                db.execute(table)

    def file_id(self, endpoint: str, sha256: str) -> str | None:
        """Return what the endpoint calls the file with these bytes; None if it has not been sent there."""
        with self._ledger.database() as db:
            found = db.execute("SELECT file_id FROM tuning_files WHERE endpoint = ? AND sha256 = ?", (endpoint, sha256)).fetchone()
        return str(found[0]) if found else None

    def note_file(self, endpoint: str, sha256: str, file_id: str, name: str) -> None:
        """Note a file that the endpoint has."""
        with self._ledger.database() as db:
            db.execute("INSERT OR REPLACE INTO tuning_files VALUES (?, ?, ?, ?)", (endpoint, sha256, file_id, name))

    def latest(self, key: str) -> Note | None:
        """Return the last job of this kind that was meant."""
        with self._ledger.database() as db:
            return _one(db, "WHERE key = ? ORDER BY attempt DESC LIMIT 1", (key,))

    def open(self) -> list[Note]:
        """Return the jobs that have been meant or begun and have not ended, the oldest first."""
        with self._ledger.database() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM tuning_jobs WHERE state IN (?, ?) ORDER BY intended_at, key", (INTENDED, BEGUN))  # noqa: S608 (a constant)
            return [Note(*row) for row in rows]

    def intend(self, key: str, endpoint: str, model: str) -> Note:
        """Note that a job is to be begun, before anything is sent."""
        with self._ledger.database() as db:
            attempt = db.execute("SELECT coalesce(max(attempt), 0) + 1 FROM tuning_jobs WHERE key = ?", (key,)).fetchone()[0]
            note = Note(key, attempt, endpoint, model, INTENDED, "", "", 0, int(time.time()), "{}", f"{key}-{secrets.token_hex(6)}")
            db.execute(f"INSERT INTO tuning_jobs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _values(note))  # noqa: S608 (a constant)
        return note

    def give_up(self, note: Note) -> None:
        """Forget a job that was meant and that the service has not taken."""
        with self._ledger.database() as db:
            db.execute("DELETE FROM tuning_jobs WHERE key = ? AND attempt = ? AND state = ?", (note.key, note.attempt, INTENDED))

    def advance(self, note: Note, state: str, *, job: dict[str, Any] | None = None) -> Note:
        """Note how far a job is, and what the service says of it."""
        told = job if job is not None else note.job
        with self._ledger.database() as db:
            db.execute(
                "UPDATE tuning_jobs SET state = ?, job_id = ?, status = ?, said = ? WHERE key = ? AND attempt = ?",
                (state, str(told.get("id") or note.job_id), str(told.get("status") or note.status), json.dumps(told), note.key, note.attempt),
            )
            found = _one(db, "WHERE key = ? AND attempt = ?", (note.key, note.attempt))
        return found or note

    def known_events(self, job_id: str) -> set[str]:
        """Return the ids of the events that have been shown."""
        with self._ledger.database() as db:
            return {str(row[0]) for row in db.execute("SELECT event_id FROM tuning_events WHERE job_id = ?", (job_id,))}

    def note_events(self, note: Note, events: Iterable[dict[str, Any]], step: int) -> None:
        """Note events as they are shown, and the step that they came to."""
        with self._ledger.database() as db:
            db.executemany(
                "INSERT OR IGNORE INTO tuning_events (job_id, event_id, said) VALUES (?, ?, ?)",
                [(note.job_id, str(event.get("id")), json.dumps(event)) for event in events],
            )
            db.execute("UPDATE tuning_jobs SET step = max(step, ?) WHERE key = ? AND attempt = ?", (step, note.key, note.attempt))

    def events(self, job_id: str) -> list[dict[str, Any]]:
        """Return the events of a job, in the order in which they were shown."""
        with self._ledger.database() as db:
            rows = db.execute("SELECT said FROM tuning_events WHERE job_id = ? ORDER BY number", (job_id,)).fetchall()
        return [json.loads(row[0]) for row in rows]


def _one(db: Connection, where: str, values: tuple[object, ...]) -> Note | None:
    found = db.execute(f"SELECT {_COLUMNS} FROM tuning_jobs {where}", values).fetchone()  # noqa: S608 (constants)
    return Note(*found) if found else None


def _values(note: Note) -> tuple[object, ...]:
    return tuple(getattr(note, name) for name in _COLUMNS.split(", "))
