"""Texts that repeat an earlier one, a name or a number apart, are found; others are not."""

from __future__ import annotations

import random
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.database import scratch_database
from pipeline.text.compare import jaccard, shingles
from pipeline.text.duplicates import THRESHOLD, NearDuplicates


def marks(texts: list[str]) -> list[str]:
    with scratch_database() as database:
        index = NearDuplicates(database)
        return [index.first_like(str(number), text) for number, text in enumerate(texts)]


def variants(number: int) -> list[str]:
    """A hundred words, then the same with more and more of them exchanged."""
    rng = random.Random(number)
    words = [f"w{rng.randrange(500)}" for _ in range(100)]
    texts = [" ".join(words)]
    for _ in range(8):
        words[rng.randrange(100)] = f"x{rng.randrange(10**6)}"
        texts.append(" ".join(words))
    return texts


def test_a_hundred_words_with_a_name_and_a_number_changed_repeat_the_first() -> None:
    first = " ".join(f"word{n}" for n in range(100))
    assert marks([first, first.replace("word20", "Anna").replace("word70", "7"), "something else " * 30]) == ["", "0", ""]


def test_a_text_that_repeats_a_repetition_names_the_first() -> None:
    assert marks(["a b c d e f g h"] * 3) == ["", "0", "0"]


def test_short_texts_repeat_only_their_like_and_empty_ones_nothing() -> None:
    assert marks(["", "a", "", "a", "a b"]) == ["", "", "", "1", ""]


def test_of_two_earlier_texts_that_it_repeats_the_first_is_named() -> None:
    words = [f"w{n}" for n in range(100)]
    middle = [*words[:50], *(f"x{n}" for n in range(10)), *words[50:]]
    earlier = " ".join(words[:38] + [f"y{n}" for n in range(22)] + words[60:]), " ".join([*middle[:90], *(f"z{n}" for n in range(20))])
    assert marks([*earlier, " ".join(words)])[:2] == ["", ""]
    assert marks(["a b c d e f g h i j", "q r s t", "a b c d e f g h i j", "q r s t"]) == ["", "", "0", "1"]


def test_in_a_script_without_spaces_a_changed_name_is_still_a_repetition() -> None:
    text = "東京オリンピックの柔道男子73キロ級は日本武道館で行われ大野将平が決勝で勝って連覇を果たした。三位決定戦は延長の末に決まった。"
    assert marks([text, text.replace("大野将平", "阿部一二三"), "まったく別の文章がここにある。"]) == ["", "0", ""]


def test_many_texts_of_one_pattern_do_not_hide_the_one_that_is_repeated() -> None:
    def text(number: int) -> str:
        rng = random.Random(number)
        return " ".join([*(f"same{n}" for n in range(70)), *(f"own{rng.randrange(10**6)}" for _ in range(40))])

    many = [text(number) for number in range(60)]
    assert marks([*many, text(41).replace("same3 ", "other ")])[-1] == "41"


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_what_is_marked_is_above_the_threshold_and_what_is_not_repeats_no_unmarked_text(number: int) -> None:
    texts = variants(number)
    found = marks(texts)
    alike = {(i, j): jaccard(shingles(texts[i]), shingles(texts[j])) >= THRESHOLD for i, j in combinations(range(len(texts)), 2)}
    assert all(alike[int(first), j] and found[int(first)] == "" for j, first in enumerate(found) if first)
    assert not [pair for pair, near in alike.items() if near and found[pair[0]] == found[pair[1]] == ""]
