"""Rows made now, and rows that were there before → the rows of qa.parquet and rejected.parquet, each question once.

What stays from before comes first, then what was made now in reading order, so that the outcome does not
depend on which reply came when.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.qa.duplicates import marks, same_question
from pipeline.records import QA, Rejected, RejectedQA, stable_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.workbench import Workbench


def as_rejected(row: QA, why: Rejected, title: str, heading: str) -> RejectedQA:
    """Return the rejected row that a row becomes."""
    return RejectedQA(
        stable_id("rej", row.qa_id, why.reason), row.section_id, title, heading, row.question, row.answer, row.evidence, row.source,
        row.style, row.round_trip_f1, row.model, row.prompt_version, row.tokens_in, row.tokens_out, why.reason, why.detail, "", 0,
    )  # fmt: skip


def keep_earlier(bench: Workbench, rows: Iterable[QA]) -> None:
    """Take over rows from before; those whose section is gone are rejected."""
    for row in rows:
        if bench.section(row.section_id):
            bench.settle(row, row.qa_id, row.section_id, row.source, fresh=False)
            bench.mark(row, row.qa_id, marks(row))
        else:
            _reject(bench, as_rejected(row, Rejected("section_gone"), "", ""), fresh=False)


def settle_made(bench: Workbench) -> None:
    """Take each row made now into its file, or reject it as one that is there already."""
    for row in bench.made():
        if not isinstance(row, QA):
            _reject(bench, row, fresh=True)
            continue
        known_by = marks(row)
        why = _duplicate(bench, row, known_by)
        if why:
            _reject(bench, as_rejected(row, why, *(bench.section(row.section_id) or ("", ""))), fresh=True)
        else:
            bench.settle(row, row.qa_id, row.section_id, row.source, fresh=True, over=True)
            bench.mark(row, row.qa_id, known_by)


def _duplicate(bench: Workbench, row: QA, known_by: list[int]) -> Rejected | None:
    there = bench.get(QA, row.qa_id)
    if there and there.source == row.source and not bench.is_fresh(QA, row.qa_id):
        return None  # the same row, made again: it takes its own place
    if there:
        return Rejected("duplicate_question", f"the same as a row that was {there.source}")
    for other in bench.marked(QA, known_by):
        if same_question(row, other):
            exact = row.question == other.question
            return Rejected("duplicate_question" if exact else "near_duplicate_question", f"{other.qa_id} asks: {other.question}")
    return None


def _reject(bench: Workbench, row: RejectedQA, *, fresh: bool) -> None:
    """Settle a rejected row; one that is like another made now in everything gets an id of its own: each is counted."""
    identity, n = row.rejected_id, 1
    while not bench.settle(row, row.rejected_id, row.section_id, row.reason, fresh=fresh) and fresh:
        n += 1
        row = replace(row, rejected_id=stable_id("rej", identity, n))


def keep_earlier_rejected(bench: Workbench, rows: Iterable[RejectedQA]) -> None:
    """Take over rejected rows from before, after those made now: what was rejected again is there once."""
    for row in rows:
        bench.settle(row, row.rejected_id, row.section_id, row.reason, fresh=False)
