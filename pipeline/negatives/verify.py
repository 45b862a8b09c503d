"""Is a context, offered as one that does not answer, truly one? What is doubtful is no negative.

A false "no sufficient context" is the worst row this project can make, so the rules are strict: a
context is refused if the answer, in any of the forms tried, stands in it, whether it supports it or not. What no
rule sees – the fact in other words – is looked for by meaning: the nearest sentence of the context to the
evidence, and to question and answer together (MiniLM; Reimers and Gurevych 2019). What certainly answers (the evidence, word for word)
is told apart from what might: it may serve as a second positive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.negatives.reading import holds, read
from pipeline.negatives.variants import SHORTEST, forms, parts
from pipeline.records import Rejected
from pipeline.text.compare import find_verbatim, jaccard, shingles
from pipeline.text.lexical import content_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from pipeline.negatives.pool import Asked
    from pipeline.negatives.reading import Reading
    from pipeline.records import Section

    Vectors = npt.NDArray[np.float32]
    Embed = Callable[[Sequence[str]], list[Vectors]]
    """texts → for each the unit vectors of its sentences (n, 384)"""

NEAR_DUPLICATE = 0.5  # 5-gram Jaccard with the true context
EVIDENCE_REPEATED = 0.5  # share of the evidence's 5-grams that the context has
PARAPHRASE = 0.90
"""cosine from which on a sentence may be the evidence in other words, where the answer is a name or number that no form of stands in it"""
PARAPHRASE_OF_DESCRIPTION = 0.78
"""the same where the answer is a description, which other words can say as well"""
PARAPHRASES = "paraphrases_the_evidence"
_LONG_ANSWER = 4  # content words
_SURELY = 5  # words of evidence, below which its repetition proves nothing


@dataclass(frozen=True, slots=True)
class Passed:
    """A context that does not answer: how that is known, and the figure that came nearest to a refusal."""

    how: str
    score: float


@dataclass(frozen=True, slots=True)
class Answers:
    """A context that was offered as a negative and answers after all: the span that proves it."""

    evidence: str
    reason: str


def by_rules(asked: Asked, candidate: Section) -> Rejected | Answers | Passed:
    """Compare texts. The score is the 5-gram Jaccard with the true context (0: nothing in common)."""
    true, there = asked.section, read(candidate.context)
    if candidate.section_id == true.section_id:
        return Rejected("true_context")
    proof = _evidence_again(asked, candidate)
    if proof:
        return Answers(proof, "repeats_the_evidence")
    likeness = jaccard(read(candidate.content).grams, read(true.content).grams)
    if likeness >= NEAR_DUPLICATE or true.section_id == candidate.duplicate_of or candidate.section_id == true.duplicate_of:
        return Rejected("near_duplicate", f"{likeness:.2f}")
    doubt = _doubt(asked, there)
    return Rejected(doubt) if doubt else Passed("rules: answer absent, evidence absent, no near-duplicate", round(likeness, 4))


def _doubt(asked: Asked, there: Reading) -> str:
    """Return why a context may hold the answer, or nothing."""
    if says_the_answer(asked.row.answer, there):
        return "holds_the_answer"
    if any(_words_together(asked, words) for words in there.words):
        return "holds_the_answers_words"
    evidence = shingles(asked.row.evidence)
    repeated = asked.row.evidence and len(evidence & there.grams) >= EVIDENCE_REPEATED * len(evidence)
    return "repeats_the_evidence" if repeated else ""


def _evidence_again(asked: Asked, candidate: Section) -> str:
    """Return the context's own wording of the evidence if it has it word for word with the answer in it; else nothing."""
    evidence = asked.row.evidence
    if not speaks_of_the_same(asked.row.question, asked.section.context, candidate.context):
        return ""
    if len(evidence.split()) < _SURELY or not holds(read(evidence), forms(asked.row.answer)):
        return ""
    return find_verbatim(evidence, candidate.content) or ""


