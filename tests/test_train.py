"""Adversarial pairs: each kind is what it says, each label is believed for a reason, nothing vanishes."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import ROOT, environment, run
from sklearn.metrics import roc_auc_score

from pipeline.dataset.splits import split_of
from pipeline.errors import InputError, StorageError
from pipeline.evaluation.metrics import by_kind, choose_threshold, measure
from pipeline.making.dataset import parse_negatives, sentence_of
from pipeline.negatives.pool import Asked
from pipeline.negatives.variants import forms
from pipeline.negatives.verify import Answers, Passed, by_rules
from pipeline.records import KINDS, NO_ANSWER, QA, SPLITS, DroppedExample, Example, Rejected, Section
from pipeline.retrieval.minilm import MiniLM
from pipeline.run_folder import RunFolder
from pipeline.store import read_rows
from pipeline.text.compare import mentions
from pipeline.text.lexical import Idf
from pipeline.trainers.discriminator import FEATURES, Discriminator, Pair, features, fit

if TYPE_CHECKING:
    from pathlib import Path


def section(content: str, *, section_id: str = "sec-x", page_id: int = 2, title: str = "Judo", heading: str = "Results") -> Section:
    return Section(section_id, page_id, 0, 0, title, heading, heading, 2, content, 50, None, "", "")


def asked(answer: str, evidence: str = "") -> Asked:
    row = QA("qa-1", "sec-true", "How many judoka won medals?", answer, evidence, "written", "imported", None, "", "", 0, 0)
    return Asked(row, section("Forty-six judoka took medals home from the Budokan in July of that year.", section_id="sec-true", page_id=1))


@pytest.fixture(scope="module")
def examples(trained: Path) -> list[Example]:
    return read_rows(RunFolder(trained).examples, Example)


@pytest.fixture(scope="module")
def sections(trained: Path) -> dict[str, Section]:
    return {s.section_id: s for s in read_rows(RunFolder(trained).sections, Section)}


def test_each_kind_is_what_it_says(trained: Path, examples: list[Example], sections: dict[str, Section]) -> None:
    true = {row.qa_id: sections[row.section_id] for row in read_rows(RunFolder(trained).qa, QA)}
    for example in examples:
        context, own = sections[example.context_section_id], true[example.qa_id]
        assert (example.context == context.context) == (example.kind != "evidence_removed")
        if example.kind == "positive":
            assert example.answerable
            assert context == own or example.evidence in context.content
            continue
        assert not example.answerable
        assert example.answer == NO_ANSWER
        assert example.context.partition("\n\n")[2].strip()
        if example.kind in ("altered_question", "evidence_removed"):
            assert context == own
        else:
            assert context.section_id != own.section_id
            assert (context.page_id == own.page_id) == (example.kind == "same_page")


def test_no_page_is_in_two_splits_neither_as_question_nor_as_context(examples: list[Example], sections: dict[str, Section]) -> None:
    splits: dict[int, set[str]] = {}
    for example in examples:
        splits.setdefault(sections[example.context_section_id].page_id, set()).add(example.split)
    assert all(len(found) == 1 for found in splits.values())
    assert {example.split for example in examples} == set(SPLITS)


def test_negatives_asked_for_are_made_or_counted_as_not_available(trained: Path, examples: list[Example]) -> None:
    dropped = read_rows(RunFolder(trained).dropped_examples, DroppedExample)
    asked = json.loads((trained / "manifest.json").read_text("utf-8"))["train"]["counts"]["asked_by_kind"]
    for kind in KINDS[1:]:
        made = sum(1 for e in examples if e.kind == kind)
        missing = sum(1 for d in dropped if d.kind == kind and d.reason.startswith("not_available"))
        assert made + missing == asked[kind]
    assert asked["similar"] == 150
    assert 20 < asked["random"] < 60


def test_every_candidate_became_a_row_or_was_dropped_with_a_reason(trained: Path, examples: list[Example]) -> None:
    counts = json.loads((trained / "manifest.json").read_text("utf-8"))["train"]["counts"]
    dropped = read_rows(RunFolder(trained).dropped_examples, DroppedExample)
    for kind in KINDS[1:]:
        made = sum(e.kind == kind or e.verified.startswith(f"offered as {kind},") for e in examples)
        refused = sum(d.kind == kind and not d.reason.startswith("not_available") for d in dropped)
        assert made + refused == counts["candidates_by_kind"][kind]
    assert all(d.reason for d in dropped)


def test_the_summary_names_the_three_most_frequent_reasons_and_where_all_are() -> None:
    counts = {"examples": 3, "by_kind": {"positive": 3}, "by_split": {"train": 3}, "dropped_by_reason": {"a": 1, "b": 40, "c": 5, "d": 7}}
    assert sentence_of(counts) == "3 examples (3 positive; 3 train); candidates dropped: 40 b, 7 d, 5 c, … (all in dropped_examples.parquet)"
    few = {**counts, "dropped_by_reason": {"a": 1, "b": 40}}
    assert sentence_of(few).endswith("; candidates dropped: 40 b, 1 a")
    assert sentence_of({**counts, "dropped_by_reason": {}}).endswith("3 train)")


def test_no_context_of_a_negative_holds_the_answer(trained: Path, examples: list[Example]) -> None:
    answers = {row.qa_id: row.answer for row in read_rows(RunFolder(trained).qa, QA)}
    for example in examples:
        if not example.answerable and example.kind != "altered_question":
            answer = answers[example.qa_id]
            assert not mentions(example.context, answer)
            assert answer[0].isdigit() or answer.lower() not in example.context.lower()
            assert example.verified


def test_the_training_files_say_exactly_what_the_contract_says(trained: Path, examples: list[Example]) -> None:
    counts = Counter(example.split for example in examples)
    for split in SPLITS:
        for target in ("qa", "discriminator"):
            chat = [json.loads(line) for line in (trained / "train" / f"{target}.{split}.jsonl").read_text("utf-8").splitlines()]
            completion = [json.loads(line) for line in (trained / "train" / "completion" / f"{target}.{split}.jsonl").read_text("utf-8").splitlines()]
            assert len(chat) == len(completion) == counts[split]
            assert all([m["role"] for m in row["messages"]] == ["system", "user", "assistant"] and set(row) == {"messages"} for row in chat)
            said = [row["messages"][-1]["content"] for row in chat]
            declined = sum(1 for e in examples if e.split == split and not e.answerable)
            assert sum(1 for text in said if text in (NO_ANSWER, " no")) == declined
            assert all(set(row) == {"prompt", "completion"} and row["completion"].startswith(" ") for row in completion)


@pytest.mark.parametrize("context", ["46 judoka won medals.", "Medals went to forty-six judoka", "Of 46 competitors none came back."])
def test_a_context_with_the_answer_in_any_form_is_no_negative(context: str) -> None:
    answer = "forty-six judoka" if "forty" in context else "46 judoka"
    assert isinstance(by_rules(asked(answer), section(context)), Rejected)


def test_a_small_number_is_found_in_words_and_in_figures() -> None:
    assert isinstance(by_rules(asked("12"), section("Twelve teams took part in Tokyo that summer.")), Rejected)
    assert isinstance(by_rules(asked("twelve teams"), section("There were 12 of them, teams of six.")), Rejected)
    assert "12" in forms("twelve teams")


def test_a_near_copy_of_the_true_context_is_no_negative() -> None:
    copy = section("Forty-six judoka took medals home from the Budokan in July of the same year.")
    assert by_rules(asked("in the Budokan"), copy) == Rejected("near_duplicate", "0.62")


def test_evidence_repeated_word_for_word_answers_even_if_the_answer_is_worded_otherwise() -> None:
    evidence = "the French team defeated the hosts in the final of the mixed event"
    verdict = by_rules(asked("France", evidence), section(f"On the last day {evidence}, to general surprise, and judoka took medals."))
    assert verdict == Answers(evidence, "repeats_the_evidence")


def test_evidence_repeated_of_another_event_is_neither_a_negative_nor_a_second_positive() -> None:
    told = "The women's final was won by the French team in front of the hosts."
    row = QA("qa-1", "sec-true", "Who won the women's final of judo?", "France", told, "written", "imported", None, "", "", 0, 0)
    own = section(f"{told} Judo is a sport for women.", section_id="sec-true", page_id=1)
    assert isinstance(by_rules(Asked(row, own), section(f"In karate, too: {told}", title="Karate", heading="Women")), Rejected)
    assert isinstance(by_rules(Asked(row, own), section(f"As of judo: {told}", title="News", heading="Women")), Answers)


def test_evidence_repeated_that_does_not_name_the_answer_is_neither_a_negative_nor_a_second_positive() -> None:
    evidence = "the visitors defeated the hosts in the final of the mixed event"
    verdict = by_rules(asked("Clarisse Agbegnenou's team", evidence), section(f"On the last day {evidence}, to general surprise."))
    assert verdict == Rejected("repeats_the_evidence")


def test_a_context_without_the_answer_is_a_negative_with_its_likeness_as_score() -> None:
    verdict = by_rules(asked("46 judoka"), section("Surfers waited three days for better waves at the beach of Tsurigasaki."))
    assert isinstance(verdict, Passed)
    assert verdict.score == 0.0


def test_a_page_keeps_its_split_whatever_other_pages_there_are() -> None:
    titles = [f"Page {n}" for n in range(2000)]
    shares = Counter(split_of(title, 7) for title in titles)
    assert {split: round(n / 2000, 1) for split, n in shares.items()} == {"train": 0.7, "validation": 0.1, "test": 0.2} or shares["train"] in range(
        1300, 1500
    )
    assert [split_of(t, 7) for t in titles] == [split_of(t, 7) for t in titles]
    assert [split_of(t, 7) for t in titles] != [split_of(t, 8) for t in titles]


def test_negatives_not_understood_are_named() -> None:
    assert parse_negatives("similar=2, random=1") == {"random": 1, "similar": 2}
    assert parse_negatives("random=0.25") == {"random": 0.25}
    for wrong in ("nearby=1", "random", "random=-1", "random=x", "random=101", "random=1e9", "random=.5"):
        with pytest.raises(InputError, match=wrong):
            parse_negatives(wrong)


def test_auroc_is_scikit_learns_and_a_missing_class_gives_no_figure() -> None:
    truth = [True, False, True, False, False]
    scores = np.asarray([0.9, 0.8, 0.7, 0.2, 0.1])
    measured = measure(truth, scores, 0.5)
    assert measured.auroc == round(float(roc_auc_score(truth, scores)), 4)
    assert (measured.accuracy, measured.precision, measured.recall) == (0.8, 0.6667, 1.0)
    assert measure([True, True], np.asarray([0.1, 0.9]), 0.5).auroc is None


def test_each_kind_is_measured_against_all_positives() -> None:
    kinds = ["positive", "positive", "random", "similar", "similar"]
    found = by_kind(kinds, np.asarray([0.9, 0.6, 0.1, 0.7, 0.2]), 0.5)
    assert {kind: (row["n_positive"], row["n_negative"]) for kind, row in found.items()} == {"random": (2, 1), "similar": (2, 2), "all": (2, 3)}
    assert found["random"]["auroc"] == 1.0
    assert found["similar"]["auroc"] == 0.75


def test_the_threshold_lies_between_the_classes() -> None:
    assert choose_threshold([False, False, True, True], np.asarray([0.1, 0.3, 0.7, 0.9])) == 0.5
    assert choose_threshold([True, True], np.asarray([0.1, 0.3])) == 0.5


def test_the_saved_discriminator_gives_the_same_probabilities_as_the_one_fitted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(60, len(FEATURES)))
    labels = [bool(v) for v in matrix[:, 3] > 0]
    model = fit(matrix, labels, Idf({"judo": 3}, 10), 0)
    model.save(tmp_path)
    again = Discriminator.load(tmp_path)
    assert again == model
    assert np.array_equal(again.probabilities(matrix), model.probabilities(matrix))
    assert roc_auc_score(labels, model.probabilities(matrix)) > 0.95


def test_a_damaged_or_foreign_discriminator_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{", "utf-8")
    with pytest.raises(StorageError, match="damaged"):
        Discriminator.load(tmp_path)
    (tmp_path / "model.json").write_text('{"format": 99, "features": [], "encoder": "x"}', "utf-8")
    with pytest.raises(InputError, match="another version"):
        Discriminator.load(tmp_path)


def test_features_of_an_answering_context_are_nearer_than_those_of_another() -> None:
    question = "Who won the women's marathon?"
    pairs = [
        Pair(question, "Peres Jepchirchir won the women's marathon in Sapporo."),
        Pair(question, "Rowers met at the Sea Forest Waterway."),
        Pair(question, "???"),
    ]
    found = features(pairs, Idf.of([p.context for p in pairs]), MiniLM())
    assert found.shape == (3, len(FEATURES))
    assert np.isfinite(found).all()
    for name in ("cosine_best_sentence", "idf_overlap", "maxsim_mean"):
        assert found[0, FEATURES.index(name)] > found[1, FEATURES.index(name)]


def test_a_text_is_embedded_the_same_alone_and_in_a_batch() -> None:
    long = "The final was held on Sunday. " * 80
    alone, together = MiniLM().embed([long])[0], MiniLM().embed(["A short one.", long, "日本"])[1]
    assert alone.pieces.shape == together.pieces.shape
    assert float(np.abs(alone.sentences - together.sentences).max()) < 0.05  # int8: activations are quantised by batch
    assert np.allclose(np.linalg.norm(alone.pieces, axis=1), 1, atol=1e-3)


def test_train_runs_again_to_the_same_bytes_and_says_when_there_is_nothing_to_do(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    names = ["examples.parquet", "models/discriminator/model.json", "models/discriminator/metrics.json"]
    names += [str(path.relative_to(folder)) for path in (folder / "train").rglob("*") if path.is_file()]
    before = [(folder / name).read_bytes() for name in names]
    assert "nothing to do" in run("train", "--data", folder).out
    assert run("train", "--data", folder, "--force").code == 0
    assert [(folder / name).read_bytes() for name in names] == before


def test_the_trained_discriminator_beats_counting_words_on_altered_questions(trained: Path) -> None:
    metrics = json.loads((trained / "models" / "discriminator" / "metrics.json").read_text("utf-8"))["test"]
    assert metrics["discriminator"]["altered_question"]["auroc"] > metrics["idf_overlap"]["altered_question"]["auroc"]
    assert metrics["by_source"].keys() == {"written"}


@pytest.fixture
def one_page(collected: Path, tmp_path: Path) -> Path:
    """A run folder with the questions of a single page: all in train."""
    folder = tmp_path / "one"
    shutil.copytree(collected, folder)
    with (ROOT / "data/sample/qa.csv").open(encoding="utf-8", newline="") as file:
        first, *more = csv.DictReader(file)
    with (tmp_path / "one.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(first))
        writer.writeheader()
        writer.writerows([first, *(row for row in more if row["title"] == first["title"])])
    assert run("create_qa", "--import", tmp_path / "one.csv", "--data", folder).code == 0
    return folder


def test_a_threshold_that_could_not_be_chosen_on_validation_is_warned_of_wherever_figures_stand(one_page: Path) -> None:
    result = run("train", "--data", one_page)
    warning = "the threshold was chosen on train – validation has 0 answerable and 0 unanswerable examples"
    assert f"warning: {warning}" in result.out
    assert warning in (one_page / "train" / "statistics.md").read_text("utf-8")
    metrics = json.loads((one_page / "models" / "discriminator" / "metrics.json").read_text("utf-8"))
    assert metrics["threshold_chosen_on"] == "train"
    assert warning in metrics["threshold_warning"]


def test_no_warning_where_the_threshold_was_chosen_on_validation(trained: Path) -> None:
    assert "chosen on train" not in (trained / "train" / "statistics.md").read_text("utf-8")
    assert json.loads((trained / "models" / "discriminator" / "metrics.json").read_text("utf-8"))["threshold_warning"] == ""


def outputs(folder: Path) -> dict[str, bytes]:
    files = [folder / "examples.parquet", folder / "dropped_examples.parquet", *(folder / "train").rglob("*"), *(folder / "models").rglob("*")]
    return {str(f.relative_to(folder)): f.read_bytes() for f in files if f.is_file() and not f.name.startswith(".")}


def bytes_of(file: Path) -> bytes:
    """Nothing where the file is not there: the command that is watched may take it away at any moment."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


