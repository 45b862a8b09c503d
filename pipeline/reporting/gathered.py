"""What a report is made of: the records and figures of a run's files, read once. What is missing is empty."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError, StorageError
from pipeline.records import QA, DroppedExample, Example, Page, RejectedQA, ReviewedExample, Section
from pipeline.sources.given import read_qa, read_sections
from pipeline.store import read_rows, storage_error

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.run_folder import RunFolder

STAGES = ("collect", "create_qa", "train")


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was said of one question of an evaluation."""

    answer: str | None
    """the answer given; None: declined"""
    p_answerable: float | None
    answerable: bool | None = None
    """whether there is an answer, if the evaluation knew"""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One folder of evaluation/."""

    name: str
    metrics: dict[str, Any]
    predictions: dict[str, Prediction]
    """by the id of the row that was asked"""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A run as its files have it."""

    name: str
    stages: dict[str, dict[str, Any]]
    pages: list[Page] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    qa: list[QA] = field(default_factory=list)
    rejected: list[RejectedQA] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    dropped: list[DroppedExample] = field(default_factory=list)
    reviewed: list[ReviewedExample] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    """of the light discriminator"""
    statistics: dict[str, Any] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
    results: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    """results.csv of each model, by the model's name"""

    def counts(self, stage: str) -> dict[str, Any]:
        """Return a stage's counts; nothing if it left none."""
        return dict(self.stages.get(stage, {}).get("counts", {}))


def files_of(folder: RunFolder) -> list[Path]:
    """Return the files that a report reads, those that are there."""
    named = [
        folder.pages, folder.sections, folder.qa, folder.rejected, folder.examples, folder.dropped_examples, folder.reviewed_examples,
        folder.training / "statistics.json", folder.discriminator / "metrics.json",
    ]  # fmt: skip
    found = [
        *folder.root.glob("models/*/results.csv"),
        *folder.root.glob("evaluation/*/metrics.json"),
        *folder.root.glob("evaluation/*/predictions.jsonl"),
    ]
    return [path for path in [*named, *sorted(found)] if path.is_file()]


def gather(folder: RunFolder) -> Gathered:
    """Read a run.

    Raises InputError or StorageError naming the file that cannot be read.
    """
    stages = {name: entry for name, entry in folder.stages().items() if name in STAGES}
    trained = stages.get("train", {}).get("settings", {}).get("trainer", "none") != "none"
    read = {file.relative_to(folder.root).as_posix() for file in files_of(folder)}
    return Gathered(
        folder.root.resolve().name, stages,
        read_rows(folder.pages, Page) if folder.pages.name in read else [],
        read_sections(folder.sections) if folder.sections.name in read else [],
        read_qa(folder.qa) if folder.qa.name in read else [],
        read_rows(folder.rejected, RejectedQA) if folder.rejected.name in read else [],
        read_rows(folder.examples, Example) if folder.examples.name in read else [],
        read_rows(folder.dropped_examples, DroppedExample) if folder.dropped_examples.name in read else [],
        read_rows(folder.reviewed_examples, ReviewedExample) if folder.reviewed_examples.name in read else [],
        _object(folder.discriminator / "metrics.json") if trained else {},  # else it is of examples before these
        _object(folder.training / "statistics.json"),
        [_evaluation(path) for path in sorted((folder.root / "evaluation").glob("*")) if path.is_dir()],
        {path.parent.name: _table(path) for path in sorted(folder.root.glob("models/*/results.csv"))},
    )  # fmt: skip


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise storage_error(error, path) from error
    except UnicodeDecodeError as error:
        raise StorageError("a file is damaged", f"{path}: {error}", "run the stage that writes it again with --force") from error


def _object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(_text(path))
    except ValueError as error:
        raise StorageError("a file of figures cannot be read", f"{path}: {error}", "run the stage that writes it again with --force") from error
    if not isinstance(value, dict):
        raise StorageError("a file of figures holds something else", path, "run the stage that writes it again with --force")
    return value


def _table(path: Path) -> list[dict[str, str]]:
    return [{name: value or "" for name, value in row.items() if name is not None} for row in csv.DictReader(io.StringIO(_text(path)))]


def _evaluation(folder: Path) -> Evaluation:
    path = folder / "predictions.jsonl"
    lines = _text(path).split("\n") if path.is_file() else []
    read = (_prediction(f"{path}, line {number}", line) for number, line in enumerate(lines, 1) if line.strip())
    return Evaluation(folder.name, _object(folder / "metrics.json"), dict(found for found in read if found))


def _prediction(place: str, line: str) -> tuple[str, Prediction] | None:
    """Read one line; None if it is of another kind of evaluation (a classifier's)."""
    try:
        row: dict[str, Any] = dict(json.loads(line).items())
        if "p_answerable" not in row:
            return None
        p, answer, answerable = row["p_answerable"], row.get("answer"), row.get("answerable")
        known = None if answerable is None else bool(answerable)
        return str(row["id"]), Prediction(None if answer is None else str(answer), None if p is None else float(p), known)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError("a prediction cannot be read", f"{place}: {error}", "run python -m pipeline.evaluate again") from error
