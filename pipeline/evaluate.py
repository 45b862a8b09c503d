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

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline import cli, settings
from pipeline.errors import InputError
from pipeline.records import Example, Question

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.answering.answer import Evidence
    from pipeline.answering.judging import Judgement
    from pipeline.answering.reader import Chosen
    from pipeline.cli import Run
    from pipeline.evaluation.systems import Answers, System
    from pipeline.text.lexical import Idf
    from pipeline.trainers.rows import Row
    from pipeline.trainers.saved import Scorer

_AT_ONCE = 64
_ODD = re.compile(r"[^\w.@+-]+")
_LONGEST_NAME = 100
_HASHED = ("model.json", "settings.json", "metrics.json")


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
        return _classifier(run, classifier, dataset, name)
    from pipeline.answering import reader
    from pipeline.trainers.saved import load_scorer

    if base_url and not qa:
        raise InputError("--base-url is for --qa", base_url, "name the endpoint's model with --qa")
    folder = run.folder.require_model(discriminator)
    model = reader.chosen(run.folder, qa, base_url) if qa else None
    asked = _asked(run, dataset)
    inputs = {**asked.inputs, **_hashes(folder), **({"qa": model.name} if model else {})}
    chosen = {"dataset": asked.name, "discriminator": discriminator, "threshold": threshold, "qa": qa, "base_url": base_url, "seed": seed}
    name = _name(name, asked.name, "" if discriminator == "discriminator" else discriminator, qa or "")
    run = dataclasses.replace(run, stage=f"evaluate {name}")
    entry = run.is_current(inputs, chosen)
    if entry:
        return _outcome(run, name, entry["counts"], [f"{run.stage}: nothing to do, it is there already (--force does it anew)"])
    scorer = load_scorer(folder)
    made = [folder, *([model.folder] if model and model.folder else [])]
    known = _known_rows(run, made, _as_rows(asked.questions), next(iter(asked.inputs.values())), asked.name)
    limit = scorer.threshold if threshold is None else threshold
    replies = {what: _replies(run, asked.questions, one) for what, one in _wanted(run, model).items()}
    systems, judged = _judge(run, asked, scorer, limit, folder, replies)
    metrics = _metrics(asked, systems, seed) | {"threshold": limit, "threshold_chosen_on": _chosen_on(folder) if threshold is None else "--threshold"}
    metrics |= {"rows_known_to_models": known, "refused_by_endpoint": {reply.name: reply.refused for reply in replies.values()}}
    written = _write(run, name, asked.questions, systems[0], judged, metrics)
    outcome = _outcome(run, name, _counts(metrics), [*_table(metrics, asked), *_told_of_refused(replies.values())], written)
    cli.finish(run, outcome, inputs, chosen, {})
    return outcome


@dataclass(frozen=True, slots=True)
class Asked:
    """The questions, what they are called and made of, and the answers that an oracle is told (empty where nobody knows one)."""

    name: str
    questions: Sequence[Question]
    inputs: Mapping[str, str]
    told: Sequence[str]


def _asked(run: Run, dataset: Path | None) -> Asked:
    from pipeline.dataset.given import read_dataset
    from pipeline.store import sha256_of

    if dataset is not None:
        questions = read_dataset(dataset)
        return Asked(dataset.name, questions, {"dataset": sha256_of(dataset)}, [q.answers[0] if q.answers else "" for q in questions])
    from pipeline.sources.given import each_qa
    from pipeline.store import read_rows

    run.require("train")
    examples = [e for e in read_rows(run.folder.examples, Example) if e.split == "test"]
    if not examples:
        raise InputError("the test split has no row", run.folder.examples, "collect more pages, or name a file with --dataset")
    answers = {row.qa_id: row.answer for row in each_qa(run.folder.qa)} if run.folder.qa.is_file() else {}
    questions = [
        Question(e.example_id, e.context, e.question, (e.answer,) if e.answerable else (), e.answerable, e.kind, e.context.partition("\n")[0])
        for e in examples
    ]
    return Asked("test", questions, {"examples": sha256_of(run.folder.examples)}, [answers.get(e.qa_id, "") for e in examples])


def _hashes(folder: Path) -> dict[str, str]:
    from pipeline.store import sha256_of

    return {f"discriminator {name}": sha256_of(folder / name) for name in _HASHED if (folder / name).is_file()}


