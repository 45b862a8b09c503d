"""The report: what it says of a run, what it embeds, and that nothing of a wiki or a model is executed."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from conftest import run

from pipeline.records import Example, Page, RejectedQA, ReviewedExample, Section
from pipeline.reporting import charts, judged
from pipeline.reporting.compared import compared
from pipeline.reporting.curves import curves, thinned
from pipeline.reporting.gathered import Gathered, gather
from pipeline.reporting.overview import flow, warnings
from pipeline.reporting.rows import CONTEXT_SHOWN, fitting, revision_url, rows_of
from pipeline.run_folder import RunFolder
from pipeline.store import read_rows, write_json, write_rows

if TYPE_CHECKING:
    from pathlib import Path

EVIL = '</td></script><script>alert(1)</script>\u202e"><img src=x onerror=alert(2)>{{ 7*7 }}'


def packed_rows(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/gzip" id="row-data">([^<]*)</script>', page)
    assert found
    value: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return value


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> RunFolder:
    """A finished run, to be written to."""
    shutil.copytree(trained, tmp_path / "run")
    return RunFolder(tmp_path / "run")


@pytest.fixture(scope="module")
def gathered(trained: Path) -> Gathered:
    return gather(RunFolder(trained))


class Tags(HTMLParser):
    """Which elements a page has, where its links lead, and what its scripts are."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.scripts: list[str] = []
        self.policy = ""
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names[tag] += 1
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self._script = tag == "script" and not dict(attrs).get("type")
        if dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"] or ""

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._script = False


def test_text_of_pages_and_models_makes_no_markup_and_only_our_scripts_may_run(folder: RunFolder) -> None:
    assert run("report", "--data", folder.root).code == 0
    clean = Tags()
    clean.feed(folder.report.read_text("utf-8"))
    write_rows(folder.examples, Example, [replace(e, question=EVIL, answer=EVIL, context=EVIL) for e in read_rows(folder.examples, Example)])
    write_rows(folder.sections, Section, [replace(s, title=EVIL, url="javascript:alert(3)") for s in read_rows(folder.sections, Section)])
    write_rows(folder.pages, Page, [replace(p, licence=EVIL) for p in read_rows(folder.pages, Page)])
    write_rows(folder.rejected, RejectedQA, [replace(r, reason=EVIL) for r in read_rows(folder.rejected, RejectedQA)])
    stages = folder.stages()
    stages["create_qa"]["counts"]["kept_by_source"] = {EVIL: 3}
    write_json(folder.manifest, stages)
    assert run("report", "--data", folder.root).code == 0
    page = folder.report.read_text("utf-8")
    tags = Tags()
    tags.feed(page)
    assert tags.names["script"] == clean.names["script"]
    assert not tags.names & Counter(("img", "iframe", "object", "link", "base"))
    assert tags.handlers == []
    assert not any(link.startswith(("javascript", "http")) for link in tags.links)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in tags.scripts]
    assert tags.policy.split(";")[1].split() == ["script-src", *hashes]
    assert "default-src 'none'" in tags.policy
    assert "&lt;script&gt;alert(1)" in page
    assert packed_rows(page)["sections"][0][2] == ""
    assert EVIL in {row[7] for row in packed_rows(page)["rows"]}


def test_the_report_has_every_example_and_every_rejected_question_once(folder: RunFolder) -> None:
    result = run("report", "--data", folder.root)
    assert str(folder.report) in result.out
    found = packed_rows(folder.report.read_text("utf-8"))
    ids = [row[1] for row in found["rows"] if row[0] != "not made"]
    assert len(ids) == len(set(ids))
    assert set(ids) == {e.example_id for e in read_rows(folder.examples, Example)} | {r.rejected_id for r in read_rows(folder.rejected, RejectedQA)}


