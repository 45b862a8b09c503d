"""What stands in the ledger of batches: which requests wait, in which file they were sent, and how often each failed.

Every step of a batch is written down before the next one is taken, so that a run that was killed between
any two goes on where it was.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from pipeline.llm.chat import LEDGER_KIND, ChatRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.ledger import Entry, Ledger

WRITTEN, UPLOADED, SUBMITTED, DONE = "written", "uploaded", "submitted", "done"
ROUNDS = 3  # how often a request is sent that fails
_WAITING = """
CREATE TABLE IF NOT EXISTS waiting (
    number INTEGER PRIMARY KEY, key TEXT UNIQUE, request TEXT NOT NULL, batch TEXT NOT NULL DEFAULT '', wanted INTEGER NOT NULL DEFAULT 1,
    times INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT ''
)
"""
_BATCHES = """
CREATE TABLE IF NOT EXISTS batches (
    name TEXT PRIMARY KEY, state TEXT NOT NULL, file_id TEXT NOT NULL DEFAULT '', batch_id TEXT NOT NULL DEFAULT '', requests INTEGER NOT NULL,
    created_at TEXT NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """One file of requests on its way: its name, how far it is, and what the endpoint calls it."""

    name: str
    state: str
    file_id: str
    batch_id: str
    requests: int


class Waiting(NamedTuple):
    """A request that waits to be sent in a batch."""

    key: str
    request: ChatRequest


class Failure(NamedTuple):
    """Why a request in a batch has no reply; `final`: another round would not bring one."""

    said: str
    final: bool = False


class BatchBook:
    """The batches and waiting requests of one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        """Open the book; it is empty in a ledger that never had batches."""
        self._ledger = ledger
        with ledger.database() as db:
            db.execute(_WAITING)
            db.execute(_BATCHES)

    def begin_round(self) -> None:
        """Forget which requests are wanted: what is to be sent is found out anew."""
        with self._ledger.database() as db:
            db.execute("UPDATE waiting SET wanted = 0 WHERE batch = ''")

    def want(self, key: str, canonical: str) -> None:
        """Note a request that is to be sent; once, however often it is wanted."""
        with self._ledger.database() as db:
            db.execute("INSERT INTO waiting (key, request) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET wanted = 1", (key, canonical))

    def failure(self, key: str) -> tuple[int, str]:
        """Return how often a request has failed, and how it did last."""
        with self._ledger.database() as db:
            found = db.execute("SELECT times, error FROM waiting WHERE key = ?", (key,)).fetchone()
        return (found[0], found[1]) if found else (0, "")

    def unsent(self) -> Iterator[Waiting]:
        """Yield the requests that are wanted and in no batch, in the order they were wanted."""
        last = 0
        while True:
            with self._ledger.database() as db:
                query = "SELECT number, key, request FROM waiting WHERE batch = '' AND wanted AND times < ? AND number > ? ORDER BY number LIMIT 500"
                found = db.execute(query, (ROUNDS, last)).fetchall()
            if not found:
                return
            for number, key, canonical in found:
                last = number
                fields = json.loads(canonical)
                fields |= {"messages": tuple(map(tuple, fields["messages"])), "stop": tuple(fields["stop"])}
                yield Waiting(key, ChatRequest(**fields))

    def write(self, name: str, keys: Iterable[str]) -> None:
        """Note a file of requests, in the same moment as which requests are in it."""
        with self._ledger.database() as db:
            n = db.executemany("UPDATE waiting SET batch = ? WHERE key = ?", ((name, key) for key in keys)).rowcount
            now = datetime.now(UTC).isoformat(timespec="seconds")
            db.execute("INSERT OR REPLACE INTO batches VALUES (?, ?, '', '', ?, ?)", (name, WRITTEN, n, now))

    def advance(self, name: str, state: str, *, file_id: str | None = None, batch_id: str | None = None) -> None:
        """Note how far a batch is."""
        with self._ledger.database() as db:
            query = "UPDATE batches SET state = ?, file_id = coalesce(?, file_id), batch_id = coalesce(?, batch_id) WHERE name = ?"
            db.execute(query, (state, file_id, batch_id, name))

    def open(self) -> list[Batch]:
        """Return the batches whose replies are not here yet."""
        with self._ledger.database() as db:
            query = "SELECT name, state, file_id, batch_id, requests FROM batches WHERE state != ? ORDER BY created_at, name"
            return [Batch(*row) for row in db.execute(query, (DONE,))]

    def take_in(self, name: str, replies: Iterable[tuple[str, Entry | Failure]], otherwise: str) -> tuple[list[Entry], int]:
        """Take a batch's replies into the ledger, and its failures into the book, all in one; return the replies that are new, and the failures.

        What the batch had and did not answer failed with `otherwise`.
        """
        new: list[Entry] = []
        with self._ledger.database() as db:
            for key, reply in replies:
                if isinstance(reply, Failure):
                    query = "UPDATE waiting SET times = times + ?, error = ?, batch = '' WHERE key = ? AND batch = ?"
                    db.execute(query, (ROUNDS if reply.final else 1, reply.said, key, name))
                    continue
                found = db.execute("SELECT request FROM waiting WHERE key = ?", (key,)).fetchone()
                if found and self._ledger.get(key) is None:
                    self._ledger.put(key, LEDGER_KIND, found[0], reply)
                    new.append(reply)
                db.execute("DELETE FROM waiting WHERE key = ?", (key,))
            db.execute("UPDATE waiting SET times = times + 1, error = ?, batch = '' WHERE batch = ?", (otherwise, name))
            failed = db.execute("SELECT requests FROM batches WHERE name = ?", (name,)).fetchone()[0] - len(new)
            db.execute("UPDATE batches SET state = ? WHERE name = ?", (DONE, name))
        return new, failed

    def give_up(self, name: str) -> None:
        """Forget a batch that the endpoint did not begin: its requests wait again."""
        with self._ledger.database() as db:
            db.execute("UPDATE waiting SET batch = '' WHERE batch = ?", (name,))
            db.execute("DELETE FROM batches WHERE name = ?", (name,))
