"""The questions that are judged by: the test split of a run, or a file of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.dataset.given import read_dataset
from pipeline.errors import InputError
from pipeline.records import Example, Question
from pipeline.sources.given import each_qa
from pipeline.store import read_rows, sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.cli import Run


@dataclass(frozen=True, slots=True)
class Asked:
    """The questions, what they are called and made of, and the answers that an oracle is told (empty where nobody knows one)."""

    name: str
    questions: Sequence[Question]
    inputs: Mapping[str, str]
    told: Sequence[str]


def asked_of(run: Run, dataset: Path | None) -> Asked:
    """Return the questions of a file, or without one those of the run's test split.

    Raises InputError if the file is no set of questions, or the split has no row; StageMissing if the run has no examples.
    """
    if dataset is not None:
        questions = read_dataset(dataset)
        return Asked(dataset.name, questions, {"dataset": sha256_of(dataset)}, [q.answers[0] if q.answers else "" for q in questions])
    run.require("train")
    examples = [e for e in read_rows(run.folder.examples, Example) if e.split == "test"]
    if not examples:
        raise InputError("the test split has no row", run.folder.examples, "collect more pages, or name a file with --dataset")
    answers = {row.qa_id: row.answer for row in each_qa(run.folder.qa)} if run.folder.qa.is_file() else {}
    questions = [
        Question(e.example_id, e.context, e.question, (e.answer,) if e.answerable else (), e.answerable, e.kind, e.context.partition("\n")[0])
        for e in examples
    ]
    return Asked("test", questions, {"examples": sha256_of(run.folder.examples)}, [answers.get(e.qa_id, "") for e in examples])