def _known_rows(run: Run, models: Sequence[Path], rows: Sequence[Row], digest: str, dataset: str) -> dict[str, dict[str, int] | None]:
    """Return how many of the rows each model was made with (None where its folder does not tell), and say so where there are any."""
    from pipeline.trainers.seen import seen_of

    known = {model.name: seen_of(model, rows) for model in models}
    for (name, found), model in zip(known.items(), models, strict=True):
        if found and any(found.values()):
            run.say(
                f"evaluate: {name} was trained on {found['train']} and validated on {found['validation']} of these {len(rows)} rows: "
                "these figures are too good"
            )
        elif found is None and digest in json.dumps(_read(model / "settings.json")):
            run.say(f"evaluate: {name} was trained on {dataset} (or validated): these figures are too good")
    return known


def _as_rows(questions: Iterable[Question]) -> list[Row]:
    from pipeline.trainers.rows import Row

    return [Row(q.id, q.question, q.context, "", "", q.kind) for q in questions]


def _name(given: str | None, *parts: str) -> str:
    """Return the name of an evaluation's folder: the one given, or made of its parts.

    Raises InputError if the one given is no name of a folder.
    """
    if given is not None:
        if _ODD.search(given) or not given.strip(".") or len(given) > _LONGEST_NAME:
            raise InputError("--name is no name of a folder", given, "use letters, figures, dots and dashes")
        return given
    return "-".join(_ODD.sub("-", part).strip(".-") for part in parts if part)[:_LONGEST_NAME]


def _chosen_on(folder: Path) -> str:
    """Return what the discriminator's threshold was chosen on, as its training noted."""
    return str(_read(folder / "metrics.json").get("threshold_chosen_on", "validation"))


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _wanted(run: Run, model: Chosen | None) -> dict[str, Chosen]:
    """Return the QA models to ask: the one to judge, and what it was before fine-tuning."""
    if model is None:
        return {}
    before = _before(model)
    if before is None and model.folder is not None:
        run.say("evaluate: the QA model was not made of the embedded one; what it was before fine-tuning is not judged beside it")
    return {"qa": model, **({"before": before} if before else {})}


def _before(model: Chosen) -> Chosen | None:
    """Return the model that another was made of, where it is the embedded one."""
    from pipeline.answering.reader import Chosen
    from pipeline.llm.embedded import MODEL_NAME

    if model.folder is None or not (model.folder / "adapter.gguf").is_file():
        return None
    return Chosen(f"{MODEL_NAME}:chat")


def _judge(
    run: Run, asked: Asked, scorer: Scorer, limit: float, folder: Path, replies: Mapping[str, Replies]
) -> tuple[list[System], list[Judgement]]:  # fmt: skip
    """Return the system that is judged, then what it is judged beside; and what was thought of each question."""
    import numpy as np

    from pipeline.answering.answer import evidence_for
    from pipeline.evaluation.systems import JUDGED, Answers, System

    questions = asked.questions
    evidence = evidence_for(scorer, lambda: (q.context for q in questions))
    judged, sentences = _score(run, questions, scorer, evidence)
    p, alone = (np.asarray([getattr(one, what) for one in judged], dtype=np.float64) for what in ("p", "alone"))
    sentence = Answers.of(sentences, questions)
    given = {what: Answers.of(reply.texts, questions) for what, reply in replies.items()}
    answers = given.get("qa", sentence)
    about = f"discriminator, then {replies['qa'].name}" if replies else "discriminator, then the sentence that fits best"
    systems = [
        System(JUDGED, about, answers, p, limit),
        System("discriminator_alone", "the same without the rules for other years, games and sides", answers, alone, limit),
        *_with_models(given, p, limit),
        *_baselines(asked, answers, sentence, evidence.idf, _read(folder / "metrics.json")),
    ]
    return systems, judged


def _with_models(given: Mapping[str, Answers], p: Any, limit: float) -> Iterator[System]:
    from pipeline.evaluation.systems import System

    if "qa" in given:
        yield System("qa_alone", "the QA model decides by itself", given["qa"])
    if "before" in given:
        yield System("before_fine_tuning", "discriminator, then the model as it was before fine-tuning", given["before"], p, limit)
        yield System("before_fine_tuning_alone", "the model as it was before fine-tuning decides by itself", given["before"])


