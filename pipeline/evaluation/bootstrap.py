"""How sure a figure is: 95 % intervals by resampling whole pages (a cluster bootstrap; Field and Welsh 2007), seeded.

Questions of one page share their context and its words, so a resample draws pages with replacement and takes all questions of each; where
no titles are known each question is drawn by itself. Percentile intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]

RESAMPLES = 1000
_RESAMPLES_OF_RANKS = 200  # each sorts all scores anew
_AT_ONCE = 50
LEVEL = 95


@dataclass(frozen=True, slots=True)
class Clusters:
    """Which cluster each question is in (n,), how many there are, and what they are (page or question)."""

    of: npt.NDArray[np.int64]
    size: int
    what: str


def clusters_of(titles: Sequence[str]) -> Clusters:
    """Return the clusters of questions by their titles; by question if any title is missing or all are the same."""
    import numpy as np

    if all(titles) and len(set(titles)) > 1:
        number = {title: at for at, title in enumerate(dict.fromkeys(titles))}
        return Clusters(np.asarray([number[title] for title in titles], dtype=np.int64), len(number), "page")
    return Clusters(np.arange(len(titles), dtype=np.int64), len(titles), "question")


def _draws(clusters: Clusters, n: int, seed: int) -> Iterator[Floats]:
    """Yield, some at a time, how often each cluster is drawn in each resample (a few, clusters)."""
    import numpy as np

    rng = np.random.default_rng(seed)
    for start in range(0, n, _AT_ONCE):
        drawn = rng.integers(0, clusters.size, size=(min(_AT_ONCE, n - start), clusters.size))
        yield np.stack([np.bincount(row, minlength=clusters.size) for row in drawn]).astype(np.float64)


def intervals(ratios: Mapping[str, tuple[Floats, Floats]], clusters: Clusters, seed: int) -> dict[str, tuple[float, float] | None]:
    """Return the interval of each ratio of two sums, given for each question (n,): what is counted, and among what.

    None where there is nothing to count among, or only one cluster.
    """
    import numpy as np

    parts = {name: [np.bincount(clusters.of, weights=v, minlength=clusters.size) for v in pair] for name, pair in ratios.items()}
    found: dict[str, list[Floats]] = {name: [] for name in ratios}
    if clusters.size > 1:
        for weights in _draws(clusters, RESAMPLES, seed):
            for name, (above, below) in parts.items():
                with np.errstate(invalid="ignore", divide="ignore"):
                    found[name].append((weights @ above) / (weights @ below))
    return {name: _interval(np.concatenate(values) if values else np.zeros(0)) for name, values in found.items()}


def auroc_interval(answerable: Bools, scores: Floats, clusters: Clusters, seed: int) -> tuple[float, float] | None:
    """Return the interval of the AUROC of scores (n,)."""
    import numpy as np
    from sklearn.metrics import roc_auc_score

    found = []
    if clusters.size > 1 and answerable.any() and not answerable.all():
        for weights in _draws(clusters, _RESAMPLES_OF_RANKS, seed):
            for row in weights:
                weight = row[clusters.of]
                drawn = weight > 0
                if 0 < answerable[drawn].sum() < drawn.sum():
                    found.append(roc_auc_score(answerable[drawn], scores[drawn], sample_weight=weight[drawn]))
    return _interval(np.asarray(found))


def _interval(values: Floats) -> tuple[float, float] | None:
    import numpy as np

    finite = values[np.isfinite(values)]
    if len(finite) < len(values) / 2 or not len(finite):
        return None
    low, high = np.percentile(finite, [(100 - LEVEL) / 2, 100 - (100 - LEVEL) / 2])
    return round(float(low), 4), round(float(high), 4)
