"""Is a context, offered as one that does not answer, truly one? What is doubtful is no negative.

A false "no sufficient context" is the worst row this project can make, so the rules are strict: a
context is refused if the answer, in any of the forms tried, stands in it, whether it supports it or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.records import Rejected
from pipeline.text.compare import jaccard, mentions, normalise_answer, shingles
from pipeline.text.lexical import content_words
from pipeline.text.numbers import OTHER_FORM
from pipeline.text.sentences import sentences

if TYPE_CHECKING:
    from pipeline.negatives.pool import Asked
    from pipeline.records import Section

NEAR_DUPLICATE = 0.5  # 5-gram Jaccard with the true context
_SHORTEST_INSIDE = 3  # characters
_LONG_ANSWER = 4  # content words
EVIDENCE_REPEATED = 0.5  # share of the evidence's 5-grams that the context has


def answers_after_all(asked: Asked, candidate: Section) -> Rejected | float:
    """Return why the context may answer the question, or its 5-gram Jaccard with the true context (0: nothing in common)."""
    if candidate.section_id == asked.section.section_id:
        return Rejected("true_context")
    likeness = jaccard(shingles(candidate.content), shingles(asked.section.content))
    if likeness >= NEAR_DUPLICATE or asked.section.section_id == candidate.duplicate_of or candidate.section_id == asked.section.duplicate_of:
        return Rejected("near_duplicate", f"{likeness:.2f}")
    context = candidate.context
    if any(mentions(context, form) for form in forms(asked.row.answer)) or _stands_inside(asked.row.answer, context):
        return Rejected("holds_the_answer")
    if _words_together(asked.row.answer, context):
        return Rejected("holds_the_answers_words")
    evidence = shingles(asked.row.evidence)
    if asked.row.evidence and len(evidence & shingles(context)) >= EVIDENCE_REPEATED * len(evidence):
        return Rejected("repeats_the_evidence")
    return likeness


def forms(answer: str) -> set[str]:
    """Return the forms an answer may take: as it is, small numbers in words or figures, without a unit."""
    tokens = normalise_answer(answer).split()
    swapped = " ".join(OTHER_FORM.get(token, token) for token in tokens)
    found = {answer, swapped}
    if len(tokens) > 1 and (tokens[0][:1].isdigit() or tokens[0] in OTHER_FORM) and not any(token.isdigit() for token in tokens[1:]):
        found |= {tokens[0], OTHER_FORM.get(tokens[0], tokens[0])}  # "46 countries": the number alone is enough to doubt
    parts = answer.split()
    if len(parts) > 1 and all(part[:1].isupper() for part in parts) and len(parts[-1]) >= _SHORTEST_INSIDE:
        found.add(parts[-1])  # "Simone Biles" is "Biles" further down the page
    return {form for form in found if form.strip()}


def _stands_inside(answer: str, context: str) -> bool:
    """Tell whether the answer is part of a longer word ("NBC" in "NBCUniversal"); numbers are not looked for in numbers."""
    return len(answer) >= _SHORTEST_INSIDE and not answer[0].isdigit() and answer.casefold() in context.casefold()


def _words_together(answer: str, context: str) -> bool:
    """Tell whether one sentence has the answer's content words in whatever order: all of a short answer's, half of a long one's.

    A long answer (a reason, a description) is told again in other words: half of them is doubt enough.
    """
    wanted = set(content_words(answer))
    needed = len(wanted) if len(wanted) < _LONG_ANSWER else len(wanted) / 2
    return bool(wanted) and any(len(wanted & set(content_words(sentence))) >= needed for sentence in sentences(context))