def test_a_row_shows_its_own_texts_and_leads_to_its_revision(gathered: Gathered) -> None:
    found = rows_of(gathered, (), None, 0)
    by_id = {e.example_id: e for e in gathered.examples}
    for row in found.rows:
        if row[0] == "example":
            example = by_id[row[1]]
            asked = found.qa[row[5]]
            shown = tuple(asked[at] if row[place] is None else row[place] for place, at in ((7, 2), (8, 3), (10, 4)))
            assert shown == (example.question, example.answer, example.evidence)
            assert (found.sections[row[6]][5] if row[11] is None else row[11]) == example.context
            assert "oldid=" in found.sections[row[6]][3]


def test_a_revision_is_linked_before_the_anchor_and_only_on_the_web() -> None:
    assert revision_url("https://w.example/wiki/Judo#Results", 7) == "https://w.example/wiki/Judo?oldid=7#Results"
    assert revision_url("https://w.example/index.php?title=Judo", 7) == "https://w.example/index.php?title=Judo&oldid=7"
    assert revision_url("javascript:alert(1)", 7) == ""


def test_the_same_run_gives_the_same_bytes(folder: RunFolder) -> None:
    run("report", "--data", folder.root)
    again = folder.report.read_bytes()
    run("report", "--data", folder.root, "--force")
    assert folder.report.read_bytes() == again


def test_a_cell_of_ten_megabytes_is_cut_and_says_so(gathered: Gathered) -> None:
    big = "word " * 2_000_000
    examples = [replace(gathered.examples[0], question=big, context=f"{big}the proof.", evidence="the proof.", kind="positive")]
    found = rows_of(replace(gathered, examples=examples, rejected=[], dropped=[]), (), None, 0)
    row = found.rows[0]
    assert "more characters" in row[7]
    assert row[17] is True
    assert "the proof." in row[11]
    assert len(row[11]) < CONTEXT_SHOWN
    assert len(found.packed()) < 100_000