@pytest.mark.parametrize("sign", ["", "examples.parquet", "train/qa.train.jsonl", "train/hf/data/test.parquet", "models/discriminator/model.json"])
def test_killed_anywhere_nothing_of_an_earlier_run_stands_beside_what_is_new(one_page: Path, tmp_path: Path, sign: str) -> None:
    """`sign` is the file whose coming the kill waits for; none: before anything is written."""
    assert run("train", "--data", one_page, "--seed", "1").code == 0
    old, other = outputs(one_page), tmp_path / "other"
    shutil.copytree(one_page, other)
    assert run("train", "--data", other, "--seed", "2").code == 0
    new = outputs(other)
    assert all(old[name] != new[name] for name in ("examples.parquet", "train/hf/README.md", "models/discriminator/settings.json"))
    with subprocess.Popen([sys.executable, "-m", "pipeline.train", "--data", str(one_page), "--seed", "2"], cwd=ROOT, env=environment()) as process:
        while sign and process.poll() is None and bytes_of(one_page / sign) != new[sign]:
            time.sleep(0.001)
        process.kill()
    there = outputs(one_page)
    finished = "train" in json.loads((one_page / "manifest.json").read_text("utf-8"))
    if finished:
        assert there in (old, new)
    else:
        assert all(there[name] == new[name] for name in there) or all(there[name] == old[name] for name in there)
    assert run("train", "--data", one_page, "--seed", "2").code == 0
    assert outputs(one_page) == new


@pytest.mark.parametrize(
    ("answer", "context"),
    [("Simone Biles", "On the beam Biles took bronze a week later."), ("46", "Forty-six nations took part in the event.")],
)
def test_a_surname_alone_or_a_number_in_words_is_the_answer_too(answer: str, context: str) -> None:
    assert by_rules(asked(answer), section(context)) == Rejected("holds_the_answer")
