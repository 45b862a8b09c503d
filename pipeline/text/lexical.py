"""Words that carry meaning, and how rare they are: the baseline that needs no model."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.text.compare import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STOP_WORDS = frozenset(
    "a an and are as at be been by did do does for from had has have how in is it its many much of on or that the their there they this"
    " to was were what when where which who whom whose why will with would".split()
)


def content_words(text: str) -> list[str]:
    """Return the words of a text without the most common function words."""
    return [word for word in words(text) if word not in STOP_WORDS]


@dataclass(frozen=True, slots=True)
class Idf:
    """In how many of `size` documents each word stands."""

    documents: Mapping[str, int]
    size: int

    @classmethod
    def of(cls, texts: Iterable[str]) -> Idf:
        """Count over a collection of texts."""
        counts: Counter[str] = Counter()
        size = 0
        for text in texts:
            size += 1
            counts.update(set(content_words(text)))
        return cls(dict(sorted(counts.items())), size)

    def weight(self, word: str) -> float:
        """Return the inverse document frequency of a word, log((N + 1) / (n + 0.5)) (Robertson and Spärck Jones 1976)."""
        return math.log((self.size + 1) / (self.documents.get(word, 0) + 0.5))

    def overlap(self, question: Iterable[str], text: Iterable[str]) -> float:
        """Return the share, by weight, of the question's words that stand in the text (0 to 1)."""
        asked, there = list(question), set(text)
        total = sum(self.weight(word) for word in asked)
        return sum(self.weight(word) for word in asked if word in there) / total if total > 0 else 0.0
