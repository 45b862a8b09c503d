"""A classifier, judged on a file of {prompt, completion}."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline import cli
from pipeline.dataset.classification import Classified, parse
from pipeline.errors import InputError
from pipeline.evaluation.classification import judged
from pipeline.measuring.provenance import hashes, known_rows
from pipeline.measuring.stage import finished, outcome, stage_of, write
from pipeline.store import sha256_of, text_file
from pipeline.trainers.classify import row_of
from pipeline.trainers.saved import load_classifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from pipeline.cli import Run
    from pipeline.trainers.saved import Classifier

_AT_ONCE = 64


def judge_classifier(run: Run, classifier: str, dataset: Path | None, name: str | None) -> cli.Outcome:
    """Have a classifier name the class of each text, and measure it beside naming the commonest class always.

    Raises InputError without a file, or if the classifier or the class of a row is not known.
    """
    if dataset is None:
        raise InputError("which file?", "--classifier without --dataset", "name a file of {prompt, completion} with --dataset")
    with text_file(dataset) as file:
        rows = parse(file, str(dataset))
    source = run.folder.require_model(classifier)
    inputs = {"dataset": sha256_of(dataset), **hashes("classifier", source)}
    chosen = {"dataset": dataset.name, "classifier": classifier}
    run, folder = stage_of(run, name, dataset.name, classifier)
    there = finished(run, folder, inputs, chosen)
    if there:
        return there
    model = load_classifier(source, run.folder.ledger)
    asked = [Classified(row.text.removesuffix(model.ending), row.label) for row in rows]
    known = known_rows(run, [source], list(map(row_of, asked)), inputs["dataset"], dataset.name)
    truth = _numbers(rows, model.classes, dataset)
    probabilities = _probabilities(run, model, rows)
    metrics = {"rows_known_to_models": known} | judged(truth, probabilities, model.classes)
    written = write(run, folder, _predictions(rows, probabilities, model.classes), metrics)
    made = outcome(run, folder, {"texts": len(rows), **metrics["measures"]}, _lines(metrics, dataset), written)
    cli.finish(run, made, inputs, chosen, {})
    return made


def _numbers(rows: Sequence[Classified], classes: Sequence[str], dataset: Path) -> list[int]:
    """Return the number of each row's class.

    Raises InputError naming the first row whose class the classifier does not know.
    """
    unknown = next((at for at, row in enumerate(rows, 1) if row.label not in classes), None)
    if unknown:
        do = f"it knows {', '.join(classes)}"
        raise InputError("the classifier has no such class", f"{dataset}, row {unknown}: {rows[unknown - 1].label}", do)
    return [classes.index(row.label) for row in rows]


def _probabilities(run: Run, model: Classifier, rows: Sequence[Classified]) -> list[npt.NDArray[Any]]:
    found: list[npt.NDArray[Any]] = []
    with run.progress(len(rows), "classifying", "text") as bar:
        for start in range(0, len(rows), _AT_ONCE):
            some = [row.text for row in rows[start : start + _AT_ONCE]]
            found += list(model.probabilities(some))
            bar.step(len(some))
    return found


def _predictions(rows: Sequence[Classified], probabilities: Sequence[npt.NDArray[Any]], classes: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"id": str(at), "text": row.text, "class": classes[int(p.argmax())], "p": round(float(p.max()), 6), "gold": row.label}
        for at, (row, p) in enumerate(zip(rows, probabilities, strict=True), 1)
    ]


def _lines(metrics: Mapping[str, Any], dataset: Path) -> list[str]:
    said, beside = (
        ", ".join(f"{what} {'–' if value is None else f'{value:.3f}'}" for what, value in metrics[name].items())
        for name in ("measures", "commonest_class")
    )
    return [f"{metrics['texts']} texts of {dataset.name}: {said}", f"  always the commonest class: {beside}"]
