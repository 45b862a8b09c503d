"""python -m pipeline.train [--trainer local|none] [--negatives KIND=N,...] [--verify rules|none] [--seed N] [--data DIR]

Questions and answers → positives and adversarial negatives ("no sufficient context"), split by page → training
files → a discriminator trained here, measured by kind of negative beside a baseline that needs no model.

Examples
  python -m pipeline.train
      the measured mix of negatives, the light discriminator in seconds
  python -m pipeline.train --negatives random=1,similar=3 --trainer none
      other negatives, files alone

Kinds of negatives (a negative's context comes from a page of the same split)
  random            a section of another page
  same_page         another section of the page that answers
  similar           what BM25 and MiniLM find for the question on other pages
  altered_question  the true context; a year, number, name or place of the question exchanged for another
  evidence_removed  the true context without the sentences that carry the answer

Writes, in the run folder
  examples.parquet, dropped_examples.parquet          with how each label was verified, and what was dropped why
  train/{qa,discriminator}.{train,validation,test}.jsonl   chat format
  train/completion/...                                prompt and completion, as in the notebooks
  train/squad/{train,validation,test}.json            SQuAD 2.0; aligned.jsonl: answers that are not verbatim, and those left out
  train/hf/                                           a folder for datasets.load_dataset, with its dataset card
  train/statistics.md, .json                          counts, lengths, word counting, what was verified and dropped, leaks
  models/discriminator/                               model.json, metrics.json, results.csv, settings.json
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import shlex
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import cli, settings
from pipeline.errors import InputError
from pipeline.records import KINDS, QA, SPLITS, DroppedExample, Example, Page, Section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.cli import Run
    from pipeline.dataset.formats.squad import Span
    from pipeline.negatives.make import Made
    from pipeline.retrieval.minilm import MiniLM
    from pipeline.trainers.finetune import Tuned
    from pipeline.trainers.runs import Wish

_AMOUNT = re.compile(r"\d{1,3}(?:\.\d{1,3})?", re.ASCII)
NEGATIVE_KINDS = tuple(kind for kind in KINDS if kind != "positive")
NOTICES = 3  # of a file; one sentence shows what is meant, a thousand hide it


@cli.stage("train")
@settings.trainer
@settings.target
@settings.base_model
@settings.begin
@settings.suffix
@settings.n_epochs
@settings.batch_size
@settings.learning_rate_multiplier
@settings.max_minutes
@settings.train_file
@settings.validation_file
@settings.n_classes
@settings.positive_class
@settings.beta
@settings.track
@settings.negatives
@settings.verify
@settings.seed
def main(run: Run, trainer: str, target: str, negatives: str, verify: str, seed: int, **asked: Any) -> cli.Outcome:
    """Questions and answers → adversarial examples → training files → models, measured."""
    wish = Asked(target=target, seed=seed, **asked)
    check_flags(trainer, wish)
    if target == "classifier":
        return _classifier(run, wish)
    targets = fine_tuned(wish)
    has_questions = run.folder.qa.is_file() or not wish.file
    made = dataset_and_light(dataclasses.replace(run, force=run.force and not targets), trainer, negatives, verify, wish) if has_questions else None
    if not targets:
        return made or _light_on_files(run, wish)
    return _fine_tuned(run, targets, wish, made)


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
    from pipeline.trainers.terms import checked_suffix

    checked_suffix(wish.suffix)
    classifying = wish.target == "classifier"
    if trainer == "none" and (classifying or fine_tuned(wish)):
        raise InputError("--trainer none trains nothing", f"--target {wish.target}", "leave one of the two out")
    if classifying and wish.file is None:
        raise InputError("a classifier needs its rows", "--file is missing", "name JSON lines of {prompt, completion}")
    if not classifying and (wish.n_classes or wish.positive_class):
        raise InputError("classes are for a classifier", f"--target {wish.target}", "add --target classifier")
    if wish.model and wish.begin:
        raise InputError("--model and --from exclude each other", f"{wish.model} and {wish.begin}", "a fine-tune goes on with its own base")
    if wish.target == "both" and wish.begin:
        raise InputError("--from is for one target", "--target both", "train one after the other")


def fine_tuned(wish: Asked) -> tuple[str, ...]:
    """Return what is to be fine-tuned; nothing where the light discriminator was asked for."""
    named = bool(wish.model or wish.begin)
    return {"discriminator": ("discriminator",) * named, "qa": ("qa",), "both": ("discriminator",) * named + ("qa",)}.get(wish.target, ())


def dataset_and_light(run: Run, trainer: str, negatives: str, verify: str, wish: Asked) -> cli.Outcome:
    """Make examples, files and the light discriminator, unless they are there already."""
    from pipeline.dataset.formats.squad import span_of
    from pipeline.sources.given import read_qa, read_sections
    from pipeline.store import sha256_of, write_rows

    wanted, seed = parse_negatives(negatives), wish.seed
    added = {} if fine_tuned(wish) else _hashes(wish)
    run.require("create_qa")
    inputs = {"sections": sha256_of(run.folder.sections), "qa": sha256_of(run.folder.qa), **added}
    chosen = {"trainer": trainer, "negatives": wanted, "verify": verify, "seed": seed}
    entry = run.is_current(inputs, chosen)
    if entry:
        return _outcome(run, entry["counts"], ["train: nothing to do, examples and models are there already (--force does it anew)"], trainer)
    sections = read_sections(run.folder.sections)
    rows = read_qa(run.folder.qa)
    made = _examples(run, rows, sections, wanted, verify, trainer, seed)
    if not made.examples:
        raise InputError("no row of qa.parquet belongs to a section of this run", run.folder.qa, "run create_qa again")
    run.folder.unfinish("train", "report")
    write_rows(run.folder.examples, Example, made.examples)
    write_rows(run.folder.dropped_examples, DroppedExample, made.dropped)
    by_id = {section.section_id: section for section in sections}
    spans = {e.example_id: span_of(e) for e in made.examples}
    files, notices = write_training_files(run.folder.training, made.examples, by_id, spans)
    counts = _counts(made)
    lines = [f"train: {_sentence(counts)} → {run.folder.examples}", *notices]
    metrics: dict[str, Any] = {}
    if trainer == "local":
        from pipeline.trainers import light

        metrics = light.train(
            _with_files(made.examples, wish) if added else made.examples,
            run.folder.discriminator,
            seed,
            {"settings": chosen, "inputs": inputs},
            functools.partial(run.progress, what="embedding", unit="text"),
        )
        counts["discriminator"] = metrics["test"]["discriminator"]
        lines += _table(metrics, run.folder.discriminator)
    described, leaks = write_descriptions(run, made, by_id, {row.qa_id: row.section_id for row in rows}, spans, metrics)
    files, lines = [*files, *described], [*lines, *leaks, f"statistics → {run.folder.training / 'statistics.md'}"]
    outcome = _outcome(run, counts, lines, trainer, files)
    cli.finish(run, outcome, inputs, chosen, {})
    return outcome


def _hashes(wish: Asked) -> dict[str, str]:
    from pipeline.store import sha256_of

    named = {"file": wish.file, "validation_file": wish.validation_file}
    try:
        return {name: sha256_of(path) for name, path in named.items() if path}
    except OSError as error:
        raise InputError("a file cannot be read", f"{error.filename}: {error.strerror}", "check --file and --validation-file") from error


def _with_files(examples: list[Example], wish: Asked) -> list[Example]:
    from pipeline.trainers.runs import with_files

    return with_files(examples, wish.file, wish.validation_file)


def _light_on_files(run: Run, wish: Asked) -> cli.Outcome:
    """Train the light discriminator where the run folder has no questions, on files alone."""
    from pipeline.trainers import light

    made_of = {"settings": {"seed": wish.seed}, "inputs": _hashes(wish)}
    examples = _with_files([], wish)
    metrics = light.train(examples, run.folder.discriminator, wish.seed, made_of, functools.partial(run.progress, what="embedding", unit="text"))
    counts = {"examples": len(examples), "validation": metrics["validation"]["discriminator"]}
    lines = [f"train: {len(examples)} examples of {wish.file}", *_table(metrics, run.folder.discriminator, "validation")]
    return cli.Outcome(counts, run.folder.discriminator, (), tuple(lines), f'python -m pipeline.ask "…" --context FILE {run.folder.flag}')


def _fine_tuned(run: Run, targets: tuple[str, ...], wish: Asked, made: cli.Outcome | None) -> cli.Outcome:
    """Fine-tune for each target in turn, on the run's examples and the files."""
    from pipeline.store import read_rows
    from pipeline.trainers.runs import counted, fine_tune

    examples = _with_files(read_rows(run.folder.examples, Example) if made else [], wish)
    lines, counts = list(made.lines) if made else [], dict(made.counts) if made else {}
    made_of = {"inputs": {**_hashes(wish), **_examples_hash(run, made)}, "rows": counted(examples)}
    folder = run.folder.models
    for target in targets:
        watch = functools.partial(run.progress, what=f"fine-tuning: {target}", unit="step")
        tuned = fine_tune(target, examples, _wish(run, wish), made_of, run.folder.models, datetime.now(), watch, force=run.force)  # noqa: DTZ005 (names are in local time)
        folder, counts[target] = tuned.folder, {"model": tuned.name, **_figures(tuned)}
        lines += _told(target, tuned)
    name = shlex.quote(folder.name)
    return cli.Outcome(counts, folder, (), tuple(lines), f"python -m pipeline.evaluate --{targets[-1]} {name} {run.folder.flag}")


