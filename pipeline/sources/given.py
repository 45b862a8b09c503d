"""sections.parquet and qa.parquet, from this program or from elsewhere: what is missing is derived or left empty, never guessed.

Of sections, title, heading and content are required; of questions, section_id, question and answer.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pipeline.records import QA, Section, context_of, derived_page_id, stable_id
from pipeline.store import read_columns
from pipeline.text.tokens import token_counter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ENCODING = "cl100k_base"


def each_section(path: Path) -> Iterator[Section]:
    """Yield sections in the file's order, a few at a time in memory.

    Raises InputError naming file, row and column.
    """
    positions: Counter[str] = Counter()
    for row in read_columns(path, Section, ("title", "heading", "content")):
        title = row["title"]
        yield Section(**_filled(row, Section, _section_default, positions[title]))
        positions[title] += 1


def read_sections(path: Path) -> list[Section]:
    """Read all sections in the file's order.

    Raises InputError naming file, row and column.
    """
    return list(each_section(path))


def each_qa(path: Path) -> Iterator[QA]:
    """Yield questions with their answers in the file's order, a few at a time in memory.

    Raises InputError naming file, row and column.
    """
    return (QA(**_filled(row, QA, _qa_default, 0)) for row in read_columns(path, QA, ("section_id", "question", "answer")))


def read_qa(path: Path) -> list[QA]:
    """Read all questions with their answers in the file's order.

    Raises InputError naming file, row and column.
    """
    return list(each_qa(path))


def _filled(row: dict[str, Any], record: type, default: Any, position: int) -> dict[str, Any]:
    """Return a row with each column that it lacks derived from those it has."""
    return {c.name: value if (value := row.get(c.name)) is not None else default(c.name, row, position) for c in fields(record)}


def _section_default(name: str, row: dict[str, Any], position: int) -> Any:
    title, heading, content = row["title"], row["heading"], row["content"]
    page_id = row.get("page_id") or derived_page_id(title)
    if name == "section_id":
        return stable_id("sec", page_id, heading, position, content)
    if name == "tokens":
        return token_counter(_ENCODING)(context_of(title, heading, content))
    derived = {"page_id": page_id, "position": position, "part": 0, "heading_path": heading, "level": 2, "revision_id": None}
    return derived.get(name, "")


def _qa_default(name: str, row: dict[str, Any], _position: int) -> Any:
    if name == "qa_id":
        return stable_id("qa", row["section_id"], row["question"], row["answer"])
    return {"source": "imported", "round_trip_f1": None, "tokens_in": 0, "tokens_out": 0}.get(name, "")
