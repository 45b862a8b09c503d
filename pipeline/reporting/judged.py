"""What people said of rows, beside what the checks said: by kind, Cohen's kappa, and an audit's estimate of false negatives."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import ExtraMissing
from pipeline.evaluation.agreement import Estimate, estimate, kappa, sample_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.records import ReviewedExample
    from pipeline.reporting.gathered import Gathered

ALL = "all"


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of one kind of example (or of all): verdicts, and how many labels of the checks people hold to be false."""

    kind: str
    n: int
    kept: int
    fixed: int
    dropped: int
    false_labels: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What a review found: a row a kind and one of all, and kappa of the labels (None: undefined, or scikit-learn is not installed)."""

    rows: list[Agreement]
    kappa: float | None
    why_no_kappa: str
    reviewers: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Audit:
    """A random sample of negatives, and what it says so far of the share whose context answers after all."""

    ids: frozenset[str]
    population: int
    width: float
    found: Estimate | None
    """of those read; None: none was"""


def judged(gathered: Gathered) -> Judged | None:
    """Return how people and checks agree; None if nobody reviewed."""
    reviewed = gathered.reviewed
    if not reviewed:
        return None
    kinds = sorted({row.kind for row in reviewed}, key=lambda kind: (kind != "positive", kind))
    rows = [_agreement(kind, [row for row in reviewed if row.kind == kind]) for kind in kinds] + [_agreement(ALL, reviewed)]
    names = sorted({row.reviewer for row in reviewed})
    reviewers = [(name or "(no name)", sum(row.reviewer == name for row in reviewed)) for name in names]
    try:
        value = kappa([row.answerable for row in reviewed], [row.answerable_reviewed for row in reviewed])
    except ModuleNotFoundError:
        return Judged(rows, None, "scikit-learn (the extra `train`) is not installed", reviewers)
    return Judged(rows, value, "" if value is not None else "all labels are the same, which chance would reach too", reviewers)


def _agreement(kind: str, rows: Sequence[ReviewedExample]) -> Agreement:
    said = [row.verdict for row in rows]
    false = sum(row.answerable != row.answerable_reviewed for row in rows)
    return Agreement(kind, len(rows), said.count("keep"), said.count("fix"), said.count("drop"), false)


def audit(gathered: Gathered, width: float, seed: int) -> Audit:
    """Draw the sample among the negatives as the checks left them, those that a review has changed or dropped included.

    So the sample is the same before and after its review is applied.

    Raises ExtraMissing without SciPy.
    """
    reviewed = {row.example_id: row for row in gathered.reviewed}
    now = {e.example_id for e in gathered.examples if not e.answerable and e.example_id not in reviewed}
    population = sorted(now | {identity for identity, row in reviewed.items() if not row.answerable})
    try:
        n = sample_size(width, len(population)) if population else 0
    except ModuleNotFoundError as error:
        raise ExtraMissing("--audit needs the extra 'train'", error.name or "scipy", "run `pip install -e '.[train]'`") from error
    ids = frozenset(random.Random(f"{seed}/audit").sample(population, n))
    read = sorted(ids & reviewed.keys())
    false = sum(reviewed[identity].answerable_reviewed for identity in read)
    return Audit(ids, len(population), width, estimate(false, len(read)) if read else None)
