"""The search: two rankings fused, a budget of tokens, vectors that are made once and are those of the very texts."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StorageError
from pipeline.records import Section
from pipeline.retrieval.minilm import MiniLM
from pipeline.retrieval.search import Search, fused, within
from pipeline.retrieval.vectors import SentenceVectors, sentence_vectors_of
from pipeline.text.lexical import Idf
from pipeline.trainers.discriminator import Pair, best_sentence, features

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXTS = (
    "The lighthouse at Cape Fear is 46 metres tall. It was painted in 1958.",
    "Judo is a martial art. Teddy Riner lost his quarter-final.",
    "The marathon was moved to Sapporo because of the heat in the capital.",
)


def section(content: str, at: int, tokens: int = 50) -> Section:
    return Section(f"sec-{at}", at, 0, 0, f"Page {at}", "Facts", "Facts", 2, content, tokens, None, "", "")


class Bars:
    """Counts what a progress bar is told."""

    def __init__(self) -> None:
        self.done: list[int] = []

    @contextmanager
    def __call__(self, total: int) -> Iterator[Any]:
        self.done.append(0)
        yield self

    def step(self, n: int = 1) -> None:
        self.done[-1] += n


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM()


def never() -> MiniLM:
    raise AssertionError("the encoder is not needed")


@given(st.lists(st.permutations(range(8)), min_size=1, max_size=3))
def test_fusing_keeps_everything_once_and_what_is_first_everywhere_first(lists: list[list[int]]) -> None:
    found = fused(*lists)
    assert sorted(found) == list(range(8))
    if len({ranks[0] for ranks in lists}) == 1:
        assert found[0] == lists[0][0]
    assert fused(*reversed(lists)) == found


@given(st.lists(st.tuples(st.integers(1, 900), st.integers(0, 4)), min_size=1, max_size=20), st.integers(1, 10), st.integers(1, 2000))
def test_sections_stay_within_number_and_budget_and_no_text_comes_twice(rows: list[tuple[int, int]], most: int, budget: int) -> None:
    sections = [Section(f"s{at}", 1, at, 0, "T", "H", "H", 2, f"text {text}", tokens, None, "", "") for at, (tokens, text) in enumerate(rows)]
    found = list(within(sections, range(len(sections)), most, budget))
    assert 1 <= len(found) <= most
    assert len(found) == 1 or sum(s.tokens for s in found) <= budget
    assert len({s.context for s in found}) == len(found)


def test_vectors_are_made_once_and_only_what_is_new_is_made_later(tmp_path: Path, encoder: MiniLM) -> None:
    bars = Bars()
    first = sentence_vectors_of(tmp_path, TEXTS[:2], lambda: encoder, bars)
    again = sentence_vectors_of(tmp_path, TEXTS[:2], never, bars)
    assert np.array_equal(first.vectors, again.vectors)
    more = sentence_vectors_of(tmp_path, [TEXTS[2], *TEXTS[:2]], lambda: encoder, bars)
    assert bars.done == [2, 1]
    assert np.array_equal(more.vectors[more.begins[1] :], first.vectors)
    expected = encoder.sentence_vectors([TEXTS[2]])[0]
    assert np.allclose(more.vectors[: more.begins[1]].astype(np.float32), expected, atol=1e-3)


def test_what_was_made_before_a_kill_is_not_made_again(tmp_path: Path, encoder: MiniLM) -> None:
    class Killed(Exception):
        pass

    @contextmanager
    def killing(_total: int) -> Iterator[Any]:
        class Bar:
            def step(self, _n: int) -> None:
                raise Killed

        yield Bar()

    many = [f"Text number {at} speaks of boats." for at in range(40)]
    with pytest.raises(Killed):
        sentence_vectors_of(tmp_path, many, lambda: encoder, killing)
    bars = Bars()
    assert len(sentence_vectors_of(tmp_path, many, lambda: encoder, bars).begins) == 41
    assert bars.done == [8]


def test_damaged_files_are_made_anew_or_said(tmp_path: Path, encoder: MiniLM) -> None:
    bars = Bars()
    good = sentence_vectors_of(tmp_path, TEXTS, lambda: encoder, bars).vectors.copy()
    (tmp_path / "vectors.f16").write_bytes(b"short")
    assert np.array_equal(sentence_vectors_of(tmp_path, TEXTS, never, bars).vectors, good)
    (tmp_path / "vectors.json").write_text(json.dumps(["no", "object"]), "utf-8")
    assert np.array_equal(sentence_vectors_of(tmp_path, TEXTS, never, bars).vectors, good)
    (tmp_path / "vectors.json").unlink()
    (tmp_path / "vectors.sqlite").write_bytes(b"no database at all, but long enough to be looked at" * 30)
    for leftover in ("vectors.sqlite-wal", "vectors.sqlite-shm"):
        (tmp_path / leftover).unlink(missing_ok=True)
    with pytest.raises(StorageError, match="remove the folder"):
        sentence_vectors_of(tmp_path, TEXTS, never, bars)


def test_a_text_without_words_has_no_vector_and_is_never_nearest(tmp_path: Path, encoder: MiniLM) -> None:
    vectors = sentence_vectors_of(tmp_path, ["–", TEXTS[0], ""], lambda: encoder, Bars())
    (asked,) = encoder.sentence_vectors(["How tall is the lighthouse?"])
    best = vectors.best(asked[0])
    assert (best[0], best[2]) == (-1.0, -1.0)
    assert best[1] > 0.5
    empty = SentenceVectors(np.zeros((0, 384), dtype=np.float16), np.zeros(1, dtype=np.int64))
    assert len(empty.best(asked[0])) == 0


@pytest.mark.parametrize("text", ["\u200b", "\x00", "\ufeff\n\n\u200b"])
def test_a_text_of_nothing_that_can_be_seen_has_no_piece(encoder: MiniLM, text: str) -> None:
    (embedded,) = encoder.embed([text])
    assert len(embedded.pieces) == 0


def test_a_section_is_found_by_its_words_and_by_its_meaning(tmp_path: Path, encoder: MiniLM) -> None:
    sections = [section(text, at) for at, text in enumerate(TEXTS)]
    search = Search.over(sections, tmp_path, encoder, Bars())
    assert search.candidates("Who beat Teddy Riner?", 1, 1800) == [sections[1]]
    assert search.by_words("Why did they run so far north?") == []
    assert search.candidates("Why did they run so far north?", 1, 1800)
    assert search.by_meaning("Where did the long-distance race take place in the hot summer?")[0] == 2
    assert Search.over([], tmp_path / "none", encoder, Bars()).candidates("Who?", 5, 1800) == []


def test_a_question_as_long_as_a_book_is_read_from_its_beginning(encoder: MiniLM) -> None:
    question, context, idf = "Who won the cup? " * 200, "Cleo won the cup. Bob rowed.", Idf.of(["Cleo won the cup."])
    long, short = (features([Pair(text, context)], idf, encoder) for text in (question, question[:2000]))
    assert (long == short).all()
    assert best_sentence(question, context, encoder, idf) == "Cleo won the cup."
