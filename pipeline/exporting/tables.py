"""The tables of a run that can be exported: which stage writes each, and its rows, a few at a time in memory."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.exporting.places import PLACED, with_places
from pipeline.records import QA, SPLITS, Example, Page, RejectedQA, Section
from pipeline.store import rows_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.run_folder import RunFolder

_OF = {
    "sections": ("collect", Section, "the sections of wiki pages that questions are asked about"),
    "pages": ("collect", Page, "the wiki pages that were met, kept or not"),
    "qa": ("create_qa", QA, "questions that a section answers, with the sentence that proves it"),
    "rejected": ("create_qa", RejectedQA, "candidates and replies that did not become a question with an answer, with the reason"),
    "examples": ("train", Example, "questions with a context that answers them, or does not"),
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a run: its name, the stage that makes it, what a row of it is, what it holds, its file, and the file of its sections."""

    name: str
    stage: str
    record: type
    about: str
    path: Path
    sections: Path

    @property
    def exported(self) -> type:
        """What a row is in an export: with its section's place where the run's own file has the section's id alone."""
        return PLACED.get(self.record, self.record)


def table_named(folder: RunFolder, name: str) -> Table:
    """Return a table by its name.

    Raises InputError if its file is not in the run folder.
    """
    stage, record, about = _OF[name]
    table = Table(name, stage, record, about, folder.root / f"{name}.parquet", folder.sections)
    if not table.path.is_file():
        raise InputError(f"this run folder has no {table.path.name}", folder.root, f"run `{folder.command(stage)}` first")
    return table


def check_split(name: str, split: str | None) -> None:
    """Raise InputError if a split is asked for of a table that has none."""
    if split and name != "examples":
        raise InputError("--split is for examples", f"{name} --split {split}", f"export examples, whose splits are {', '.join(SPLITS)}")


def size_of(table: Table) -> int:
    """Return how many rows a table's file says it has.

    Raises StorageError if the file is damaged.
    """
    return rows_in(table.path)


def rows_of(table: Table) -> Iterator[Any]:
    """Yield a table's rows in the file's order, each a `table.exported`.

    What sections and questions from elsewhere lack is derived, as everywhere.

    Raises InputError naming file, row and column; StorageError if the file is damaged.
    """
    rows = _read(table)
    return with_places(rows, table.record, table.sections) if table.record in PLACED else rows


def _read(table: Table) -> Iterator[Any]:
    from pipeline.sources.given import each_qa, each_section
    from pipeline.store import read_columns

    if table.name == "sections":
        yield from each_section(table.path)
    elif table.name == "qa":
        yield from each_qa(table.path)
    else:
        names = [column.name for column in fields(table.record)]
        yield from (table.record(**row) for row in read_columns(table.path, table.record, names))
