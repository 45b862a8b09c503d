"""Verdicts of people on examples: read from review.jsonl, applied to the examples that `train` made.

A line is one example: `{"example_id": …, "verdict": "keep" | "fix" | "drop"}`, and if wanted `reviewer` and `note`. A drop may say
why: `"reason": "label"` (whether the context answers is told wrongly) or `"text"` (the question or the answer is bad). A fix has at
least one of `question`, `answer` and `answerable`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.records import NO_ANSWER, DroppedExample, Example, ReviewedExample
from pipeline.text.compare import mentions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VERDICTS = ("keep", "fix", "drop")
REASONS = ("label", "text")
_TEXTS = ("example_id", "verdict", "question", "answer", "reason", "reviewer", "note")
_FIXES = ("question", "answer", "answerable")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one person says of one example; of a fix, None is what stays."""

    example_id: str
    verdict: str
    line: int
    reason: str = ""
    question: str | None = None
    answer: str | None = None
    answerable: bool | None = None
    reviewer: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Examples after their review: those that stay, those that are gone, and each verdict beside what the checks had said."""

    examples: list[Example]
    dropped: list[DroppedExample]
    verdicts: list[ReviewedExample]


def parse(name: str, lines: Iterable[str]) -> dict[str, Verdict]:
    """Read the lines of a review by example id; empty ones are passed over.

    Raises InputError naming the line (from 1) that is no verdict, or the second one on an example.
    """
    found: dict[str, Verdict] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        verdict = _verdict(f"{name}, line {number}", number, line)
        if verdict.example_id in found:
            before = found[verdict.example_id].line
            raise InputError("an example is judged twice", f"{name}, lines {before} and {number}: {verdict.example_id}", "keep one of the two lines")
        found[verdict.example_id] = verdict
    return found


def _verdict(place: str, number: int, line: str) -> Verdict:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError("a line of the review is not JSON", f"{place}: {error}", "export the review from the report again") from error
    if not isinstance(row, dict):
        raise InputError("a line of the review is no JSON object", place, "export the review from the report again")
    _check_fields(place, row)
    fixes = [field for field in _FIXES if field in row]
    if row["verdict"] == "fix" and not fixes:
        raise InputError("a fix changes nothing", place, "give it a question, an answer or answerable, or say keep")
    if row["verdict"] != "fix" and fixes:
        raise InputError(f"a verdict to {row['verdict']} changes a text", f"{place}: {fixes[0]}", "say fix, or leave that out")
    return Verdict(line=number, **row)


def _check_fields(place: str, row: Mapping[str, Any]) -> None:
    """Refuse a line that is not what the report's page writes (`reporting/page/review.js`): people edit these files, and another program may have made one."""
    known = (*_TEXTS, "answerable")
    for field in ("example_id", "verdict"):
        if field not in row:
            raise InputError("a line of the review lacks a field", f"{place}: {field}", "export the review from the report again")
    for field, value in row.items():
        if field not in known:
            raise InputError("a line of the review has an unknown field", f"{place}: {field!r}", f"known: {', '.join(known)}")
        if not isinstance(value, bool if field == "answerable" else str):
            raise InputError("a field of the review has the wrong type", f"{place}: {field}", "answerable is true or false, all else is text")
    if row["verdict"] not in VERDICTS:
        raise InputError("a verdict is not known", f"{place}: {row['verdict']!r}", f"known: {', '.join(VERDICTS)}")
    if row.get("reason") and (row["reason"] not in REASONS or row["verdict"] != "drop"):
        raise InputError("a reason is not known", f"{place}: {row['reason']!r}", f"a drop may have one of {', '.join(REASONS)}")


def apply(name: str, examples: Sequence[Example], verdicts: Mapping[str, Verdict]) -> Reviewed:
    """Apply verdicts: in = examples + dropped, in the order given. An example that is fixed keeps its id, its kind's origin and its split.

    Raises InputError naming the line of a verdict on no example of this run, or of a fix that makes no example.
    """
    known = {example.example_id for example in examples}
    for verdict in verdicts.values():
        if verdict.example_id not in known:
            do = "the review is of another run, or the questions changed since: take that line out"
            raise InputError("a verdict is on no example of this run", f"{name}, line {verdict.line}: {verdict.example_id}", do)
    kept, dropped, said = [], [], []
    for example in examples:
        found = verdicts.get(example.example_id)
        if found is None:
            kept.append(example)
            continue
        said.append(_beside(example, found))
        if found.verdict == "drop":
            dropped.append(DroppedExample(example.qa_id, example.kind, example.context_section_id, "dropped_by_review"))
        elif found.verdict == "fix":
            kept.append(_fixed(f"{name}, line {found.line}", example, found))
        else:
            kept.append(replace(example, verified=f"{example.verified}; reviewed: kept"))
    return Reviewed(kept, dropped, said)


def _beside(example: Example, found: Verdict) -> ReviewedExample:
    wrong = found.verdict == "drop" and found.reason == "label"
    answerable = example.answerable if found.answerable is None else found.answerable
    return ReviewedExample(
        example.example_id, example.qa_id, example.split, example.kind, example.context_section_id, example.question, example.answer,
        example.answerable, found.verdict, not example.answerable if wrong else answerable, found.reason, found.reviewer, found.note,
    )  # fmt: skip


def _fixed(place: str, example: Example, found: Verdict) -> Example:
    question = example.question if found.question is None else found.question.strip()
    answerable = example.answerable if found.answerable is None else found.answerable
    if not question:
        raise InputError("a fix leaves no question", place, "write one, or say drop")
    verified = f"{example.verified}; reviewed: fixed"
    if answerable != example.answerable:
        verified += f", was {example.kind}"
    if not answerable:
        if found.answer is not None and found.answer.strip() != NO_ANSWER:
            raise InputError("a fix has an answer and says that there is none", place, "leave the answer out, or set answerable to true")
        # a context of the question's own that does not hold the answer is what evidence_removed means
        kind = "evidence_removed" if example.answerable else example.kind
        return replace(example, kind=kind, question=question, answer=NO_ANSWER, answerable=False, evidence="", verified=verified)
    answer = (example.answer if found.answer is None else found.answer).strip()
    if answer in ("", NO_ANSWER):
        raise InputError("a fix says that there is an answer and has none", place, "write the answer")
    evidence = example.evidence if example.answer == answer or mentions(example.evidence, answer) else ""
    return replace(
        example, kind="positive", question=question, answer=answer, answerable=True, evidence=evidence, plausible_answer="", verified=verified
    )  # fmt: skip
