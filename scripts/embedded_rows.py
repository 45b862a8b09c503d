"""What the embedded model learns from: sections with questions, and the turns made of them.

Three sources: the sections of data/embedded (ours), articles of a SQuAD 2.0 file, and questions that the model itself wrote on pages of the
notebooks' olympics_sections.csv, which readers judged (data/embedded/judged.jsonl: verdicts and better questions, no text of a page). Negatives are made
and verified by the project itself, and are of its own kinds. Contexts are as the pipeline gives them, turns are those of `pipeline.llm.prompts`.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit_embedded import sections_of
from squad_run import articles_of, qa_of, section_of, sentence_at

from pipeline.dataset.formats import NO, YES
from pipeline.llm import prompts
from pipeline.llm.answering import SHOWN_TO_SMALL
from pipeline.negatives.make import make_examples
from pipeline.qa import checks
from pipeline.qa.candidates import Candidate, candidates
from pipeline.records import NO_ANSWER, QA, Example, Section, context_of, derived_page_id, stable_id
from pipeline.retrieval.minilm import encoder
from pipeline.settings import CHECKOUT
from pipeline.text.compare import mentions, words
from pipeline.text.sentences import sentences
from pipeline.text.tokens import token_counter
from pipeline.text.windows import window
from pipeline.trainers import rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

OWN = CHECKOUT / "data" / "embedded"
JUDGED = OWN / "judged.jsonl"
WRITTEN = "written"
SPANS = 12
"""candidates of a section among which a wrong answer is looked for"""


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from, and how much of it is taken: shares of the turns that could be made, and negatives of each kind for a question."""

    name: str
    write: float
    read: float
    check: float
    """with another answer than its own"""
    judge: float
    """of the rows that are read"""
    negatives: dict[str, float]


OWN_ROWS = Source(
    "own", write=1.0, read=0.8, check=0.8, judge=0.3,
    negatives={"random": 0.1, "similar": 0.8, "altered_question": 0.5, "evidence_removed": 0.12},
)  # fmt: skip
SQUAD_ROWS = Source(
    "squad", write=0.3, read=0.8, check=0.25, judge=0.3,
    negatives={"random": 0.05, "same_page": 0.25, "similar": 0.2, "altered_question": 0.4, "evidence_removed": 0.1},
)  # fmt: skip
JUDGED_TIMES = 3
ALIKE = 0.6
"""share of wrong answers that are of the right one's kind, though of another sentence"""


@dataclass(frozen=True, slots=True)
class Trap:
    """A question that its section does not answer, with what one could take for the answer and the sentence that has it (both empty: unknown)."""

    section: Section
    question: str
    answer: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A span of a section with a question for it that is right, and one that is wrong (either may be empty)."""

    context: str
    evidence: str
    answer: str
    good: str
    bad: str
    unanswerable: bool
    """whether the bad one is a clear question that the section does not answer"""


@dataclass(frozen=True, slots=True)
class Material:
    """Sections with their questions, and those that were written to be unanswerable."""

    sections: list[Section] = field(default_factory=list)
    questions: list[QA] = field(default_factory=list)
    traps: list[Trap] = field(default_factory=list)


def own_material() -> Material:
    """Return the project's own sections."""
    count = token_counter("cl100k_base")
    found = Material()
    for path in sorted(set(OWN.glob("*.jsonl")) - {JUDGED}):
        for line in path.read_text("utf-8").splitlines():
            given = json.loads(line)
            title, heading, content = given["title"], given["heading"], given["content"]
            page_id = derived_page_id(title)
            tokens = count(context_of(title, heading, content))
            section = Section(
                stable_id("sec", page_id, heading, 0, content), page_id, 0, 0, title, heading, heading, 2, content, tokens, None, "", ""
            )
            found.sections.append(section)
            found.questions.extend(_own_qa(section, qa) for qa in given["qa"])
            found.traps.extend(_own_trap(section, question) for question in given["unanswerable"])
    return found


