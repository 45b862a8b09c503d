"""What is in two splits is found, and nothing else; near-duplicates as a comparison of all pairs finds them."""

from __future__ import annotations

import random
from itertools import combinations
from typing import TYPE_CHECKING

from examples_of_formats import example, negative
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.leaks import THRESHOLD, Leak, leaks, near_repeats
from pipeline.records import QA, SPLITS, Example, Section
from pipeline.run_folder import RunFolder
from pipeline.store import read_rows
from pipeline.text.compare import jaccard, shingles

if TYPE_CHECKING:
    from pathlib import Path

HUNDRED = " ".join(f"word{n}" for n in range(100))
NAMES = ("pages", "contexts", "near contexts", "questions", "near questions", "positives elsewhere")


def found(*examples: Example, page_of: dict[str, str] | None = None, home: dict[str, str] | None = None) -> dict[str, Leak]:
    return dict(zip(NAMES, leaks(examples, page_of or {}, home or {}), strict=True))


def clean(name: str, split: str, context: str) -> Example:
    """An example that has nothing in common with others."""
    return example(name, split=split, context=context, context_section_id=f"sec-{name}", question=f"{name} {name} who was it {name}?")


def counts(*examples: Example, page_of: dict[str, str] | None = None, home: dict[str, str] | None = None) -> dict[str, int]:
    return {name: leak.found for name, leak in found(*examples, page_of=page_of, home=home).items() if leak.found}


def test_splits_with_nothing_in_common_have_no_leak_and_say_how_much_was_looked_at() -> None:
    leak = found(clean("a", "train", "one two three"), clean("b", "test", "four five six"), clean("c", "validation", "seven"))
    assert [(one.found, one.shown) for one in leak.values()] == [(0, ())] * 6
    assert (leak["contexts"].of, leak["questions"].of, leak["near contexts"].of) == (3, 3, 3)


def test_a_page_is_in_two_splits_by_its_contexts_or_by_its_questions() -> None:
    rows = (clean("a", "train", "one"), clean("b", "test", "two"))
    assert counts(*rows, page_of={"sec-a": "Judo", "sec-b": "Judo"}) == {"pages": 1}
    assert counts(*rows, page_of={"sec-a": "Judo", "sec-c": "Judo"}, home={"qa-b": "sec-c"}) == {"pages": 1}
    assert counts(*rows, page_of={"sec-a": "Judo", "sec-b": "Surfing"}) == {}


def test_an_equal_context_is_a_leak_and_no_near_duplicate_beside_it() -> None:
    assert counts(clean("a", "train", HUNDRED), clean("b", "test", HUNDRED)) == {"contexts": 1}


def test_a_nearly_equal_context_is_a_leak_though_title_and_heading_differ() -> None:
    rows = (clean("a", "train", f"Judo\nMen\n\n{HUNDRED}"), clean("b", "test", f"Sumo\nAll\n\n{HUNDRED.replace('word50', 'x')}"))
    assert counts(*rows) == {"near contexts": 1}
    assert found(*rows)["near contexts"].shown == (HUNDRED.replace("word50", "x")[:100],)


def test_the_same_split_may_repeat_itself() -> None:
    assert counts(clean("a", "test", HUNDRED), clean("b", "test", HUNDRED), clean("c", "test", HUNDRED + " more")) == {}


def test_a_question_that_differs_in_capitals_marks_and_articles_is_the_same() -> None:
    first, second = clean("a", "train", "one"), clean("b", "validation", "two")
    same = example("c", split="validation", context="two", context_section_id="sec-b", question=f"the {first.question.upper()}!")
    assert counts(first, second, same) == {"questions": 1}


def test_a_question_with_a_word_more_is_nearly_the_same() -> None:
    text = "which of the two brothers from Georgia won the heavy class of judo at the Games of Tokyo"
    rows = [
        example(name, split=split, context=name, context_section_id=name, question=text + more)
        for name, split, more in (("a", "train", ""), ("b", "test", " then"))
    ]
    assert counts(*rows) == {"near questions": 1}


def test_a_section_that_answers_in_one_split_and_declines_in_another_is_a_leak() -> None:
    positive = clean("a", "train", "one")
    elsewhere = negative("b", "similar", split="test", context="one, without its evidence", context_section_id="sec-a", question="what?")
    here = negative("c", "same_page", split="train", context="one", context_section_id="sec-a", question="b b who was it b?")
    assert counts(positive, elsewhere)["positives elsewhere"] == 1
    assert "positives elsewhere" not in counts(positive, here)


def variants(number: int) -> list[str]:
    """Texts, each with a few words of the one before exchanged."""
    rng = random.Random(number)
    words = [f"w{rng.randrange(500)}" for _ in range(80)]
    texts = []
    for _ in range(12):
        texts.append(" ".join(words))
        for _ in range(rng.randrange(4)):
            words[rng.randrange(80)] = f"x{rng.randrange(10**6)}"
    return texts


@given(st.integers(0, 10**6))
def test_near_repeats_are_those_that_a_comparison_of_all_pairs_finds(number: int) -> None:
    texts = [*variants(number), *variants(number + 1)]
    labels = [random.Random(number).choice(SPLITS) for _ in texts]
    alike = {
        j for i, j in combinations(range(len(texts)), 2) if labels[i] != labels[j] and jaccard(shingles(texts[i]), shingles(texts[j])) >= THRESHOLD
    }
    repeats = dict(near_repeats(texts, labels))
    assert repeats.keys() == alike
    assert all(jaccard(shingles(texts[i]), shingles(texts[j])) >= THRESHOLD and labels[i] != labels[j] and i < j for j, i in repeats.items())


def test_ten_thousand_texts_that_are_all_alike_are_each_compared_with_few() -> None:
    texts = [f"{HUNDRED} {n}" for n in range(10_000)]
    assert len(list(near_repeats(texts, ["train", "test"] * 5_000))) == 9_999


def test_empty_texts_repeat_nothing() -> None:
    assert list(near_repeats(["", "", "…"], ["train", "test", "test"])) == []
    assert list(near_repeats([], [])) == []


def test_the_samples_leaks_are_those_that_a_comparison_of_all_pairs_finds(trained: Path) -> None:
    folder = RunFolder(trained)
    examples = read_rows(folder.examples, Example)
    sections = {s.section_id: s for s in read_rows(folder.sections, Section)}
    leak = found(*examples, page_of={i: s.title for i, s in sections.items()}, home={row.qa_id: row.section_id for row in read_rows(folder.qa, QA)})
    unique = sorted({e.context: (e.split, e.context_section_id) for e in examples}.items(), key=lambda item: SPLITS.index(item[1][0]))
    grams = [shingles(sections[place[1]].content) for _, place in unique]
    near = {
        j for i, j in combinations(range(len(unique)), 2)
        if unique[i][1][0] != unique[j][1][0] and jaccard(grams[i], grams[j]) >= THRESHOLD
    }  # fmt: skip
    assert leak["near contexts"].found == len(near)
    assert leak["pages"].found == leak["contexts"].found == leak["questions"].found == 0
