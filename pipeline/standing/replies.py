"""What the ledger holds, read without writing a byte: no lock, no -shm or -wal file is made.

A database in WAL mode can be read so in two ways (https://www.sqlite.org/wal.html#readonly): as immutable, where its
-wal file is empty or missing; else with a read-only view of the -shm file that lies beside it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from pipeline.llm.budget import price_of
from pipeline.llm.embedded import MODEL_NAME
from pipeline.llm.jobbook import BEGUN, INTENDED

if TYPE_CHECKING:
    from pathlib import Path

MOST_SUMMED = 200_000_000
"""bytes of a ledger that is summed up (0.3 s on a quiet machine); of a larger one the replies are only counted"""
_BY_MODEL = """
SELECT coalesce(CASE WHEN json_valid(request) THEN json_extract(request, '$.model') END, ''), count(*), sum(tokens_in), sum(tokens_out), max(created_at)
FROM replies GROUP BY 1 ORDER BY 2 DESC, 1
"""


@dataclass(frozen=True, slots=True)
class OfModel:
    """The replies of one model: how many, tokens both ways, and US dollars by the shipped prices (None: no price is known)."""

    model: str
    replies: int
    tokens_in: int
    tokens_out: int
    usd: float | None
    here: bool = False
    """it is the embedded model"""


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A fine-tuning job at a service that has not ended, as far as the ledger knows: nobody is asked."""

    job_id: str
    """empty: it was meant, and the service has not said that it took it"""
    service: str
    model: str
    """the base that it fine-tunes"""
    status: str
    """what the service last called its state"""
    step: int
    """the last step that was shown"""


@dataclass(frozen=True, slots=True)
class Replies:
    """What a ledger holds."""

    count: int = 0
    models: tuple[OfModel, ...] = ()
    """empty where the ledger is too large to be summed up at a look"""
    last_at: float | None = None
    """when the last reply came, in seconds since 1970"""
    later: int = 0
    """replies that came after the moment asked about"""
    on_their_way: int = 0
    """requests in batches whose replies have not come"""
    jobs: tuple[OpenJob, ...] = ()
    """fine-tuning jobs at a service that have not ended, the oldest first"""
    fault: str = ""
    """why the ledger could not be read"""


def read_replies(path: Path, since: float | None, most_summed: int = MOST_SUMMED) -> Replies:
    """Count a ledger, and sum it up if it has no more than so many bytes; `since`: a moment, in seconds since 1970, after which to count once more."""
    if not path.is_file():
        return Replies()
    try:
        with closing(_opened(path)) as database:
            count = int(database.execute("SELECT count(*) FROM replies").fetchone()[0])
            on_their_way = _on_their_way(database)
            jobs = _open_jobs(database)
            if path.stat().st_size > most_summed:
                return Replies(count, on_their_way=on_their_way, jobs=jobs)
            return replace(_summed(database, count, on_their_way, since), jobs=jobs)
    except sqlite3.DatabaseError as error:
        return Replies(fault=f"{path.name} cannot be read: {error}")


def _opened(path: Path) -> sqlite3.Connection:
    """Open a database to be read."""
    journal = path.with_name(f"{path.name}-wal")
    waiting = journal.is_file() and journal.stat().st_size > 0
    address = f"file:{quote(str(path.resolve()))}?mode=ro"
    database = sqlite3.connect(f"{address}&{'readonly_shm=1' if waiting else 'immutable=1'}", uri=True, isolation_level=None)
    try:
        database.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.OperationalError:
        database.close()
        if not waiting:
            raise
        return sqlite3.connect(f"{address}&immutable=1", uri=True, isolation_level=None)  # without -shm: what came last is not seen
    return database


def _summed(database: sqlite3.Connection, count: int, on_their_way: int, since: float | None) -> Replies:
    rows, later = database.execute(_BY_MODEL).fetchall(), _later(database, since)
    models = tuple(
        OfModel(str(model), n, into, out, _usd(str(model), into, out), str(model).startswith(MODEL_NAME)) for model, n, into, out, _ in rows
    )
    return Replies(count, models, max((at for row in rows if (at := _moment(row[4])) is not None), default=None), later, on_their_way)


def _later(database: sqlite3.Connection, since: float | None) -> int:
    if since is None:
        return 0
    # the ledger has whole seconds: a reply of the same second counts as earlier
    query = "SELECT count(*) FROM replies WHERE created_at > strftime('%Y-%m-%dT%H:%M:%S', ?, 'unixepoch') || '+00:00'"
    return int(database.execute(query, (int(since),)).fetchone()[0])


def _open_jobs(database: sqlite3.Connection) -> tuple[OpenJob, ...]:
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'tuning_jobs'").fetchone():
        return ()
    query = "SELECT job_id, endpoint, model, status, step FROM tuning_jobs WHERE state IN (?, ?) ORDER BY intended_at, key"
    return tuple(OpenJob(*row) for row in database.execute(query, (INTENDED, BEGUN)))


def _on_their_way(database: sqlite3.Connection) -> int:
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'batches'").fetchone():
        return 0
    return int(database.execute("SELECT coalesce(sum(requests), 0) FROM batches WHERE state IN ('uploaded', 'submitted')").fetchone()[0])


def _moment(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None


def _usd(model: str, tokens_in: int, tokens_out: int) -> float | None:
    """Return what tokens cost by the shipped prices; whether they went through the Batch API, at half of it, the ledger does not tell."""
    price = price_of(model, None)
    return round(price.cost(tokens_in, tokens_out), 4) if price else None
