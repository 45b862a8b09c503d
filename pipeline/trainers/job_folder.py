"""The folder of a model that a service made: its results in the guide's terms, metrics, curves, settings, checkpoints, as a training here leaves it."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline import __version__
from pipeline.errors import EndpointError, InputError
from pipeline.llm.bases import read_model_settings
from pipeline.store import write_json, write_text
from pipeline.trainers.hosted import METHOD
from pipeline.trainers.job_orders import batch_size_of
from pipeline.trainers.seen import write_seen
from pipeline.trainers.training import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pipeline.llm.jobbook import Note
    from pipeline.trainers.job_orders import Order, Room
    from pipeline.trainers.results import Line

_ODD = re.compile(r"[^A-Za-z0-9._:@+-]+")
_LONGEST_NAME = 200
_TAKEN = "discriminator"
"""the folder of the light one, which `train` makes anew"""
_LAST_LOSSES = 10


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it."""

    folder: Path
    name: str
    settings: dict[str, Any]
    metrics: dict[str, Any]
    already: bool


def folder_name(model: str) -> str:
    """Return the name of a model's folder: that of the model, without what is no part of a name."""
    return _ODD.sub("-", model)[:_LONGEST_NAME].strip(".-") or "model"


def place_of(models: Path, model: str, key: str) -> Path:
    """Return the folder for a model: by its name, and a number where another model has that; only one of the same job is replaced."""
    name = folder_name(model)
    places = (models / f"{name}{f'-{n}' if n > 1 else ''}" for n in itertools.count(1))
    return next(place for place in places if place.name != _TAKEN and (not place.exists() or _key_of(place) == key))


def _key_of(folder: Path) -> str | None:
    """Return the key of the job that a folder is of; None where it is of none."""
    try:
        return read_model_settings(folder).get("key")
    except InputError:
        return None


def find_done(models: Path, key: str) -> Path | None:
    """Return the folder of a finished job by its key."""
    for path in sorted(models.glob("*/settings.json")):
        with suppress(InputError):
            whole = (path.parent / "metrics.json").is_file() and (path.parent / "results.csv").is_file()
            if whole and not path.parent.name.startswith(".") and read_model_settings(path.parent).get("key") == key:
                return path.parent
    return None


def opened(folder: Path, *, already: bool = False) -> Made:
    """Return what lies in the folder of a finished job."""
    settings = read_model_settings(folder)
    return Made(folder, settings["name"], settings, json.loads((folder / "metrics.json").read_text("utf-8")), already)


def fetched(order: Order, room: Room, note: Note, measure: Callable[[Path], dict[str, Any]]) -> Path:
    """Fetch results and checkpoints, measure, and leave the model's folder."""
    job = note.job
    model = str(job.get("fine_tuned_model") or "")
    if not model:
        raise EndpointError("the job succeeded and names no model", f"{note.job_id} at {note.endpoint}", "look at it in the service's own pages")
    work = room.models / f".unfinished-{order.key}"
    work.mkdir(parents=True, exist_ok=True)
    lines = _results(room, note, work)
    _plots(work, lines, room.say)
    settings = _settings(order, note, lines, room.desk.checkpoints(note.job_id))
    write_json(work / "settings.json", settings)
    write_seen(work, *order.rows)
    metrics = _metrics_of(lines, order)
    metrics |= measure(work)
    if "threshold" in metrics:
        write_json(work / "settings.json", settings | {"threshold": metrics["threshold"]})
    write_json(work / "metrics.json", metrics)
    for sent in work.glob("*.jsonl"):
        sent.unlink()
    folder = place_of(room.models, model, order.key)
    if folder.exists():
        shutil.rmtree(folder)
    work.rename(folder)
    return folder


def _results(room: Room, note: Note, work: Path) -> list[Line]:
    """Fetch the result file and write results.csv of it; where there is none that can be read, of the events."""
    from pipeline.trainers import results, service_results

    batch, lines = batch_size_of(note.job), []
    for at, file_id in enumerate(note.job.get("result_files") or []):
        try:
            content = room.desk.content(str(file_id))
            (work / f"service_results{at or ''}.csv").write_bytes(content)  # as it came
            text = service_results.text_of(content)
            (work / f"service_results{at or ''}.csv").write_text(text, "utf-8")
            lines += service_results.lines_of(text, batch)
        except InputError as error:
            room.say(f"train: {error}; results.csv is made of the job's events")
    if not lines:
        told = [event["data"] for event in room.book.events(note.job_id) if isinstance(event.get("data"), dict)]
        lines = service_results.from_events(told, batch)
    write_text(work / "results.csv", results.table(service_results.columns_of(lines), lines))
    return lines


