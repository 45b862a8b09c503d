"""python -m pipeline.train [--trainer local|none] [--negatives KIND=N,...] [--verify rules|none] [--review FILE] [--seed N] [--data DIR]

Questions and answers → positives and adversarial negatives ("no sufficient context"), split by page → training
files → a discriminator trained here, measured by kind of negative beside a baseline that needs no model.

Examples
  python -m pipeline.train
      the measured mix of negatives, the light discriminator in seconds
  python -m pipeline.train --negatives random=1,similar=3 --trainer none
      other negatives, files alone
  python -m pipeline.train --review review.jsonl
      what you said of rows in the report: dropped ones are gone, fixed ones replaced

Kinds of negatives (a negative's context comes from a page of the same split)
  random            a section of another page
  same_page         another section of the page that answers
  similar           what BM25 and MiniLM find for the question on other pages
  altered_question  the true context; a year, number, name or place of the question exchanged for another
  evidence_removed  the true context without the sentences that carry the answer

Writes, in the run folder
  examples.parquet, dropped_examples.parquet          with how each label was verified, and what was dropped why
  reviewed_examples.parquet                           what people said of rows (--review), beside what the checks had said
  train/{qa,discriminator}.{train,validation,test}.jsonl   chat format
  train/completion/...                                prompt and completion, as in the notebooks
  train/squad/{train,validation,test}.json            SQuAD 2.0; aligned.jsonl: answers that are not verbatim, and those left out
  train/hf/                                           a folder for datasets.load_dataset, with its dataset card
  train/statistics.md, .json                          counts, lengths, word counting, what was verified and dropped, leaks
  models/discriminator/                               model.json, metrics.json, results.csv, settings.json
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from pipeline import cli, settings
from pipeline.errors import InputError
from pipeline.records import KINDS, QA, SPLITS, DroppedExample, Example, Page, ReviewedExample, Section

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.cli import Run
    from pipeline.dataset.formats.squad import Span
    from pipeline.dataset.review import Verdict
    from pipeline.negatives.make import Made
    from pipeline.retrieval.minilm import MiniLM

_AMOUNT = re.compile(r"\d{1,3}(?:\.\d{1,3})?", re.ASCII)
NEGATIVE_KINDS = tuple(kind for kind in KINDS if kind != "positive")
VERDICT_COUNTS = (("keep", "kept"), ("fix", "fixed"), ("drop", "dropped"))
NOTICES = 3  # of a file; one sentence shows what is meant, a thousand hide it


@cli.stage("train")
@settings.trainer
@settings.negatives
@settings.verify
@settings.review
@settings.seed
def main(run: Run, trainer: str, negatives: str, verify: str, review: Path | None, seed: int) -> cli.Outcome:
    """Questions and answers → adversarial examples → training files → a discriminator, measured."""
    from pipeline.dataset.formats.squad import span_of
    from pipeline.sources.given import read_qa, read_sections
    from pipeline.store import sha256_of, write_rows

    wanted = parse_negatives(negatives)
    run.require("create_qa")
    verdicts = read_review(review) if review else {}
    inputs = {"sections": sha256_of(run.folder.sections), "qa": sha256_of(run.folder.qa), **({"review": sha256_of(review)} if review else {})}
    chosen = {"trainer": trainer, "negatives": wanted, "verify": verify, "seed": seed}
    entry = run.is_current(inputs, chosen)
    if entry:
        return _outcome(run, entry["counts"], ["train: nothing to do, examples and models are there already (--force does it anew)"], trainer)
    sections = read_sections(run.folder.sections)
    rows = read_qa(run.folder.qa)
    made = _examples(run, rows, sections, wanted, verify, trainer, seed)
    if not made.examples:
        raise InputError("no row of qa.parquet belongs to a section of this run", run.folder.qa, "run create_qa again")
    made, judged = apply_review(run, made, review, verdicts)
    run.folder.unfinish("train", "report")
    write_rows(run.folder.examples, Example, made.examples)
    write_rows(run.folder.dropped_examples, DroppedExample, made.dropped)
    write_rows(run.folder.reviewed_examples, ReviewedExample, judged)
    by_id = {section.section_id: section for section in sections}
    spans = {e.example_id: span_of(e) for e in made.examples}
    files, notices = write_training_files(run.folder.training, made.examples, by_id, spans)
    counts = _counts(made)
    lines = [f"train: {_sentence(counts)} → {run.folder.examples}", *notices]
    if review:
        counts["review"] = {name: sum(row.verdict == verdict for row in judged) for verdict, name in VERDICT_COUNTS}
        lines.append(f"review: {', '.join(f'{n} {name}' for name, n in counts['review'].items())} ({review})")
    metrics: dict[str, Any] = {}
    if trainer == "local":
        from pipeline.trainers import light

        metrics = light.train(
            made.examples,
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


def read_review(path: Path) -> dict[str, Verdict]:
    """Read the verdicts that a report exported, by example id.

    Raises InputError if the file cannot be read, or naming the line that is no verdict.
    """
    from pipeline.dataset.review import parse

    try:
        return parse(path.name, path.read_text("utf-8").split("\n"))  # U+2028 in a text ends no line
    except UnicodeDecodeError as error:
        raise InputError("the review is not UTF-8 text", path, "export it from the report again") from error
    except OSError as error:
        raise InputError("the review cannot be read", f"{path}: {error.strerror}", "check --review") from error


def apply_review(run: Run, made: Made, review: Path | None, verdicts: Mapping[str, Verdict]) -> tuple[Made, list[ReviewedExample]]:
    """Return what was made, after its review, and each verdict beside what the checks had said.

    Raises InputError naming the line of a verdict that cannot be applied, or if nothing is left.
    """
    from dataclasses import replace

    from pipeline.dataset.review import apply

    if review is None:
        if run.folder.stages().get("train", {}).get("counts", {}).get("review"):
            run.say("train: the last one applied a review, this one does not (--review FILE)")
        return made, []
    done = apply(review.name, made.examples, verdicts)
    if not done.examples:
        raise InputError("the review drops every example", review, "keep some")
    return replace(made, examples=done.examples, dropped=[*made.dropped, *done.dropped]), done.verdicts


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


def _table(metrics: Mapping[str, Any], folder: Path) -> list[str]:
    """Return the test metrics as lines for a terminal, the baseline beside."""
    base = metrics["test"]["idf_overlap"]
    judged = metrics["test"]["discriminator"].get("all", {}).get("auroc") is not None
    lines = [f"discriminator on {kind_count(metrics)} test examples, pages not seen in training → {folder}"]
    lines.append(
        f"  {'negatives':<16}{'n':>5}{'accuracy':>10}{'precision':>11}{'recall':>8}{'F1':>7}{'AUROC':>8}{'AUPRC':>8}   IDF overlap: F1  AUROC"
    )
    for kind, row in metrics["test"]["discriminator"].items():
        shown = [row[name] for name in ("accuracy", "precision", "recall", "f1", "auroc", "auprc")]
        cells = "".join(f"{_figure(v):>{w}}" for v, w in zip(shown, (10, 11, 8, 7, 8, 8), strict=True))
        lines.append(f"  {kind:<16}{row['n_negative']:>5}{cells}   {_figure(base[kind]['f1']):>15}{_figure(base[kind]['auroc']):>7}")
    if not judged:
        lines.append("  nothing was measured: the test split lacks answerable questions or negatives; more pages with questions are needed")
    return lines


def kind_count(metrics: Mapping[str, Any]) -> int:
    """Return how many examples the test split has."""
    row = metrics["test"]["discriminator"].get("all")
    return int(row["n_positive"] + row["n_negative"]) if row else 0


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _outcome(run: Run, counts: dict[str, Any], lines: list[str], trainer: str, files: list[Path] | None = None) -> cli.Outcome:
    folder = run.folder
    outputs = [folder.examples, folder.dropped_examples, folder.reviewed_examples, *(files or [])]
    if trainer == "local" and files is not None:
        outputs += [folder.discriminator / name for name in ("model.json", "metrics.json", "settings.json", "results.csv")]
    then = f'python -m pipeline.ask "…" {folder.flag}' if trainer == "local" else f"python -m pipeline.report {folder.flag}"
    return cli.Outcome(counts, folder.examples, tuple(outputs), tuple(lines), then)


if __name__ == "__main__":
    main()
