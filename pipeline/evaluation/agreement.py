"""How far people agree with the checks, and what a random sample says of all; the figures are scikit-learn's and SciPy's.

Cohen, "A coefficient of agreement for nominal scales" (1960). The interval is Wilson's (1927), which keeps what it promises for
shares near nothing: Brown, Cai and DasGupta, "Interval estimation for a binomial proportion" (2001).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95
EXPECTED = 0.05
"""share of false labels for which a sample's size is planned; where there are more, the interval gets wider, and says so"""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share in a random sample of `n`, with the bounds of its 95 % interval (0 to 1)."""

    found: int
    n: int
    share: float
    low: float
    high: float


def kappa(one: Sequence[bool], other: Sequence[bool]) -> float | None:
    """Return Cohen's kappa of two judges' labels (n,): 1 is full agreement, 0 what chance would give; None where all labels are one."""
    from sklearn.metrics import cohen_kappa_score

    if len({*one, *other}) < 2:  # noqa: PLR2004 (chance alone agrees fully: undefined)
        return None
    return round(float(cohen_kappa_score(one, other)), 4)


def estimate(found: int, n: int) -> Estimate:
    """Return what `found` of a random sample of `n` (1 or more) says of all that it was drawn from."""
    from scipy.stats import binomtest

    bounds = binomtest(found, n).proportion_ci(CONFIDENCE, "wilson")
    return Estimate(found, n, found / n, float(bounds.low), float(bounds.high))


def sample_size(width: float, population: int) -> int:
    """Return how many of a population must be read so that the interval is at most `width` wide if 5 % or fewer are false; all if it is small."""
    low, high = 1, max(population, 1)
    while low < high:
        middle = (low + high) // 2
        at = estimate(round(EXPECTED * middle), middle)
        low, high = (low, middle) if at.high - at.low <= width else (middle + 1, high)
    return min(low, population)
