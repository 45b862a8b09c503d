"""Rows of the `datasets` folder: what an example says, where its text comes from, and where its answer stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.dataset.formats.squad import Span
    from pipeline.records import Example, Section


@dataclass(frozen=True, slots=True)
class HubRow:
    """A row of train/hf/data/SPLIT.parquet: flat, so that every viewer shows it."""

    id: str
    question: str
    context: str
    answer: str
    """the answer a model should give: for an unanswerable question, the sentence that declines"""
    answerable: bool
    kind: str
    answer_span: str
    """the answer as it stands in the context, word for word; empty where there is none"""
    answer_start: int | None
    """where, in characters"""
    answer_alignment: str
    evidence: str
    plausible_answer: str
    verified: str
    verified_score: float | None
    source: str
    question_id: str
    section_id: str
    title: str
    heading: str
    url: str
    revision_id: int | None


def row(example: Example, span: Span, section: Section | None) -> HubRow:
    """Return the row of an example; `section` is where its context comes from, if it is known."""
    answered = example.answerable and span.start >= 0
    place = ("", "", "", None) if section is None else (section.title, section.heading, section.url, section.revision_id)
    return HubRow(
        example.example_id, example.question, example.context, example.answer, example.answerable, example.kind, span.text if answered else "",
        span.start if answered else None, span.how if example.answerable else "", example.evidence, example.plausible_answer, example.verified,
        example.verified_score, example.source, example.qa_id, example.context_section_id, *place,
    )  # fmt: skip