def _plots(work: Path, lines: Sequence[Line], say: Callable[[str], None]) -> None:
    try:
        from pipeline.trainers.plots import draw

        draw(lines, work)
    except ModuleNotFoundError:
        say("train: matplotlib is not installed, so there are no curves as pictures (pip install -e '.[finetune]')")


def _metrics_of(lines: Sequence[Line], order: Order) -> dict[str, Any]:
    """Return the beginning of metrics.json, in the names that a training here has; what the service did not measure is not there."""
    from pipeline.trainers.service_results import last_of

    last = [float(loss) for line in lines if (loss := line.get("training_loss")) is not None][-_LAST_LOSSES:]
    found = {
        "training_loss": sum(last) / len(last) if last else None,
        "validation_loss": last_of(lines, "full_validation_loss", "validation_loss"),
        "validation_token_accuracy": last_of(lines, "full_validation_token_accuracy", "validation_token_accuracy"),
        "validation_sequence_accuracy": last_of(lines, "validation_sequence_accuracy"),
    }
    measured = {name: round(value, 6) for name, value in found.items() if value is not None}
    return {**measured, "n_validation": len(order.validation.lines) if order.validation else 0}


def _settings(order: Order, note: Note, lines: Sequence[Line], checkpoints: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return settings.json: what a training here writes of itself, and what the service said of the job."""
    job = note.job
    trained = job.get("trained_tokens")
    price = order.estimate.a_million
    usd = trained * price / 1e6 if isinstance(trained, int) and price is not None else None
    began, ended = job.get("created_at"), job.get("finished_at")
    seconds = ended - began if isinstance(began, int) and isinstance(ended, int) else None
    kept = ("id", "status", "created_at", "finished_at", "trained_tokens", "hyperparameters", "method", "seed", "training_file", "validation_file")
    validation = order.validation
    return {
        "name": str(job["fine_tuned_model"]), "key": order.key, "target": order.target, "method": METHOD, "model": str(job["fine_tuned_model"]),
        "base_url": order.endpoint, "classes": list(order.classes), "threshold": 0.5, "base": {"name": order.model}, "from": order.begin,
        "terms": {
            "n_epochs": order.terms.n_epochs, "batch_size": batch_size_of(job), "seed": job.get("seed"),
            "learning_rate_multiplier": (job.get("hyperparameters") or {}).get("learning_rate_multiplier", order.terms.multiplier),
        },
        "rows": {
            "train": len(order.train.lines), "validation": len(validation.lines) if validation else 0,
            "too_long": order.train.n_long + (validation.n_long if validation else 0),
        },
        "data": {**order.made_of, "train_sha256": order.train.sha256, "validation_sha256": validation.sha256 if validation else None},
        "betas": list(order.betas), "track": order.track, **order.more, "steps": max((line["step"] or 0 for line in lines), default=0),
        "seconds": {"training": seconds}, "job": {name: job[name] for name in kept if name in job},
        "checkpoints": [
            {"step": one.get("step_number"), "model": one.get("fine_tuned_model_checkpoint"), "metrics": one.get("metrics")} for one in checkpoints
        ],
        "cost": {"estimated_usd": order.estimate.usd, "usd": usd, "a_million_tokens": price, "price_as_of": order.estimate.as_of},
        "versions": {"pipeline": __version__},
    }  # fmt: skip


def log_offline(made: Made) -> None:
    """Write a finished job's curves as an offline run of wandb's: for a service that does not send them there, or must not."""
    import wandb

    from pipeline.trainers import results

    with wandb.init(project=PROJECT, name=made.name, config=made.settings, mode="offline") as tracked:
        for line in results.parse((made.folder / "results.csv").read_text("utf-8")):
            tracked.log({name: value for name, value in line.items() if value is not None and name != "step"}, step=int(line["step"] or 0))
        tracked.summary.update({name: value for name, value in made.metrics.items() if isinstance(value, int | float)})