def _examples_hash(run: Run, made: cli.Outcome | None) -> dict[str, str]:
    from pipeline.store import sha256_of

    return {"examples": sha256_of(run.folder.examples)} if made else {}


def _wish(run: Run, wish: Asked) -> Wish:
    from pipeline.trainers.finetune import Terms
    from pipeline.trainers.runs import Wish

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
        lines.append("  on validation: " + _listed(m["classification"]))
    return [*lines, *map("  ".__add__, tuned.notes), *(_table(m, tuned.folder) if "test" in m else [])]


def _listed(measures: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_figure(value)}" for name, value in measures.items())


def _classifier(run: Run, wish: Asked) -> cli.Outcome:
    """Look a classification file through, train on it, and say how well it went."""
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
    made_of, now = {"inputs": _hashes(wish)}, datetime.now()  # noqa: DTZ005 (names are in local time)
    if wish.model or wish.begin:
        watch = functools.partial(run.progress, what="fine-tuning: classifier", unit="step")
        tuned = classify.fine_tune(prepared, _wish(run, wish), betas, made_of, run.folder.models, now, watch, force=run.force)
        folder, counts["classifier"] = tuned.folder, {"model": tuned.name, **_figures(tuned)}
        lines += _told("classifier", tuned)
    else:
        folder = run.folder.models / model_name("light", wish.suffix or "classifier", now)
        watch = functools.partial(run.progress, what="embedding", unit="text")
        metrics = classify.train_light(prepared, folder, folder.name, betas, wish.seed, made_of, watch)
        counts["classifier"] = {"model": folder.name, **metrics}
        lines += [f"classifier: {folder.name} → {folder}", "  on validation: " + _listed(metrics["classification"])]
    then = f'python -m pipeline.ask --classifier {shlex.quote(folder.name)} "…" {run.folder.flag}'
    return cli.Outcome(counts, folder, (), tuple(lines), then)


