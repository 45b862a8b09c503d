"""python -m pipeline.evaluate [--dataset FILE] [--discriminator NAME] [--qa NAME] [--threshold P] [--classifier NAME] [--data DIR]

A set of questions, each with its context → answers and refusals, measured by kind of negative beside baselines.

Examples
  python -m pipeline.evaluate
      the run's test split; answers are the sentences that `ask` would show (their F1 is that of a sentence: low)
  python -m pipeline.evaluate --qa NAME
      a QA model words the answers; beside it stand itself without the discriminator, and the model as it was before fine-tuning
  python -m pipeline.evaluate --dataset dev-v2.0.json --name dev
      SQuAD 2.0, or JSON lines of {context, question, answers, answerable}
  python -m pipeline.evaluate --dataset validation.jsonl --classifier NAME
      a classifier on a file of {prompt, completion}

Baselines
  always_answer, always_decline   what needs no decision
  idf_overlap                     decides by the share of the question's words in the context; its threshold is from validation, too
  answer_in_context               an oracle: it is told the right answer, and answers if that stands in the context
  discriminator_alone             without the rules for other years, games and sides

The threshold is the one that training chose on validation; nothing is chosen on what is judged. Intervals are from resampling pages. Replies of
a QA model go through the run's ledger: killed, the same command goes on and asks for nothing twice.

Writes, in the run folder
  evaluation/NAME/predictions.jsonl   id, question, answer given or null, p_answerable, gold
  evaluation/NAME/metrics.json        all figures; reliability.png and risk_coverage.png where matplotlib is installed
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline import cli, settings
from pipeline.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.answering.judging import Judgement
    from pipeline.answering.reader import Chosen
    from pipeline.cli import Run
    from pipeline.evaluation.systems import System
    from pipeline.measuring.questions import Asked
    from pipeline.records import Question


@cli.stage("evaluate")
@settings.dataset
@settings.discriminator
@settings.threshold
@settings.qa_model
@settings.qa_base_url
@settings.classifier
@settings.evaluation_name
@settings.seed
def main(
    run: Run, dataset: Path | None, discriminator: str, threshold: float | None, qa: str | None, base_url: str | None, classifier: str | None,
    name: str | None, seed: int,
) -> cli.Outcome:  # fmt: skip
    """A set of questions → answers and refusals, measured by kind of negative beside baselines."""
    if classifier:
        from pipeline.measuring.classifier import judge_classifier

        return judge_classifier(run, classifier, dataset, name)
    from pipeline.answering import reader
    from pipeline.measuring.provenance import hashes
    from pipeline.measuring.questions import asked_of
    from pipeline.measuring.stage import finished, stage_of

    if base_url and not qa:
        raise InputError("--base-url is for --qa", base_url, "name the endpoint's model with --qa")
    model_folder = run.folder.require_model(discriminator)
    model = reader.chosen(run.folder, qa, base_url) if qa else None
    asked = asked_of(run, dataset)
    inputs = {**asked.inputs, **hashes("discriminator", model_folder), **({"qa": model.name} if model else {})}
    chosen = {"dataset": asked.name, "discriminator": discriminator, "threshold": threshold, "qa": qa, "base_url": base_url, "seed": seed}
    run, folder = stage_of(run, name, asked.name, "" if discriminator == "discriminator" else discriminator, qa or "")
    there = finished(run, folder, inputs, chosen)
    if there:
        return there
    outcome = _evaluated(run, folder, asked, model_folder, threshold, model, seed)
    cli.finish(run, outcome, inputs, chosen, {})
    return outcome


def _evaluated(run: Run, folder: Path, asked: Asked, model_folder: Path, threshold: float | None, model: Chosen | None, seed: int) -> cli.Outcome:
    """Judge the questions, measure, write."""
    from pipeline.measuring.answers import replies_of, told_of_refused
    from pipeline.measuring.provenance import known_rows, metrics_of, threshold_chosen_on
    from pipeline.measuring.side_by_side import side_by_side
    from pipeline.measuring.stage import draw, outcome, write
    from pipeline.measuring.tables import counts_of, table_of
    from pipeline.trainers.rows import Row
    from pipeline.trainers.saved import load_scorer

    scorer = load_scorer(model_folder, run.folder.ledger)
    rows = [Row(q.id, q.question, q.context, "", "", q.kind) for q in asked.questions]
    models = [model_folder, *([model.folder] if model and model.folder else [])]
    known = known_rows(run, models, rows, next(iter(asked.inputs.values())), asked.name)
    limit = scorer.threshold if threshold is None else threshold
    replies = replies_of(run, asked.questions, model)
    systems, judged = side_by_side(run, asked, scorer, limit, metrics_of(model_folder), replies)
    metrics = _metrics(asked, systems, seed) | {
        "threshold": limit,
        "threshold_chosen_on": threshold_chosen_on(model_folder) if threshold is None else "--threshold",
        "rows_known_to_models": known,
        "refused_by_endpoint": {reply.name: reply.refused for reply in replies.values()},
    }
    written = write(run, folder, _predictions(asked.questions, systems[0], judged), metrics)
    lines = [*table_of(metrics), *told_of_refused(replies.values())]
    return outcome(run, folder, counts_of(metrics), lines, [*written, *draw(run, folder, metrics)])


def _metrics(asked: Asked, systems: Sequence[System], seed: int) -> dict[str, Any]:
    """Measure all systems alike; of the first, which is judged, also how sure the figures are and what its scores are worth."""
    from pipeline.evaluation.systems import certainty, measured, risks

    n_answerable = sum(q.answerable for q in asked.questions)
    return {
        "dataset": {"name": asked.name, "questions": len(asked.questions), "answerable": n_answerable},
        "systems": {system.name: measured(system, asked.questions) for system in systems},
        "intervals": certainty(systems[0], asked.questions, seed), **risks(systems[0], asked.questions),
    }  # fmt: skip


def _predictions(questions: Sequence[Question], system: System, judged: Sequence[Judgement]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of predictions.jsonl."""
    for q, declined, text, one in zip(questions, system.declines(), system.answers.texts, judged, strict=True):
        yield {
            "id": q.id, "question": q.question, "answer": None if declined else text, "p_answerable": round(one.p, 6), "gold": list(q.answers),
            "answerable": q.answerable, "kind": q.kind, "against": one.against or None,
        }  # fmt: skip


if __name__ == "__main__":
    main()