def speaks_of_the_same(question: str, own: str, other: str) -> bool:
    """Tell whether a context has every word of the question that the true one has.

    What is said of the men's event in the same words as of the women's answers no question about the women's: of 38 contexts with the
    evidence word for word, on 100 real pages, 33 spoke of another event or nation.
    """
    return frozenset(content_words(question)) & read(own).vocabulary <= read(other).vocabulary


def says_the_answer(answer: str, there: Reading) -> bool:
    """Tell whether a text has the answer, a member of it if it is a list, or a form of either."""
    return any(holds(there, forms(part)) or _stands_inside(part, there) for part in parts(answer))


def _stands_inside(answer: str, there: Reading) -> bool:
    """Tell whether the answer is part of a longer word ("NBC" in "NBCUniversal"); numbers are not looked for in numbers."""
    return len(answer) >= SHORTEST and not answer[0].isdigit() and answer.casefold() in there.folded


def telling_words(asked: Asked) -> frozenset[str]:
    """Return the answer's content words that the question does not have; all of them if it has them all."""
    wanted = frozenset(content_words(asked.row.answer))
    return wanted - frozenset(content_words(asked.row.question)) or wanted


def _words_together(asked: Asked, sentence: frozenset[str]) -> bool:
    """Tell whether a sentence has the answer's telling words in whatever order: all of a short answer's, half of a long one's.

    A long answer (a reason, a description) is told again in other words: half of them is doubt enough.
    """
    wanted = telling_words(asked)
    needed = len(wanted) if len(wanted) < _LONG_ANSWER else len(wanted) / 2
    return bool(wanted) and len(wanted & sentence) >= needed


def by_meaning(asked: Asked, candidate: Section, embed: Embed) -> Rejected | float:
    """Return the cosine of the candidate's sentence nearest to the evidence or to question and answer; if it is too near, why it is refused."""
    evidence, statement, there = embed([asked.row.evidence, said(asked), candidate.context])
    wanted = [vectors for vectors in (evidence, statement) if len(vectors)]
    if not wanted or not len(there):
        return 0.0
    nearest = max(float((there @ vectors.T).max()) for vectors in wanted)
    limit = PARAPHRASE if is_name_or_number(asked.row.answer) else PARAPHRASE_OF_DESCRIPTION
    return Rejected(PARAPHRASES, f"{nearest:.2f}") if nearest >= limit else nearest


def said(asked: Asked) -> str:
    """Return question and answer as one statement: without its question mark it is one sentence, and one vector."""
    return f"{asked.row.question.rstrip('? ')}: {asked.row.answer}"


def is_name_or_number(answer: str) -> bool:
    """Tell whether an answer is made of names and numbers, which other words can't say: without them the context lacks the answer."""
    words = answer.split()
    hard = [w for w in words if re.search(r"\d", w) or w[:1].isupper()]
    return bool(words) and len(hard) >= len([w for w in words if len(w) > SHORTEST]) / 2


def negative_or_not(asked: Asked, candidate: Section, embed: Embed | None) -> Rejected | Answers | Passed:
    """Verify by rules, and then, if there is an encoder, by meaning."""
    verdict = by_rules(asked, candidate)
    if not isinstance(verdict, Passed) or embed is None:
        return verdict
    nearest = by_meaning(asked, candidate, embed)
    return nearest if isinstance(nearest, Rejected) else Passed(f"{verdict.how}; nearest sentence by meaning", round(nearest, 4))


def removed_or_not(asked: Asked, left: Section, embed: Embed | None) -> Rejected | Passed:
    """Verify what is left of the true context: no form of the answer, no word-for-word or other repetition of the evidence."""
    doubt = _doubt(asked, read(left.context))
    if doubt:
        return Rejected(doubt)
    how = "every sentence with the answer is gone"
    nearest = by_meaning(asked, left, embed) if embed else None
    if nearest is None or isinstance(nearest, Rejected):
        return nearest or Passed(how, 0.0)
    return Passed(f"{how}; nearest sentence by meaning", round(nearest, 4))