def _own_qa(section: Section, qa: dict[str, str]) -> QA:
    qa_id = stable_id("qa", section.section_id, qa["question"], qa["answer"])
    return QA(qa_id, section.section_id, qa["question"], qa["answer"], qa["evidence"], "imported", "", None, "", "", 0, 0)


def _own_trap(section: Section, question: str) -> Trap:
    """Take for the answer the candidate whose sentence has most of the question's words."""
    asked = set(words(question))
    spans = [span for span in candidates(section, SPANS) if not mentions(question, span.answer)]
    best = max(spans, key=lambda span: len(asked & set(words(span.evidence))), default=None)
    return Trap(section, question, best.answer, best.evidence) if best else Trap(section, question)


def squad_material(path: Path, titles: Sequence[str]) -> Material:
    """Return the named articles of a SQuAD file.

    Raises SystemExit naming a title that is not there.
    """
    by_title = {str(article["title"]): article for article in articles_of(path)}
    missing = [title for title in titles if title not in by_title]
    if missing:
        raise SystemExit(f"error: no such article – {missing[0]} – the file has: {', '.join(by_title)}")
    count = token_counter("cl100k_base")
    found = Material()
    for name in titles:
        title = name.replace("_", " ")
        for position, paragraph in enumerate(by_title[name]["paragraphs"]):
            content = paragraph["context"]
            section = section_of(title, position, content, count(context_of(title, "", content)))
            found.sections.append(section)
            for qa in paragraph["qas"]:
                if qa.get("is_impossible", False):
                    found.traps.append(_squad_trap(section, qa))
                else:
                    found.questions.append(qa_of(section, qa))
    return found


def _squad_trap(section: Section, qa: dict[str, Any]) -> Trap:
    """SQuAD's authors marked what one could take for the answer."""
    question, plausible = qa["question"].strip(), qa.get("plausible_answers") or []
    if not plausible:
        return Trap(section, question)
    text, start = plausible[0]["text"], plausible[0]["answer_start"]
    return Trap(section, question, text, sentence_at(section.content, start, start + len(text)))


def judged_material(csv: Path) -> list[Judged]:
    """Return the judged questions with the parts of their sections that the model was shown.

    Raises SystemExit if a section that they are about is not in the file.
    """
    by_id = {section.section_id: section for section in sections_of(csv)}
    found = []
    for line in JUDGED.read_text("utf-8").splitlines():
        given = json.loads(line)
        section = by_id.get(given["section_id"])
        if section is None:
            raise SystemExit(f"error: {csv} lacks a section that was judged – {given['section_id']} – take the notebooks' olympics_sections.csv")
        found.append(_judged(given, section, sentences(section.content)[given["sentence"]]))
    return found


def _judged(given: dict[str, Any], section: Section, evidence: str) -> Judged:
    right = given.get("well_formed", False) and given.get("answerable", False) and given.get("right", False)
    good, bad = (given["question"], "") if right else (given.get("better", ""), given["question"])
    unanswerable = given.get("well_formed", False) and not given.get("answerable", True)
    return Judged(window(section.context, evidence, SHOWN_TO_SMALL), evidence, given["answer"], good, bad, unanswerable)


def turns(material: Material, source: Source, seed: int) -> Iterator[rows.Row]:
    """Yield the rows of a source, in an order that does not matter (the trainer draws its own)."""
    made = make_examples(material.questions, material.sections, source.negatives, True, encoder().sentence_vectors, seed)
    sections = {section.section_id: section for section in material.sections}
    asked = {row.qa_id: row for row in material.questions}
    rng = random.Random(f"{seed}-{source.name}")
    for example in made.examples:
        own = sections[asked[example.qa_id].section_id]
        if example.kind == "positive":
            yield from _of_positive(example, own, source, rng)
            continue
        yield from _of_negative(example.context, example.question, example.kind, source, rng)
        if example.kind == "altered_question" and rng.random() < source.check:
            yield _wrong(own.context, asked[example.qa_id].evidence, asked[example.qa_id].answer, example.question, "altered_question")
    for trap in material.traps:
        yield from _of_negative(trap.section.context, trap.question, WRITTEN, source, rng)
        if trap.evidence:
            yield _wrong(trap.section.context, trap.evidence, trap.answer, trap.question, WRITTEN)


