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
    """the wiki's number of the page; of a page that came without one, 53 bits of its title's hash"""
    title: str
    """as the wiki spells it"""
    url: str
    """of the page, as people read it"""
    revision_id: int | None
    """the revision that was read; empty if the page was not, or its source tells none"""
    revision_timestamp: str
    """when that revision was saved (ISO 8601, UTC)"""
    retrieved_at: str
    """when it was fetched (ISO 8601, UTC), empty if it was not; not the same in every run"""
    licence: str
    """as the wiki states it, with its address"""
    n_sections: int
    """how many rows of sections.parquet it has"""
    status: str
    """kept, redirect, disambiguation, missing or filtered"""
    reason: str
    """why it was not kept, or where a redirect leads; empty for a page that was kept"""


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a page: what questions are asked about."""

    section_id: str
    """`sec-` and 16 hexadecimal digits: a hash of page, place and text"""
    page_id: int
    """its page, as in pages.parquet"""
    position: int
    """which section of the page it is, in reading order, from 0"""
    part: int
    """which part of a section that was too long and was split, from 0"""
    title: str
    """of its page"""
    heading: str
    """the nearest heading above; `Summary` before the first"""
    heading_path: str
    """its heading and those above it, the outermost first, with ` > ` between"""
    level: int
    """of its heading: 1 for the lead, 2 and more as in the wiki"""
    content: str
    """the text: paragraphs, lists and tables as lines (a table's row as `Rank: 1; Name: …`)"""
    tokens: int
    """of the whole context (title, heading, content), in the run's encoding"""
    revision_id: int | None
    """of its page"""
    url: str
    """of its heading"""
    duplicate_of: str
    """the section_id of an earlier section that it nearly repeats; empty if there is none"""

    @property
    def context(self) -> str:
        """The text that a model is given."""
        return context_of(self.title, self.heading, self.content)


@dataclass(frozen=True, slots=True)
class DroppedSection:
    """A section that did not become a row of sections.parquet, and why."""

    page_id: int
    """its page, as in pages.parquet"""
    position: int
    """which section of the page it was"""
    title: str
    """of its page"""
    heading: str
    """its heading"""
    tokens: int
    """of the whole context"""
    reason: str
    """empty, short, low_information (under a heading that the topic names), or legend_or_label (such lines, out of a section that was kept)"""
    content: str
    """what was dropped"""


@dataclass(frozen=True, slots=True)
class QA:
    """A question that its section answers, with the sentence that proves it."""

    qa_id: str
    """`qa-` and 16 hexadecimal digits: a hash of section, question and answer"""
    section_id: str
    """the section that answers"""
    question: str
    """stands alone: it can be understood without the section"""
    answer: str
    """a few words"""
    evidence: str
    """a verbatim span of the section's content; empty where an imported row came without one"""
    source: str
    """generated, imported, or written (by people, for this project)"""
    style: str
    """how it was asked for: question-first, answer-first, or imported"""
    round_trip_f1: float | None
    """token F1 between the answer and what the model answers from the context alone"""
    model: str
    """what wrote it; empty for imported rows"""
    prompt_version: str
    """of the prompts it was asked with (pipeline/llm/prompts.py)"""
    tokens_in: int
    """tokens that its requests sent; of a reply that held several rows, a share"""
    tokens_out: int
    """of its replies, likewise"""


@dataclass(frozen=True, slots=True)
class RejectedQA:
    """A candidate or a reply that did not become a QA, and why."""

    rejected_id: str
    """`rej-` and 16 hexadecimal digits: a hash of what it is made of"""
    section_id: str
    """the section that was asked about"""
    title: str
    """of its page"""
    heading: str
    """of the section"""
    question: str
    """empty where the reply held none"""
    answer: str
    """as the model gave it"""
    evidence: str
    """as the model gave it; it need not stand in the section"""
    source: str
    """generated, imported, or written"""
    style: str
    """how it was asked for"""
    round_trip_f1: float | None
    """token F1 with what the model answered from the context alone; empty if it did not get so far"""
    model: str
    """what was asked"""
    prompt_version: str
    """of the prompts it was asked with"""
    tokens_in: int
    """tokens sent"""
    tokens_out: int
    """tokens of the reply"""
    reason: str
    """which check it failed, a short name"""
    detail: str
    """what that check saw"""
    reply: str
    """the raw reply"""
    attempts: int
    """how often it was asked for; not the same in every run"""


@dataclass(frozen=True, slots=True)
class Example:
    """A question with a context that answers it (positive) or does not (every other kind)."""

    example_id: str
    """`ex-` and 16 hexadecimal digits: a hash of question, kind and section"""
    qa_id: str
    """the question's row in qa.parquet"""
    split: str
    """train, validation or test; a page is in one alone"""
    kind: str
    """positive, random, same_page, similar, altered_question, evidence_removed"""
    context: str
    """the text a model is given: title, heading, an empty line, content"""
    context_section_id: str
    """the section that the context is, or was made of"""
    question: str
    """as it is asked (altered in the kind altered_question)"""
    answer: str
    """the answer a model should give: for a negative, the sentence that declines"""
    answerable: bool
    """whether the context answers the question"""
    verified: str
    """how it is known that the label is true"""
    verified_score: float | None
    """for a negative, the cosine of its sentence nearest to the evidence (by rules alone: 5-gram Jaccard with the true context; an altered question: 1);
    for a positive, the round trip's F1"""
    source: str
    """of its question: generated, imported, or written"""
    evidence: str
    """for a positive, the verbatim span of the context that proves the answer, if one is known"""
    plausible_answer: str
    """for a negative, what one might wrongly answer from the context, if there is such a thing"""


@dataclass(frozen=True, slots=True)
class DroppedExample:
    """A negative that was asked for and not made, and why."""

    qa_id: str
    """the question's row in qa.parquet"""
    kind: str
    """the kind of negative that was asked for"""
    context_section_id: str
    """the section that was looked at; empty where none could be had"""
    reason: str
    """which check refused it, or why there was no candidate (not_available)"""


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
    """as in examples.parquet"""
    qa_id: str
    """the question's row in qa.parquet"""
    split: str
    """train, validation or test"""
    kind: str
    """positive, or the kind of negative"""
    context_section_id: str
    """the section that the context is, or was made of"""
    question: str
    """as it was shown"""
    answer: str
    """as it was shown"""
    answerable: bool
    """as the checks left it"""
    verdict: str
    """keep, fix or drop"""
    answerable_reviewed: bool
    """as the person has it"""
    reason: str
    """of a drop: label (whether the context answers is told wrongly), text (the question or the answer is bad), or nothing"""
    reviewer: str
    """who said so, as the report's page was told"""
    note: str
    """what the reviewer wrote beside it"""


@dataclass(frozen=True, slots=True)
class Rejected:
    """What a check returns instead of the record: the reason (a short name) and what was seen."""

    reason: str
    detail: str = ""
