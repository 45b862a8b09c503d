"""Kind `similar`: what a search for the question finds on other pages. Hard; many candidates do answer, so verify.

BM25, MiniLM and the share of the question's words are fused by reciprocal rank (Cormack, Clarke and Büttcher 2009). Mining is
positive-aware: a candidate that scores above 95 % of the true context's score is suspected to answer (Moreira et al. 2024,
NV-Retriever), and is a negative only where its answer is a name or number that can be seen to be missing. One that has much fewer of the question's words than the true context is not similar: counting words
would be enough to tell it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.negatives.pool import Offer
from pipeline.negatives.reading import read
from pipeline.negatives.verify import is_name_or_number
from pipeline.text.lexical import content_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.negatives.pool import Asked, Pool
    from pipeline.negatives.verify import Embed
    from pipeline.records import Section
    from pipeline.text.lexical import Idf

DEPTH = 60  # how far down BM25's list a candidate still counts as similar
SUSPECT = 0.95
LEAST_OVERLAP = 0.8
"""share of the true context's overlap with the question that a candidate should have"""
FALL_BACK = 0.75
"""share that it must have, where none of the first sort passes"""
_JUDGED, _AT_ONCE = 12, 3
"""candidates of each sort, the best by BM25, that may be taken, and how many are looked at before the next: vectors are most of the cost"""
_ANSWERED_FOR = 20
"""of the list, how many that are not similar enough are named as dropped"""
_RANK = 60  # the constant of reciprocal rank fusion


@dataclass(frozen=True, slots=True)
class Found:
    """A candidate, and why it is refused before anything else is asked of it (empty: it is not)."""

    offer: Offer
    refused: str


@dataclass(frozen=True, slots=True)
class Near:
    """What a search found for a question, by how many of its words are there: places in `sections`, of which the first is the true one."""

    sections: Sequence[Section]
    overlaps: Sequence[float]
    sorts: Sequence[Sequence[int]]
    """those with nearly all of the words that the true context has, and those with most of them; the best by BM25 of each"""

    @property
    def first(self) -> list[Section]:
        """The sections that are looked at in any case."""
        return [self.sections[at] for at in next((sort for sort in self.sorts if sort), ())[:_AT_ONCE]]


def near(asked: Asked, pool: Pool, found: Sequence[int], idf: Idf) -> Near:
    """Sort what BM25 found, as places in the pool, best first."""
    question = content_words(asked.row.question)
    sections = [asked.section, *candidates(asked, pool, found)]
    overlaps = [idf.overlap(question, read(section.context).vocabulary) for section in sections]
    bounds = ((LEAST_OVERLAP, float("inf")), (FALL_BACK, LEAST_OVERLAP))
    sorts = [[at for at in range(1, len(sections)) if least * overlaps[0] <= overlaps[at] < most * overlaps[0]][:_JUDGED] for least, most in bounds]
    return Near(sections, overlaps, sorts)


def offers(asked: Asked, found: Near, embed: Embed | None) -> Iterator[Found]:
    """Yield sections of other pages, best first: those with nearly all of the words first, then those with most of them.

    A suspect may only pass where the answer is a name or a number: that it is not there, in no form, can be seen.
    """
    sections, overlaps = found.sections, found.overlaps
    certain = is_name_or_number(asked.row.answer)
    for sort in (all_of[start : start + _AT_ONCE] for all_of in found.sorts for start in range(0, len(all_of), _AT_ONCE)):
        cosines = (
            dict(zip((0, *sort), _cosines(asked.row.question, [sections[at] for at in (0, *sort)], embed), strict=True)) if sort and embed else {}
        )
        for at in _fused(sort, overlaps, cosines):
            share = cosines[at] / cosines[0] if cosines and cosines[0] > 0 else 0.0
            note = f"overlap {overlaps[at]:.2f} to {overlaps[0]:.2f}" + (f", cosine {share:.0%} of the true context's" if cosines else "")
            suspected = share > SUSPECT and not certain
            yield Found(Offer(sections[at], asked.row.question, note), "as_near_as_the_true_context" if suspected else "")
    for at in range(1, min(len(sections), _ANSWERED_FOR + 1)):
        if overlaps[at] < FALL_BACK * overlaps[0]:
            yield Found(Offer(sections[at], asked.row.question), "not_similar_enough")


def candidates(asked: Asked, pool: Pool, found: Sequence[int]) -> list[Section]:
    """Return what was found on other pages, as far down as it counts."""
    return [pool.sections[at] for at in found if pool.sections[at].page_id != asked.section.page_id][:DEPTH]


def _cosines(question: str, sections: Sequence[Section], embed: Embed) -> list[float]:
    """Return each context's cosine with the question (a context is the mean of its sentences, title and heading among them)."""
    import numpy as np

    asked, *there = (vectors.mean(axis=0) if len(vectors) else None for vectors in embed([question, *(s.context for s in sections)]))
    if asked is None:
        return [0.0] * len(sections)
    return [float(asked @ v / max(float(np.linalg.norm(asked) * np.linalg.norm(v)), 1e-12)) if v is not None else 0.0 for v in there]


def _fused(near: Sequence[int], overlaps: Sequence[float], cosines: Mapping[int, float]) -> list[int]:
    """Return the candidates' places by the sum of 1 / (60 + rank) over BM25 (the order given), overlap and cosine."""
    rankings = [list(near), sorted(near, key=lambda at: -overlaps[at])]
    rankings += [sorted(near, key=lambda at: -cosines[at])] if cosines else []
    total = {at: sum(1 / (_RANK + ranking.index(at)) for ranking in rankings) for at in near}
    return sorted(near, key=lambda at: (-total[at], at))
