"""The models that `train` makes of a dataset, of files of one's own, or of both: what was asked for, and what came of it."""

from __future__ import annotations

import functools
import shlex
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import cli, settings
from pipeline.errors import InputError
from pipeline.making.tables import listed, table_of
from pipeline.records import Example

if TYPE_CHECKING:
    from pipeline.cli import Run
    from pipeline.making.measured import Purse
    from pipeline.trainers.finetune import Tuned
    from pipeline.trainers.runs import Wish


@dataclass(frozen=True, slots=True)
class Asked:
    """The flags of the training half."""

    target: str
    seed: int
    model: str | None
    begin: str | None
    suffix: str | None
    n_epochs: int
    batch_size: int | None
    learning_rate_multiplier: float | None
    max_minutes: float | None
    file: Path | None
    validation_file: Path | None
    n_classes: int | None
    positive_class: str | None
    beta: str
    track: str


def check_flags(trainer: str, wish: Asked) -> None:
    """Check that the flags go together, before anything is done.

    Raises InputError naming the one that does not.
    """
    from pipeline.trainers.terms import LONGEST_AT_SERVICES, LONGEST_SUFFIX, checked_suffix

    checked_suffix(wish.suffix, LONGEST_AT_SERVICES if trainer == "openai" else LONGEST_SUFFIX)
    if trainer == "openai":
        _check_for_service(wish)
    classifying = wish.target == "classifier"
    if trainer == "none" and (classifying or fine_tuned(wish)):
        raise InputError("--trainer none trains nothing", f"--target {wish.target}", "leave one of the two out")
    if classifying and wish.file is None:
        raise InputError("a classifier needs its rows", "--file is missing", "name JSON lines of {prompt, completion}")
    if not classifying and (wish.n_classes or wish.positive_class):
        raise InputError("classes are for a classifier", f"--target {wish.target}", "add --target classifier")
    if wish.model and wish.begin:
        raise InputError("--model and --from exclude each other", f"{wish.model} and {wish.begin}", "a fine-tune goes on with its own base")
    tuning = bool(fine_tuned(wish)) or (classifying and bool(wish.model or wish.begin))
    idle: dict[str, object] = {
        "--max-minutes": wish.max_minutes,
        "--batch-size": wish.batch_size,
        "--learning-rate-multiplier": wish.learning_rate_multiplier,
    }
    idle |= {} if classifying else {"--suffix": wish.suffix}
    useless = next((flag for flag, value in idle.items() if value is not None and not tuning), "")
    if useless:
        raise InputError(f"{useless} is for a fine-tune", f"--target {wish.target} without --model", "add --model NAME, a folder or 'embedded'")
    if wish.target == "both" and wish.begin:
        raise InputError("--from is for one target", "--target both", "train one after the other")


def _check_for_service(wish: Asked) -> None:
    """Check what a service is asked for; nobody's money is spent unasked."""
    if not (wish.model or wish.begin):
        do = "name one that the service can fine-tune, as in --model gpt-4.1-mini-2025-04-14"
        raise InputError("which model?", "--trainer openai without --model or --from", do)
    if wish.max_minutes is not None:
        raise InputError("--max-minutes is for a training here", f"{wish.max_minutes:g}", "leave it out: --cancel ends a job at a service")
    if wish.track == "trackio":
        raise InputError("a service does not know trackio", "--track trackio", "take --track wandb, or leave it out")


def fine_tuned(wish: Asked) -> tuple[str, ...]:
    """Return what is to be fine-tuned; nothing where the light discriminator was asked for."""
    named = bool(wish.model or wish.begin)
    return {"discriminator": ("discriminator",) * named, "qa": ("qa",), "both": ("discriminator",) * named + ("qa",)}.get(wish.target, ())


def hashes(wish: Asked) -> dict[str, str]:
    """Return the hashes of the files of one's own.

    Raises InputError if one cannot be read.
    """
    from pipeline.store import sha256_of

    named = {"file": wish.file, "validation_file": wish.validation_file}
    try:
        return {name: sha256_of(path) for name, path in named.items() if path}
    except OSError as error:
        raise InputError("a file cannot be read", f"{error.filename}: {error.strerror}", "check --file and --validation-file") from error


def with_files_of(examples: list[Example], wish: Asked) -> list[Example]:
    """Return examples with the rows of the files of one's own (`trainers.runs.with_files`)."""
    from pipeline.trainers.runs import with_files

    return with_files(examples, wish.file, wish.validation_file)


def light_on_files(run: Run, wish: Asked) -> cli.Outcome:
    """Train the light discriminator where the run folder has no questions, on files alone."""
    from pipeline.trainers import light

    made_of = {"settings": {"seed": wish.seed}, "inputs": hashes(wish)}
    examples = with_files_of([], wish)
    metrics = light.train(examples, run.folder.discriminator, wish.seed, made_of, functools.partial(run.progress, what="embedding", unit="text"))
    counts = {"examples": len(examples), "validation": metrics["validation"]["discriminator"]}
    n = sum(e.split == "train" for e in examples)
    lines = [
        f"train: {n} examples to train on, {len(examples) - n} to validate, of {wish.file}",
        *table_of(metrics, run.folder.discriminator, "validation"),
    ]
    return cli.Outcome(counts, run.folder.discriminator, (), tuple(lines), run.folder.command("ask", '"…"', "--context", "FILE"))


