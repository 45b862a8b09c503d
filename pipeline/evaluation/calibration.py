"""Whether a probability means what it says, and what answering less would gain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]

BINS = 10
POINTS = 100


def calibration(answerable: Bools, p: Floats) -> dict[str, Any]:
    """Return the expected calibration error, the Brier score and the reliability table of p(answerable) (n,).

    Ten bins of equal width; the error is the mean over the questions of |share answerable − mean p| of their bin (Naeini, Cooper and
    Hauskrecht 2015; Guo et al. 2017). Empty bins stand in the table with None.
    """
    import numpy as np

    if not len(p):
        return {"ece": None, "brier": None, "bins": []}
    place = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    bins, error = [], 0.0
    for at in range(BINS):
        rows = place == at
        n = int(rows.sum())
        said, true = (float(p[rows].mean()), float(answerable[rows].mean())) if n else (None, None)
        if said is not None and true is not None:
            error += n / len(p) * abs(true - said)
        bins.append({"from": at / BINS, "to": (at + 1) / BINS, "n": n, "mean_p": _rounded(said), "share_answerable": _rounded(true)})
    return {"ece": round(error, 4), "brier": round(float(((p - answerable) ** 2).mean()), 4), "bins": bins}


def risk_coverage(loss: Floats, confidence: Floats) -> dict[str, Any]:
    """Return the risk at each coverage, and the area under that curve (El-Yaniv and Wiener 2010; Geifman, Uziel and El-Yaniv 2019).

    `loss` (n,) is what an answer to each question costs (0 right, 1 wrong), `confidence` (n,) decides which are answered first. Risk at a
    coverage is the mean loss of those answered; equal confidences share their mean loss, so that the order of the rows plays no part.
    The curve has at most a hundred points.
    """
    import numpy as np

    if not len(loss):
        return {"area": None, "curve": []}
    order = np.argsort(-confidence, kind="stable")
    _, place, sizes = np.unique(-confidence, return_inverse=True, return_counts=True)
    shared = np.bincount(place, weights=loss) / sizes
    risks = np.cumsum(shared[place][order]) / np.arange(1, len(loss) + 1)
    steps = np.unique(np.linspace(0, len(loss) - 1, min(POINTS, len(loss))).astype(np.int64))
    curve = [{"coverage": round((int(at) + 1) / len(loss), 4), "risk": round(float(risks[at]), 4)} for at in steps]
    return {"area": round(float(risks.mean()), 4), "curve": curve}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
