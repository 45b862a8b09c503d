"""What a question with its answer must stand up to. Each check returns a Rejected with its reason, or None."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.records import NO_ANSWER, Rejected
from pipeline.text.compare import find_verbatim, mentions, normalise_answer, words
from pipeline.text.lexical import STOP_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable

MIN_WORDS, MAX_WORDS = 4, 40
MAX_ANSWER_WORDS = 40
_LEANS = re.compile(
    r"\b(?:the|this|that|above|given|following) (?:text|section|passage|article|paragraph|context|excerpt)\b"
    r"|\b(?:this|above|following) (?:page|table|sentence|event|competition|tournament|list)\b"
    r"|\baccording to the (?:text|passage|article|section|context)\b|\bmentioned (?:above|here|in the)\b",
    re.IGNORECASE,
)
_OPENS_WITH_PRONOUN = re.compile(
    r"^\W*(?:(?:when|where|why|how|what|which|who|whom|did|do|does|was|were|is|are|has|had|have|in|at|on|for|many|much|long|old|year|day)"
    r"\s+){1,5}(?:he|she|they|it|his|her|their|its)\b", re.IGNORECASE,
)  # fmt: skip
_ASKS_FOR = {
    "date": re.compile(r"\b(?:when|what (?:day|date|year|month)|which (?:day|date|year|month)|until when|since when)\b", re.IGNORECASE),
    "number": re.compile(
        r"\b(?:how (?:many|much|long|tall|high|far|old|fast|heavy|often|big|large|wide|deep)|what (?:\w+ ){0,4}(?:number|score|"
        r"time|distance|weight|length|height|age|total|share|percentage|result|record|capacity|margin|cost))\b", re.IGNORECASE,
    ),
    "name": re.compile(r"\b(?:who|whom|whose|which|where|what)\b", re.IGNORECASE),
}  # fmt: skip
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


def question_form(question: str) -> Rejected | None:
    """One line, a question mark, neither a stump nor a speech."""
    if not question.strip():
        return Rejected("no_question")
    if not question.endswith("?") or "\n" in question:
        return Rejected("not_a_question", question[:80])
    n = len(question.split())
    return None if MIN_WORDS <= n <= MAX_WORDS else Rejected("question_length", f"{n} words")


def leans(question: str) -> Rejected | None:
    """No "the text", no bare "he": whom or what is meant must not hang on something that is not shown."""
    leaning = _LEANS.search(question) or _OPENS_WITH_PRONOUN.search(question)
    return Rejected("does_not_stand_alone", leaning.group()) if leaning else None


def stands_alone(question: str) -> Rejected | None:
    """No leaning on a text that the reader of the question does not see, and something is named."""
    leaning = leans(question)
    if leaning:
        return leaning
    named = re.search(r"\d|(?<!^)\b[^\W\d_a-zß-ÿ]\w", question)
    return None if named else Rejected("does_not_stand_alone", "names nothing")


def answer_form(question: str, answer: str) -> Rejected | None:
    """An answer that is short, not in the question already, and not the sentence that declines."""
    if not normalise_answer(answer):
        return Rejected("no_answer")
    if normalise_answer(answer) == normalise_answer(NO_ANSWER):
        return Rejected("model_declined")
    if len(answer.split()) > MAX_ANSWER_WORDS:
        return Rejected("answer_length", f"{len(answer.split())} words")
    return Rejected("answer_in_question", answer[:80]) if mentions(question, answer) else None


def asks_for_kind(question: str, kind: str) -> Rejected | None:
    """A date is asked for with when, a number with how many, a name with who, which or where."""
    return None if _ASKS_FOR[kind].search(question) else Rejected("asks_for_something_else", kind)


def verbatim_evidence(evidence: str, content: str) -> str | Rejected:
    """Return the section's own wording of the evidence, or why there is none."""
    if not evidence.strip():
        return Rejected("no_evidence")
    return find_verbatim(evidence, content) or Rejected("evidence_not_in_section", evidence[:120])


def numbers_supported(answer: str, evidence: str) -> Rejected | None:
    """Every number of the answer stands in the evidence."""
    there = set(_NUMBER.findall(evidence))
    missing = [number for number in _NUMBER.findall(answer) if number not in there]
    return Rejected("number_not_in_evidence", missing[0]) if missing else None


def about_the_evidence(question: str, title: str, answer: str, evidence: str) -> Rejected | None:
    """The question shares a word with the evidence that is in neither the title nor the answer."""
    common = set(words(title)) | set(words(answer)) | STOP_WORDS
    shared = (set(words(question)) - common) & set(words(evidence))
    return None if shared else Rejected("not_about_the_evidence")


def findable(question: str, section_id: str, search: Callable[[str, int], list[str]], within: int) -> Rejected | None:
    """The question finds its own section among the first `within` (round-trip retrieval, Dai et al. 2022)."""
    return None if section_id in search(question, within) else Rejected("not_specific", f"its section is not among the first {within} found")
