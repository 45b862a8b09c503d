"""How well probabilities tell classes apart; all figures are scikit-learn's.

Two classes: accuracy, precision, recall, F-beta of the positive class at threshold 0.5, AUROC, AUPRC. More: accuracy and weighted F1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

THRESHOLD = 0.5
_DIGITS = 6


def names(n_classes: int, betas: Sequence[float] = (1.0,)) -> tuple[str, ...]:
    """Return the names of the measures for so many classes."""
    if n_classes != 2:  # noqa: PLR2004
        return ("accuracy", "weighted_f1")
    return ("accuracy", "precision", "recall", *(f"f{beta:g}" for beta in betas), "auroc", "auprc")


def measures(truth: Sequence[int], probabilities: npt.NDArray[Any], positive: int = 1, betas: Sequence[float] = (1.0,)) -> dict[str, float | None]:
    """Measure probabilities (n, k) against the classes' numbers (n,).

    What can't be computed (a class is missing among the rows) is None. With two classes the positive one is said from probability 0.5 on.
    """
    import numpy as np
    from sklearn import metrics

    k = probabilities.shape[1] if probabilities.ndim == 2 else 0  # noqa: PLR2004
    wanted = names(k, betas)
    if not len(truth):
        return dict.fromkeys(wanted)
    true = np.asarray(truth)
    if k != 2:  # noqa: PLR2004
        said = probabilities.argmax(axis=1)
        found = [metrics.accuracy_score(true, said), metrics.f1_score(true, said, average="weighted", zero_division=0.0)]
        return dict(zip(wanted, (round(float(v), _DIGITS) for v in found), strict=True))
    is_positive, score = (true == positive).astype(int), probabilities[:, positive]
    said = (score >= THRESHOLD).astype(int)
    both = len(set(is_positive.tolist())) == 2  # noqa: PLR2004
    values: list[Any] = [
        metrics.accuracy_score(is_positive, said),
        metrics.precision_score(is_positive, said, zero_division=0.0),
        metrics.recall_score(is_positive, said, zero_division=0.0),
        *(metrics.fbeta_score(is_positive, said, beta=beta, zero_division=0.0) for beta in betas),
        metrics.roc_auc_score(is_positive, score) if both else None,
        metrics.average_precision_score(is_positive, score) if both else None,
    ]
    return {name: None if v is None else round(float(v), _DIGITS) for name, v in zip(wanted, values, strict=True)}


def judged(truth: Sequence[int], probabilities: Sequence[npt.NDArray[Any]], classes: Sequence[str]) -> dict[str, Any]:
    """Return a classifier's measures, those of naming the commonest class always, each class's own, and who was taken for whom.

    `truth` (n,) holds the classes' numbers, `probabilities` n rows of k.
    """
    import numpy as np
    from sklearn.metrics import classification_report, confusion_matrix

    p = np.asarray(probabilities)
    numbers = list(range(len(classes)))
    commonest = np.zeros_like(p)
    commonest[:, int(np.bincount(truth, minlength=len(classes)).argmax())] = 1.0
    report = classification_report(truth, p.argmax(axis=1), labels=numbers, target_names=list(classes), output_dict=True, zero_division=0.0)
    return {
        "texts": len(truth), "measures": measures(truth, p), "commonest_class": measures(truth, commonest),
        "classes": {name: {what: round(float(v), 4) for what, v in report[name].items()} for name in classes},
        "confusion": {"rows_are_true_columns_are_said": list(classes), "counts": confusion_matrix(truth, p.argmax(axis=1), labels=numbers).tolist()},
    }  # fmt: skip