def _baselines(asked: Asked, answers: Answers, sentence: Answers, idf: Idf, trained: Mapping[str, Any]) -> Iterator[System]:
    import numpy as np

    from pipeline.evaluation.systems import Answers, System
    from pipeline.text.compare import mentions
    from pipeline.text.lexical import content_words

    questions = asked.questions
    overlap = np.asarray([idf.overlap(content_words(q.question), content_words(q.context)) for q in questions], dtype=np.float64)
    threshold = trained.get("thresholds", {}).get("idf_overlap")
    about = "decides by the share of the question's words, by weight, that the context has"
    about += "" if threshold is not None else "; no threshold was chosen on validation: 0.5"
    yield System("idf_overlap", about, answers, overlap, 0.5 if threshold is None else float(threshold))
    held = np.asarray([bool(told) and mentions(q.context, told) for q, told in zip(questions, asked.told, strict=True)], dtype=np.float64)
    about = "an oracle: it is told the right answer, and gives it if it stands in the context"
    about += "" if any(t for q, t in zip(questions, asked.told, strict=True) if not q.answerable) else "; of unanswerable questions nobody knows one"
    oracle = Answers.of(list(asked.told), questions)
    yield System("answer_in_context", about, oracle, held, 0.5)
    texts = [text or other for text, other in zip(answers.texts, sentence.texts, strict=True)]
    yield System("always_answer", "answers every question", answers if texts == list(answers.texts) else Answers.of(texts, questions))
    yield System("always_decline", "declines every question", Answers.of([""] * len(questions), questions))


def _score(run: Run, questions: Sequence[Question], scorer: Scorer, evidence: Evidence) -> tuple[list[Judgement], list[str]]:
    """Judge each question and find the sentence that would answer it; in the order of their contexts, so that each is read once."""
    from pipeline.answering.judging import judge
    from pipeline.trainers.discriminator import Pair

    found: dict[int, tuple[Judgement, str]] = {}
    order = sorted(range(len(questions)), key=lambda at: questions[at].context)
    with run.progress(len(questions), "judging", "question") as bar:
        for start in range(0, len(order), _AT_ONCE):
            chosen = order[start : start + _AT_ONCE]
            judged = judge(scorer, [Pair(questions[at].question, questions[at].context) for at in chosen])
            for at, one in zip(chosen, judged, strict=True):
                found[at] = one, evidence.sentence(questions[at].question, questions[at].context)
            bar.step(len(chosen))
    return [found[at][0] for at in range(len(questions))], [found[at][1] for at in range(len(questions))]


@dataclass(frozen=True, slots=True)
class Replies:
    """What a QA model answered to every question (n,), empty where it declined or was not heard; how many requests were refused, and the last refusal."""

    name: str
    texts: Sequence[str]
    refused: int
    why: str


def _replies(run: Run, questions: Sequence[Question], model: Chosen) -> Replies:
    """Have a QA model answer every question."""
    from pipeline.answering import reader

    found = [""] * len(questions)
    run.folder.prepare()
    with reader.reader(run.folder, model, run.say) as opened, run.progress(len(questions), f"answers of {model.name}", "question") as bar:

        def done(at: int, text: str) -> None:
            found[at] = text
            bar.step(1)

        refused = opened.answers(((q.context, q.question) for q in questions), done)
    why = str(refused[max(refused)]) if refused else ""
    return Replies(model.name, found, len(refused), why)


def _told_of_refused(replies: Iterable[Replies]) -> list[str]:
    """Return a warning for each model whose endpoint refused requests: these count as declined, though nobody declined them."""
    return [
        f"  warning: the endpoint of {reply.name} refused {reply.refused} of {len(reply.texts)} questions, and they count as declined ({reply.why})"
        for reply in replies
        if reply.refused
    ]


def _metrics(asked: Asked, systems: Sequence[System], seed: int) -> dict[str, Any]:
    from pipeline.evaluation.systems import certainty, measured, risks

    n_answerable = sum(q.answerable for q in asked.questions)
    return {
        "dataset": {"name": asked.name, "questions": len(asked.questions), "answerable": n_answerable},
        "systems": {system.name: measured(system, asked.questions) for system in systems},
        "intervals": certainty(systems[0], asked.questions, seed), **risks(systems[0], asked.questions),
    }  # fmt: skip


def _write(run: Run, name: str, questions: Sequence[Question], system: System, judged: Sequence[Judgement], metrics: Mapping[str, Any]) -> list[Path]:
    from pipeline.store import write_json, write_jsonl

    run.folder.prepare()
    run.folder.unfinish(run.stage)
    folder = run.folder.evaluation(name)
    withheld = system.declines()
    rows = (
        {
            "id": q.id, "question": q.question, "answer": None if no else text, "p_answerable": round(one.p, 6), "gold": list(q.answers),
            "answerable": q.answerable, "kind": q.kind, "against": one.against or None,
        }
        for q, no, text, one in zip(questions, withheld, system.answers.texts, judged, strict=True)
    )  # fmt: skip
    write_jsonl(folder / "predictions.jsonl", rows)
    write_json(folder / "metrics.json", metrics)
    return [folder / "predictions.jsonl", folder / "metrics.json", *_draw(run, folder, metrics)]


