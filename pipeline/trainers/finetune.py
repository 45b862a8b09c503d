"""Fine-tunes a causal model (LoRA) or an encoder on rows and leaves a model folder; killed, it goes on from its last checkpoint.

LoRA: Hu et al. 2021 (arXiv:2106.09685), on all linear layers as Dettmers et al. 2023 (arXiv:2305.14314) found best.
"""

from __future__ import annotations

import functools
import json
import platform
import resource
import shutil
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ExtraMissing, InputError
from pipeline.evaluation import classification
from pipeline.llm.bases import CAUSAL, Base, bf16_here, open_base, quietly, read_model_settings, require_torch, tokenizer_of
from pipeline.records import stable_id
from pipeline.settings import EMBEDDED_MODEL
from pipeline.store import storage_error, write_json, write_text
from pipeline.trainers import results, rows, terms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import numpy as np

    from pipeline.trainers.light import Watch
    from pipeline.trainers.rows import Encoded, Row
    from pipeline.trainers.tuner import Bookkeeper, Tuner

RANK, ALPHA = 16, 32
MICRO_CPU, MICRO_GPU = 8, 32  # rows at once (16 of the longest need 8 GB for their activations); the rest of a batch by accumulation
_CHECKPOINTS, _VALIDATIONS, _SAMPLE = 20, 10, 64  # times a training; rows of validation judged each time
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PACKAGES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors", "numpy", "scikit-learn")
WEIGHT_FILES = ("adapter_model.safetensors", "model.safetensors")


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a training; None is the guide's default."""

    n_epochs: int = terms.N_EPOCHS
    batch_size: int | None = None
    multiplier: float | None = None
    max_minutes: float | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A training: on what, for what, under which name."""

    target: str
    model: str
    """a name for `open_base`; with `begin` empty"""
    begin: Path | None
    """the folder of an earlier fine-tune to go on from"""
    classes: tuple[str, ...]
    """of two, the second is the positive one"""
    train: Sequence[Row]
    validation: Sequence[Row]
    terms: Terms
    suffix: str
    betas: tuple[float, ...] = (1.0,)
    track: str = "none"
    made_of: Mapping[str, Any] | None = None
    """what the rows were read from, with hashes, for settings.json"""
    more: Mapping[str, Any] | None = None
    """further settings that those who open the model need"""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of it."""

    folder: Path
    name: str
    settings: dict[str, Any]
    metrics: dict[str, Any]
    notes: tuple[str, ...]
    already: bool
    """it had been trained before; nothing was done"""


def tune(
    job: Job, models: Path, now: datetime, watch: Watch, measure: Callable[[Path], dict[str, Any]] = lambda _: {}, *, force: bool = False
) -> Tuned:
    """Train, or go on training, or find it done; return the model folder `models/NAME`.

    `measure` is shown the folder of the trained model, and what it returns goes into metrics.json too.

    Raises InputError if there is nothing to train on or no such model, ExtraMissing without torch, StorageError if the disk refuses.
    """
    require_torch()
    base, before = _beginning(job)
    batch = terms.batch_size(len(job.train), job.terms.batch_size)
    factor = terms.multiplier(batch, job.terms.multiplier)
    key = _key(job, base, before)
    found = None if force else find_finished(models, key)
    if found:
        settings = read_model_settings(found)
        return Tuned(found, settings["name"], settings, _metrics(found), (), already=True)
    work = models / f".unfinished-{key}"
    try:
        name = _begin(work, terms.model_name(before.get("short", base.short), job.suffix, now), force=force)
        hint = terms.hint_for_less_data(len(job.train), before.get("rows", {}).get("train"), factor)
        made = _train(job, base, work, name, batch, factor, key, watch)
        write_json(work / "settings.json", made.settings)
        metrics = {**made.metrics, **measure(work)}
        write_json(work / "metrics.json", metrics)
        _clear(work)
        work.rename(models / name)
        return Tuned(models / name, name, made.settings, metrics, tuple(filter(None, [hint, *made.notes])), already=False)
    except OSError as error:
        raise storage_error(error, error.filename or work) from error


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
    if before.get("method") not in ("causal", "encoder"):
        raise InputError("--from names a model that can't be trained further", job.begin, "name one that was made with --model or --target qa")
    if before["target"] != job.target or tuple(before.get("classes", ())) != job.classes:
        raise InputError(
            "--from names a model made for something else",
            f"{job.begin}: {before['target']}, classes {before.get('classes')}",
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
            if read_model_settings(path.parent).get("key") == key and not path.parent.name.startswith("."):
                return path.parent
    return None


def _metrics(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "metrics.json").read_text("utf-8"))
    return value


def _begin(work: Path, name: str, *, force: bool) -> str:
    """Return the name: the one that a killed run began under, else the new one; with `force` all is begun anew."""
    if force and work.exists():
        shutil.rmtree(work)
    note = work / "name.txt"
    if note.is_file():
        return note.read_text("utf-8").strip()
    write_text(note, name + "\n")
    return name