def fine_tune_all(run: Run, targets: tuple[str, ...], wish: Asked, made: cli.Outcome | None) -> cli.Outcome:
    """Fine-tune for each target in turn, on the run's examples and the files."""
    from pipeline.store import read_rows
    from pipeline.trainers.runs import counted, fine_tune

    examples = with_files_of(read_rows(run.folder.examples, Example) if made else [], wish)
    lines, counts = list(made.lines) if made else [], dict(made.counts) if made else {}
    made_of = {"inputs": {**hashes(wish), **_examples_hash(run, made)}, "rows": counted(examples)}
    folder = run.folder.models
    for target in targets:
        watch = functools.partial(run.progress, what=f"fine-tuning: {target}", unit="step")
        tuned = fine_tune(target, examples, _wish(run, wish), made_of, run.folder.models, datetime.now(), watch, run.say, force=run.force)  # noqa: DTZ005 (names are in local time)
        folder, counts[target] = tuned.folder, {"model": tuned.name, **_figures(tuned)}
        lines += _told(target, tuned)
    return cli.Outcome(counts, folder, (), tuple(lines), then_of(run, targets[-1], folder, wish))


def then_of(run: Run, target: str, folder: Path, wish: Asked) -> str:
    """Return the command that comes next: `evaluate` and `ask` need a discriminator beside a QA model."""
    if target == "qa" and not run.folder.discriminator.is_dir():
        return run.folder.command("train", "--target", "discriminator", "--file", shlex.quote(str(wish.file)))
    return run.folder.command("evaluate", f"--{target}", shlex.quote(folder.name))


def _examples_hash(run: Run, made: cli.Outcome | None) -> dict[str, str]:
    from pipeline.store import sha256_of

    return {"examples": sha256_of(run.folder.examples)} if made else {}


def _wish(run: Run, wish: Asked) -> Wish:
    from pipeline.trainers.runs import Wish
    from pipeline.trainers.training import Terms

    terms = Terms(wish.n_epochs, wish.batch_size, wish.learning_rate_multiplier, wish.max_minutes, wish.seed)
    begin = run.folder.model(wish.begin) if wish.begin else None
    return Wish(wish.model or settings.EMBEDDED_MODEL, begin, terms, wish.suffix, wish.track)


def _figures(tuned: Tuned) -> dict[str, Any]:
    """Return a training's figures for `--json`."""
    seconds = tuned.settings["seconds"]["training"]
    return {"steps": tuned.settings["steps"], "seconds": seconds, "peak_memory_mb": tuned.settings["peak_memory_mb"], **tuned.metrics}


def _told(target: str, tuned: Tuned) -> list[str]:
    if tuned.already:
        return [f"{target}: nothing to do, {tuned.name} was trained on this with these settings (--force does it anew) → {tuned.folder}"]
    s, m = tuned.settings, tuned.metrics
    seconds, steps = s["seconds"]["training"], s["steps"]
    lines = [
        f"{target}: {tuned.name}, {s['rows']['train']} rows, {steps} of {s['of_steps']} steps in {seconds:.0f} s ({seconds / max(1, steps):.2f} s each), {s['peak_memory_mb']} MB → {tuned.folder}"
    ]
    if s["stopped_by_clock"]:
        lines.append("  stopped by --max-minutes: the model is whole, and --from goes on from it")
    lines.append(
        "  "
        + ", ".join(
            [f"training loss {m['training_loss']:.3f}", *(f"{name.replace('_', ' ')} {m[name]:.3f}" for name in m if name.startswith("validation_"))]
        )
    )
    if "classification" in m:
        lines.append("  on validation: " + listed(m["classification"]))
    split = "test" if m.get("test", {}).get("discriminator") else "validation"
    return [*lines, *(table_of(m, tuned.folder, split) if "test" in m else [])]


def classifier(run: Run, wish: Asked, purse: Purse | None = None) -> cli.Outcome:
    """Look a classification file through, train on it (at a service, if there is a purse), and say how well it went."""
    from pipeline.trainers import classify
    from pipeline.trainers.terms import model_name

    if wish.file is None:
        raise InputError("a classifier needs its rows", "--file is missing", "name JSON lines of {prompt, completion}")
    prepared, betas = classify.prepare(wish.file, wish.validation_file, wish.n_classes, wish.positive_class), classify.betas_of(wish.beta)
    lines = [f"{wish.file}: {finding}" for finding in prepared.explored.findings]
    how = "a fifth of the file, set aside" if prepared.set_aside else str(wish.validation_file)
    lines.append(f"validation: {len(prepared.validation)} rows ({how}); training: {len(prepared.train)}")
    if len(prepared.classes) == 2:  # noqa: PLR2004
        lines.append(f"precision and recall are of {prepared.classes[1]!r}")
    counts: dict[str, Any] = {"rows": len(prepared.train), "validation": len(prepared.validation), "classes": list(prepared.classes)}
    if purse is not None:
        from pipeline.making.jobs import classifier_elsewhere

        return classifier_elsewhere(run, wish, purse, prepared, betas, lines, counts)
    made_of, now = {"inputs": hashes(wish)}, datetime.now()  # noqa: DTZ005 (names are in local time)
    if wish.model or wish.begin:
        watch = functools.partial(run.progress, what="fine-tuning: classifier", unit="step")
        tuned = classify.fine_tune(prepared, _wish(run, wish), betas, made_of, run.folder.models, now, watch, run.say, force=run.force)
        folder, counts["classifier"] = tuned.folder, {"model": tuned.name, **_figures(tuned)}
        lines += _told("classifier", tuned)
    else:
        folder = run.folder.models / model_name("light", wish.suffix or "classifier", now)
        watch = functools.partial(run.progress, what="embedding", unit="text")
        metrics = classify.train_light(prepared, folder, folder.name, betas, wish.seed, made_of, watch)
        counts["classifier"] = {"model": folder.name, **metrics}
        lines += [f"classifier: {folder.name} → {folder}", "  on validation: " + listed(metrics["classification"])]
    then = run.folder.command("ask", "--classifier", shlex.quote(folder.name), '"…"')
    return cli.Outcome(counts, folder, (), tuple(lines), then)
