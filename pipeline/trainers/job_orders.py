"""What a fine-tuning job at a service is begun with, and where it is done."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pipeline import __version__
from pipeline.llm.jobs import TAG
from pipeline.records import stable_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pipeline.llm.job_faults import Instead
    from pipeline.llm.jobbook import JobBook, Note
    from pipeline.llm.jobs import Desk
    from pipeline.trainers.job_files import Estimate, JobFile
    from pipeline.trainers.rows import Row
    from pipeline.trainers.training import Terms


class JobBar(Protocol):
    """A progress bar over the steps of a job."""

    def step(self, n: int = 1, **shown: object) -> None:
        """Count `n` more, with figures behind the bar."""

    def expect(self, total: int) -> None:
        """Set the total, once it is known."""

    def say(self, line: str) -> None:
        """Say a line above the bar."""


class JobWatch(Protocol):
    """Opens a progress bar over a total that may not be known."""

    def __call__(self, total: int | None) -> AbstractContextManager[JobBar]:
        """Return the bar as a context."""


@dataclass(frozen=True, slots=True)
class Order:
    """A job to be done: of what, for what, on which files."""

    target: str
    model: str
    """the base, or a fine-tuned model to go on from"""
    begin: str | None
    """what --from named"""
    endpoint: str
    train: JobFile
    validation: JobFile | None
    rows: tuple[Sequence[Row], Sequence[Row]]
    """the same rows as they are known here, for seen.json: to train on, to validate on"""
    terms: Terms
    suffix: str | None
    wandb: Mapping[str, str] | None
    """what the service is asked to send the curves to: project, and entity if any"""
    track: str
    classes: tuple[str, ...]
    betas: tuple[float, ...]
    made_of: Mapping[str, Any]
    estimate: Estimate
    more: Mapping[str, Any]
    """further settings that those who open the model need"""

    @property
    def key(self) -> str:
        """What the same order is known by."""
        made = [
            self.target, self.model, self.endpoint, self.train.sha256, self.validation.sha256 if self.validation else "", asdict(self.terms),
            self.suffix, dict(self.wandb or {}), self.classes, self.betas,
        ]  # fmt: skip
        return stable_id("job", json.dumps(made))


@dataclass(frozen=True, slots=True)
class Room:
    """Where it is done: the service's desk, the ledger's book, the folder of models, and who is told."""

    desk: Desk
    book: JobBook
    models: Path
    watch: JobWatch
    say: Callable[[str], None]
    instead: Instead


def asked_of(order: Order, note: Note, train: str, validation: str | None) -> dict[str, Any]:
    """Return what a job is begun with."""
    terms = order.terms
    wanted = {"n_epochs": terms.n_epochs, "batch_size": terms.batch_size, "learning_rate_multiplier": terms.multiplier}
    hyperparameters = {name: value for name, value in wanted.items() if value is not None}
    hashes = {"train_sha256": order.train.sha256, **({"validation_sha256": order.validation.sha256} if order.validation else {})}
    asked: dict[str, Any] = {
        "model": order.model, "training_file": train, "seed": terms.seed,
        "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
        "metadata": {TAG: note.tag, "target": order.target, **hashes, "made_by": f"abstention-pipeline {__version__}"},
    }  # fmt: skip
    if validation:
        asked["validation_file"] = validation
    if order.suffix:
        asked["suffix"] = order.suffix
    if order.wandb:
        tags = {"tags": ["abstention-pipeline", order.target]}
        asked["integrations"] = [{"type": "wandb", "wandb": {**order.wandb, "name": f"{order.suffix or order.target} {note.tag}", **tags}}]
    return asked


def batch_size_of(job: Mapping[str, Any]) -> int | None:
    """Return the rows a step, as the service says; nothing while it says auto."""
    method = (job.get("method") or {}).get("supervised") or {}
    for said in (job.get("hyperparameters") or {}, method.get("hyperparameters") or {}):
        value = said.get("batch_size")
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None
