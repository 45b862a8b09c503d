"""Texts cut, compared, counted: nothing lost, known values met."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.text.compare import find_verbatim, jaccard, mentions, normalise_answer, plain, shingles, token_f1, words
from pipeline.text.lexical import Idf, content_words
from pipeline.text.sentences import pieces, sentences, split_at_sentences
from pipeline.text.tokens import countable_pieces, token_counter

PROSE = st.lists(
    st.sampled_from(["word", "Mr.", "end.", "What?", "U.S.", "3.5", "\n", "\n\n", " ", " ", " ", "“quoted.”", "日本。", "e\u0301", "\u2028", "\r\n"])
).map("".join)
WORDS = st.text("ab c", max_size=30)


def count_words(text: str) -> int:
    return len(text.split())


# --- sentences --------------------------------------------------------------------------------------


@given(st.one_of(PROSE, st.text()))
def test_pieces_joined_are_the_text_again(text: str) -> None:
    assert "".join(pieces(text)) == text


def test_sentences_end_at_full_stops_and_lines_but_not_after_abbreviations() -> None:
    assert sentences("Dr. Smith won. He ran 3.5 km!\nRank: 1; Name: Ann\n\n* item") == [
        "Dr. Smith won.",
        "He ran 3.5 km!",
        "Rank: 1; Name: Ann",
        "* item",
    ]


@given(st.one_of(PROSE, st.text()), st.integers(1, 60))
def test_parts_joined_are_the_text_again_and_none_is_above_the_limit_in_characters(text: str, limit: int) -> None:
    parts = split_at_sentences(text, len, limit)
    assert "".join(parts) == text
    assert all(len(part) <= limit for part in parts)


@given(PROSE, st.integers(4, 40))
def test_parts_joined_are_the_text_again_and_none_is_above_the_limit_in_tokens(text: str, limit: int) -> None:
    count = token_counter("cl100k_base")
    parts = split_at_sentences(text * 5, count, limit)
    assert "".join(parts) == text * 5
    assert all(count(part) <= limit for part in parts)


def test_a_text_within_the_limit_is_one_part() -> None:
    assert split_at_sentences("One. Two.", count_words, 2) == ["One. Two."]


def test_a_split_falls_between_sentences() -> None:
    assert split_at_sentences("One two three. Four five six. ", count_words, 4) == ["One two three. ", "Four five six. "]


def test_a_sentence_above_the_limit_is_cut_between_words_and_a_word_between_characters() -> None:
    assert {word for part in split_at_sentences("aaaa bbbb " * 6, len, 12) for word in part.split()} == {"aaaa", "bbbb"}
    assert split_at_sentences("a" * 16, len, 4) == ["aaaa"] * 4


def test_no_part_is_a_tail_far_shorter_than_the_others() -> None:
    text = "One two three four five six seven eight nine ten. " * 301
    sizes = [count_words(part) for part in split_at_sentences(text, count_words, 1500)]
    assert min(sizes) >= max(sizes) / 2


# --- comparison -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("predicted", "gold", "f1"),
    [
        ("The cat sat.", "a cat sat", 1.0),
        ("cat sat", "cat sat down", 0.8),
        ("gold gold", "gold", 2 / 3),
        ("silver", "gold", 0.0),
        ("", "", 1.0),
        ("the", "!", 1.0),
        ("", "gold", 0.0),
    ],
)
def test_token_f1_is_squads(predicted: str, gold: str, f1: float) -> None:
    assert token_f1(predicted, gold) == pytest.approx(f1)
    assert token_f1(gold, predicted) == pytest.approx(f1)


def test_an_answer_is_normalised_as_in_squads_script() -> None:
    assert normalise_answer("  The U.S. Team's  an-them, a\nwin ") == "us teams anthem win"


def test_a_phrase_is_mentioned_as_whole_words_only() -> None:
    assert mentions("Won by the Netherlands, in Tokyo.", "Tokyo")
    assert mentions("Won by the Netherlands, in Tokyo.", "the netherlands in")
    assert not mentions("Won by the Netherlands", "Nether")
    assert not mentions("rank 12", "2")
    assert not mentions("anything", "the")
    assert not mentions("anything", "")


def test_a_quote_is_found_through_quotes_dashes_and_space_and_returned_in_the_texts_own_wording() -> None:
    text = "He said:  “It’s\n2020–21”  – and left."
    assert find_verbatim('said: "It\'s 2020-21" - and', text) == "said:  “It’s\n2020–21”  – and"
    assert find_verbatim("“It's 2020—21”", text) == "It’s\n2020–21"


@pytest.mark.parametrize("quote", ["said It", "he said", "2020 21", "", ' " ', "left. And"])
def test_a_quote_in_other_words_case_or_marks_is_not_found(quote: str) -> None:
    assert find_verbatim(quote, "He said: It is 2020-21, and left.") is None


@given(st.text("ab“”\"'’–- \n\t\u00a0", max_size=40), st.data())
def test_every_span_of_a_text_is_found_in_it(text: str, data: st.DataObject) -> None:
    ends = [at for at in range(len(text) + 1) if not text[max(0, at - 1) : at + 1].isalnum() or at in (0, len(text))]
    start, end = sorted(data.draw(st.tuples(st.sampled_from(ends), st.sampled_from(ends))))
    wanted = plain(text[start:end]).strip("\"' ")
    found = find_verbatim(plain(text[start:end]), text)
    assert (found is None) == (not wanted)
    assert found is None or (found in text and plain(found) == wanted)


def test_words_are_lower_case_and_equal_however_accents_are_encoded() -> None:
    assert words("Cafe\u0301, 1500 m!") == words("CAF\u00c9 1500 m") == ["café", "1500", "m"]


def test_shingles_are_the_runs_of_n_words_and_a_short_text_is_one() -> None:
    assert shingles("a b c d", 3) == {("a", "b", "c"), ("b", "c", "d")}
    assert shingles("a b", 3) == {("a", "b")}
    assert shingles("a b c", 3) == {("a", "b", "c")}
    assert shingles(" . ") == frozenset()


def test_jaccard_is_the_share_in_common() -> None:
    assert jaccard(shingles("a b c", 1), shingles("b c d", 1)) == 0.5
    assert jaccard(frozenset(), frozenset()) == 0.0


@given(WORDS, WORDS)
def test_jaccard_is_symmetric_and_one_for_equal_texts_only(a: str, b: str) -> None:
    left, right = shingles(a, 2), shingles(b, 2)
    assert jaccard(left, right) == jaccard(right, left)
    assert (jaccard(left, right) == 1.0) == (bool(left) and left == right)


# --- rarity -----------------------------------------------------------------------------------------


def test_a_words_weight_falls_with_the_documents_it_stands_in_not_with_its_repetitions() -> None:
    idf = Idf.of(["gold gold medal", "gold", "the silver"])
    assert (idf.size, idf.documents) == (3, {"gold": 2, "medal": 1, "silver": 1})
    assert idf.weight("gold") == pytest.approx(math.log(4 / 2.5))
    assert idf.weight("unknown") == pytest.approx(math.log(4 / 0.5))


def test_overlap_weighs_the_words_found_by_their_rarity() -> None:
    idf = Idf.of(["gold medal", "gold", "silver"])
    expected = math.log(4 / 1.5) / (math.log(4 / 1.5) + math.log(4 / 2.5))
    assert idf.overlap(["medal", "gold"], ["medal", "other"]) == pytest.approx(expected)
    assert idf.overlap(["medal", "gold"], ["gold", "medal"]) == 1.0
    assert idf.overlap([], ["gold"]) == 0.0


@given(st.lists(WORDS, max_size=5), WORDS, WORDS)
def test_overlap_is_between_none_and_all(texts: list[str], question: str, text: str) -> None:
    overlap = Idf.of(texts).overlap(content_words(question), content_words(text))
    assert 0.0 <= overlap <= 1.0
    assert (overlap > 0) == bool(set(content_words(question)) & set(content_words(text)))


def test_function_words_are_no_content_words() -> None:
    assert content_words("Who was the winner of the 100 metres?") == ["winner", "100", "metres"]


# --- tokens -----------------------------------------------------------------------------------------

NO_NETWORK = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}


def offline(code: str, cache: Path) -> str:
    """Run Python where nothing can be fetched and nothing is cached: a proxy that is not there, an empty cache."""
    env = {k: v for k, v in os.environ.items() if k.lower() not in {"https_proxy", "http_proxy", "all_proxy"}}
    env |= {**NO_NETWORK, "https_proxy": NO_NETWORK["HTTPS_PROXY"], "TIKTOKEN_CACHE_DIR": str(cache)}
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_cl100k_tokens_are_counted_without_a_network(tmp_path: Path) -> None:
    code = "from pipeline.text.tokens import token_counter as t; print(t('cl100k_base')('tiktoken is great!'))"
    assert offline(code, tmp_path) == "6"


def test_a_texts_own_special_tokens_are_text() -> None:
    assert token_counter("cl100k_base")("<|endoftext|>") > 1


def test_an_encoding_that_cannot_be_fetched_is_named_with_the_one_that_works(tmp_path: Path) -> None:
    code = (
        "from pipeline.text.tokens import token_counter as t\nfrom pipeline.errors import InputError\n"
        "try: t('p50k_base')\nexcept InputError as e: print(e)"
    )
    said = offline(code, tmp_path)
    assert "p50k_base" in said
    assert "--encoding cl100k_base" in said


def test_an_unknown_encoding_is_named_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown encoding – cl100k – known: .*cl100k_base") as caught:
        token_counter("cl100k")
    assert "_offline" not in str(caught.value)


SPACED = st.lists(st.sampled_from([*" \n\r\t\xa0\u3000\x85\x1c\u2029", "a", "Bc", "1", ".", "-", "日", "'s", "e\u0301", "\u200b"]), max_size=40).map(
    "".join
)


@given(st.one_of(SPACED, st.text()), st.integers(1, 5))
def test_pieces_cut_at_white_space_have_the_tokens_of_the_whole(text: str, long: int) -> None:
    count, pieces_of = token_counter("cl100k_base"), countable_pieces(text, long)
    assert "".join(pieces_of) == text
    assert sum(map(count, pieces_of)) == count(text)


def test_ordinary_text_is_counted_in_one_piece_and_long_white_space_apart() -> None:
    assert countable_pieces("a b\n\nc " * 50_000) == ["a b\n\nc " * 50_000]
    assert countable_pieces("a" + " " * 6 + "b c", 4) == ["a" + " " * 5, " b c"]
    assert countable_pieces("a \n\n   b", 4) == ["a \n\n", "  ", " b"]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("a" + " " * 1_000_000 + "b", 7815),
        (" " * 1_000_000, 7813),
        ("a" + "\t" * 1_000_000 + "b", 62502),
        ("a" * 1_000_000, 125_000),
        ("日" * 1_000_000, 1_000_000),
    ],
)
def test_a_million_characters_in_a_row_are_counted(text: str, tokens: int) -> None:
    assert token_counter("cl100k_base")(text) == tokens
