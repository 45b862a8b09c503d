"""Trains the light discriminator on examples, measures it by kind of negative, and leaves its model folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.records import SPLITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from pipeline.records import Example


class Bar(Protocol):
    """A progress bar in use."""

    def step(self, n: int = 1) -> None:
        """Count `n` more."""


class Watch(Protocol):
    """Opens a progress bar over a total."""

    def __call__(self, total: int) -> AbstractContextManager[Bar]:
        """Return the bar as a context."""


def train(examples: Sequence[Example], folder: Path, seed: int, made_of: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
    """Fit on the train split, choose the threshold on validation, measure on validation and test; return the metrics.

    Writes model.json, metrics.json, settings.json (`made_of` and what the model sees), results.csv and seen.json into `folder`.

    Raises InputError if the training split has one class alone.
    """
    from pipeline.evaluation.metrics import choose_threshold, judge_of, threshold_warning
    from pipeline.retrieval.minilm import encoder as shared
    from pipeline.store import write_json, write_text
    from pipeline.text.lexical import Idf
    from pipeline.trainers.discriminator import FEATURES, Pair, features, fit, texts_of
    from pipeline.trainers.rows import of_example
    from pipeline.trainers.seen import write_seen

    parts = {split: [e for e in examples if e.split == split] for split in SPLITS}
    pairs = {split: [Pair(e.question, e.context) for e in rows] for split, rows in parts.items()}
    idf = Idf.of(sorted({e.context for e in parts["train"]}))
    encoder = shared()
    with watch(sum(texts_of(p) for p in pairs.values())) as bar:
        matrices = {split: features(p, idf, encoder, bar.step) for split, p in pairs.items()}
    model = fit(matrices["train"], [e.answerable for e in parts["train"]], idf, seed)
    base = FEATURES.index("idf_overlap")
    scores = {"discriminator": {s: model.probabilities(m) for s, m in matrices.items()}, "idf_overlap": {s: m[:, base] for s, m in matrices.items()}}
    # chosen on validation, never on test; a run too small to have both classes there chooses on train
    answerable = {split: [e.answerable for e in rows] for split, rows in parts.items()}
    judge = judge_of(answerable)
    truth = answerable[judge]
    thresholds = {name: choose_threshold(truth, by_split[judge]) for name, by_split in scores.items()}
    model = replace(model, threshold=thresholds["discriminator"])
    metrics = {"threshold_warning": threshold_warning(answerable), **measure_splits(parts, scores, thresholds, judge)}
    model.save(folder)
    write_json(folder / "metrics.json", metrics)
    write_json(
        folder / "settings.json", {"target": "discriminator", "method": "light", **made_of, "features": FEATURES, "threshold_chosen_on": judge}
    )
    write_text(folder / "results.csv", results_csv(metrics))
    write_seen(folder, map(of_example, parts["train"]), map(of_example, parts["validation"]))
    return metrics


def measure_splits(
    parts: Mapping[str, list[Example]], scores: Mapping[str, Mapping[str, npt.NDArray[np.float64]]], thresholds: Mapping[str, float], judge: str
) -> dict[str, Any]:  # fmt: skip
    """Return the measures by kind of negative of each scorer (and of the discriminator by source), on validation and test."""
    import numpy as np

    from pipeline.evaluation.metrics import by_kind

    metrics: dict[str, Any] = {"thresholds": dict(thresholds), "threshold_chosen_on": judge}
    for split in ("validation", "test"):
        kinds, sources = [e.kind for e in parts[split]], np.asarray([e.source for e in parts[split]])
        metrics[split] = (
            {name: by_kind(kinds, by_split[split], thresholds[name]) for name, by_split in scores.items()} if kinds else {n: {} for n in scores}
        )
        metrics[split]["by_source"] = {
            source: by_kind([k for k, s in zip(kinds, sources, strict=True) if s == source], scores["discriminator"][split][sources == source], thresholds["discriminator"])
            for source in sorted(set(sources.tolist()))
        }  # fmt: skip
    return metrics


def results_csv(metrics: Mapping[str, Any]) -> str:
    """Return the metrics as a table: a row for each split, scorer and kind of negative."""
    lines = ["split,scorer,kind,n_positive,n_negative,accuracy,precision,recall,f1,auroc,auprc"]
    for split in ("validation", "test"):
        for scorer in ("discriminator", "idf_overlap"):
            for kind, row in metrics[split][scorer].items():
                lines.append(",".join([split, scorer, kind, *("" if v is None else str(v) for v in row.values())]))
    return "\n".join(lines) + "\n"