def parse_negatives(text: str) -> dict[str, float]:
    """Read `KIND=N,...`; 0.5 is one for every other question.

    Raises InputError naming the part that is no such thing.
    """
    wanted: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        kind, _, number = part.partition("=")
        if kind not in NEGATIVE_KINDS or not _AMOUNT.fullmatch(number) or float(number) > 100:  # noqa: PLR2004
            raise InputError("--negatives is not understood", part, f"write KIND=N with a kind of {', '.join(NEGATIVE_KINDS)}")
        wanted[kind] = float(number)
    return {kind: wanted[kind] for kind in NEGATIVE_KINDS if kind in wanted}


def _examples(run: Run, rows: list[QA], sections: list[Section], wanted: Mapping[str, float], verify: str, trainer: str, seed: int) -> Made:
    from pipeline.negatives.make import make_examples

    encoder = _encoder(run, trainer)
    with run.progress(len(rows), "examples", "question") as bar:
        return make_examples(rows, sections, wanted, verify == "rules", encoder.sentence_vectors if encoder else None, seed, bar.step)


def _encoder(run: Run, trainer: str) -> MiniLM | None:
    """Return the encoder; without the extra, files can still be made, by rules and BM25 alone."""
    from pipeline.errors import ExtraMissing
    from pipeline.retrieval.minilm import MiniLM

    try:
        return MiniLM()
    except ExtraMissing:
        if trainer == "local":
            raise
        run.say("train: without the extra 'train' negatives are verified by rules alone, and similar ones are BM25's alone")
        return None


