"""Rows for one split's questions: the positive, and where each negative's context came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.records import NO_ANSWER, Example, stable_id

if TYPE_CHECKING:
    from pipeline.records import QA, Section


def positive(row: QA, section: Section, split: str) -> Example:
    """Return the example whose context answers the question."""
    how = "evidence is verbatim in the context" if row.evidence else f"given as {row.source}, no evidence"
    how = f"round trip; {how}" if row.round_trip_f1 is not None else how
    return Example(
        stable_id("ex", row.qa_id, "positive", section.section_id), row.qa_id, split, "positive", section.context, section.section_id,
        row.question, row.answer, True, how, row.round_trip_f1, row.source, row.evidence, "",
    )  # fmt: skip


def negative(row: QA, section: Section, split: str, kind: str, how: str, score: float | None) -> Example:
    """Return the example whose context does not answer the question."""
    return Example(
        stable_id("ex", row.qa_id, kind, section.section_id), row.qa_id, split, kind, section.context, section.section_id, row.question,
        NO_ANSWER, False, how, score, row.source, "", "",
    )  # fmt: skip
