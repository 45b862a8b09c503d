"""Fine-tunes a causal model (LoRA) or an encoder on rows and leaves a model folder; killed, it goes on from its last checkpoint.

LoRA: Hu et al. 2021 (arXiv:2106.09685), on all linear layers as Dettmers et al. 2023 (arXiv:2305.14314) found best.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ExtraMissing, InputError
from pipeline.llm.bases import CAUSAL, ENCODER, Base, open_base, read_model_settings, require_torch
from pipeline.records import stable_id
from pipeline.store import storage_error, write_json, write_text
from pipeline.trainers import rows, terms
from pipeline.trainers.seen import write_seen
from pipeline.trainers.training import PROJECT, Job, Named, planned, train

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from pipeline.trainers.light import Watch


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of it."""

    folder: Path
    name: str
    settings: dict[str, Any]
    metrics: dict[str, Any]
    already: bool
    """it had been trained before; nothing was done"""


def tune(
    job: Job, models: Path, now: datetime, watch: Watch, say: Callable[[str], None], measure: Callable[[Path], dict[str, Any]] = lambda _: {},
    *, force: bool = False,
) -> Tuned:  # fmt: skip
    """Train, or go on training, or find it done; return the model folder `models/NAME`.

    `say` tells the person who watches what they may want to change; `measure` is shown the folder of the trained model, and what it
    returns goes into metrics.json too.

    Raises InputError if there is nothing to train on or no such model, ExtraMissing without torch, StorageError if the disk refuses.
    """
    require_torch()
    ready_tracker(job.track, models)
    base, before = _beginning(job)
    batch = terms.batch_size(len(job.train), job.terms.batch_size)
    factor = terms.multiplier(batch, job.terms.multiplier)
    key = _key(job, base, before)
    found = None if force else find_finished(models, key)
    if found:
        settings = read_model_settings(found)
        return Tuned(found, settings["name"], settings, _metrics(found), already=True)
    work = models / f".unfinished-{key}"
    try:
        name = _begin(work, terms.model_name(before.get("short", base.short), job.suffix, now), force=force)
        plan = planned(job, base, work, Named(name, key), batch, factor)
        for line in filter(None, [terms.hint_for_less_data(len(plan.train), before.get("rows", {}).get("train"), factor), plan.note]):
            say(line)
        settings, metrics = train(plan, watch, say)
        write_json(work / "settings.json", settings)
        write_seen(work, job.train, job.validation)
        metrics |= measure(work)
        write_json(work / "metrics.json", metrics)
        work.rename(models / name)
        _clear(models / name)
        return Tuned(models / name, name, settings, metrics, already=False)
    except OSError as error:
        raise storage_error(error, error.filename or work) from error


def ready_tracker(track: str, models: Path) -> None:
    """Raise ExtraMissing if the tracker is not installed; keep what it writes beside the models."""
    if track == "none":
        return
    if find_spec(track) is None:
        raise ExtraMissing(f"--track {track} needs the extra 'track'", track, "run `pip install -e '.[track]'`")
    os.environ.setdefault("WANDB_DIR", str(models.parent))
    os.environ.setdefault("WANDB_PROJECT", PROJECT)
    os.environ.setdefault("TRACKIO_DIR", str(models.parent / "trackio"))


def _beginning(job: Job) -> tuple[Base, dict[str, Any]]:
    """Return the base, and the settings of the fine-tune to go on from (empty without one).

    Raises InputError if that was made for something else.
    """
    if job.begin is None:
        base = open_base(job.model)
        if base.kind != CAUSAL and job.target == rows.QA:
            raise InputError("an encoder writes no answers", base.name, "name a causal model, or 'embedded'")
        return base, {}
    before = read_model_settings(job.begin)
    if before.get("method") not in (CAUSAL, ENCODER):
        raise InputError("--from names a model that can't be trained further", job.begin, "name one that was made with --model or --target qa")
    if before.get("target") != job.target or tuple(before.get("classes", ())) != job.classes:
        raise InputError(
            "--from names a model made for something else",
            f"{job.begin}: {before.get('target')}, classes {before.get('classes')}",
            f"this is {job.target}, classes {list(job.classes)}",
        )
    if before["method"] == CAUSAL:
        base = open_base(before["base"]["name"])
        if base.digest != before["base"]["digest"]:
            raise InputError("the base of that model is another one now", f"{job.begin}: {base.name}", "put the old one back")
        return base, before
    opened = open_base(str(job.begin))
    return replace(opened, name=before["base"]["name"], short=before["short"]), before


def _key(job: Job, base: Base, before: Mapping[str, Any]) -> str:
    """Return what settings, data and base come to: equal for a command that is run again."""
    data = [
        stable_id("rows", *(part for row in some for part in (row.row_id, row.text, row.context, row.answer, row.label)))
        for some in (job.train, job.validation)
    ]
    made = [job.target, base.digest, before.get("name", ""), before.get("key", ""), job.classes, asdict(job.terms), job.suffix, job.betas, *data]
    return stable_id("ft", json.dumps(made)).removeprefix("ft-")


def find_finished(models: Path, key: str) -> Path | None:
    """Return the folder of a finished training by its key."""
    for path in sorted(models.glob("*/settings.json")):
        with suppress(InputError):
            if read_model_settings(path.parent).get("key") == key and not path.parent.name.startswith(".") and _is_whole(path.parent):
                return path.parent
    return None


def _is_whole(folder: Path) -> bool:
    """Tell whether a finished model still has its weights and figures: one that lost them is trained again under a new name."""
    return bool(_metrics(folder)) and any(path.stat().st_size for path in folder.glob("*.safetensors"))


def _metrics(folder: Path) -> dict[str, Any]:
    """Return metrics.json; nothing where it is damaged or not there."""
    try:
        value = json.loads((folder / "metrics.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _begin(work: Path, name: str, *, force: bool) -> str:
    """Return the name: the one that a killed run began under, else the new one; with `force` all is begun anew."""
    if force and work.exists():
        shutil.rmtree(work)
    note = work / "name.txt"
    if note.is_file():
        return note.read_text("utf-8").strip()
    write_text(note, name + "\n")
    return name


def _clear(work: Path) -> None:
    """Remove what was there for going on after a kill."""
    for path in [*work.glob("checkpoint-*"), *(work / name for name in ("name.txt", "clock.json", "training_args.bin", "README.md"))]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