def _draw(run: Run, folder: Path, metrics: Mapping[str, Any]) -> list[Path]:
    """Draw the curves; without matplotlib say so."""
    from pipeline.evaluation.figures import reliability, risk_coverage
    from pipeline.store import whole_file

    try:
        figures = {"reliability.png": reliability(metrics["calibration"]), "risk_coverage.png": risk_coverage(metrics["risk_coverage"])}
    except ModuleNotFoundError:
        run.say("evaluate: matplotlib is not installed, so there are no plots (pip install -e '.[finetune]')")
        return []
    for name, figure in figures.items():
        with whole_file(folder / name, "wb") as file:
            figure.savefig(file, format="png", metadata={"Software": None})
    return [folder / name for name in figures]


def _counts(metrics: Mapping[str, Any]) -> dict[str, Any]:
    judged = metrics["systems"]["judged"]
    everything = judged["abstention"]["all"]
    return {
        **metrics["dataset"], "exact": judged["squad"]["exact"], "f1": judged["squad"]["f1"], "has_answer_f1": judged["squad"].get("HasAns_f1"),
        "abstention_f1": everything["f1"], "over_refusal": everything["over_refusal"],
        "answered_when_insufficient": everything["answered_when_insufficient"], "accuracy": judged["accuracy"],
        "auroc": judged["discriminator"]["all"]["auroc"], "ece": metrics["calibration"]["ece"], "refused_by_endpoint": metrics["refused_by_endpoint"],
    }  # fmt: skip


def _table(metrics: Mapping[str, Any], asked: Asked) -> list[str]:
    """Return the figures as lines for a terminal."""
    told, sure = metrics["dataset"], metrics["intervals"]
    lines = [
        f"{told['questions']} questions of {asked.name}, {told['answerable']} answerable; threshold {metrics['threshold']:.2f} ({metrics['threshold_chosen_on']})",
        f"  {'':<26}{'exact':>7}{'F1':>7}{'HasAns F1':>11}{'declined: P':>13}{'R':>7}{'F1':>7}{'over-refusal':>14}{'answered wrongly':>18}{'AUROC':>8}",
    ]
    for name, found in metrics["systems"].items():
        squad, declined = found["squad"], found["abstention"]["all"]
        cells = (
            (squad["exact"], 7, 1),
            (squad["f1"], 7, 1),
            (squad.get("HasAns_f1"), 11, 1),
            (declined["precision"], 13, 3),
            (declined["recall"], 7, 3),
        )
        more = ((declined["f1"], 7, 3), (declined["over_refusal"], 14, 3), (declined["answered_when_insufficient"], 18, 3))
        auroc = found.get("discriminator", {}).get("all", {}).get("auroc")
        lines.append(f"  {name:<26}" + "".join(_figure(*cell) for cell in (*cells, *more, (auroc, 8, 3))))
    judged = metrics["systems"]["judged"]
    for kind, found in judged["abstention"].items():
        if kind != "all":
            auroc = judged["discriminator"].get(kind, {}).get("auroc")
            lines.append(
                f"  {kind}: {found['n_unanswerable']} questions, {_figure(found['answered_when_insufficient'], 0, 3)} answered all the same, AUROC {_figure(auroc, 0, 3)}"
            )
    shares = sure["shares_of_one"]
    listed = ", ".join(f"{what} {_span(shares[what])}" for what in ("f1", "abstention_f1", "over_refusal", "answered_when_insufficient", "auroc"))
    lines.append(f"  {sure['level']} % intervals: {listed}; calibration error {_figure(metrics['calibration']['ece'], 0, 3)}")
    return lines


def _figure(value: float | None, width: int, digits: int) -> str:
    return f"{'–' if value is None else f'{value:.{digits}f}':>{width}}"


def _span(value: tuple[float, float] | None) -> str:
    return "–" if value is None else f"{value[0]:.3f} to {value[1]:.3f}"


def _outcome(run: Run, name: str, counts: dict[str, Any], lines: list[str], written: Sequence[Path] = ()) -> cli.Outcome:
    folder = run.folder.evaluation(name)
    return cli.Outcome(counts, folder / "metrics.json", tuple(written), (*lines, f"{run.stage} → {folder}"), run.folder.command("report"))


