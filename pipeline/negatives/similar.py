"""Kind `similar`: what a search for the question finds on other pages. Hard; many candidates do answer, so verify.

BM25, MiniLM and the share of the question's words are fused by reciprocal rank (Cormack, Clarke and Büttcher 2009). Mining is
positive-aware: a candidate that scores above 95 % of the true context's score is suspected to answer, and is no negative (Moreira
et al. 2024, NV-Retriever). And one that has much fewer of the question's words than the true context is not similar: counting words
would be enough to tell it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.negatives.pool import Offer
from pipeline.text.lexical import content_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.negatives.pool import Asked, Pool
    from pipeline.negatives.verify import Embed
    from pipeline.records import Section
    from pipeline.text.lexical import Idf

DEPTH = 20  # how far down BM25's list a candidate still counts as similar
SUSPECT = 0.95
LEAST_OVERLAP = 0.8
"""share of the true context's overlap with the question that a candidate must have; measured on 100 real pages: at 0.7 word counts separate
them from positives with AUROC 0.81, at 0.8 with 0.73, without with 0.89"""
_RANK = 60  # the constant of reciprocal rank fusion


@dataclass(frozen=True, slots=True)
class Found:
    """A candidate, and why it is refused before anything else is asked of it (empty: it is not)."""

    offer: Offer
    refused: str


def offers(asked: Asked, pool: Pool, found: Sequence[int], idf: Idf, embed: Embed | None) -> Iterator[Found]:
    """Yield sections of other pages, best first; `found` are their places in the pool, as BM25 ranked them."""
    question = content_words(asked.row.question)
    sections = [asked.section, *candidates(asked, pool, found)]
    overlaps = [idf.overlap(question, content_words(section.context)) for section in sections]
    near = [at for at in range(1, len(sections)) if overlaps[at] >= LEAST_OVERLAP * overlaps[0]]
    cosines = dict(zip((0, *near), _cosines(asked.row.question, [sections[at] for at in (0, *near)], embed), strict=True)) if near and embed else {}
    for at in _fused(near, overlaps, cosines):
        share = cosines[at] / cosines[0] if cosines and cosines[0] > 0 else 0.0
        note = f"overlap {overlaps[at]:.2f} to {overlaps[0]:.2f}" + (f", cosine {share:.0%} of the true context's" if cosines else "")
        yield Found(Offer(sections[at], asked.row.question, note), "as_near_as_the_true_context" if share > SUSPECT else "")
    for at in range(1, len(sections)):
        if at not in near:
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
