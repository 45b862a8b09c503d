"""Declining, measured: the class that counts as found is "the context is not sufficient"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    Bools = npt.NDArray[np.bool_]


def abstention(answerable: Bools, declined: Bools) -> dict[str, Any]:
    """Return precision, recall and F1 of declining, and both ways to fail.

    `over_refusal` is the share of the answerable questions that were declined, `answered_when_insufficient` the share of the others that
    were answered. What a class is missing for is None.
    """
    from sklearn.metrics import precision_recall_fscore_support

    n_yes, n_no = int(answerable.sum()), int((~answerable).sum())
    precision, recall, f1, _ = precision_recall_fscore_support(~answerable, declined, average="binary", pos_label=True, zero_division=0.0)
    return {
        "n_answerable": n_yes, "n_unanswerable": n_no, "declined": int(declined.sum()),
        **({"precision": round(float(precision), 4), "recall": round(float(recall), 4), "f1": round(float(f1), 4)} if n_no else dict.fromkeys(("precision", "recall", "f1"))),
        "over_refusal": _share(declined[answerable]), "answered_when_insufficient": _share(~declined[~answerable]),
    }  # fmt: skip


def _share(values: Bools) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


def by_kind(kinds: Sequence[str], answerable: Bools, declined: Bools) -> dict[str, dict[str, Any]]:
    """Return `abstention` of all answerable questions against each kind of unanswerable ones, and against all of them."""
    import numpy as np

    names = np.asarray([kind or "unnamed" for kind in kinds], dtype=object)
    found = {}
    for kind in sorted(set(names[~answerable].tolist())):
        rows = answerable | (names == kind)
        found[kind] = abstention(answerable[rows], declined[rows])
    return {**found, "all": abstention(answerable, declined)}