@dataclass(frozen=True, slots=True)
class _Made:
    settings: dict[str, Any]
    metrics: dict[str, Any]
    notes: tuple[str, ...]


def _train(job: Job, base: Base, work: Path, name: str, batch: int, factor: float, key: str, watch: Watch) -> _Made:
    from pipeline.trainers.tuner import Clock, last_checkpoint

    began, cpu = time.monotonic(), time.process_time()
    tokenizer = tokenizer_of(base.folder)
    said = said_for(job.classes, tokenizer) if base.kind == CAUSAL and job.target != rows.QA else ()
    train, n_long = _encoded(job, job.train, base, said, tokenizer)
    validation, n_long_v = _encoded(job, job.validation, base, said, tokenizer)
    if not train:
        raise InputError("there is nothing to train on", f"{len(job.train)} rows, {n_long} of them too long", "add rows")
    clock = Clock(job.terms.max_minutes * 60 if job.terms.max_minutes else None)
    checkpoint = last_checkpoint(work)
    with quietly():
        model = _model(job, base)
        trainer, keeper = _trainer(job, base, model, tokenizer, said, train, validation, work, name, batch, factor, clock)
        with watch(_steps(len(train), batch, job.terms.n_epochs)) as bar:
            keeper.progress = functools.partial(_advance, bar)
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        metrics = _judged(job, trainer, validation, keeper)
        model.save_pretrained(work, **({"save_embedding_layers": False} if base.kind == CAUSAL else {}))
        tokenizer.save_pretrained(work)
    _plots(work)
    if job.target == rows.QA and base.name == EMBEDDED_MODEL:
        from pipeline.trainers.adapter_gguf import write_adapter

        write_adapter(work, base.folder, work / "adapter.gguf")
    steps = trainer.state.global_step
    settings = {
        "name": name, "short": base.short, "key": key, "target": job.target, "method": base.kind, "classes": list(job.classes), "said": list(said),
        "threshold": metrics.get("threshold", classification.THRESHOLD), "base": {"name": base.name, "digest": base.digest},
        "from": str(job.begin) if job.begin else None,
        "terms": {
            **asdict(job.terms), "batch_size": batch, "learning_rate_multiplier": factor, "learning_rate": terms.learning_rate(base.kind, factor),
            "rank": RANK if base.kind == CAUSAL else None, "alpha": ALPHA if base.kind == CAUSAL else None,
        },
        "rows": {"train": len(train), "validation": len(validation), "too_long": n_long + n_long_v, "by_kind": dict(sorted(Counter(r.kind for r in job.train).items()))},
        "data": dict(job.made_of or {}), "betas": list(job.betas), "track": job.track,
        **(job.more or {}), "steps": steps, "of_steps": trainer.total_steps, "stopped_by_clock": keeper.stopped_by_clock, "resumed": checkpoint is not None,
        "seconds": {"training": round(clock.seconds, 1), "this_call": round(time.monotonic() - began, 1), "cpu_this_call": round(time.process_time() - cpu, 1)},
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)),
        "precision": "bfloat16" if trainer.args.bf16 else "float32", "device": trainer.args.device.type, "versions": _versions(),
    }  # fmt: skip
    notes = [f"{n_long + n_long_v} rows are longer than the model's room and were left out"] if n_long + n_long_v else []
    return _Made(settings, metrics, tuple(notes))


def said_for(classes: Sequence[str], tokenizer: Any) -> tuple[str, ...]:
    """Return what a causal model says for each class: the class itself if the first tokens differ, else a letter.

    Raises InputError if there are more classes than letters.
    """
    own = [f" {name}" for name in classes]
    firsts = {tokenizer(text, add_special_tokens=False)["input_ids"][0] for text in own}
    if len(firsts) == len(own):
        return tuple(own)
    if len(classes) > len(_LETTERS):
        raise InputError("there are too many classes for a causal model", f"{len(classes)}, some beginning alike", "take an encoder, or no --model")
    return tuple(f" {letter}" for letter in _LETTERS[: len(classes)])


def _encoded(job: Job, some: Sequence[Row], base: Base, said: Sequence[str], tokenizer: Any) -> tuple[list[Encoded], int]:
    """Return rows as tokens, and how many were too long."""
    found = (
        rows.encode_causal(some, job.target, said, job.classes, tokenizer) if base.kind == CAUSAL else rows.encode_pairs(some, job.classes, tokenizer)
    )
    kept = [row for row in found if row is not None]
    return kept, len(found) - len(kept)


