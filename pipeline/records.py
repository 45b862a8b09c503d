"""What flows between the parts: one frozen record per row of each file.

A file's columns are the fields of its record, in this order (`store.py` derives the parquet schema
from the annotations). Ids are tagged hashes of what the row is made of, so that the same content
has the same id in every run and on every machine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

NO_ANSWER = "No sufficient context for answering the question"
"""The answer that declines, word for word."""
KINDS = ("positive", "random", "same_page", "similar", "altered_question", "evidence_removed")
"""Kinds of examples this release makes; everything but `positive` is a hard negative."""
SPLITS = ("train", "validation", "test")


def stable_id(tag: str, *parts: object) -> str:
    """Return `tag-` and 16 hexadecimal digits that depend on `parts` alone (64 bits of SHA-256)."""
    digest = hashlib.sha256("\x1f".join([tag, *map(str, parts)]).encode("utf-8", "surrogatepass"))
    return f"{tag}-{digest.hexdigest()[:16]}"


def derived_page_id(title: str) -> int:
    """Return a page id for a page that came without one: 53 bits of the title's hash.

    53 bits survive JSON and spreadsheets; real page ids are below 2**31, so the two do not meet.
    """
    return int.from_bytes(hashlib.sha256(title.encode("utf-8", "surrogatepass")).digest()[:8]) >> 11 | 1 << 52


def context_of(title: str, heading: str, content: str) -> str:
    """Return the text that a model is given for a section (the notebooks' form)."""
    return f"{title}\n{heading}\n\n{content}"


@dataclass(frozen=True, slots=True)
class Page:
    """A wiki page as it was met: kept, or why not."""

    page_id: int
    title: str
    url: str
    revision_id: int | None
    revision_timestamp: str
    retrieved_at: str
    licence: str
    n_sections: int
    status: str
    """kept, redirect, disambiguation, missing or filtered"""
    reason: str


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a page: what questions are asked about."""

    section_id: str
    page_id: int
    position: int
    part: int
    title: str
    heading: str
    heading_path: str
    level: int
    content: str
    tokens: int
    revision_id: int | None
    url: str
    duplicate_of: str

    @property
    def context(self) -> str:
        """The text that a model is given."""
        return context_of(self.title, self.heading, self.content)


@dataclass(frozen=True, slots=True)
class DroppedSection:
    """A section that did not become a row of sections.parquet, and why."""

    page_id: int
    position: int
    title: str
    heading: str
    tokens: int
    reason: str
    content: str


@dataclass(frozen=True, slots=True)
class QA:
    """A question that its section answers, with the sentence that proves it."""

    qa_id: str
    section_id: str
    question: str
    answer: str
    evidence: str
    """a verbatim span of the section's content; empty where an imported row came without one"""
    source: str
    """generated, imported, or written (by people, for this project)"""
    style: str
    round_trip_f1: float | None
    """token F1 between the answer and what the model answers from the context alone"""
    model: str
    prompt_version: str
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, slots=True)
class RejectedQA:
    """A candidate or a reply that did not become a QA, and why."""

    rejected_id: str
    section_id: str
    title: str
    heading: str
    question: str
    answer: str
    evidence: str
    source: str
    style: str
    round_trip_f1: float | None
    model: str
    prompt_version: str
    tokens_in: int
    tokens_out: int
    reason: str
    detail: str
    reply: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Example:
    """A question with a context that answers it (positive) or does not (every other kind)."""

    example_id: str
    qa_id: str
    split: str
    kind: str
    context: str
    context_section_id: str
    question: str
    answer: str
    """the answer a model should give: for a negative, the sentence that declines"""
    answerable: bool
    verified: str
    """how it is known that the label is true"""
    verified_score: float | None
    """for a negative, the cosine of its sentence nearest to the evidence (by rules alone: 5-gram Jaccard with the true context; an altered question: 1);
    for a positive, the round trip's F1"""
    source: str
    evidence: str
    """for a positive, the verbatim span of the context that proves the answer, if one is known"""
    plausible_answer: str
    """for a negative, what one might wrongly answer from the context, if there is such a thing"""


@dataclass(frozen=True, slots=True)
class DroppedExample:
    """A negative that was asked for and not made, and why."""

    qa_id: str
    kind: str
    context_section_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question to judge models by: its context, and the answers that count as right (none if it has no answer there)."""

    id: str
    context: str
    question: str
    answers: tuple[str, ...]
    answerable: bool
    kind: str = ""
    """positive, or what kind of unanswerable question it is; empty where that is not known"""
    title: str = ""
    """the page or article that the context is from; empty where that is not known"""


@dataclass(frozen=True, slots=True)
class ReviewedExample:
    """What a person said of an example, beside what the checks had made of it."""

    example_id: str
    qa_id: str
    split: str
    kind: str
    context_section_id: str
    question: str
    answer: str
    answerable: bool
    """as the checks left it"""
    verdict: str
    """keep, fix or drop"""
    answerable_reviewed: bool
    """as the person has it"""
    reason: str
    """of a drop: label (whether the context answers is told wrongly), text (the question or the answer is bad), or nothing"""
    reviewer: str
    note: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """What a check returns instead of the record: the reason (a short name) and what was seen."""

    reason: str
    detail: str = ""