def test_a_run_too_large_for_the_page_is_sampled_with_the_audit_whole(gathered: Gathered) -> None:
    whole = len(rows_of(gathered, (), None, 0).packed())
    audited = {e.example_id for e in gathered.examples[:20]}
    found = fitting(gathered, audited, whole // 2, 0)
    assert len(found.packed()) <= whole // 2
    assert 20 < len(found.rows) < found.of
    assert audited <= {row[1] for row in found.rows}
    assert [row[1] for row in fitting(gathered, audited, whole // 2, 0).rows] == [row[1] for row in found.rows]


def counts_of(**train: Any) -> dict[str, Any]:
    return {
        "create_qa": {"counts": {"kept": 5, "rejected": 90, "kept_by_source": {"generated": 5}}},
        "train": {"counts": {"not_available": 2, "negatives_asked_for": 15, "not_available_by_kind": {"similar": 2}, **train}},
    }


def test_a_reader_is_warned_of_few_rows_easy_negatives_refusals_and_leaks() -> None:
    metrics = {"test": {"discriminator": {"all": {"n_positive": 1, "recall": 0.7, "f1": None}}, "idf_overlap": {"all": {"auroc": 0.97}}}}
    leaks = {"leaks": [{"what": "questions in two splits", "found": 3, "of": 40, "shown": []}]}
    said = " ".join(warnings(Gathered("x", counts_of(), metrics=metrics, statistics=leaks)))
    for part in ("rejected (90)", "only 1 answerable", "0.970", "2 of 15", "2 similar", "refuses 30.0%", "questions in two splits, 3 of 40"):
        assert part in said


def test_the_flow_counts_what_was_lost_at_each_step(gathered: Gathered) -> None:
    steps = {step.what: step for step in flow(gathered)}
    assert list(steps) == ["pages", "sections", "questions", "examples", "model"]
    assert steps["sections"].lost == gathered.counts("collect")["sections_dropped"] == sum(n for n, _ in steps["sections"].losses)
    assert steps["examples"].n == len(gathered.examples)


def test_pictures_count_what_the_files_hold(gathered: Gathered) -> None:
    found = {chart.chart_id: chart for chart in charts.charts(gathered)}
    assert sum(n for _, n in found["tokens"].rows) == sum(n for _, n in found["questions"].rows) == len(gathered.sections)  # type: ignore[misc]
    assert sum(row[-1] for row in found["kinds"].rows) == len(gathered.examples)  # type: ignore[misc]
    assert {name for _, _, name in found["separability"].points} == set(found["separability"].series)
    for chart in found.values():
        assert chart.title
        assert chart.note
        assert chart.x.label


def test_places_in_the_search_are_counted_once() -> None:
    chart = charts.ranks([1, 1, 2, 5, 11, None])
    assert {row[0]: row[1] for row in chart.rows} == {"1": 2, "2–3": 1, "4–5": 1, "6–10": 0, "11–20": 1, "later": 1}


def evaluation(folder: RunFolder, examples: list[Example]) -> None:
    place = folder.root / "evaluation" / "test"
    place.mkdir(parents=True)
    said = [
        {"id": e.example_id, "question": e.question, "answer": "x", "p_answerable": 0.9 if e.answerable else 0.2, "answerable": e.answerable}
        for e in examples
    ]
    (place / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said), "utf-8")
    bins = [
        {"from": 0.0, "to": 0.5, "n": 4, "mean_p": 0.2, "share_answerable": 0.0},
        {"from": 0.5, "to": 1.0, "n": 0, "mean_p": None, "share_answerable": None},
    ]
    curve = [{"coverage": 0.5, "risk": 0.1}, {"coverage": 1.0, "risk": 0.4}]
    write_json(place / "metrics.json", {"calibration": {"ece": 0.1, "bins": bins}, "risk_coverage": {"f1": {"area": 0.2, "curve": curve}}})


def test_curves_are_drawn_from_evaluations_and_from_training_with_steps(folder: RunFolder) -> None:
    evaluation(folder, [e for e in read_rows(folder.examples, Example) if e.split == "test"])
    model = folder.root / "models" / "qa"
    model.mkdir()
    (model / "results.csv").write_text("step,training_loss,validation_loss\n1,2.5,\n2,2.0,2.2\n3,", "utf-8")
    found = {chart.chart_id: chart for chart in curves(gather(folder))}
    assert list(found) == ["roc-test", "pr-test", "reliability-test", "risk-test", "training-loss-qa"]
    assert "1.000 discriminator" in found["roc-test"].note
    assert "counting words" in found["roc-test"].series
    assert found["reliability-test"].points == [(0.2, 0.0, "discriminator")]
    assert found["training-loss-qa"].points == [(1.0, 2.5, "training loss"), (2.0, 2.0, "training loss"), (2.0, 2.2, "validation loss")]


def test_what_the_models_said_stands_with_the_row(folder: RunFolder) -> None:
    evaluation(folder, read_rows(folder.examples, Example))
    found = rows_of(gather(folder), (), None, 0)
    assert {(row[9], row[15], row[16]) for row in found.rows if row[0] == "example"} == {(True, 0.9, "x"), (False, 0.2, "x")}


@pytest.mark.parametrize("wrong", ["{", "[]", '{"p_answerable": 0.5}', '{"id": 1, "p_answerable": "high"}'])
def test_a_prediction_that_cannot_be_read_is_named(folder: RunFolder, wrong: str) -> None:
    place = folder.root / "evaluation" / "mine"
    place.mkdir(parents=True)
    (place / "predictions.jsonl").write_text(f"\n{wrong}\n", "utf-8")
    result = run("report", "--data", folder.root)
    assert result.code == 1
    assert "a prediction cannot be read" in result.errors[0]
    assert "line 2" in result.errors[0]


def test_a_curve_is_thinned_to_what_can_be_seen_ends_included() -> None:
    points = [(n / 1000, n / 500) for n in range(1000)]
    found = thinned(points)
    assert (len(found), found[0], found[-1]) == (60, (0.0, 0.0), (0.999, 1.998))


def verdict(example: Example, said: str, *, flipped: bool = False) -> ReviewedExample:
    return ReviewedExample(
        example.example_id, example.qa_id, example.split, example.kind, example.context_section_id, example.question, example.answer,
        example.answerable, said, example.answerable != flipped, "label" if said == "drop" else "", "Ada", "",
    )  # fmt: skip


def test_people_and_checks_are_compared_by_kind(gathered: Gathered) -> None:
    positives, negatives = ([e for e in gathered.examples if e.answerable == answerable][:5] for answerable in (True, False))
    reviewed = [verdict(e, "keep") for e in [*positives, *negatives[1:]]] + [verdict(negatives[0], "drop", flipped=True)]
    found = judged.judged(replace(gathered, reviewed=reviewed))
    assert found
    assert (found.rows[-1].n, found.rows[-1].dropped, found.rows[-1].false_labels) == (10, 1, 1)
    assert (found.kappa, found.reviewers) == (0.8, [("Ada", 10)])
    assert judged.judged(gathered) is None


def test_an_audits_sample_is_the_same_after_its_review_and_gives_an_estimate(gathered: Gathered) -> None:
    before = judged.audit(gathered, 0.2, 3)
    assert before.found is None
    negatives = [e for e in gathered.examples if e.example_id in before.ids]
    reviewed = [verdict(negatives[0], "drop", flipped=True), *(verdict(e, "keep") for e in negatives[1:])]
    left = [e for e in gathered.examples if e is not negatives[0]]
    after = judged.audit(replace(gathered, examples=left, reviewed=reviewed), 0.2, 3)
    assert after.ids == before.ids
    assert after.found
    assert (after.found.found, after.found.n) == (1, len(before.ids))
    assert after.found.low < after.found.share < after.found.high
    assert all(not e.answerable for e in negatives)


def test_a_review_is_shown_by_the_next_report(folder: RunFolder, tmp_path: Path) -> None:
    examples = read_rows(folder.examples, Example)
    review = tmp_path / "review.jsonl"
    review.write_text("".join(json.dumps({"example_id": e.example_id, "verdict": "keep", "reviewer": "<b>Ada"}) + "\n" for e in examples), "utf-8")
    assert run("train", "--trainer", "none", "--review", review, "--data", folder.root).code == 0
    assert run("report", "--audit", "0.1", "--data", folder.root).code == 0
    page = folder.report.read_text("utf-8")
    assert "Cohen's kappa of the labels (does the context answer?): <b>1.000</b>" in page
    assert re.search(r"Of \d+ read, 0 answer after all: 0\.0 % \(95 % interval 0\.0 to \d+\.\d %\)", page)
    assert "&lt;b&gt;Ada" in page


def test_two_runs_stand_side_by_side(folder: RunFolder, gathered: Gathered) -> None:
    less = replace(gathered, name="less", qa=gathered.qa[:100])
    found = compared(gathered, less)
    rows = {row.what: row for _, group in found.groups for row in group}
    assert (rows["questions kept"].this, rows["questions kept"].other, rows["questions kept"].difference) == (
        str(len(gathered.qa)),
        "100",
        f"+{len(gathered.qa) - 100}",
    )
    assert rows["sections"].difference == "="
    other = RunFolder(folder.root.with_name("other"))
    shutil.copytree(folder.root, other.root)
    assert run("train", "--trainer", "none", "--seed", "9", "--data", other.root).code == 0
    without_a_model = run("report", "--data", other.root, "--json")
    assert without_a_model.code == 0
    assert without_a_model.json["counts"]["rows"] == without_a_model.json["counts"]["rows_in_the_run"]
    assert "Told apart" not in other.report.read_text("utf-8")
    assert run("report", "--data", folder.root, "--compare", other.root).code == 0
    page = folder.report.read_text("utf-8")
    assert "Compared with <bdi>other</bdi>" in page
    assert "train – seed" in page
    assert "a run is compared with itself" in run("report", "--data", folder.root, "--compare", folder.root).errors[0]
    assert "lacks a finished collect" in run("report", "--data", folder.root, "--compare", folder.root / "none").errors[0]
