"""Verdicts of people: each is applied or is an error that names its line, and nothing vanishes."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from conftest import run
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from pipeline.dataset.review import VERDICTS, apply, parse
from pipeline.errors import InputError
from pipeline.evaluation.agreement import estimate, kappa, sample_size
from pipeline.records import NO_ANSWER, DroppedExample, Example, ReviewedExample
from pipeline.run_folder import RunFolder
from pipeline.store import read_rows

if TYPE_CHECKING:
    from pathlib import Path


def example(number: int, *, answerable: bool = True) -> Example:
    context = f"Judo\nResults\n\nForty-six judoka won medal {number} in Tokyo, and Ono was one of them."
    answer, kind = ("Ono", "positive") if answerable else (NO_ANSWER, "same_page")
    evidence = "Ono was one of them" if answerable else ""
    return Example(
        f"ex-{number}", f"qa-{number}", "train", kind, context, "sec-1", "Who won?", answer, answerable, "by rules", 0.5, "written", evidence, ""
    )


def line(number: int, verdict: str, **more: object) -> str:
    return json.dumps({"example_id": f"ex-{number}", "verdict": verdict, **more})


def test_a_dropped_row_is_gone_and_listed_a_kept_one_says_that_it_was_read() -> None:
    done = apply("r", [example(1), example(2), example(3)], parse("r", [line(1, "drop", reason="text"), "", line(3, "keep", reviewer="Ada")]))
    assert [e.example_id for e in done.examples] == ["ex-2", "ex-3"]
    assert [(d.qa_id, d.reason) for d in done.dropped] == [("qa-1", "dropped_by_review")]
    assert [e.verified for e in done.examples] == ["by rules", "by rules; reviewed: kept"]
    assert [v.verdict for v in done.verdicts] == ["drop", "keep"]
    assert [(v.reason, v.reviewer, v.answerable_reviewed) for v in done.verdicts] == [("text", "", True), ("", "Ada", True)]


def test_a_fix_changes_what_it_names_and_keeps_where_the_row_came_from() -> None:
    before = example(1)
    after = apply("r", [before], parse("r", [line(1, "fix", question=" Who was among the forty-six? ")])).examples[0]
    assert after == replace(before, question="Who was among the forty-six?", verified="by rules; reviewed: fixed")


def test_evidence_that_does_not_hold_a_new_answer_is_not_kept_as_its_evidence() -> None:
    other, same = (apply("r", [example(1)], parse("r", [line(1, "fix", answer=answer)])).examples[0] for answer in ("forty-six", "one"))
    assert (other.answer, other.evidence) == ("forty-six", "")
    assert (same.answer, same.evidence) == ("one", "Ono was one of them")


def test_a_negative_that_answers_after_all_becomes_a_positive_with_the_answer_given() -> None:
    after = apply("r", [example(1, answerable=False)], parse("r", [line(1, "fix", answerable=True, answer="Ono")])).examples[0]
    assert (after.kind, after.answerable, after.answer) == ("positive", True, "Ono")
    assert after.verified == "by rules; reviewed: fixed, was same_page"


def test_a_positive_that_does_not_answer_becomes_a_refusal() -> None:
    done = apply("r", [example(1)], parse("r", [line(1, "fix", answerable=False)]))
    after = done.examples[0]
    assert (after.kind, after.answerable, after.answer, after.evidence) == ("evidence_removed", False, NO_ANSWER, "")
    assert (done.verdicts[0].answerable, done.verdicts[0].answerable_reviewed) == (True, False)


def test_a_drop_for_its_label_counts_as_the_other_label() -> None:
    done = apply("r", [example(1, answerable=False)], parse("r", [line(1, "drop", reason="label")]))
    assert (done.verdicts[0].answerable, done.verdicts[0].answerable_reviewed) == (False, True)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("{", "not JSON – r, line 2"),
        ("[]", "no JSON object – r, line 2"),
        ('{"verdict": "keep"}', "lacks a field – r, line 2: example_id"),
        (line(1, "burn"), "a verdict is not known – r, line 2: 'burn'"),
        (line(1, "keep", colour="red"), "unknown field – r, line 2: 'colour'"),
        (line(1, "keep", note=3), "wrong type – r, line 2: note"),
        (line(1, "fix", answerable="yes"), "wrong type – r, line 2: answerable"),
        (line(1, "fix"), "a fix changes nothing – r, line 2"),
        (line(1, "keep", answer="x"), "a verdict to keep changes a text – r, line 2: answer"),
        (line(1, "drop", reason="mood"), "a reason is not known – r, line 2: 'mood'"),
        (line(1, "keep", reason="label"), "a reason is not known – r, line 2: 'label'"),
        (line(2, "keep"), "an example is judged twice – r, lines 1 and 2: ex-2"),
        (line(9, "keep"), "a verdict is on no example of this run – r, line 2: ex-9"),
        (line(1, "fix", question="  "), "a fix leaves no question – r, line 2"),
        (line(1, "fix", answer=" "), "has none – r, line 2"),
        (line(1, "fix", answerable=False, answer="Ono"), "says that there is none – r, line 2"),
    ],
)
def test_a_line_that_is_no_verdict_is_named(wrong: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        apply("r", [example(1), example(2)], parse("r", [line(2, "keep"), wrong]))
    assert said in str(error.value)


@given(st.lists(st.sampled_from([*VERDICTS, None]), max_size=30))
def test_every_example_stays_or_is_listed_as_dropped(verdicts: list[str | None]) -> None:
    examples = [example(n, answerable=n % 2 == 0) for n in range(len(verdicts))]
    lines = [line(n, v, **({"question": "Who?"} if v == "fix" else {})) for n, v in enumerate(verdicts) if v]
    done = apply("r", examples, parse("r", lines))
    assert len(examples) == len(done.examples) + len(done.dropped)
    assert len(done.verdicts) == len(lines)


def test_kappa_is_scikit_learns_and_undefined_where_all_say_the_same() -> None:
    one, other = [True, True, False, False, True], [True, False, False, False, True]
    assert kappa(one, other) == round(float(cohen_kappa_score(one, other)), 4) == 0.6154
    assert kappa(one, one) == 1.0
    assert kappa([True, True], [True, True]) is None


def test_the_bounds_are_wilsons() -> None:
    found = estimate(1, 10)  # Newcombe (1998) and every textbook: 0.0179 to 0.4042
    assert (found.share, round(found.low, 4), round(found.high, 4)) == (0.1, 0.0179, 0.4042)
    assert estimate(0, 50).low == 0


@pytest.mark.parametrize("width", [0.02, 0.05, 0.1, 0.2])
def test_a_sample_of_the_planned_size_gives_the_interval_wanted_and_a_much_smaller_one_does_not(width: float) -> None:
    n = sample_size(width, 1_000_000)
    enough, few = (estimate(round(0.05 * m), m) for m in (n, n // 2))
    assert enough.high - enough.low <= width < few.high - few.low
    assert sample_size(width, 10) == 10


def test_nineteen_of_twenty_intervals_hold_the_true_share() -> None:
    draw = random.Random(7)
    held = 0
    for _ in range(400):
        found = estimate(sum(draw.random() < 0.04 for _ in range(300)), 300)
        held += found.low <= 0.04 <= found.high
    assert held >= 370


def test_train_applies_a_review_counts_it_and_lists_it(trained: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(trained, folder.root)
    before = read_rows(folder.examples, Example)
    positive, other, kept = (next(e for e in before if e.kind == kind) for kind in ("positive", "random", "same_page"))
    said = [
        {"example_id": positive.example_id, "verdict": "fix", "question": "What is\u2028asked here?"},
        {"example_id": other.example_id, "verdict": "drop", "reason": "label", "reviewer": "Ada"},
        {"example_id": kept.example_id, "verdict": "keep"},
    ]
    review = tmp_path / "review.jsonl"
    review.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in said), "utf-8")
    result = run("train", "--trainer", "none", "--review", review, "--data", folder.root, "--json")
    assert (result.code, result.json["counts"]["review"]) == (0, {"kept": 1, "fixed": 1, "dropped": 1}), result.err
    after = {e.example_id: e for e in read_rows(folder.examples, Example)}
    assert after.keys() == {e.example_id for e in before} - {other.example_id}
    assert after[positive.example_id].question == "What is\u2028asked here?"
    assert [d.qa_id for d in read_rows(folder.dropped_examples, DroppedExample) if d.reason == "dropped_by_review"] == [other.qa_id]
    assert [(r.verdict, r.reviewer) for r in read_rows(folder.reviewed_examples, ReviewedExample) if r.verdict == "drop"] == [("drop", "Ada")]
    assert "nothing to do" in run("train", "--trainer", "none", "--review", review, "--data", folder.root).out
    assert "this one does not (--review FILE)" in run("train", "--trainer", "none", "--data", folder.root).err
    assert "the review cannot be read" in run("train", "--review", tmp_path / "none.jsonl", "--data", folder.root).errors[0]
