"""The models of a run, each with the figure that says most of it, and those whose training was stopped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.standing.files import number, of, read_object, written_at

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.run_folder import RunFolder
    from pipeline.standing.files import Digests

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_OF_TRAINING = ("validation_sequence_accuracy", "validation_token_accuracy", "validation_loss", "training_loss")


@dataclass(frozen=True, slots=True)
class Model:
    """A model folder: what it is for, its figure, and what is to be known of it besides."""

    name: str
    target: str
    headline: str
    at: float | None
    note: str = ""


def models_in(folder: RunFolder, digests: Digests) -> list[Model]:
    """Return the models under models/ in the order of their names, those that are not finished last."""
    if not folder.models.is_dir():
        return []
    there = sorted(path for path in folder.models.iterdir() if path.is_dir())
    done = [_finished(path, digests) for path in there if not path.name.startswith(".")]
    return done + [_stopped(path) for path in there if path.name.startswith(".unfinished-")]


def _finished(path: Path, digests: Digests) -> Model:
    settings, metrics = read_object(path / "settings.json"), read_object(path / "metrics.json")
    headline = _headline(metrics) or "metrics.json says nothing of it"
    made_of = {name: file for name, file in (("qa", "qa.parquet"), ("examples", "examples.parquet")) if name in of(settings, "inputs")}
    other = [file for name, file in made_of.items() if digests.differs(file, of(settings, "inputs")[name])]
    return Model(
        path.name,
        str(settings.get("target", "?")),
        headline,
        written_at(path / "metrics.json"),
        f"{other[0]} is not what it was trained on" if other else "",
    )


def _stopped(path: Path) -> Model:
    """Return a training that was not brought to its end."""
    steps = [int(match[1]) for part in path.iterdir() if (match := _CHECKPOINT.fullmatch(part.name))]
    name = path / "name.txt"
    called = name.read_text("utf-8", "replace").strip() if name.is_file() else path.name
    so_far = f"step {max(steps)}" if steps else "its beginning"
    return Model(called, "", "not finished", written_at(path), f"the train command that began it goes on from {so_far}")


def _headline(metrics: dict[str, Any]) -> str:
    for split in ("test", "validation"):
        row = of(of(of(metrics, split), "discriminator"), "all")
        if isinstance(row.get("auroc"), float):
            return f"AUROC {row['auroc']:.3f} on {split} ({(number(row, 'n_positive') or 0) + (number(row, 'n_negative') or 0)} examples)"
    for name, value in of(metrics, "classification").items():
        if isinstance(value, float):
            return f"{name.replace('_', ' ')} {value:.3f} on validation"
    name = next((name for name in _OF_TRAINING if isinstance(metrics.get(name), float)), "")
    return f"{name.replace('_', ' ')} {metrics[name]:.3f}" if name else ""


def headline_of(path: Path) -> dict[str, Any]:
    """Return the counts of an evaluation from its metrics.json, as far as they are there."""
    found = read_object(path)
    judged = of(of(found, "systems"), "judged")
    everything = of(of(judged, "abstention"), "all")
    counts = {"questions": of(found, "dataset").get("questions"), "f1": of(judged, "squad").get("f1"), "abstention_f1": everything.get("f1")}
    return {name: value for name, value in counts.items() if isinstance(value, int | float)}
