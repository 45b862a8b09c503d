"""Two runs side by side: counts, rates and figures, with what differs in their settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.reporting.charts import Axis, Chart

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.reporting.gathered import Gathered

MEASURES = (("auroc", "AUROC"), ("auprc", "AUPRC"), ("accuracy", "accuracy"), ("precision", "precision"), ("recall", "recall"), ("f1", "F1"))


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both runs, as text, and their difference; empty where one has none."""

    what: str
    this: str
    other: str
    difference: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Groups of figures by title, and the settings that differ."""

    name: str
    groups: list[tuple[str, list[Row]]]
    settings: list[Row]


def compared(this: Gathered, other: Gathered) -> Comparison:
    """Put two runs side by side."""
    groups = [("Counts", _counts), ("Discriminator on its test split", _measures), ("Evaluations", _evaluations)]
    made = [(title, _rows(dict(read(this)), dict(read(other)))) for title, read in groups]
    mine, theirs = _settings(this), _settings(other)
    differing = [
        Row(key, mine.get(key, "–"), theirs.get(key, "–"), "") for key in dict.fromkeys([*mine, *theirs]) if mine.get(key) != theirs.get(key)
    ]
    return Comparison(other.name, [(title, rows) for title, rows in made if rows], differing)


def _settings(run: Gathered) -> dict[str, str]:
    """Return each setting by stage and name; what is made of parts has a line for each."""
    return {
        f"{stage} – {name}": value for stage, entry in run.stages.items() for key, setting in entry.get("settings", {}).items() for name, value in _parts(key, setting)
    }  # fmt: skip


def _parts(name: str, setting: object) -> Iterator[tuple[str, str]]:
    if not isinstance(setting, dict):
        yield name, str(setting)
        return
    for key, value in setting.items():
        yield from _parts(f"{name}, {key}", value)


def _counts(run: Gathered) -> Iterator[tuple[str, float | None]]:
    """Yield what is counted in a run, in the order of the pipeline; None where it was not."""
    collect, create_qa, train = (run.counts(name) for name in ("collect", "create_qa", "train"))
    yield "pages kept", collect.get("pages_by_status", {}).get("kept")
    yield "sections", len(run.sections)
    yield "tokens in sections", sum(section.tokens for section in run.sections)
    yield "questions kept", len(run.qa)
    yield "questions rejected", create_qa.get("rejected")
    for reason, n in create_qa.get("rejected_by_reason", {}).items():
        yield f"rejected: {reason.replace('_', ' ')}", n
    yield "examples", len(run.examples)
    for kind, n in train.get("by_kind", {}).items():
        yield f"examples: {kind.replace('_', ' ')}", n
    yield "negatives that could not be made", train.get("not_available")
    for stage, entry in run.stages.items():
        yield f"seconds of {stage}", entry.get("seconds")


def _measures(run: Gathered) -> Iterator[tuple[str, float | None]]:
    test: Mapping[str, Any] = run.metrics.get("test", {})
    for kind, row in test.get("discriminator", {}).items():
        name = kind.replace("_", " ")
        yield f"AUROC, {name}", row.get("auroc")
        yield f"AUROC of counting words, {name}", test.get("idf_overlap", {}).get(kind, {}).get("auroc")
    whole = test.get("discriminator", {}).get("all", {})
    for name, shown in MEASURES[1:]:
        yield f"{shown}, all", whole.get(name)


def _evaluations(run: Gathered) -> Iterator[tuple[str, float | None]]:
    for evaluation in run.evaluations:
        judged = evaluation.metrics.get("systems", {}).get("judged", {})
        whole = judged.get("abstention", {}).get("all", {})
        yield f"{evaluation.name}: exact match", judged.get("squad", {}).get("exact")
        yield f"{evaluation.name}: F1", judged.get("squad", {}).get("f1")
        yield f"{evaluation.name}: abstention F1", whole.get("f1")
        yield f"{evaluation.name}: over-refusal", whole.get("over_refusal")
        yield f"{evaluation.name}: AUROC", judged.get("discriminator", {}).get("all", {}).get("auroc")
        yield f"{evaluation.name}: calibration error", (evaluation.metrics.get("calibration") or {}).get("ece")


def _rows(this: Mapping[str, float | None], other: Mapping[str, float | None]) -> list[Row]:
    rows = []
    for what in dict.fromkeys([*this, *other]):
        mine, theirs = this.get(what), other.get(what)
        if mine is not None or theirs is not None:
            change = "" if mine is None or theirs is None else "=" if mine == theirs else figure(mine - theirs, signed=True)
            rows.append(Row(what, figure(mine), figure(theirs), change))
    return rows


def figure(value: float | None, *, signed: bool = False) -> str:
    """Return a count with its thousands apart, a share or measure with three digits, – for none."""
    if value is None:
        return "–"
    sign = "+" if signed else ""
    return f"{value:{sign},}" if isinstance(value, int) else f"{value:{sign},.3f}"


def separability(this: Gathered, other: Gathered) -> Chart:
    """Return the picture of both runs' AUROC by kind."""
    names = {f"this run, {this.name}": this, f"the other, {other.name}": other}
    rows = {name: run.metrics.get("test", {}).get("discriminator", {}) for name, run in names.items()}
    kinds = list(dict.fromkeys(kind for found in rows.values() for kind in found))
    points: list[tuple[Any, Any, str]] = [
        (found[kind]["auroc"], kind, name) for name, found in rows.items() for kind in kinds if found.get(kind, {}).get("auroc") is not None
    ]
    table: list[tuple[Any, ...]] = [(kind, *(found.get(kind, {}).get("auroc") for found in rows.values())) for kind in kinds]
    note = "Each run on its own test split: the questions are not the same unless the pages and the seed are."
    return Chart(
        "compared", "dots", "Told apart, by kind of negative, two runs", note, Axis("AUROC, test split", 1.0), Axis(""), points, ("kind", *rows), table,
        tuple(rows), "chance",
    )  # fmt: skip
