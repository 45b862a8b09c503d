"""python -m pipeline.train [--target discriminator|qa|both|classifier] [--model NAME_OR_FOLDER] [--trainer local|openai|none] [--data DIR]

Questions and answers → positives and adversarial negatives ("no sufficient context"), split by page → training
files → models trained here: a discriminator, a QA model that declines, a classifier; measured beside a baseline
that needs no model.

Examples
  python -m pipeline.train
      the measured mix of negatives, the light discriminator in seconds, without torch
  python -m pipeline.train --negatives random=1,similar=3 --trainer none
      other negatives, files alone
  python -m pipeline.train --review review.jsonl
      what you said of rows in the report: dropped ones are gone, fixed ones replaced
  python -m pipeline.train --target qa --max-minutes 30
      the embedded model learns to answer and to decline (LoRA; extra 'finetune')
  python -m pipeline.train --target discriminator --model ./MiniLM --n-epochs 8
      an encoder with a head, or a causal model with a LoRA that says yes or no
  python -m pipeline.train --target qa --from smollm2-135m:ft-qa-2026-11-22-16-40-00 --file mine.jsonl
      go on from an earlier model, with rows of your own added
  python -m pipeline.train --target classifier --file data/sample/sport_news.jsonl
      any prompts and completions: looked through, trained, measured
  OPENAI_API_KEY=… python -m pipeline.train --verify model --verifier gpt-5-mini --max-cost 5
      a model is asked on each negative that passes the rules, and must decline
  OPENAI_API_KEY=… python -m pipeline.train --trainer openai --target qa --model gpt-4.1-mini-2025-04-14 --suffix olympics
      the same files fine-tuned by OpenAI, Azure or whoever speaks that protocol at --base-url; it says what that costs, and asks
  python -m pipeline.train --trainer openai --cancel
      cancel what this run folder has under way there

Killed, the same command goes on from its last checkpoint; finished, it does nothing (--force does it anew).

Kinds of negatives (a negative's context comes from a page of the same split)
  random            a section of another page
  same_page         another section of the page that answers
  similar           what BM25 and MiniLM find for the question on other pages
  altered_question  the true context; a year, number, name or place of the question exchanged for another
  evidence_removed  the true context without the sentences that carry the answer

--verifier, --base-url, --concurrency, --timeout, --max-cost, --max-total-tokens and --prices are for --verify model, as in create_qa: the
embedded model where no key is set, replies in ledger.sqlite before they are read, and the same command goes on after a kill and pays for none twice.
With --trainer openai, --base-url, --max-cost and --prices are for the job and for measuring the model by asking it. Files are sent once, a job is noted
before it is begun and never begun twice, Ctrl-C leaves it to itself, and the same command goes on watching. docs/providers.md tells more.

What an earlier run wrote is removed before anything new is written: after a kill nothing old stands beside it.

Writes, in the run folder
  examples.parquet, dropped_examples.parquet          with how each label was verified, and what was dropped why
  reviewed_examples.parquet                           what people said of rows (--review), beside what the checks had said
  train/{qa,discriminator}.{train,validation,test}.jsonl   chat format
  train/completion/...                                prompt and completion, as in the notebooks
  train/squad/{train,validation,test}.json            SQuAD 2.0; aligned.jsonl: answers that are not verbatim, and those left out
  train/hf/                                           a folder for datasets.load_dataset, with its dataset card
  train/statistics.md, .json                          counts, lengths, word counting, what was verified and dropped, leaks
  models/discriminator/                               the light one: model.json, metrics.json, results.csv, settings.json
  models/NAME/                                        a fine-tuned one: weights, settings.json (data hashes, versions, seconds, memory),
                                                      metrics.json, results.csv (a row a step), curves as PNG; of a service's
                                                      model no weights, the job, its cost and its checkpoints
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline import cli, settings
from pipeline.errors import InputError
from pipeline.making.dataset import (
    apply_review,
    counts_of,
    examples,
    parse_negatives,
    read_again,
    read_review,
    review_counts,
    sentence_of,
    write_descriptions,
    write_training_files,
)
from pipeline.making.jobs import cancel_all, tune_all_elsewhere
from pipeline.making.measured import Purse
from pipeline.making.models import Asked, check_flags, classifier, fine_tune_all, fine_tuned, hashes, light_on_files, with_files_of
from pipeline.making.tables import table_of
from pipeline.records import DroppedExample, Example, ReviewedExample

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.cli import Run
    from pipeline.dataset.formats.squad import Span
    from pipeline.engines.second_reader import Reader
    from pipeline.negatives.make import Made
    from pipeline.records import QA, Section


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
@settings.review
@settings.seed
@settings.verifier
@settings.base_url
@settings.concurrency
@settings.timeout
@settings.max_cost
@settings.max_total_tokens
@settings.prices
@settings.yes
@settings.cancel
def main(
    run: Run, trainer: str, target: str, negatives: str, verify: str, review: Path | None, seed: int, verifier: str | None, base_url: str | None, concurrency: int,
    timeout: float, max_cost: float | None, max_total_tokens: int | None, prices: Path | None, yes: bool, cancel: bool, **asked: Any,
) -> cli.Outcome:  # fmt: skip
    """Questions and answers → adversarial examples → training files → models, measured."""
    from pipeline.engines.second_reader import reader_for

    wish = Asked(target=target, seed=seed, **asked)
    purse = Purse(base_url, yes, max_cost, prices) if trainer == "openai" else None
    if (yes or cancel) and purse is None:
        raise InputError("--yes and --cancel are for a service's jobs", f"--trainer {trainer}", "add --trainer openai, or leave them out")
    if cancel:
        return cancel_all(run)
    check_flags(trainer, wish)
    if target == "classifier":
        return classifier(run, wish, purse)
    targets = fine_tuned(wish)
    dataset = None
    if run.folder.qa.is_file() or not wish.file:
        reader = reader_for(verifier, base_url, concurrency, timeout, max_cost, max_total_tokens, prices) if verify == "model" else None
        order = Order("local" if purse else trainer, parse_negatives(negatives), verify, reader, review)
        # --force is about what was asked for: who fine-tunes anew has no other dataset made
        dataset = dataset_and_light(dataclasses.replace(run, force=run.force and not targets), order, wish)
    if purse:
        return tune_all_elsewhere(run, wish, purse, dataset)
    if not targets:
        return dataset or light_on_files(run, wish)
    return fine_tune_all(run, targets, wish, dataset)


@dataclass(frozen=True, slots=True)
class Order:
    """The flags of the dataset half."""

    trainer: str
    negatives: Mapping[str, float]
    verify: str
    reader: Reader | None
    """the model that is asked on each negative, with --verify model"""
    review: Path | None = None
    """what people said of rows"""


def dataset_and_light(run: Run, order: Order, wish: Asked) -> cli.Outcome:
    """Make examples, files and the light discriminator, unless they are there already."""
    from pipeline.sources.given import read_qa, read_sections
    from pipeline.store import sha256_of

    run.require("create_qa")
    files_of_ones_own = {} if fine_tuned(wish) else hashes(wish)
    verdicts = read_review(order.review) if order.review else {}
    inputs = {"sections": sha256_of(run.folder.sections), "qa": sha256_of(run.folder.qa), **files_of_ones_own}
    inputs |= {"review": sha256_of(order.review)} if order.review else {}
    read_by = order.reader.settings if order.reader else {}
    chosen = {"trainer": order.trainer, "negatives": order.negatives, "verify": order.verify, "seed": wish.seed, **read_by}
    entry = run.is_current(inputs, chosen)
    if entry:
        return _outcome(run, entry["counts"], ["train: nothing to do, examples and models are there already (--force does it anew)"], order.trainer)
    sections, rows = read_sections(run.folder.sections), read_qa(run.folder.qa)
    made, counts, lines = _made(run, order, rows, sections, wish.seed)
    made, judged = apply_review(run, made, order.review, verdicts)
    if order.review:
        counts = {**counts_of(made), **{name: counts[name] for name in counts.keys() & {"verified_by_model"}}, "review": review_counts(judged)}
        lines.append(f"review: {', '.join(f'{n} {name}' for name, n in counts['review'].items())} ({order.review})")
    by_id = {section.section_id: section for section in sections}
    spans, files, notices = _written(run, order, made, judged, by_id)
    lines = [f"train: {sentence_of(counts)} → {run.folder.examples}", *notices, *lines]
    metrics: dict[str, Any] = {}
    if order.trainer == "local":
        metrics = _light(
            run, with_files_of(made.examples, wish) if files_of_ones_own else made.examples, wish.seed, {"settings": chosen, "inputs": inputs}
        )
        counts["discriminator"] = metrics["test"]["discriminator"]
        lines += [*table_of(metrics, run.folder.discriminator), *filter(None, [metrics["threshold_warning"]])]
    described, leaks = write_descriptions(run, made, by_id, {row.qa_id: row.section_id for row in rows}, spans, metrics)
    lines += [*leaks, f"statistics → {run.folder.training / 'statistics.md'}"]
    outcome = _outcome(run, counts, lines, order.trainer, [*files, *described])
    cli.finish(run, outcome, inputs, chosen, order.reader.cost if order.reader else {})
    return outcome


def _made(run: Run, order: Order, rows: list[QA], sections: list[Section], seed: int) -> tuple[Made, dict[str, Any], list[str]]:
    """Return the examples, their counts, and what a second reader says of them."""
    from pipeline.negatives.second_reading import counted_by_model, sentences_about

    made = examples(run, rows, sections, order.negatives, order.verify, order.trainer, seed)
    if not made.examples:
        raise InputError("no row of qa.parquet belongs to a section of this run", run.folder.qa, "run create_qa again")
    reread = read_again(run, made, rows, order.reader) if order.reader else None
    counts = counts_of(made)
    if reread is None:
        return made, counts, []
    return made, {**counts, "verified_by_model": counted_by_model(reread)}, sentences_about(reread)


def _written(
    run: Run, order: Order, made: Made, judged: list[ReviewedExample], sections: Mapping[str, Section]
) -> tuple[dict[str, Span], list[Path], list[str]]:
    """Remove what an earlier run wrote, write the examples and training files; return the answers' places, the paths, and notices."""
    from pipeline.dataset.formats.squad import span_of
    from pipeline.store import write_rows

    run.folder.unfinish("train", "report")
    if order.trainer == "none" and run.folder.discriminator.is_dir():
        run.say(
            f"train: {run.folder.discriminator} is removed: it was trained on the examples that are replaced now, and --trainer none makes no other"
        )
    run.folder.remove_examples()
    write_rows(run.folder.examples, Example, made.examples)
    write_rows(run.folder.dropped_examples, DroppedExample, made.dropped)
    write_rows(run.folder.reviewed_examples, ReviewedExample, judged)
    spans = {e.example_id: span_of(e) for e in made.examples}
    return spans, *write_training_files(run.folder.training, made.examples, sections, spans)


def _light(run: Run, rows: list[Example], seed: int, made_of: dict[str, Any]) -> dict[str, Any]:
    from pipeline.trainers import light

    return light.train(rows, run.folder.discriminator, seed, made_of, functools.partial(run.progress, what="embedding", unit="text"))


def _outcome(run: Run, counts: dict[str, Any], lines: list[str], trainer: str, files: list[Path] | None = None) -> cli.Outcome:
    folder = run.folder
    outputs = [folder.examples, folder.dropped_examples, folder.reviewed_examples, *(files or [])]
    if trainer == "local" and files is not None:
        outputs += [folder.discriminator / name for name in ("model.json", "metrics.json", "settings.json", "results.csv", "seen.json")]
    then = folder.command("ask", '"…"') if trainer == "local" else folder.command("report")
    return cli.Outcome(counts, folder.examples, tuple(outputs), tuple(lines), then)


if __name__ == "__main__":
    main()