def write_training_files(
    folder: Path, examples: list[Example], sections: Mapping[str, Section], spans: Mapping[str, Span]
) -> tuple[list[Path], list[str]]:
    """Write the files of each split in every format; return their paths, and what a service will say of too few or too large rows.

    Raises InputError if a row of a chat file is not what services take (an answer is empty, say).
    """
    from pipeline.dataset.formats import chat, completion, hf, squad
    from pipeline.store import write_jsonl, write_rows, write_text

    titles = {section_id: section.title for section_id, section in sections.items()}
    written, notices = [], []
    for split in SPLITS:
        rows = [example for example in examples if example.split == split]
        for target, as_chat, as_completion in (("qa", chat.qa, completion.qa), ("discriminator", chat.discriminator, completion.discriminator)):
            name = f"{target}.{split}.jsonl"
            write_jsonl(folder / name, map(as_chat, rows))
            write_jsonl(folder / "completion" / name, map(as_completion, rows))
            notices += check_chat_file(folder / name, split)
            written += [folder / name, folder / "completion" / name]
        write_text(folder / "squad" / f"{split}.json", json.dumps(squad.document(rows, spans, titles), ensure_ascii=False) + "\n")
        write_rows(
            folder / "hf" / "data" / f"{split}.parquet", hf.HubRow, (hf.row(e, spans[e.example_id], sections.get(e.context_section_id)) for e in rows)
        )
        written += [folder / "squad" / f"{split}.json", folder / "hf" / "data" / f"{split}.parquet"]
    write_jsonl(folder / "squad" / "aligned.jsonl", squad.notes(examples, spans))
    return [*written, folder / "squad" / "aligned.jsonl"], notices


def check_chat_file(path: Path, split: str) -> list[str]:
    """Read a chat file as a service will; return what it will say of its size.

    Raises InputError naming the first row that is not as documented.
    """
    from pipeline.dataset.chat_rules import FEWEST_ROWS, faults
    from pipeline.text.tokens import token_counter

    fewest = {"train": FEWEST_ROWS}.get(split, 0)
    with path.open("rb") as lines:
        found = faults(path.name, lines, token_counter("cl100k_base"), fewest_rows=fewest)
    of_form = [fault for fault in found if not fault.of_amount]
    if of_form:
        more = f" (and {len(of_form) - 1} more)" if len(of_form) > 1 else ""
        raise InputError(of_form[0].what, f"{path}, row {of_form[0].row}{more}", of_form[0].do)
    return [f"notice: {fault}" for fault in found[:NOTICES]]


def write_descriptions(
    run: Run, made: Made, sections: Mapping[str, Section], home: Mapping[str, str], spans: Mapping[str, Span], metrics: Mapping[str, Any]
) -> tuple[list[Path], list[str]]:
    """Write statistics and dataset card; return their paths, and a warning for each leak between splits."""
    from pipeline.dataset import card
    from pipeline.dataset.leaks import leaks
    from pipeline.dataset.statistics import as_json, page, statistics, warnings
    from pipeline.evaluation.overlap import overlap_by_split
    from pipeline.sources.attribution import attribution
    from pipeline.store import read_rows, write_json, write_text

    found = leaks(made.examples, {section_id: section.title for section_id, section in sections.items()}, home)
    figures = statistics(made.examples, made.dropped, spans, found, overlap_by_split(made.examples))
    pages = [page for page in (read_rows(run.folder.pages, Page) if run.folder.pages.is_file() else []) if page.status == "kept"]
    about = card.About(pages, card.languages_of(pages) or _language_of_the_topic(run), metrics)
    folder = run.folder.training
    write_json(folder / "statistics.json", as_json(figures))
    write_text(folder / "statistics.md", page(figures))
    write_text(folder / "hf" / "README.md", card.card(about, figures))
    write_text(folder / "hf" / "ATTRIBUTION.md", attribution(pages))
    return [folder / "statistics.json", folder / "statistics.md", folder / "hf" / "README.md", folder / "hf" / "ATTRIBUTION.md"], warnings(figures)


