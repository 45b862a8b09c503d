"""One training, planned and carried out: rows as tokens, the model to train, the Trainer's arguments, and what is written down of it."""

from __future__ import annotations

import functools
import platform
import random
import resource
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ExtraMissing, InputError
from pipeline.evaluation import classification
from pipeline.llm.bases import CAUSAL, Base, bf16_here, device_here, quietly, tokenizer_of, with_adapter
from pipeline.settings import EMBEDDED_MODEL
from pipeline.trainers import results, rows, terms
from pipeline.trainers.packing import can_pack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from pipeline.trainers.light import Watch
    from pipeline.trainers.rows import Encoded, Row
    from pipeline.trainers.tuner import Bookkeeper, Clock, Tuner

PROJECT = "abstention-pipeline"
"""what a tracker files the curves under"""
RANK, ALPHA = 16, 32
MICRO_CPU = {"causal": 4, "encoder": 8}  # rows at once, the rest of a batch by accumulation: a LoRA keeps 3 MB of activations a token
MICRO_PACKED = 16  # rows at once where those on one context are read together
MICRO_GPU = 32
_CHECKPOINTS, _VALIDATIONS, _SAMPLE = 20, 10, 64  # times a training; rows of validation judged each time
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PACKAGES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors", "numpy", "scikit-learn")


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
class Named:
    """What a model is called, and the key by which the same training is found again."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a training is decided by."""

    job: Job
    base: Base
    work: Path
    named: Named
    batch: int
    factor: float
    tokenizer: Any
    said: tuple[str, ...]
    """what a causal model says for each class"""
    train: list[Encoded]
    validation: list[Encoded]
    n_long: int
    """rows that were left out for want of room"""

    @property
    def causal(self) -> bool:
        """Whether a causal model is trained (by a LoRA), not an encoder."""
        return self.base.kind == CAUSAL

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return max(1, -(-len(self.train) // self.batch)) * self.job.terms.n_epochs

    @property
    def note(self) -> str | None:
        """What a person should know of the rows."""
        return f"{self.n_long} rows are longer than the model's room and were left out" if self.n_long else None


def planned(job: Job, base: Base, work: Path, named: Named, batch: int, factor: float) -> Plan:
    """Turn a job's rows into tokens.

    Raises InputError if none is left, or the model has no tokenizer.
    """
    tokenizer = tokenizer_of(base.folder)
    said = said_for(job.classes, tokenizer) if base.kind == CAUSAL and job.classes else ()
    train, n_long = _encoded(job, job.train, base, said, tokenizer)
    validation, n_long_there = _encoded(job, job.validation, base, said, tokenizer)
    if not train:
        raise InputError("there is nothing to train on", f"{len(job.train)} rows, {n_long} of them too long", "add rows")
    return Plan(job, base, work, named, batch, factor, tokenizer, said, train, validation, n_long + n_long_there)


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
    causal = base.kind == CAUSAL
    found = rows.encode_causal(some, job.target, said, job.classes, tokenizer) if causal else rows.encode_pairs(some, job.classes, tokenizer)
    kept = [row for row in found if row is not None]
    return kept, len(found) - len(kept)


def train(plan: Plan, watch: Watch, say: Callable[[str], None]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train, from the last checkpoint if there is one; leave weights, results and plots in the work folder; return settings and metrics."""
    from pipeline.trainers.tuner import Clock, last_checkpoint

    began, cpu = time.monotonic(), time.process_time()
    clock = Clock(plan.job.terms.max_minutes * 60 if plan.job.terms.max_minutes else None)
    checkpoint = last_checkpoint(plan.work)
    if checkpoint:
        say(f"goes on from {checkpoint.name.replace('-', ' ')} of {plan.named.name}")
    with quietly():
        trainer, keeper = _trainer(plan, _model(plan), clock)
        with watch(plan.steps) as bar:
            keeper.progress = bar.step
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        seconds = {"training": round(clock.seconds, 1)}
        metrics = _judged(plan, trainer, keeper)
        _save(plan, trainer)
    _plots(plan.work)
    seconds |= {"this_call": round(time.monotonic() - began, 1), "cpu_this_call": round(time.process_time() - cpu, 1)}
    how = {
        "steps": trainer.state.global_step, "of_steps": trainer.total_steps, "stopped_by_clock": keeper.stopped_by_clock,
        "resumed": checkpoint is not None, "seconds": seconds, "peak_memory_mb": _peak_memory(),
    }  # fmt: skip
    return {**_settings(plan, metrics), **how}, metrics


def _settings(plan: Plan, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings.json but for how the training went."""
    job, base, n = plan.job, plan.base, {"train": len(plan.train), "validation": len(plan.validation), "too_long": plan.n_long}
    rate = terms.learning_rate(base.kind, plan.factor)
    lora = {"rank": RANK, "alpha": ALPHA} if plan.causal else {}
    return {
        "name": plan.named.name, "short": base.short, "key": plan.named.key, "target": job.target, "method": base.kind,
        "classes": list(job.classes), "said": list(plan.said), "threshold": metrics.get("threshold", classification.THRESHOLD),
        "base": {"name": base.name, "digest": base.digest}, "from": str(job.begin) if job.begin else None,
        "terms": {**asdict(job.terms), "batch_size": plan.batch, "learning_rate_multiplier": plan.factor, "learning_rate": rate, **lora},
        "rows": {**n, "by_kind": dict(sorted(Counter(r.kind for r in job.train).items()))},
        "data": dict(job.made_of or {}), "betas": list(job.betas), "track": job.track, **(job.more or {}),
        "precision": "bfloat16" if bf16_here() else "float32", "device": device_here(), "versions": _versions(),
    }  # fmt: skip


def _peak_memory() -> int:
    """Return the most memory that this process has had, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (1 << 20 if sys.platform == "darwin" else 1 << 10))


def _model(plan: Plan) -> Any:
    """Return the model to train: the base with a LoRA on it, or an encoder with a head for the classes."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, set_seed

    job = plan.job
    set_seed(job.terms.seed)
    if not plan.causal:
        labels = dict(enumerate(job.classes))
        return AutoModelForSequenceClassification.from_pretrained(
            plan.base.folder, dtype=torch.float32, num_labels=len(job.classes), id2label=labels, label2id={v: k for k, v in labels.items()}
        )
    # what is not learnt is multiplied in bfloat16 in any case: kept so, it need not be converted at each step; the LoRA is float32
    model = AutoModelForCausalLM.from_pretrained(plan.base.folder, dtype=torch.bfloat16 if bf16_here() else torch.float32)
    if job.begin:
        return _uncast(with_adapter(model, job.begin, trainable=True))
    return _uncast(
        get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"))
    )


def _uncast(model: Any) -> Any:
    """Keep peft from turning each layer's input into float32, which autocast turns back at once: 4 % of a step."""
    from peft.tuners.lora.layer import LoraLayer

    if bf16_here():
        for module in model.modules():
            if isinstance(module, LoraLayer):
                module.cast_input_dtype_enabled = False
    return model


def _trainer(plan: Plan, model: Any, clock: Clock) -> tuple[Tuner, Bookkeeper]:
    """Return the Trainer with its record keeper."""
    from pipeline.trainers.tuner import Bookkeeper, Tuner

    job, words = plan.job, plan.tokenizer
    firsts = [words(text, add_special_tokens=False)["input_ids"][0] for text in plan.said]
    tuner = Tuner(
        causal=plan.causal, said=firsts, clock=clock, pad=words.pad_token_id, model=model, args=_arguments(plan, packs=plan.causal and can_pack(model.config)),
        train_dataset=plan.train,
    )  # fmt: skip
    columns = results.columns(classification.names(len(job.classes), job.betas) if job.classes else ())
    sample = random.Random(job.terms.seed).sample(plan.validation, min(_SAMPLE, len(plan.validation)))
    classify = functools.partial(classification.measures, betas=job.betas) if job.classes else None
    keeper = Bookkeeper(plan.work / "results.csv", columns, sample, plan.validation, classify, lambda _n, **_: None)
    keeper.trainer = tuner
    tuner.add_callback(keeper)
    return tuner, keeper


def _arguments(plan: Plan, *, packs: bool) -> Any:
    """Return the Trainer's arguments."""
    from transformers import TrainingArguments

    job, gpu = plan.job, device_here() == "cuda"
    micro = _micro(plan.batch, MICRO_GPU if gpu else MICRO_PACKED if packs else MICRO_CPU[plan.base.kind])
    return TrainingArguments(
        output_dir=str(plan.work), per_device_train_batch_size=micro, gradient_accumulation_steps=plan.batch // micro,
        per_device_eval_batch_size=2 * micro, num_train_epochs=job.terms.n_epochs,
        learning_rate=terms.learning_rate(plan.base.kind, plan.factor), weight_decay=0.0 if plan.causal else 0.01, max_grad_norm=1.0,
        bf16=bf16_here(), use_cpu=not gpu, seed=job.terms.seed, data_seed=job.terms.seed, eval_strategy="no",
        eval_steps=max(1, plan.steps // _VALIDATIONS), save_strategy="steps", save_steps=max(1, plan.steps // _CHECKPOINTS), save_total_limit=2,
        logging_strategy="no", report_to=[] if job.track == "none" else [job.track], run_name=plan.named.name, disable_tqdm=True,
        project=PROJECT, trackio_space_id=None, remove_unused_columns=False, dataloader_pin_memory=gpu, label_names=["labels"],
    )  # fmt: skip


def _micro(batch: int, most: int) -> int:
    """Return the largest number of rows at once that divides a batch."""
    return next(size for size in range(min(batch, most), 0, -1) if batch % size == 0)


def _judged(plan: Plan, trainer: Tuner, keeper: Bookkeeper) -> dict[str, Any]:
    """Return metrics.json's beginning: the last training losses, and the whole of validation."""
    last = [line["training_loss"] or 0.0 for line in keeper.lines[-10:]]
    metrics: dict[str, Any] = {"training_loss": round(sum(last) / max(1, len(last)), 6)}
    if not plan.validation:
        return metrics
    tally, probabilities = trainer.judge(plan.validation)
    metrics |= {name: round(value, 6) for name, value in tally.averages("validation").items()} | {"n_validation": len(plan.validation)}
    truth = [row.label for row in plan.validation]
    if plan.job.classes:
        metrics["classification"] = classification.measures(truth, probabilities, betas=plan.job.betas)
    if plan.job.target == rows.DISCRIMINATOR:
        metrics["threshold"] = _threshold(truth, probabilities)
    return metrics


def _threshold(truth: Sequence[int], probabilities: np.ndarray[Any, Any]) -> float:
    from pipeline.evaluation.metrics import choose_threshold

    return choose_threshold([label == 1 for label in truth], probabilities[:, 1])


def _save(plan: Plan, trainer: Tuner) -> None:
    """Write the weights; of a QA model on the embedded one also the adapter that llama.cpp loads."""
    model: Any = trainer.model
    model.save_pretrained(plan.work, **({"save_embedding_layers": False} if plan.causal else {}))
    plan.tokenizer.save_pretrained(plan.work)
    for path in plan.work.glob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes for its owner alone
    if plan.job.target in (rows.QA, rows.TASKS) and plan.base.name == EMBEDDED_MODEL:
        from pipeline.trainers.adapter_gguf import write_adapter

        write_adapter(plan.work, plan.base.folder, plan.work / "adapter.gguf")


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
