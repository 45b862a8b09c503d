"""The terms of the old fine-tuning guide, results.csv, and classification files: what needs no model."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from pipeline.dataset.classification import Classified, common_ending, explore, ordered_classes, parse
from pipeline.errors import InputError
from pipeline.evaluation.classification import measures, names
from pipeline.trainers import results, terms
from pipeline.trainers.classify import betas_of


@pytest.mark.parametrize(("rows", "batch"), [(10, 8), (4000, 8), (10_000, 20), (100_000, 200), (1_000_000, 256)])
def test_a_batch_is_a_fifth_of_a_percent_and_never_under_8_nor_over_256(rows: int, batch: int) -> None:
    assert terms.batch_size(rows, None) == batch
    assert terms.batch_size(rows, 3) == 3


def test_the_multiplier_grows_with_the_batch() -> None:
    assert [terms.multiplier(batch, None) for batch in (8, 64, 256)] == [0.05, 0.1, 0.2]
    assert terms.multiplier(8, 0.5) == 0.5


def test_a_name_has_base_suffix_and_time() -> None:
    assert terms.model_name("smollm2-135m", "olympics", datetime(2026, 11, 22, 16, 40)) == "smollm2-135m:ft-olympics-2026-11-22-16-40-00"  # noqa: DTZ001


@pytest.mark.parametrize("suffix", ["x" * 41, "", "../up", "a b", "-dash", "dot.", "ü"])
def test_a_suffix_that_is_no_name_is_refused(suffix: str) -> None:
    with pytest.raises(InputError, match="suffix"):
        terms.checked_suffix(suffix)


def test_a_suffix_of_forty_characters_is_taken() -> None:
    assert terms.checked_suffix("x" * 40) == "x" * 40


def test_much_less_data_brings_the_guides_hint_and_as_much_none() -> None:
    hint = terms.hint_for_less_data(100, 1000, 0.2)
    assert hint
    assert "0.05 to 0.1" in hint
    assert terms.hint_for_less_data(900, 1000, 0.2) is None
    assert terms.hint_for_less_data(100, None, 0.2) is None


def test_an_overlap_names_its_rows_and_its_file() -> None:
    train = [(f"k{n}", f"row {n}") for n in range(9)]
    with pytest.raises(InputError, match=r"5 validation rows are among.*v\.jsonl: row 0; row 1; row 2 and 2 more"):
        terms.check_no_overlap(train, train[:5], "v.jsonl")
    terms.check_no_overlap(train, [("other", "row")], "v.jsonl")


numbers = st.one_of(st.none(), st.integers(0, 10**9), st.floats(0, 1e6, allow_nan=False))


@given(st.lists(st.fixed_dictionaries({"step": st.integers(1, 10**6), "training_loss": numbers, "validation_loss": numbers}), max_size=5))
def test_results_are_read_back_and_a_half_written_row_is_not(lines: list[results.Line]) -> None:
    columns = ("step", "training_loss", "validation_loss")
    text = results.table(columns, lines)
    back = results.parse(text)
    assert [line["step"] for line in back] == [line["step"] for line in lines]
    for one, other in zip(lines, back, strict=True):
        for name in columns:
            assert (one[name] is None) == (other[name] is None)
            assert other[name] is None or other[name] == pytest.approx(one[name], rel=1e-5)
    assert results.parse(text + "17,0.") == back


def test_rows_behind_a_checkpoint_stay_and_later_ones_go() -> None:
    assert [line["step"] for line in results.up_to([{"step": n} for n in (1, 2, 3, 4)], 2)] == [1, 2]


def test_the_columns_are_the_guides() -> None:
    assert results.columns(names(2, (0.5, 1.0, 2.0))) == (
        "step", "elapsed_tokens", "elapsed_examples", "training_loss", "training_sequence_accuracy", "training_token_accuracy",
        "validation_loss", "validation_sequence_accuracy", "validation_token_accuracy", "classification/accuracy", "classification/precision",
        "classification/recall", "classification/f0.5", "classification/f1", "classification/f2", "classification/auroc", "classification/auprc",
    )  # fmt: skip
    assert results.columns(names(3))[-2:] == ("classification/accuracy", "classification/weighted_f1")


@given(st.integers(2, 40), st.integers(2, 4), st.integers(0, 1000))
def test_measures_are_scikit_learns(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, p = rng.integers(0, k, n).tolist(), rng.dirichlet(np.ones(k), n)
    found = measures(truth, p, betas=(0.5, 1.0))
    if k > 2:
        assert found["accuracy"] == round(float(metrics.accuracy_score(truth, p.argmax(1))), 6)
        assert found["weighted_f1"] == round(float(metrics.f1_score(truth, p.argmax(1), average="weighted", zero_division=0.0)), 6)
        return
    said = (p[:, 1] >= 0.5).astype(int)
    assert found["precision"] == round(float(metrics.precision_score(truth, said, zero_division=0.0)), 6)
    assert found["recall"] == round(float(metrics.recall_score(truth, said, zero_division=0.0)), 6)
    assert found["f0.5"] == round(float(metrics.fbeta_score(truth, said, beta=0.5, zero_division=0.0)), 6)
    both = len(set(truth)) == 2
    assert (found["auroc"] is not None) == both
    assert not both or found["auroc"] == round(float(metrics.roc_auc_score(truth, p[:, 1])), 6)
    assert not both or found["auprc"] == round(float(metrics.average_precision_score(truth, p[:, 1])), 6)


def lines(*rows: tuple[str, str]) -> list[str]:
    return [json.dumps({"prompt": prompt, "completion": completion}) + "\n" for prompt, completion in rows]


def test_a_classification_file_is_looked_through_and_mended_where_that_is_safe() -> None:
    end = "\n\n###\n\n"
    found = explore(
        parse(lines((f"One.{end}", " a"), (f"Two.{end}", " b"), (f"One.{end}", "a"), (f"Three.{end}", " a"), (f"Three.{end}", " b")), "f")
    )
    assert found.rows == (Classified("One.", "a"), Classified("Two.", "b"))
    assert found.ending == end
    assert (found.n_read, found.n_duplicates, found.n_contradicting) == (5, 1, 2)
    assert found.n_read == len(found.rows) + found.n_duplicates + found.n_contradicting
    said = " ".join(found.findings)
    for seen in ("5 rows, 2 classes", "1 rows repeat", "different class", "all prompts end with", "fewer than 100"):
        assert seen in said


def test_words_that_all_prompts_end_with_are_no_separator() -> None:
    assert common_ending(["the game was won", "the match was won"]) == ""
    assert common_ending(["It was won.", "It was lost."]) == ""
    assert common_ending(["a\n->", "b\n->"]) == "\n->"
    assert common_ending(["alone ->"]) == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [("{", "not JSON"), ('{"prompt": "x"}', "row 1"), ('{"prompt": "x", "completion": " "}', "lacks"), ("[]", "not {prompt"), ("", "no row")],
)
def test_a_row_that_is_none_is_named(line: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse([line], "f.jsonl")


def test_the_positive_class_is_the_named_one_or_the_first_and_comes_last() -> None:
    assert ordered_classes(["b", "a", "b"], None, None, "f") == ("b", "a")
    assert ordered_classes(["b", "a"], 2, " b", "f") == ("a", "b")
    assert ordered_classes(["c", "a", "b"], 3, None, "f") == ("a", "b", "c")
    for labels, n, positive, said in (
        (["a"], None, None, "one class"),
        (["a", "b"], 3, None, "3 against 2"),
        (["a", "b"], None, "z", "'z'"),
        (list("abc"), None, "a", "two classes"),
    ):
        with pytest.raises(InputError, match=said):
            ordered_classes(labels, n, positive, "f")


def test_betas_are_numbers_above_nothing() -> None:
    assert betas_of("0.5, 1,1") == (0.5, 1.0)
    for wrong in ("0", "x", "-1", "nan"):
        with pytest.raises(InputError, match="beta"):
            betas_of(wrong)
