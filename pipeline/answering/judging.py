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


def judge(scorer: Scorer, pairs: Sequence[Pair], step: Callable[[int], None] = lambda _n: None, *, hurry: bool = False) -> list[Judgement]:
    """Judge each pair, in order; in a `hurry` the discriminator is not asked about what is contradicted."""
    against = [contradiction(pair.question, pair.context) for pair in pairs]
    asked = [pair for pair, reason in zip(pairs, against, strict=True) if not (hurry and reason)]
    alone = iter(scorer.probabilities(asked, step) if asked else ())
    return [Judgement(CONTRADICTED if hurry and reason else float(next(alone)), reason) for reason in against]
