"""Kind `similar`: what a search for the question finds on other pages. Hard; many candidates do answer, so verify.

BM25 and MiniLM are fused by reciprocal rank (Cormack, Clarke and Büttcher 2009). Mining is positive-aware: a candidate that scores
above 95 % of the true context's score is suspected to answer, and is no negative (Moreira et al. 2024, NV-Retriever).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.negatives.pool import Offer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.negatives.pool import Asked, Pool
    from pipeline.negatives.verify import Embed
    from pipeline.records import Section

DEPTH = 20  # how far down BM25's list a candidate still counts as similar
SUSPECT = 0.95
_RANK = 60  # the constant of reciprocal rank fusion


@dataclass(frozen=True, slots=True)
class Found:
    """A candidate: is it near enough to the question to be suspected of answering it?"""

    offer: Offer
    suspect: bool


def offers(asked: Asked, pool: Pool, found: Sequence[int], embed: Embed | None) -> Iterator[Found]:
    """Yield sections of other pages, best first; `found` are their places in the pool, as BM25 ranked them."""
    others = [pool.sections[at] for at in found if pool.sections[at].page_id != asked.section.page_id][:DEPTH]
    scores = _likeness(asked.row.question, [asked.section, *others], embed) if others and embed else []
    limit = SUSPECT * scores[0] if scores else float("inf")
    for at in _fused(scores[1:], len(others)):
        near = scores[at + 1] if scores else 0.0
        note = f"cosine {near:.2f}, {near / scores[0]:.0%} of the true context's" if scores and scores[0] > 0 else "BM25"
        yield Found(Offer(others[at], asked.row.question, note), near > limit)


def _likeness(question: str, sections: Sequence[Section], embed: Embed) -> list[float]:
    """Return, for each section, the cosine of its sentence nearest to the question (long contexts are not averaged away)."""
    asked, *there = embed([question, *(section.content for section in sections)])
    return [float((vectors @ asked.T).max()) if len(vectors) and len(asked) else 0.0 for vectors in there]


def _fused(cosines: Sequence[float], n: int) -> list[int]:
    """Return the candidates' places by the sum of 1 / (60 + rank) over BM25 (the order given) and cosine."""
    by_cosine = {at: rank for rank, at in enumerate(sorted(range(len(cosines)), key=lambda at: -cosines[at]))}
    return sorted(range(n), key=lambda at: (-(1 / (_RANK + at) + (1 / (_RANK + by_cosine[at]) if by_cosine else 0)), at))
