"""How far counting words gets: the AUROC of IDF overlap of question and context, by split and kind of negative.

Where it is near 1, a model that learns from these negatives learns to count words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.records import SPLITS
from pipeline.text.lexical import Idf, content_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from pipeline.records import Example


def overlap_by_split(examples: Sequence[Example]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return `by_kind`'s counts and AUROC for each split that has examples, and for all of them together.

    The word counts are those of the contexts of train, as a model would have them; of all where train has none. Nothing is
    returned where scikit-learn (the `train` extra) is not installed.
    """
    try:
        from pipeline.evaluation.metrics import by_kind

        scores = overlap_scores(examples)
        parts = {split: [at for at, e in enumerate(examples) if e.split == split] for split in SPLITS} | {"all": list(range(len(examples)))}
        found = {split: by_kind([examples[at].kind for at in places], scores[places], 0.5) for split, places in parts.items() if places}
    except ModuleNotFoundError:
        return {}
    names = ("n_positive", "n_negative", "auroc")
    return {split: {kind: {name: row[name] for name in names} for kind, row in kinds.items()} for split, kinds in found.items()}


def overlap_scores(examples: Sequence[Example]) -> npt.NDArray[np.float64]:
    """Return the IDF overlap (n,) of each example's question with its context."""
    import numpy as np

    known = {e.context for e in examples if e.split == "train"} or {e.context for e in examples}
    idf = Idf.of(sorted(known))
    scores = np.zeros(len(examples))
    context, there = "", set[str]()
    for at in sorted(range(len(examples)), key=lambda at: examples[at].context):  # each context is read once
        if examples[at].context != context:
            context = examples[at].context
            there = set(content_words(context))
        scores[at] = idf.overlap(content_words(examples[at].question), there)
    return scores
