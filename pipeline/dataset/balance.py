"""How well the splits match: in questions, in kinds of negatives, in lengths."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.dataset.splits import SHARES
from pipeline.records import SPLITS
from pipeline.text.compare import size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.records import Example

KINDS_TOGETHER = "all"


@dataclass(frozen=True, slots=True)
class Balance:
    """Shares by split, and distances between each split's lengths and those of all (0: alike, 1: nothing in common)."""

    questions: dict[str, float]
    """share of the questions that each split has"""
    wanted: dict[str, float]
    kinds: dict[str, dict[str, float]]
    """by kind, its share of each split's examples, and of all"""
    lengths: dict[str, dict[str, float]]
    """of contexts, questions, answers: the Kolmogorov–Smirnov distance in words, by split"""

    @property
    def widest(self) -> tuple[str, str, float]:
        """The kind whose share in a split is farthest from its share in all: kind, split, difference."""
        gaps = [(abs(row[split] - row[KINDS_TOGETHER]), kind, split) for kind, row in self.kinds.items() for split in SPLITS if split in row]
        gap, kind, split = max(gaps, default=(0.0, "", ""))
        return kind, split, round(gap, 4)


def balance(examples: Sequence[Example]) -> Balance:
    """Measure the splits that have examples."""
    positives = [e for e in examples if e.kind == "positive"]
    asked = {e.qa_id: e.split for e in positives}
    share = Counter(asked.values())
    there = [split for split in SPLITS if any(e.split == split for e in examples)]
    return Balance(
        {split: round(share[split] / len(asked), 4) if asked else 0.0 for split in SPLITS}, dict(SHARES),
        {kind: _shares(examples, kind, there) for kind in sorted({e.kind for e in examples})},
        {
            "contexts": _distances(examples, lambda e: e.context, there), "questions": _distances(positives, lambda e: e.question, there),
            "answers": _distances(positives, lambda e: e.answer, there),
        },
    )  # fmt: skip


def _shares(examples: Sequence[Example], kind: str, splits: Sequence[str]) -> dict[str, float]:
    parts = {split: [e for e in examples if e.split == split] for split in splits} | {KINDS_TOGETHER: list(examples)}
    return {split: round(sum(e.kind == kind for e in rows) / len(rows), 4) for split, rows in parts.items()}


def _distances(examples: Sequence[Example], text_of: Callable[[Example], str], splits: Sequence[str]) -> dict[str, float]:
    whole = sorted(size(text_of(e)) for e in examples)
    return {split: round(distance(sorted(size(text_of(e)) for e in examples if e.split == split), whole), 4) for split in splits}


def distance(one: Sequence[int], other: Sequence[int]) -> float:
    """Return the Kolmogorov–Smirnov distance of two sorted samples: the widest gap between their cumulative shares."""
    if not one or not other:
        return 0.0
    return max(abs(bisect_right(one, at) / len(one) - bisect_right(other, at) / len(other)) for at in {*one, *other})
