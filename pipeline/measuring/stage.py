"""An evaluation as a stage of the run: its name, its folder, whether it is there already, what is written and said."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from pipeline import cli
from pipeline.errors import InputError
from pipeline.evaluation.figures import reliability, risk_coverage
from pipeline.store import whole_file, write_json, write_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pipeline.cli import Run

_ODD = re.compile(r"[^\w.@+-]+")
_LONGEST_NAME = 100


def stage_of(run: Run, given: str | None, *parts: str) -> tuple[Run, Path]:
    """Return the run with this evaluation as its stage, and the evaluation's folder: of the name given, else made of the parts.

    Raises InputError if the one given is no name of a folder.
    """
    name = _name(given, *parts)
    return dataclasses.replace(run, stage=f"evaluate {name}"), run.folder.evaluation(name)


def _name(given: str | None, *parts: str) -> str:
    if given is not None:
        if _ODD.search(given) or not given.strip(".") or len(given) > _LONGEST_NAME:
            raise InputError("--name is no name of a folder", given, "use letters, figures, dots and dashes")
        return given
    return "-".join(_ODD.sub("-", part).strip(".-") for part in parts if part)[:_LONGEST_NAME]


def finished(run: Run, folder: Path, inputs: Mapping[str, str], chosen: Mapping[str, object]) -> cli.Outcome | None:
    """Return the outcome of an evaluation that is there already, of the same inputs and settings."""
    entry = run.is_current(inputs, chosen)
    return outcome(run, folder, entry["counts"], [f"{run.stage}: nothing to do, it is there already (--force does it anew)"]) if entry else None


def outcome(run: Run, folder: Path, counts: dict[str, Any], lines: Sequence[str], written: Sequence[Path] = ()) -> cli.Outcome:
    """Return what a finished evaluation says of itself."""
    then = run.folder.command("report")
    return cli.Outcome(counts, folder / "metrics.json", tuple(written), (*lines, f"{run.stage} → {folder}"), then)


def write(run: Run, folder: Path, predictions: Iterable[Mapping[str, Any]], metrics: Mapping[str, Any]) -> list[Path]:
    """Write predictions.jsonl and metrics.json, and return their paths; until the stage is finished again, it is not.

    Raises StorageError if the disk refuses.
    """
    run.folder.prepare()
    run.folder.unfinish(run.stage)
    write_jsonl(folder / "predictions.jsonl", predictions)
    write_json(folder / "metrics.json", metrics)
    return [folder / "predictions.jsonl", folder / "metrics.json"]


def draw(run: Run, folder: Path, metrics: Mapping[str, Any]) -> list[Path]:
    """Draw the curves of calibration and coverage, and return their paths; without matplotlib say so."""
    try:
        figures = {"reliability.png": reliability(metrics["calibration"]), "risk_coverage.png": risk_coverage(metrics["risk_coverage"])}
    except ModuleNotFoundError:
        run.say("evaluate: matplotlib is not installed, so there are no plots (pip install -e '.[finetune]')")
        return []
    for name, figure in figures.items():
        with whole_file(folder / name, "wb") as file:
            figure.savefig(file, format="png", metadata={"Software": None})
    return [folder / name for name in figures]
