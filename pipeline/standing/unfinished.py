"""The stages that the manifest does not name: not begun, stopped in the middle, overtaken by an earlier one, or from elsewhere."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

from pipeline.errors import PipelineError
from pipeline.standing.files import unread, written_at
from pipeline.standing.look import ABSENT, FOREIGN, INTERRUPTED, STALE, Look, Standing

if TYPE_CHECKING:
    from pathlib import Path

_NOT_BROUGHT = ("endpoint_error", "not_asked")  # reasons of rows that another call brings (create_qa.NO_REPLY)


def _collect(look: Look) -> Standing:
    """Return a collect that the manifest does not name."""
    folder = look.folder
    at, fetched = written_at(folder.sections), _fetched(folder.crawl)
    if at is None and fetched is None:
        return Standing("collect", ABSENT)
    n = _rows(folder.sections)
    counts = {} if n is None else {"sections": n}
    if fetched is None:
        return Standing(
            "collect", FOREIGN, _with_faults("sections.parquet came from elsewhere, or from a collect that met a fault", folder.sections), at, counts
        )
    so_far = f"{fetched} pages are fetched and kept" if fetched >= 0 else "crawl.sqlite cannot be read"
    return Standing("collect", INTERRUPTED, _with_faults(so_far, folder.sections), at, counts)


def _fetched(crawl: Path) -> int | None:
    """Return how many pages a crawl has fetched; None without a crawl, -1 where its file cannot be read."""
    if not crawl.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(str(crawl.resolve()))}?mode=ro&immutable=1", uri=True)) as database:
            return int(database.execute("SELECT count(*) FROM fetched").fetchone()[0])
    except sqlite3.DatabaseError:
        return -1


def _create_qa(look: Look) -> Standing:
    """Return a create_qa that the manifest does not name."""
    folder, replies = look.folder, look.replies
    at = written_at(folder.qa)
    if at is None:
        if replies.count or replies.on_their_way:
            return Standing("create_qa", INTERRUPTED, f"{replies.count} replies are in the ledger, no rows are made of them yet")
        return Standing("create_qa", ABSENT)
    by_reason = _reasons_in(folder.rejected)
    missing = sum(by_reason.get(reason, 0) for reason in _NOT_BROUGHT)
    state, why = INTERRUPTED, "it was not brought to its end"
    if missing:
        why = f"{missing} rows have no reply yet"
    elif _is_later(folder.sections, at):
        state, why = STALE, "sections.parquet is newer"
    elif not folder.rejected.is_file():
        state, why = FOREIGN, "qa.parquet came from elsewhere"
    counts = {"kept": _rows(folder.qa), "rejected": _rows(folder.rejected), "rejected_by_reason": by_reason}
    return Standing("create_qa", state, _with_faults(why, folder.qa, folder.rejected), at, {name: n for name, n in counts.items() if n is not None})


def _train(look: Look) -> Standing:
    """Return a train that the manifest does not name."""
    folder = look.folder
    at = written_at(folder.examples)
    if at is None:
        begun = folder.training.is_dir() or folder.dropped_examples.is_file()
        return Standing("train", INTERRUPTED, "examples.parquet is not there, other files are") if begun else Standing("train", ABSENT)
    newer = [path.name for path in (folder.qa, folder.sections) if _is_later(path, at)]
    state, why = INTERRUPTED, "it was not brought to its end"
    if newer:
        state, why = STALE, f"{newer[0]} is newer"
    elif not folder.dropped_examples.is_file():
        state, why = FOREIGN, "examples.parquet came from elsewhere"
    rows = _rows(folder.examples)
    return Standing("train", state, _with_faults(why, folder.examples), at, {} if rows is None else {"examples": rows})


def _is_later(path: Path, at: float) -> bool:
    found = written_at(path)
    return found is not None and found > at


def _with_faults(why: str, *tables: Path) -> str:
    return "; ".join(filter(None, (why, *map(unread, tables))))


def _rows(path: Path) -> int | None:
    """Return how many rows a file has; None where it cannot be told."""
    from pipeline.store import rows_in

    try:
        return rows_in(path) if path.is_file() else None
    except PipelineError:
        return None


def _reasons_in(path: Path) -> dict[str, int]:
    """Return how many rows a file of rejected rows has by reason, the most frequent first; nothing where it cannot be told."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return {}
    try:
        with pq.ParquetFile(path) as file:
            found = file.read(columns=["reason"]).column("reason").to_pylist()
    except (OSError, pa.ArrowException, KeyError):
        return {}
    return dict(Counter(map(str, found)).most_common())


UNFINISHED: dict[str, Callable[[Look], Standing]] = {"collect": _collect, "create_qa": _create_qa, "train": _train}
"""By name, how a stage is told that the manifest does not name."""
