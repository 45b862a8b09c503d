"""Does a context answer a question? What the discriminator says, unless the context is plainly about something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.text.contradictions import contradiction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.trainers.discriminator import Pair
    from pipeline.trainers.saved import Scorer

CONTRADICTED = 0.02
"""the highest p(answerable) of a context that contradicts its question: about as many do answer all the same"""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the discriminator alone says, and what the context has against the question (a rule's words, or nothing)."""

    alone: float
    against: str

    @property
    def p(self) -> float:
        """The probability that the context answers."""
        return min(self.alone, CONTRADICTED) if self.against else self.alone


def judge(scorer: Scorer, pairs: Sequence[Pair], step: Callable[[int], None] = lambda _n: None) -> list[Judgement]:
    """Judge each pair, in order."""
    alone = scorer.probabilities(pairs, step) if pairs else ()
    return [Judgement(float(p), contradiction(pair.question, pair.context)) for p, pair in zip(alone, pairs, strict=True)]
