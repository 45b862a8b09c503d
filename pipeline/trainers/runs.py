"""From examples of a run, and files of one's own, to a fine-tuned discriminator or QA model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.dataset.given import read_dataset
from pipeline.errors import InputError
from pipeline.records import SPLITS, Example
from pipeline.trainers import rows, terms
from pipeline.trainers.finetune import Tuned, tune
from pipeline.trainers.training import Job, Terms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.trainers.light import Watch
    from pipeline.trainers.saved import Scorer

_TENTH = 10


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for, beside the rows."""

    model: str
    begin: Path | None
    terms: Terms
    suffix: str | None
    track: str
    file: Path | None = None
    validation_file: Path | None = None


def with_files(examples: Sequence[Example], file: Path | None, validation_file: Path | None) -> list[Example]:
    """Return the examples of a run (or none) with the rows of files of one's own.

    `file` adds to the train split; `validation_file` takes the place of the validation split. Where there is no validation at all, a
    tenth of the file is set aside, all questions on a context together.

    Raises InputError if a file is not understood, or a validation row is among the training rows.
    """
    added = rows.examples_of(read_dataset(file), "train") if file else []
    train = [e for e in examples if e.split == "train"] + added
    if validation_file:
        validation = rows.examples_of(read_dataset(validation_file), "validation")
    else:
        validation = [e for e in examples if e.split == "validation"]
        if not validation and not examples:
            train, validation = _set_aside(added)
    by_id = {e.example_id: e for e in train}  # equal rows once
    terms.check_no_overlap(map(_key, by_id.values()), map(_key, validation), str(validation_file or file or "the run's splits"))
    return [*by_id.values(), *validation, *(e for e in examples if e.split == "test")]


def _key(example: Example) -> tuple[str, str]:
    return rows.key_of(rows.of_example(example))


def _set_aside(given: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    import dataclasses
    import hashlib

    def is_aside(e: Example) -> bool:
        return int.from_bytes(hashlib.sha256(e.context.encode("utf-8", "surrogatepass")).digest()[:4]) % _TENTH == 0

    aside = [dataclasses.replace(e, split="validation") for e in given if is_aside(e)]
    return [e for e in given if not is_aside(e)], aside


def fine_tune(
    target: str,
    examples: Sequence[Example],
    wish: Wish,
    made_of: dict[str, Any],
    models: Path,
    now: datetime,
    watch: Watch,
    say: Callable[[str], None],
    *,
    force: bool,
) -> Tuned:
    """Train a discriminator or a QA model on the train split; measure a discriminator by kind on validation and test.

    Raises InputError if there is nothing to train on, and what `finetune.tune` raises.
    """
    parts = {split: [rows.of_example(e) for e in examples if e.split == split] for split in SPLITS}
    if target == rows.DISCRIMINATOR and len({r.label for r in parts["train"]}) < 2:  # noqa: PLR2004
        raise InputError("the training rows have one class alone", f"{len(parts['train'])} rows", "add questions, or ask for negatives")
    classes = ("no", "yes") if target == rows.DISCRIMINATOR else ()
    job = Job(
        target,
        wish.model,
        wish.begin,
        classes,
        parts["train"],
        parts["validation"],
        wish.terms,
        wish.suffix or target,
        track=wish.track,
        made_of=made_of,
    )

    from pipeline.trainers.saved import load_scorer

    def measure(folder: Path) -> dict[str, Any]:
        return measured_by_kind(load_scorer(folder), examples) if target == rows.DISCRIMINATOR else {}

    return tune(job, models, now, watch, say, measure, force=force)


def measured_by_kind(scorer: Scorer, examples: Sequence[Example]) -> dict[str, Any]:
    """Return metrics of a fine-tuned discriminator on validation and test, in the form of the light one's, the IDF overlap beside."""
    import numpy as np

    from pipeline.evaluation.metrics import choose_threshold
    from pipeline.text.lexical import Idf, content_words
    from pipeline.trainers.discriminator import Pair
    from pipeline.trainers.light import measure_splits

    parts = {split: [e for e in examples if e.split == split] for split in SPLITS}
    idf = Idf.of(sorted({e.context for e in parts["train"]}))
    scores: dict[str, dict[str, Any]] = {"discriminator": {}, "idf_overlap": {}}
    for split in ("validation", "test"):
        scores["discriminator"][split] = scorer.probabilities([Pair(e.question, e.context) for e in parts[split]])
        scores["idf_overlap"][split] = np.asarray([idf.overlap(content_words(e.question), content_words(e.context)) for e in parts[split]])
    truth = [e.answerable for e in parts["validation"]]
    thresholds = {"discriminator": scorer.threshold, "idf_overlap": choose_threshold(truth, scores["idf_overlap"]["validation"])}
    judge = "validation" if len(set(truth)) == 2 else "none: 0.5"  # noqa: PLR2004
    return measure_splits(parts, scores, thresholds, judge)


def counted(examples: Sequence[Example]) -> dict[str, dict[str, int]]:
    """Return how many rows of each kind each split has."""
    return {split: dict(sorted(Counter(e.kind for e in examples if e.split == split).items())) for split in SPLITS}
