"""How well scores tell answerable from not, for each kind of negative; all figures are scikit-learn's."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    Scores = npt.NDArray[np.float64]

ALL = "all"


@dataclass(frozen=True, slots=True)
class Measured:
    """Positives against the negatives of one kind. What can't be computed (one class is missing) is None."""

    n_positive: int
    n_negative: int
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    auroc: float | None
    auprc: float | None


def measure(answerable: Sequence[bool], scores: Scores, threshold: float) -> Measured:
    """Measure scores (n,) against labels (n,); a score at or above the threshold says "answerable"."""
    import numpy as np
    from sklearn import metrics

    truth = np.asarray(answerable, dtype=np.int64)
    n_positive, n_negative = int(truth.sum()), int((1 - truth).sum())
    if not n_positive or not n_negative:
        return Measured(n_positive, n_negative, None, None, None, None, None, None)
    said = (scores >= threshold).astype(np.int64)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, said, average="binary", zero_division=0.0)
    return Measured(
        n_positive, n_negative, *(round(float(v), 4) for v in (
            metrics.accuracy_score(truth, said), precision, recall, f1, metrics.roc_auc_score(truth, scores),
            metrics.average_precision_score(truth, scores),
        )),
    )  # fmt: skip


def by_kind(kinds: Sequence[str], scores: Scores, threshold: float) -> dict[str, dict[str, Any]]:
    """Return the measures of positives against each kind of negative that occurs, and against all of them."""
    import numpy as np

    names = np.asarray(kinds)
    positive = names == "positive"
    found: dict[str, dict[str, Any]] = {}
    for kind in [*dict.fromkeys(sorted(set(kinds) - {"positive"})), ALL]:
        chosen = positive | ((names == kind) if kind != ALL else True)
        found[kind] = asdict(measure([bool(v) for v in positive[chosen]], scores[chosen], threshold))
    return found


def choose_threshold(answerable: Sequence[bool], scores: Scores) -> float:
    """Return the threshold with the best balanced accuracy, in the middle of the gap between two scores.

    Where a class is missing there is nothing to choose from: 0.5.
    """
    import numpy as np
    from sklearn.metrics import roc_curve

    truth = np.asarray(answerable, dtype=np.int64)
    if len(set(truth.tolist())) < 2:  # noqa: PLR2004
        return 0.5
    false_positive, true_positive, thresholds = roc_curve(truth, scores)
    best = float(thresholds[int((true_positive - false_positive).argmax())])
    lower = scores[scores < best]
    return round(float((best + lower.max()) / 2) if np.isfinite(best) and len(lower) else 0.5, 6)


def judge_of(answerable: Mapping[str, Sequence[bool]]) -> str:
    """Return the split that thresholds are chosen on: validation, never test; train where validation lacks a class."""
    return "validation" if len(set(answerable["validation"])) == 2 else "train"  # noqa: PLR2004


def threshold_warning(answerable: Mapping[str, Sequence[bool]]) -> str:
    """Return what must be said where the threshold cannot be chosen on validation; else nothing."""
    if judge_of(answerable) == "validation":
        return ""
    there = answerable["validation"]
    return (
        f"warning: the threshold was chosen on train – validation has {sum(there)} answerable and {len(there) - sum(there)} unanswerable examples – "
        "it suits rows the model has seen, and may be too high or too low for others: add pages with questions, or judge by AUROC alone"
    )
