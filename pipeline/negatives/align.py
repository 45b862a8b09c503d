"""Which sentences of a section prove an answer, where a row came without evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.negatives.reading import holds, read
from pipeline.negatives.variants import forms
from pipeline.negatives.verify import telling_words
from pipeline.records import Rejected
from pipeline.text.compare import find_verbatim
from pipeline.text.lexical import content_words

if TYPE_CHECKING:
    from pipeline.negatives.pool import Asked

LEAST = 0.6
"""score from which on a window counts as the answer's"""
_WINDOW = 3  # sentences
_FOR_A_SENTENCE_MORE = 0.02


@dataclass(frozen=True, slots=True)
class Aligned:
    """Where the answer is proven: the places of its sentences in the section, and how sure that is (1: the row's own evidence)."""

    sentences: frozenset[int]
    score: float


def align(asked: Asked) -> Aligned | Rejected:
    """Return the sentences that carry the row's evidence, or the window of up to three that fits answer and question best.

    The score of a window is the share of the answer's telling words in it (1 if a form of the answer stands in it), three parts, and of
    the question's words, one part.
    """
    sentences = read(asked.section.content).sentences
    span = find_verbatim(asked.row.evidence, asked.section.content) if asked.row.evidence else None
    if span:
        start = asked.section.content.index(span)
        return Aligned(_covering(sentences, start, start + len(span)), 1.0)
    best = max(((_score(asked, at, n), -n, -at) for n in range(1, _WINDOW + 1) for at in range(len(sentences) - n + 1)), default=(0.0, 0, 0))
    score, n, at = best[0], -best[1], -best[2]
    if score < LEAST:
        return Rejected("no_evidence_aligned", f"{score:.2f}")
    return Aligned(frozenset(range(at, at + n)), round(score, 4))


def _covering(sentences: tuple[str, ...], start: int, end: int) -> frozenset[int]:
    covering, at = set(), 0
    for number, sentence in enumerate(sentences):
        if at < end and at + len(sentence) > start:
            covering.add(number)
        at += len(sentence)
    return frozenset(covering)


def _score(asked: Asked, at: int, n: int) -> float:
    reading = read(asked.section.content)
    there = frozenset().union(*reading.words[at : at + n])
    wanted, question = telling_words(asked), frozenset(content_words(asked.row.question))
    whole = any(holds(read(sentence), forms(asked.row.answer)) for sentence in reading.sentences[at : at + n])
    answer = 1.0 if whole else len(wanted & there) / len(wanted) if wanted else 0.0
    asked_for = len(question & there) / len(question) if question else 0.0
    return 0.75 * answer + 0.25 * asked_for - _FOR_A_SENTENCE_MORE * (n - 1) if answer else 0.0