def _language_of_the_topic(run: Run) -> list[str]:
    """Return the language of the bundled topic if the pages were collected for it; of other topics' files nothing but a hash is known."""
    from pipeline.store import sha256_of

    topic = settings.bundled("topics", "olympics-2020.toml")
    used = run.folder.stages().get("collect", {}).get("inputs", {}).get("topic")
    return [settings.load_topic(topic).language] if used == sha256_of(topic) else []


def _counts(made: Made) -> dict[str, Any]:
    negatives = [e for e in made.examples if e.kind != "positive"]
    unfilled = [d for d in made.dropped if d.reason.startswith("not_available")]
    seconds = sum(e.kind == "positive" and e.verified.startswith("offered as") for e in made.examples)
    return {
        "examples": len(made.examples), "by_kind": dict(sorted(Counter(e.kind for e in made.examples).items())),
        "by_split": dict(sorted(Counter(e.split for e in made.examples).items())),
        "by_source": dict(sorted(Counter(e.source for e in made.examples).items())),
        "negatives_asked_for": sum(made.asked.values()), "negatives": len(negatives), "not_available": len(unfilled),
        "not_available_by_kind": dict(sorted(Counter(d.kind for d in unfilled).items())),
        "asked_by_kind": dict(sorted(made.asked.items())), "candidates_by_kind": dict(sorted(made.offered.items())), "second_positives": seconds,
        "pages_in_components": made.splits.pages_in_components if made.splits else 0,
        "largest_component": made.splits.largest_component if made.splits else 0,
        "dropped_by_reason": dict(sorted(Counter(d.reason for d in made.dropped).items())),
    }  # fmt: skip


def _sentence(counts: Mapping[str, Any]) -> str:
    listed = {name: ", ".join(f"{n} {key}" for key, n in counts[name].items()) for name in ("by_kind", "by_split", "dropped_by_reason")}
    dropped = f"; candidates dropped: {listed['dropped_by_reason']}" if counts["dropped_by_reason"] else ""
    return f"{counts['examples']} examples ({listed['by_kind']}; {listed['by_split']}){dropped}"


def _table(metrics: Mapping[str, Any], folder: Path, split: str = "test") -> list[str]:
    """Return the metrics of a split as lines for a terminal, the baseline beside."""
    base = metrics[split]["idf_overlap"]
    judged = metrics[split]["discriminator"].get("all", {}).get("auroc") is not None
    lines = [f"discriminator on {kind_count(metrics, split)} {split} examples, pages not seen in training → {folder}"]
    lines.append(
        f"  {'negatives':<16}{'n':>5}{'accuracy':>10}{'precision':>11}{'recall':>8}{'F1':>7}{'AUROC':>8}{'AUPRC':>8}   IDF overlap: F1  AUROC"
    )
    for kind, row in metrics[split]["discriminator"].items():
        shown = [row[name] for name in ("accuracy", "precision", "recall", "f1", "auroc", "auprc")]
        cells = "".join(f"{_figure(v):>{w}}" for v, w in zip(shown, (10, 11, 8, 7, 8, 8), strict=True))
        lines.append(f"  {kind:<16}{row['n_negative']:>5}{cells}   {_figure(base[kind]['f1']):>15}{_figure(base[kind]['auroc']):>7}")
    if not judged:
        lines.append(f"  nothing was measured: the {split} split lacks answerable questions or negatives; more pages with questions are needed")
    return lines


def kind_count(metrics: Mapping[str, Any], split: str = "test") -> int:
    """Return how many examples a split has."""
    row = metrics[split]["discriminator"].get("all")
    return int(row["n_positive"] + row["n_negative"]) if row else 0


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _outcome(run: Run, counts: dict[str, Any], lines: list[str], trainer: str, files: list[Path] | None = None) -> cli.Outcome:
    folder = run.folder
    outputs = [folder.examples, folder.dropped_examples, *(files or [])]
    if trainer == "local" and files is not None:
        outputs += [folder.discriminator / name for name in ("model.json", "metrics.json", "settings.json", "results.csv")]
    then = f'python -m pipeline.ask "…" {folder.flag}' if trainer == "local" else f"python -m pipeline.report {folder.flag}"
    return cli.Outcome(counts, folder.examples, tuple(outputs), tuple(lines), then)


if __name__ == "__main__":
    main()