def _classifier(run: Run, classifier: str, dataset: Path | None, name: str | None) -> cli.Outcome:
    """Judge a classifier on a file of {prompt, completion}."""
    from pipeline.dataset.classification import Classified, parse
    from pipeline.dataset.given import opened
    from pipeline.store import sha256_of, write_json, write_jsonl
    from pipeline.trainers.classify import row_of
    from pipeline.trainers.saved import load_classifier

    if dataset is None:
        raise InputError("which file?", "--classifier without --dataset", "name a file of {prompt, completion} with --dataset")
    with opened(dataset) as file:
        rows = parse(file, str(dataset))
    source = run.folder.require_model(classifier)
    inputs = {"dataset": sha256_of(dataset), **{f"classifier {n}": sha256_of(source / n) for n in _HASHED if (source / n).is_file()}}
    chosen = {"dataset": dataset.name, "classifier": classifier}
    name = _name(name, dataset.name, classifier)
    run = dataclasses.replace(run, stage=f"evaluate {name}")
    entry = run.is_current(inputs, chosen)
    if entry:
        return _outcome(run, name, entry["counts"], [f"{run.stage}: nothing to do, it is there already (--force does it anew)"])
    model = load_classifier(source)
    asked = [Classified(row.text.removesuffix(model.ending), row.label) for row in rows]
    known = _known_rows(run, [source], list(map(row_of, asked)), inputs["dataset"], dataset.name)
    unknown = next((at for at, row in enumerate(rows, 1) if row.label not in model.classes), None)
    if unknown:
        raise InputError(
            "the classifier has no such class", f"{dataset}, row {unknown}: {rows[unknown - 1].label}", f"it knows {', '.join(model.classes)}"
        )
    with run.progress(len(rows), "classifying", "text") as bar:
        probabilities = []
        for start in range(0, len(rows), _AT_ONCE):
            probabilities += list(model.probabilities([row.text for row in rows[start : start + _AT_ONCE]]))
            bar.step(len(rows[start : start + _AT_ONCE]))
    metrics = {"rows_known_to_models": known} | _class_metrics([model.classes.index(row.label) for row in rows], probabilities, model.classes)
    run.folder.prepare()
    run.folder.unfinish(run.stage)
    folder = run.folder.evaluation(name)
    predicted = (
        {"id": str(at), "text": row.text, "class": model.classes[int(p.argmax())], "p": round(float(p.max()), 6), "gold": row.label}
        for at, (row, p) in enumerate(zip(rows, probabilities, strict=True), 1)
    )
    write_jsonl(folder / "predictions.jsonl", predicted)
    write_json(folder / "metrics.json", metrics)
    said = ", ".join(f"{what} {'–' if value is None else f'{value:.3f}'}" for what, value in metrics["measures"].items())
    beside = ", ".join(f"{what} {'–' if value is None else f'{value:.3f}'}" for what, value in metrics["commonest_class"].items())
    lines = [f"{len(rows)} texts of {dataset.name}: {said}", f"  always the commonest class: {beside}"]
    outcome = _outcome(run, name, {"texts": len(rows), **metrics["measures"]}, lines, [folder / "predictions.jsonl", folder / "metrics.json"])
    cli.finish(run, outcome, inputs, chosen, {})
    return outcome


def _class_metrics(truth: list[int], probabilities: Sequence[Any], classes: tuple[str, ...]) -> dict[str, Any]:
    """Return a classifier's measures, those of naming the commonest class always, each class's own, and who was taken for whom."""
    import numpy as np
    from sklearn.metrics import classification_report, confusion_matrix

    from pipeline.evaluation.classification import measures

    p = np.asarray(probabilities)
    numbers = list(range(len(classes)))
    commonest = np.zeros_like(p)
    commonest[:, int(np.bincount(truth, minlength=len(classes)).argmax())] = 1.0
    report = classification_report(truth, p.argmax(axis=1), labels=numbers, target_names=list(classes), output_dict=True, zero_division=0.0)
    return {
        "texts": len(truth), "measures": measures(truth, p), "commonest_class": measures(truth, commonest),
        "classes": {name: {what: round(float(v), 4) for what, v in report[name].items()} for name in classes},
        "confusion": {"rows_are_true_columns_are_said": list(classes), "counts": confusion_matrix(truth, p.argmax(axis=1), labels=numbers).tolist()},
    }  # fmt: skip


if __name__ == "__main__":
    main()
