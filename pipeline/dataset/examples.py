"""Rows: the positive, what else answers, and what does not."""

from __future__ import annotations

from dataclasses import replace
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


def second_positive(row: QA, section: Section, split: str, kind: str, evidence: str) -> Example:
    """Return the example of a context that was offered as a negative of some kind and answers after all."""
    how = f"offered as {kind}, answers: the evidence is verbatim in the context"
    return Example(
        stable_id("ex", row.qa_id, "positive", section.section_id), row.qa_id, split, "positive", section.context, section.section_id,
        row.question, row.answer, True, how, None, row.source, evidence, "",
    )  # fmt: skip


def second_positive_of(example: Example, answer: str, evidence: str, model: str) -> Example:
    """Return the example that a negative becomes when a model finds the row's answer in its context."""
    how = f"offered as {example.kind}, answers: {model} finds the answer, its evidence is verbatim in the context"
    return replace(
        example, example_id=stable_id("ex", example.qa_id, "positive", example.context_section_id), kind="positive", answer=answer,
        answerable=True, verified=how, verified_score=None, evidence=evidence, plausible_answer="",
    )  # fmt: skip


def negative(
    row: QA, section: Section, split: str, kind: str, how: str, score: float | None, question: str | None = None, plausible: str = ""
) -> Example:  # fmt: skip
    """Return the example whose context does not answer the question (the row's own, or another that was made of it)."""
    asked = row.question if question is None else question
    made_of = (row.qa_id, kind, section.section_id) if asked == row.question else (row.qa_id, kind, section.section_id, asked)
    return Example(
        stable_id("ex", *made_of), row.qa_id, split, kind, section.context, section.section_id, asked, NO_ANSWER, False, how, score, row.source,
        "", plausible,
    )  # fmt: skip