def turns_of_judged(judged: Sequence[Judged]) -> Iterator[rows.Row]:
    """Yield the rows of judged questions: a good one is to be written and read, a bad one to be found wrong."""
    for one in judged:
        if one.good:
            yield _written(one.context, one.evidence, one.answer, one.good, "judged")
            yield _row(one.context, prompts.turn_read(one.good), f" {one.answer}", "read judged")
        if one.bad:
            yield _wrong(one.context, one.evidence, one.answer, one.bad, "judged")
        if one.unanswerable:
            yield _row(one.context, prompts.turn_read(one.bad), f" {NO_ANSWER}", "decline judged")
            yield _row(one.context, prompts.turn_judge(one.bad), NO, "judge judged")


def _of_positive(example: Example, section: Section, source: Source, rng: random.Random) -> Iterator[rows.Row]:
    if rng.random() < source.write and _worth_writing(example, section.title):
        yield _written(example.context, example.evidence, example.answer, example.question, "")
    wrong = _wrong_answer(example, section, rng) if rng.random() < source.check else None
    if wrong:
        yield _wrong(example.context, wrong.evidence, wrong.answer, example.question, "wrong_answer")
    if rng.random() >= source.read:
        return
    yield _row(example.context, prompts.turn_read(example.question), f" {example.answer}", "read")
    if rng.random() < source.judge:
        yield _row(example.context, prompts.turn_judge(example.question), YES, "judge yes")


def _wrong_answer(example: Example, section: Section, rng: random.Random) -> Candidate | None:
    """Return another span of the section: mostly one of the answer's kind, else one of its sentence, for these are what a question is mistaken for."""
    every = candidates(section, SPANS)
    spans = [span for span in every if not any(mentions(a, b) for a, b in _pairs(span.answer, example))]
    kinds = {span.kind for span in every if mentions(span.answer, example.answer) or mentions(example.answer, span.answer)}
    alike = [span for span in spans if span.kind in kinds]
    near = [span for span in spans if span.evidence == example.evidence]
    if alike and (not near or rng.random() < ALIKE):
        return rng.choice(alike)
    return rng.choice(near or spans) if spans else None


def _pairs(answer: str, example: Example) -> tuple[tuple[str, str], ...]:
    return (answer, example.answer), (example.answer, answer), (example.question, answer)


def _of_negative(context: str, question: str, kind: str, source: Source, rng: random.Random) -> Iterator[rows.Row]:
    yield _row(context, prompts.turn_read(question), f" {NO_ANSWER}", f"decline {kind}")
    if rng.random() < source.judge:
        yield _row(context, prompts.turn_judge(question), NO, f"judge {kind}")


def _written(context: str, evidence: str, answer: str, question: str, kind: str) -> rows.Row:
    """Return the row of a question that is to be written, and behind it to be found right: the turns of writing and checking begin alike."""
    verdict = prompts.turn_check(evidence, answer, question).removeprefix(f"{prompts.turn_write(evidence, answer)} {question}")
    return _row(context, prompts.turn_write(evidence, answer), f" {question}{verdict}{YES}", f"write {kind}".strip())


def _wrong(context: str, evidence: str, answer: str, question: str, kind: str) -> rows.Row:
    return _row(context, prompts.turn_check(evidence, answer, question), NO, f"check {kind}")


def _worth_writing(example: Example, title: str) -> bool:
    """Tell whether a question is one that create_qa would keep: it is what the model is to write."""
    question, answer, evidence = example.question, example.answer, example.evidence
    why = (
        checks.question_form(question) or checks.stands_alone(question) or checks.answer_form(question, answer, checks.SHORT_ANSWER_WORDS // 2)
        or checks.about_the_evidence(question, title, answer, evidence)
    )  # fmt: skip
    return bool(evidence) and why is None


def _row(context: str, turn: str, said: str, kind: str) -> rows.Row:
    return rows.Row(stable_id("turn", context, turn, said), turn, context, said, "", kind)
