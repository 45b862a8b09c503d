"""Curves of evaluations and of training: receiver operating characteristic, precision–recall, reliability, risk–coverage, losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.evaluation.overlap import overlap_scores
from pipeline.reporting.charts import Axis, Chart, lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.records import Example
    from pipeline.reporting.gathered import Evaluation, Gathered

POINTS = 60
"""of a curve, at most: more can't be seen"""
LOSSES = {"sufficiency": "answered without sufficient context", "f1": "1 − F1 of the answer"}
BASELINE = "counting words"
_SHARE = Axis("share of the questions answered", 1.0, share=True)

Curve = list[tuple[float, float]]


def curves(gathered: Gathered) -> list[Chart]:
    """Return the pictures of every evaluation and of every training that left steps."""
    found = [chart for evaluation in gathered.evaluations for chart in _of(evaluation, gathered.examples)]
    return found + [chart for name, rows in gathered.results.items() for chart in _training(name, rows)]


def _of(evaluation: Evaluation, examples: Sequence[Example]) -> list[Chart]:
    return [*_told_apart(evaluation, examples), *_calibration(evaluation), *_risk(evaluation)]


def _told_apart(evaluation: Evaluation, examples: Sequence[Example]) -> list[Chart]:
    """Return ROC and precision–recall; nothing if one class is missing or scikit-learn is not installed.

    Where the questions are the run's own, the curve of counting words stands beside.
    """
    judged = {i: p for i, p in evaluation.predictions.items() if p.p_answerable is not None and p.answerable is not None}
    truth = [bool(p.answerable) for p in judged.values()]
    if len(set(truth)) < 2:  # noqa: PLR2004
        return []
    try:
        from sklearn import metrics
    except ImportError:
        return []
    scores = {"discriminator": [p.p_answerable for p in judged.values()]}
    words = (
        dict(zip([e.example_id for e in examples], overlap_scores(examples).tolist(), strict=True))
        if judged.keys() & {e.example_id for e in examples}
        else {}
    )
    if judged.keys() <= words.keys():
        scores[BASELINE] = [words[identity] for identity in judged]
    roc, ranked = {}, {}
    for name, given in scores.items():
        wrong, right, _ = metrics.roc_curve(truth, given)
        precision, recall, _ = metrics.precision_recall_curve(truth, given)
        roc[name] = thinned(list(zip(wrong.tolist(), right.tolist(), strict=True)))
        ranked[name] = thinned(list(zip(recall.tolist(), precision.tolist(), strict=True))[::-1])
    areas = ", ".join(f"{metrics.roc_auc_score(truth, given):.3f} {name}" for name, given in scores.items())
    means = ", ".join(f"{metrics.average_precision_score(truth, given):.3f} {name}" for name, given in scores.items())
    share = sum(truth) / len(truth)
    return [
        lines(
            f"roc-{evaluation.name}", f"ROC – {evaluation.name}", f"Area over {len(truth):,} questions: {areas}. The diagonal is chance.",
            Axis("unanswerable, said to be answerable", 1.0, share=True), Axis("answerable, said so", 1.0, share=True), roc, "diagonal",
        ),
        lines(
            f"pr-{evaluation.name}", f"Precision and recall – {evaluation.name}",
            f"Average precision: {means}. Saying “answerable” always would have {share:.2f}.",
            Axis("recall of the answerable", 1.0, share=True), Axis("precision", 1.0, share=True), ranked,
        ),
    ]  # fmt: skip


def _calibration(evaluation: Evaluation) -> list[Chart]:
    found = evaluation.metrics.get("calibration") or {}
    points = [(row["mean_p"], row["share_answerable"]) for row in found.get("bins", ()) if row.get("n")]
    if not points:
        return []
    note = f"Of the questions given a p near x, a share of y is answerable; on the diagonal p means what it says. Expected calibration error {found['ece']:.3f}."
    return [
        lines(
            f"reliability-{evaluation.name}", f"Reliability – {evaluation.name}", note, Axis("p(answerable), mean of a bin", 1.0),
            Axis("share answerable", 1.0, share=True), {"discriminator": points}, "diagonal",
        )
    ]  # fmt: skip


def _risk(evaluation: Evaluation) -> list[Chart]:
    found: Mapping[str, Any] = evaluation.metrics.get("risk_coverage") or {}
    drawn = {
        LOSSES.get(name, name): thinned([(p["coverage"], p["risk"]) for p in curve["curve"]]) for name, curve in found.items() if curve.get("curve")
    }
    if not drawn:
        return []
    note = "The surest questions are answered first: how much goes wrong among those answered, by how many are. Lower is better."
    return [lines(f"risk-{evaluation.name}", f"Risk by coverage – {evaluation.name}", note, _SHARE, Axis("risk", 1.0, share=True), drawn)]


def _training(name: str, rows: Sequence[Mapping[str, str]]) -> list[Chart]:
    """Return losses and accuracies by step; a table without steps (the light discriminator's) has none."""
    if not rows or "step" not in rows[0]:
        return []
    found = []
    for what, label, top in (("loss", "loss", None), ("accuracy", "accuracy", 1.0)):
        drawn = {column.replace("_", " "): curve for column in rows[0] if what in column and (curve := _steps(rows, column))}
        if drawn:
            axis = Axis(label, top, share=top is not None)
            note = f"{name}, {len(rows):,} steps: where validation turns while training goes on, it learns its rows by heart."
            found.append(lines(f"training-{what}-{name}", f"Training, {label} – {name}", note, Axis("step"), axis, drawn))
    return found


def _steps(rows: Sequence[Mapping[str, str]], column: str) -> Curve:
    points = []
    for row in rows:
        try:
            points.append((float(row["step"]), float(row[column])))
        except (ValueError, KeyError):  # not measured at that step, or a row cut off
            continue
    return thinned(points)


def thinned(points: Sequence[tuple[float, float]]) -> Curve:
    """Return at most 60 of the points, evenly, the first and the last among them, to four digits."""
    n = len(points)
    at = range(n) if n <= POINTS else sorted({round(i * (n - 1) / (POINTS - 1)) for i in range(POINTS)})
    return [(round(points[i][0], 4), round(points[i][1], 4)) for i in at]
