"""Trains a classifier on prompts and completions: the light one in seconds, or a fine-tuned encoder or causal model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.dataset.classification import Classified, Explored, explore, ordered_classes, parse
from pipeline.errors import InputError
from pipeline.evaluation import classification
from pipeline.records import stable_id
from pipeline.store import storage_error, write_json, write_text
from pipeline.trainers import light_classifier, results, rows, terms
from pipeline.trainers.seen import write_seen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.trainers.finetune import Tuned
    from pipeline.trainers.light import Watch
    from pipeline.trainers.runs import Wish

_FIFTH = 5


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows to train on and to validate on, and what a person should know of the file."""

    train: tuple[Classified, ...]
    validation: tuple[Classified, ...]
    classes: tuple[str, ...]
    explored: Explored
    set_aside: bool
    """whether validation is a fifth of the file"""


def prepare(file: Path, validation_file: Path | None, n_classes: int | None, positive: str | None) -> Prepared:
    """Read and look through the files; without a validation file a fifth of each class is set aside, drawn by the texts' hashes.

    Raises InputError if a file is not understood, its classes are not those asked for, or a validation row is trained on.
    """
    explored = explore(_read(file))
    classes = ordered_classes([row.label for row in explored.rows], n_classes, positive, str(file))
    if validation_file is None:
        train, validation = _split(explored.rows, classes)
        return Prepared(train, validation, classes, explored, set_aside=True)
    validation = tuple(Classified(row.text.removesuffix(explored.ending), row.label) for row in _read(validation_file))
    strange = sorted({row.label for row in validation} - set(classes))
    if strange:
        raise InputError("the validation file has a class that the training file lacks", f"{validation_file}: {strange[0]!r}", "mend one of them")
    terms.check_no_overlap(map(_key, explored.rows), map(_key, validation), str(validation_file))
    return Prepared(explored.rows, validation, classes, explored, set_aside=False)


def _read(path: Path) -> list[Classified]:
    try:
        return parse(path.read_text("utf-8-sig").split("\n"), str(path))
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8 text", path, "save it as UTF-8") from error
    except OSError as error:
        raise InputError("the file cannot be read", f"{path}: {error.strerror}", "check the path") from error


def _key(row: Classified) -> tuple[str, str]:
    return rows.key_of(row_of(row))


def row_of(row: Classified) -> rows.Row:
    """Return a text and its class as a row to learn."""
    return rows.Row(stable_id("row", row.text, row.label), row.text, "", row.label, row.label, row.label)


def _split(found: Sequence[Classified], classes: Sequence[str]) -> tuple[tuple[Classified, ...], tuple[Classified, ...]]:
    aside: set[Classified] = set()
    for name in classes:
        own = sorted((row for row in found if row.label == name), key=lambda r: hashlib.sha256(r.text.encode("utf-8", "surrogatepass")).digest())
        aside |= set(own[: len(own) // _FIFTH])
    return tuple(r for r in found if r not in aside), tuple(r for r in found if r in aside)


def train_light(
    prepared: Prepared, folder: Path, name: str, betas: tuple[float, ...], seed: int, made_of: dict[str, Any], watch: Watch
) -> dict[str, Any]:
    """Fit the light classifier, measure it on validation, write its folder; return the metrics."""
    from pipeline.retrieval.minilm import MiniLM

    encoder = MiniLM()
    with watch(len(prepared.train) + len(prepared.validation)) as bar:
        train, validation = (
            light_classifier.vectors([r.text for r in part], encoder, bar.step) for part in (prepared.train, prepared.validation)
        )  # fmt: skip
    model = light_classifier.fit(train, [r.label for r in prepared.train], prepared.classes, prepared.explored.ending, seed)
    truth = [prepared.classes.index(r.label) for r in prepared.validation]
    metrics = {"n_validation": len(truth), "classification": classification.measures(truth, model.of_vectors(validation), betas=betas)}
    settings = {
        "name": name, "target": rows.CLASSIFIER, "method": "light", "classes": prepared.classes, "prompt_ending": prepared.explored.ending,
        "threshold": classification.THRESHOLD, "betas": betas, "rows": {"train": len(prepared.train), "validation": len(truth)}, **made_of,
    }  # fmt: skip
    columns = results.columns(classification.names(len(prepared.classes), betas))
    line: dict[str, float | None] = {"step": 1, "elapsed_examples": len(prepared.train)}
    line |= {f"classification/{key}": value for key, value in metrics["classification"].items()}  # type: ignore[attr-defined]
    try:
        model.save(folder)
        write_json(folder / "metrics.json", metrics)
        write_text(folder / "results.csv", results.table(columns, [line]))
        write_json(folder / "settings.json", settings)
        write_seen(folder, map(row_of, prepared.train), map(row_of, prepared.validation))
    except OSError as error:
        raise storage_error(error, folder) from error
    return metrics


def fine_tune(
    prepared: Prepared,
    wish: Wish,
    betas: tuple[float, ...],
    made_of: dict[str, Any],
    models: Path,
    now: datetime,
    watch: Watch,
    say: Callable[[str], None],
    *,
    force: bool,
) -> Tuned:
    """Fine-tune an encoder or a causal model on the prepared rows; return what `finetune.tune` returns."""
    from pipeline.trainers.finetune import tune
    from pipeline.trainers.training import Job

    job = Job(
        rows.CLASSIFIER, wish.model, wish.begin, prepared.classes, [row_of(r) for r in prepared.train], [row_of(r) for r in prepared.validation],
        wish.terms, wish.suffix or rows.CLASSIFIER, betas, wish.track, made_of, {"prompt_ending": prepared.explored.ending},
    )  # fmt: skip
    return tune(job, models, now, watch, say, force=force)


def betas_of(text: str) -> tuple[float, ...]:
    """Read `--beta B,...`.

    Raises InputError naming the part that is no number above 0.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            value = float(part)
        except ValueError:
            value = 0.0
        if not 0 < value < 1000:  # noqa: PLR2004
            raise InputError("--beta is not understood", part, "write numbers above 0, as in 0.5,1,2")
        found.append(value)
    return tuple(dict.fromkeys(found)) or (1.0,)
