"""python -m pipeline.train [--trainer local|none] [--negatives KIND=N,...] [--verify rules|model|none] [--model NAME] [--seed N] [--data DIR]

Questions and answers → positives and adversarial negatives ("no sufficient context"), split by page → training
files → a discriminator trained here, measured by kind of negative beside a baseline that needs no model.

Examples
  python -m pipeline.train
      the measured mix of negatives, the light discriminator in seconds
  python -m pipeline.train --negatives random=1,similar=3 --trainer none
      other negatives, files alone
  OPENAI_API_KEY=… python -m pipeline.train --verify model --model gpt-5-mini --max-cost 5
      a model is asked on each negative that passes the rules, and must decline

Kinds of negatives (a negative's context comes from a page of the same split)
  random            a section of another page
  same_page         another section of the page that answers
  similar           what BM25 and MiniLM find for the question on other pages
  altered_question  the true context; a year, number, name or place of the question exchanged for another
  evidence_removed  the true context without the sentences that carry the answer

--model, --base-url, --concurrency, --timeout, --max-cost, --max-total-tokens and --prices are for --verify model, as in create_qa: the embedded model
where no key is set, replies in ledger.sqlite before they are read, and the same command goes on after a kill and pays for none twice.
What an earlier run wrote is removed before anything new is written: after a kill nothing old stands beside it.

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

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from pipeline import cli, settings
from pipeline.engines.calls import progress_of
from pipeline.errors import InputError
from pipeline.records import KINDS, QA, SPLITS, DroppedExample, Example, Page, Section

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from pipeline.cli import Run
    from pipeline.dataset.formats.squad import Span
    from pipeline.engines.second_reader import Reader
    from pipeline.negatives.make import Made
    from pipeline.negatives.second_reading import Reread
    from pipeline.retrieval.minilm import MiniLM

_AMOUNT = re.compile(r"\d{1,3}(?:\.\d{1,3})?", re.ASCII)
NEGATIVE_KINDS = tuple(kind for kind in KINDS if kind != "positive")
NOTICES = 3  # of a file; one sentence shows what is meant, a thousand hide it


@cli.stage("train")
@settings.trainer
@settings.negatives
@settings.verify
@settings.seed
@settings.model
@settings.base_url
@settings.concurrency
@settings.timeout
@settings.max_cost
@settings.max_total_tokens
@settings.prices
def main(run: Run, trainer: str, negatives: str, verify: str, seed: int, **calling: Any) -> cli.Outcome:
    """Questions and answers → adversarial examples → training files → a discriminator, measured."""
    from pipeline.dataset.formats.squad import span_of
    from pipeline.engines.second_reader import reader_for
    from pipeline.negatives.second_reading import counted_by_model, sentences_about
    from pipeline.sources.given import read_qa, read_sections
    from pipeline.store import sha256_of, write_rows

    wanted = parse_negatives(negatives)
    run.require("create_qa")
    inputs = {"sections": sha256_of(run.folder.sections), "qa": sha256_of(run.folder.qa)}
    reader = reader_for(**calling) if verify == "model" else None
    chosen = {"trainer": trainer, "negatives": wanted, "verify": verify, "seed": seed, **(reader.settings if reader else {})}
    entry = run.is_current(inputs, chosen)
    if entry:
        return _outcome(run, entry["counts"], ["train: nothing to do, examples and models are there already (--force does it anew)"], trainer)
    sections = read_sections(run.folder.sections)
    rows = read_qa(run.folder.qa)
    made = _examples(run, rows, sections, wanted, verify, trainer, seed)
    if not made.examples:
        raise InputError("no row of qa.parquet belongs to a section of this run", run.folder.qa, "run create_qa again")
    reread = _read_again(run, made, rows, reader) if reader else None
    run.folder.unfinish("train", "report")
    run.folder.remove_examples()
    write_rows(run.folder.examples, Example, made.examples)
    write_rows(run.folder.dropped_examples, DroppedExample, made.dropped)
    by_id = {section.section_id: section for section in sections}
    spans = {e.example_id: span_of(e) for e in made.examples}
    files, notices = write_training_files(run.folder.training, made.examples, by_id, spans)
    counts = _counts(made)
    lines = [f"train: {_sentence(counts)} → {run.folder.examples}", *notices]
    if reread:
        counts["verified_by_model"] = counted_by_model(reread)
        lines += sentences_about(reread)
    metrics: dict[str, Any] = {}
    if trainer == "local":
        metrics = _train_discriminator(run, made.examples, seed, chosen, inputs)
        counts["discriminator"] = metrics["test"]["discriminator"]
        lines += _table(metrics, run.folder.discriminator)
        lines += filter(None, [metrics["threshold_warning"]])
    described, leaks = write_descriptions(run, made, by_id, {row.qa_id: row.section_id for row in rows}, spans, metrics)
    files, lines = [*files, *described], [*lines, *leaks, f"statistics → {run.folder.training / 'statistics.md'}"]
    outcome = _outcome(run, counts, lines, trainer, files)
    cli.finish(run, outcome, inputs, chosen, reader.cost if reader else {})
    return outcome


def _read_again(run: Run, made: Made, rows: list[QA], reader: Reader) -> Reread:
    """Ask a model on each negative that passed the rules; change `made` by what it says."""
    from pipeline.engines.second_reader import known_of, read_all
    from pipeline.negatives.second_reading import settle

    if reader.calls.embedded:
        run.say(f"train: negatives are read by the embedded model {reader.model} (small: it answers much that it should not)")
    negatives = [e for e in made.examples if e.kind != "positive"]
    with run.progress(len(negatives), "verifying", "negative") as bar:
        said = read_all(negatives, reader.model, reader.calls, run.folder.ledger, run.say, lambda client: bar.step(1, **progress_of(client.budget)))
    known = known_of((e for e in made.examples if e.kind == "positive"), reader.model, run.folder.ledger)
    reread = settle(made, {row.qa_id: row.answer for row in rows}, said, reader.model)
    reread.positives_known, reread.positives_declined = len(known), sum(one.declined for one in known)
    return reread


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
        return make_examples(rows, sections, wanted, verify != "none", encoder.sentence_vectors if encoder else None, seed, bar.step)


def _encoder(run: Run, trainer: str) -> MiniLM | None:
    """Return the encoder; without the extra, files can still be made, by rules and BM25 alone."""
    from pipeline.errors import ExtraMissing
    from pipeline.retrieval.minilm import encoder

    try:
        return encoder()
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
    notes = [note for note in (metrics.get("threshold_warning"),) if note]
    figures = statistics(made.examples, made.dropped, spans, found, overlap_by_split(made.examples), notes)
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


def _train_discriminator(run: Run, examples: list[Example], seed: int, chosen: dict[str, Any], inputs: dict[str, str]) -> dict[str, Any]:
    from dataclasses import replace

    from pipeline.evaluation.metrics import choose_threshold, judge_of, threshold_warning
    from pipeline.retrieval.minilm import encoder as shared
    from pipeline.store import write_json, write_text
    from pipeline.text.lexical import Idf
    from pipeline.trainers.discriminator import FEATURES, Pair, features, fit, texts_of

    parts = {split: [e for e in examples if e.split == split] for split in SPLITS}
    pairs = {split: [Pair(e.question, e.context) for e in rows] for split, rows in parts.items()}
    idf = Idf.of(sorted({e.context for e in parts["train"]}))
    encoder = shared()
    with run.progress(sum(texts_of(p) for p in pairs.values()), "embedding", "text") as bar:
        matrices = {split: features(p, idf, encoder, bar.step) for split, p in pairs.items()}
    model = fit(matrices["train"], [e.answerable for e in parts["train"]], idf, seed)
    base = FEATURES.index("idf_overlap")
    scores = {"discriminator": {s: model.probabilities(m) for s, m in matrices.items()}, "idf_overlap": {s: m[:, base] for s, m in matrices.items()}}
    # chosen on validation, never on test; a run too small to have both classes there chooses on train
    answerable = {split: [e.answerable for e in rows] for split, rows in parts.items()}
    judge = judge_of(answerable)
    truth = [e.answerable for e in parts[judge]]
    thresholds = {name: choose_threshold(truth, by_split[judge]) for name, by_split in scores.items()}
    model = replace(model, threshold=thresholds["discriminator"])
    metrics = {"threshold_warning": threshold_warning(answerable), **_measure(parts, scores, thresholds, judge)}
    folder = run.folder.discriminator
    model.save(folder)
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "settings.json", {"settings": chosen, "inputs": inputs, "features": FEATURES, "threshold_chosen_on": judge})
    write_text(folder / "results.csv", results_csv(metrics))
    return metrics


def _measure(
    parts: Mapping[str, list[Example]], scores: Mapping[str, Mapping[str, npt.NDArray[np.float64]]], thresholds: Mapping[str, float], judge: str
) -> dict[str, Any]:  # fmt: skip
    import numpy as np

    from pipeline.evaluation.metrics import by_kind

    metrics: dict[str, Any] = {"thresholds": dict(thresholds), "threshold_chosen_on": judge}
    for split in ("validation", "test"):
        kinds, sources = [e.kind for e in parts[split]], np.asarray([e.source for e in parts[split]])
        metrics[split] = (
            {name: by_kind(kinds, by_split[split], thresholds[name]) for name, by_split in scores.items()} if kinds else {n: {} for n in scores}
        )
        metrics[split]["by_source"] = {
            source: by_kind([k for k, s in zip(kinds, sources, strict=True) if s == source], scores["discriminator"][split][sources == source], thresholds["discriminator"])
            for source in sorted(set(sources.tolist()))
        }  # fmt: skip
    return metrics


def results_csv(metrics: Mapping[str, Any]) -> str:
    """Return the metrics as a table: a row for each split, scorer and kind of negative."""
    lines = ["split,scorer,kind,n_positive,n_negative,accuracy,precision,recall,f1,auroc,auprc"]
    for split in ("validation", "test"):
        for scorer in ("discriminator", "idf_overlap"):
            for kind, row in metrics[split][scorer].items():
                lines.append(",".join([split, scorer, kind, *("" if v is None else str(v) for v in row.values())]))
    return "\n".join(lines) + "\n"


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
    outputs = [folder.examples, folder.dropped_examples, *(files or [])]
    if trainer == "local" and files is not None:
        outputs += [folder.discriminator / name for name in ("model.json", "metrics.json", "settings.json", "results.csv")]
    then = f'python -m pipeline.ask "…" {folder.flag}' if trainer == "local" else f"python -m pipeline.report {folder.flag}"
    return cli.Outcome(counts, folder.examples, tuple(outputs), tuple(lines), then)


if __name__ == "__main__":
    main()
