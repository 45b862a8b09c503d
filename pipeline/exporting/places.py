"""Where an exported row comes from: its section's title, heading, address and revision beside the section's id."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from pipeline.database import scratch_database
from pipeline.records import QA, Example, RejectedQA
from pipeline.sources.given import each_section

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_NOWHERE = ("", "", "", None)


@dataclass(frozen=True, slots=True)
class PlacedQA(QA):
    """A question with the place of the section that answers it; of a section that the run does not have, empty."""

    title: str
    heading: str
    url: str
    revision_id: int | None


@dataclass(frozen=True, slots=True)
class PlacedRejected(RejectedQA):
    """A rejected row, which has its section's title and heading, with the rest of the place."""

    url: str
    revision_id: int | None


@dataclass(frozen=True, slots=True)
class PlacedExample(Example):
    """An example with the place of the section that its context is, or was made of."""

    title: str
    heading: str
    url: str
    revision_id: int | None


PLACED: dict[type, type] = {QA: PlacedQA, RejectedQA: PlacedRejected, Example: PlacedExample}
"""by what a row is in the run folder, what it is in an export"""


def with_places(rows: Iterable[Any], record: type, sections: Path) -> Iterator[Any]:
    """Yield rows of a record of `PLACED` with their place, in the order given; the places lie on disk, not in memory.

    Raises InputError or StorageError if there is a file of sections that cannot be read.
    """
    names = [column.name for column in fields(record)]
    placed = PLACED[record]
    added = [column.name for column in fields(placed)][len(names) :]
    with scratch_database() as database:
        _note(database, sections)
        for row in rows:
            place = _place_of(database, row.context_section_id if isinstance(row, Example) else row.section_id)
            yield placed(**{name: getattr(row, name) for name in names}, **{name: place[name] for name in added})


def _note(database: sqlite3.Connection, sections: Path) -> None:
    database.execute("CREATE TABLE places (id TEXT PRIMARY KEY, title TEXT, heading TEXT, url TEXT, revision_id INTEGER) WITHOUT ROWID")
    if sections.is_file():
        found = ((section.section_id, section.title, section.heading, section.url, section.revision_id) for section in each_section(sections))
        database.execute("BEGIN")
        database.executemany("INSERT OR IGNORE INTO places VALUES (?, ?, ?, ?, ?)", found)
        database.execute("COMMIT")


def _place_of(database: sqlite3.Connection, section: str) -> dict[str, Any]:
    found = database.execute("SELECT title, heading, url, revision_id FROM places WHERE id = ?", (section,)).fetchone()
    return dict(zip(("title", "heading", "url", "revision_id"), found or _NOWHERE, strict=True))
