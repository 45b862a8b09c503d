"""Metrics of answers and refusals: SQuAD's own figures, what scikit-learn has, and what must hold whatever the scores are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, f1_score, roc_auc_score

from pipeline.evaluation import bootstrap, squad
from pipeline.evaluation.abstention import abstention, by_kind
from pipeline.evaluation.calibration import calibration, risk_coverage
from pipeline.evaluation.systems import Answers, System, certainty, measured, risks
from pipeline.records import Question
from pipeline.text.contradictions import contradiction

GOLDEN = Path(__file__).parent / "golden" / "squad_script.json"
labelled = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=60)


def arrays(rows: list[tuple[bool, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray([a for a, _ in rows], dtype=bool), np.asarray([p for _, p in rows], dtype=np.float64)


def test_exact_match_f1_and_best_thresholds_are_those_of_the_official_script() -> None:
    golden = json.loads(GOLDEN.read_text("utf-8"))
    rows = golden["rows"]
    has_answer = np.asarray([bool(r["answers"]) for r in rows])
    p_no_answer = np.asarray([r["p_no_answer"] for r in rows])
    said = np.asarray([bool(r["prediction"]) for r in rows])
    scores = np.asarray([squad.score(r["prediction"], r["answers"]) for r in rows])
    exact, f1 = (squad.gated(scores[:, at], has_answer, p_no_answer > golden["threshold"]) for at in (0, 1))
    ours = squad.summary(exact, f1, has_answer)
    for at, name in enumerate(("exact", "f1")):
        ours[f"best_{name}"], ours[f"best_{name}_thresh"] = squad.best_threshold(scores[:, at], said, p_no_answer, has_answer)
    assert ours == pytest.approx(golden["official"], abs=1e-4)


def test_the_nearest_right_answer_counts_and_only_silence_is_right_where_there_is_none() -> None:
    assert squad.score("the Massif Central!", ("Mont Gerbier", "massif central")) == (1.0, 1.0)
    assert squad.score("", ()) == (1.0, 1.0)
    assert squad.score("Loire", ()) == (0.0, 0.0)


@given(labelled)
def test_no_threshold_does_better_than_the_best(rows: list[tuple[bool, float]]) -> None:
    answerable, p = arrays(rows)
    right = np.where(answerable, 1.0, 0.0)
    said = np.ones(len(rows), dtype=bool)
    best, _ = squad.best_threshold(right, said, p, answerable)
    for threshold in [-1.0, *sorted(set(p.tolist()))]:
        assert squad.gated(right, answerable, p > threshold).mean() * 100 <= best + 1e-9


@given(labelled, st.floats(0, 1))
def test_abstention_is_scikit_learns_with_declining_as_the_positive_class(rows: list[tuple[bool, float]], threshold: float) -> None:
    answerable, p = arrays(rows)
    declined = p < threshold
    found = abstention(answerable, declined)
    if (~answerable).any():
        assert found["f1"] == pytest.approx(f1_score(~answerable, declined, zero_division=0.0), abs=1e-4)
        assert found["answered_when_insufficient"] == pytest.approx(1 - found["recall"], abs=2e-4)
    else:
        assert found["f1"] is None
    assert found["n_answerable"] + found["n_unanswerable"] == len(rows)


@given(labelled)
def test_the_kinds_add_up(rows: list[tuple[bool, float]]) -> None:
    answerable, p = arrays(rows)
    kinds = ["positive" if a else f"kind {int(v * 3)}" for a, v in rows]
    found = by_kind(kinds, answerable, p < 0.5)
    everything = found.pop("all")
    assert sum(kind["n_unanswerable"] for kind in found.values()) == everything["n_unanswerable"]
    assert all(kind["over_refusal"] == everything["over_refusal"] for kind in found.values())


@given(labelled)
def test_calibration_is_scikit_learns_weighted_by_the_bins(rows: list[tuple[bool, float]]) -> None:
    answerable, p = arrays(rows)
    found = calibration(answerable, p)
    full = [b for b in found["bins"] if b["n"]]
    assert sum(b["n"] for b in full) == len(rows)
    assert found["brier"] == pytest.approx(brier_score_loss(answerable, p, pos_label=True), abs=1e-4)
    assert 0 <= found["ece"] <= 1
    edges = np.minimum((p * 10).astype(int), 9) / 10 + 0.05  # scikit-learn puts a bin's upper edge into it: bins are compared by their middles
    true, said = calibration_curve(answerable, edges, n_bins=10)
    assert [b["share_answerable"] for b in full] == pytest.approx(true.tolist(), abs=1e-4)
    error = sum(b["n"] * abs(b["share_answerable"] - b["mean_p"]) for b in full) / len(rows)
    assert found["ece"] == pytest.approx(error, abs=1e-3)
    assert len(said) == len(full)


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.1, 0.5, 0.9])), min_size=1, max_size=50), st.randoms())
def test_risk_by_coverage_does_not_know_the_order_of_rows(rows: list[tuple[float, float]], rng: object) -> None:
    loss, confidence = (np.asarray(column) for column in zip(*rows, strict=True))
    order = np.random.default_rng(0).permutation(len(rows))
    one, other = risk_coverage(loss, confidence), risk_coverage(loss[order], confidence[order])
    assert one["area"] == pytest.approx(other["area"], abs=1e-3)
    assert one["curve"][-1]["coverage"] == 1.0
    assert one["curve"][-1]["risk"] == pytest.approx(loss.mean(), abs=1e-4)


def test_a_perfect_order_has_no_risk_until_the_wrong_ones_come() -> None:
    curve = risk_coverage(np.asarray([0.0, 0.0, 1.0, 1.0]), np.asarray([0.9, 0.8, 0.2, 0.1]))["curve"]
    assert [point["risk"] for point in curve] == [0.0, 0.0, pytest.approx(1 / 3, abs=1e-4), 0.5]


def test_intervals_hold_the_figure_are_the_same_again_and_are_wider_by_page() -> None:
    rng = np.random.default_rng(0)
    titles = [f"page {n // 20}" for n in range(400)]
    right = np.repeat(rng.random(20) < 0.6, 20).astype(np.float64)  # a page's questions succeed or fail together
    ratios = {"share": (right, np.ones(400))}
    by_page = bootstrap.intervals(ratios, bootstrap.clusters_of(titles), seed=1)["share"]
    by_question = bootstrap.intervals(ratios, bootstrap.clusters_of([""] * 400), seed=1)["share"]
    assert by_page is not None
    assert by_question is not None
    assert by_page[0] <= right.mean() <= by_page[1]
    assert by_page == bootstrap.intervals(ratios, bootstrap.clusters_of(titles), seed=1)["share"]
    assert by_page[1] - by_page[0] > 2 * (by_question[1] - by_question[0])


def test_an_interval_of_nothing_is_none() -> None:
    clusters = bootstrap.clusters_of(["a", "b"])
    assert bootstrap.intervals({"none": (np.zeros(2), np.zeros(2))}, clusters, 0) == {"none": None}
    assert bootstrap.auroc_interval(np.ones(2, dtype=bool), np.ones(2), clusters, 0) is None


def questions() -> list[Question]:
    return [
        Question(str(n), "C.", "Q?", ("Paris",) if n % 2 else (), bool(n % 2), "positive" if n % 2 else "written", f"t{n % 5}") for n in range(20)
    ]


def test_every_system_is_measured_alike_and_the_trivial_ones_are_what_they_are() -> None:
    asked = questions()
    answers = Answers.of(["Paris"] * 20, asked)
    always = measured(System("always_answer", "", answers), asked)
    never = measured(System("always_decline", "", Answers.of([""] * 20, asked)), asked)
    assert (always["squad"]["exact"], always["squad"]["NoAns_f1"], always["squad"]["HasAns_f1"]) == (50.0, 0.0, 100.0)
    assert (never["squad"]["exact"], never["squad"]["HasAns_f1"], never["abstention"]["all"]["recall"]) == (50.0, 0.0, 1.0)
    scores = np.asarray([0.9 if n % 2 or n == 0 else 0.1 for n in range(20)])
    judged = System("judged", "", answers, scores, 0.5)
    found = measured(judged, asked)
    assert found["abstention"]["written"]["answered_when_insufficient"] == 0.1
    assert found["discriminator"]["all"]["auroc"] == pytest.approx(roc_auc_score([n % 2 for n in range(20)], scores), abs=1e-4)
    assert found["squad"]["best_f1"] >= found["squad"]["f1"] == 95.0
    sure = certainty(judged, asked, seed=0)["shares_of_one"]
    assert sure["f1"][0] <= 0.95 <= sure["f1"][1]
    curves = risks(judged, asked)["risk_coverage"]
    assert curves["sufficiency"]["curve"][-1]["risk"] == 0.5


@pytest.mark.parametrize(
    ("question", "context", "against"),
    [
        ("Who won at the 2048 Summer Olympics?", "Judo at the 2020 Summer Olympics\nMen\n\nTeddy Riner lost.", "2048 is not in it"),
        ("Which city hosted the surfing of the 2024 Summer Olympics?", "Surfing at the 2020 Summer Olympics\n\nDropped for Paris 2024.", "it is about 2020, not 2024"),
        ("Who won the men’s 100 metres?", "Women's 100 metres\n\nElaine Thompson-Herah won.", "it is about women, not men"),
        ("Who won the 2016 final?", "Final at the 2020 Summer Olympics\n\nAs in 2016, Brazil won.", ""),
        ("How many women swam in 2020?", "Swimming 2020\n\nMen and women swam: 400 and 410.", ""),
        ("When was it built?", "A bridge\n\nIt was built in 1958.", ""),
    ],
)  # fmt: skip
def test_a_context_about_another_year_event_or_side_is_named(question: str, context: str, against: str) -> None:
    assert contradiction(question, context) == against
