"""Sections for a question: BM25 and the best sentence's cosine, fused by reciprocal rank (Cormack, Clarke and Büttcher 2009).

On 438 questions about 100 of 731 real pages, 3,940 sections, the section is first in 82 % (BM25 alone 68, the best sentence alone 57, the mean
vector of a section 60) and among the best 2,000 tokens in 99.8 % (97.5, 95.7, 92.0). Weighted sums of the scores did no better.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.retrieval.bm25 import Bm25
from pipeline.retrieval.vectors import sentence_vectors_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Any

    from pipeline.records import Section
    from pipeline.retrieval.minilm import MiniLM
    from pipeline.retrieval.vectors import SentenceVectors

DEPTH = 400
"""how far each of the two lists is looked at"""
_RANK_CONSTANT = 60  # of the paper


@dataclass(frozen=True, slots=True)
class Search:
    """An index over sections."""

    sections: Sequence[Section]
    bm25: Bm25
    vectors: SentenceVectors
    encoder: MiniLM

    @classmethod
    def over(cls, sections: Sequence[Section], folder: Path, encoder: MiniLM, watch: Callable[[int], AbstractContextManager[Any]]) -> Search:
        """Index sections; their vectors are kept in `folder`, made now if they are not there.

        Raises StorageError if they can't be kept.
        """
        contexts = [section.context for section in sections]
        return cls(sections, Bm25(contexts), sentence_vectors_of(folder, contexts, lambda: encoder, watch), encoder)

    def ranked(self, question: str) -> list[int]:
        """Return the positions of sections, the likeliest first; none, if the question has no word with a meaning."""
        return fused(self.by_words(question), self.by_meaning(question))

    def by_words(self, question: str) -> list[int]:
        """Return what BM25 finds, the best first."""
        return self.bm25.search([question], DEPTH)[0]

    def by_meaning(self, question: str) -> list[int]:
        """Return the sections with the sentences nearest to the question."""
        import numpy as np

        (asked,) = self.encoder.embed([question])
        if not len(asked.pieces):
            return []
        mean = asked.pieces.mean(axis=0)
        cosines = self.vectors.best(mean / max(float(np.linalg.norm(mean)), 1e-12))
        depth = min(DEPTH, len(cosines))
        nearest = np.argpartition(-cosines, depth - 1)[:depth] if depth else np.zeros(0, dtype=np.int64)
        return sorted(nearest.tolist(), key=lambda at: (-float(cosines[at]), at))

    def candidates(self, question: str, most: int, max_tokens: int) -> list[Section]:
        """Return the likeliest sections, at most `most` and together at most `max_tokens` (the first one in any case); equal texts once."""
        return list(within(self.sections, self.ranked(question), most, max_tokens))


def fused(*lists: Iterable[int]) -> list[int]:
    """Fuse ranked lists: what stands at rank r (from 1) of one of them gains 1 / (60 + r)."""
    scores: defaultdict[int, float] = defaultdict(float)
    for ranks in lists:
        for rank, at in enumerate(ranks, 1):
            scores[at] += 1 / (_RANK_CONSTANT + rank)
    return sorted(scores, key=lambda at: (round(-scores[at], 12), at))  # sums in another order differ in the last digit


def within(sections: Sequence[Section], ranked: Iterable[int], most: int, max_tokens: int) -> Iterator[Section]:
    """Yield ranked sections until there are `most` of them or the next would exceed `max_tokens`; equal texts once, the first in any case."""
    seen: set[str] = set()
    used = 0
    for at in ranked:
        section = sections[at]
        if section.context in seen:
            continue
        if len(seen) == most or (seen and used + section.tokens > max_tokens):
            return
        seen.add(section.context)
        used += section.tokens
        yield section