def _model(job: Job, base: Base) -> Any:
    """Return the model to train: the base with a LoRA on it, or an encoder with a head for the classes."""
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, set_seed

    set_seed(job.terms.seed)
    if base.kind != CAUSAL:
        labels = dict(enumerate(job.classes))
        return AutoModelForSequenceClassification.from_pretrained(
            base.folder, dtype=torch.float32, num_labels=len(job.classes), id2label=labels, label2id={v: k for k, v in labels.items()}
        )
    model = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32)
    if job.begin:
        return PeftModel.from_pretrained(model, job.begin, is_trainable=True)
    return get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"))


def _steps(n: int, batch: int, epochs: int) -> int:
    return max(1, -(-n // batch)) * epochs


def _advance(bar: Any, n: int, **shown: object) -> None:
    bar.step(n, **shown)


def _trainer(
    job: Job, base: Base, model: Any, tokenizer: Any, said: Sequence[str], train: list[Encoded], validation: list[Encoded], work: Path, name: str,
    batch: int, factor: float, clock: Any,
) -> tuple[Tuner, Bookkeeper]:  # fmt: skip
    import random

    import torch
    from transformers import TrainingArguments

    from pipeline.trainers.tuner import Bookkeeper, Tuner

    gpu = torch.cuda.is_available()
    micro = _micro(batch, MICRO_GPU if gpu else MICRO_CPU)
    total = _steps(len(train), batch, job.terms.n_epochs)
    arguments = TrainingArguments(
        output_dir=str(work), per_device_train_batch_size=micro, gradient_accumulation_steps=batch // micro,
        per_device_eval_batch_size=2 * micro, num_train_epochs=job.terms.n_epochs,
        learning_rate=terms.learning_rate(base.kind, factor), weight_decay=0.01 if base.kind != CAUSAL else 0.0, max_grad_norm=1.0,
        bf16=bf16_here(), use_cpu=not gpu, seed=job.terms.seed, data_seed=job.terms.seed, eval_strategy="no",
        eval_steps=max(1, total // _VALIDATIONS), save_strategy="steps", save_steps=max(1, total // _CHECKPOINTS), save_total_limit=2,
        logging_strategy="no", report_to=[] if job.track == "none" else [job.track], run_name=name, disable_tqdm=True,
        remove_unused_columns=False, dataloader_pin_memory=gpu, label_names=["labels"],
    )  # fmt: skip
    firsts = [tokenizer(text, add_special_tokens=False)["input_ids"][0] for text in said]
    tuner = Tuner(
        causal=base.kind == CAUSAL, said=firsts, clock=clock, pad=tokenizer.pad_token_id, model=model, args=arguments, train_dataset=train
    )  # fmt: skip
    measured = classification.names(len(job.classes), job.betas) if job.classes else ()
    sample = random.Random(job.terms.seed).sample(validation, min(_SAMPLE, len(validation)))
    classify = functools.partial(classification.measures, betas=job.betas) if job.classes else None
    keeper = Bookkeeper(work / "results.csv", results.columns(measured), sample, validation, classify, lambda _n, **_: None)
    keeper.trainer = tuner
    tuner.add_callback(keeper)
    return tuner, keeper


def _micro(batch: int, most: int) -> int:
    """Return the largest number of rows at once that divides a batch."""
    return next(size for size in range(min(batch, most), 0, -1) if batch % size == 0)


def _judged(job: Job, trainer: Tuner, validation: list[Encoded], keeper: Bookkeeper) -> dict[str, Any]:
    """Return metrics.json's beginning: the last training losses, and the whole of validation."""
    from pipeline.evaluation.metrics import choose_threshold

    last = [line["training_loss"] for line in keeper.lines[-10:] if line.get("training_loss") is not None]
    metrics: dict[str, Any] = {"training_loss": round(sum(last) / max(1, len(last)), 6)}  # type: ignore[arg-type]
    if not validation:
        return metrics
    tally, probabilities = trainer.judge(validation)
    metrics |= {name: round(value, 6) for name, value in tally.averages("validation").items()} | {"n_validation": len(validation)}
    if job.classes:
        truth = [row.label for row in validation]
        metrics["classification"] = classification.measures(truth, probabilities, betas=job.betas)
        if job.target == rows.DISCRIMINATOR:
            metrics["threshold"] = _threshold(truth, probabilities, choose_threshold)
    return metrics


def _threshold(truth: Sequence[int], probabilities: np.ndarray[Any, Any], choose: Any) -> float:
    return float(choose([label == 1 for label in truth], probabilities[:, 1]))


def _plots(work: Path) -> None:
    try:
        from pipeline.trainers.plots import draw
    except ImportError as error:
        raise ExtraMissing("plots need the extra 'finetune'", error.name or "matplotlib", "run `pip install -e '.[finetune]'`") from error
    draw(results.parse((work / "results.csv").read_text("utf-8")), work)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _clear(work: Path) -> None:
    """Remove what was there for going on after a kill."""
    for path in [*work.glob("checkpoint-*"), *(work / name for name in ("name.txt", "clock.json", "training_args.bin", "README.md"))]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
