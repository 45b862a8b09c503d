"""Sections that count, and files from elsewhere: whole and in order; what is left out is said."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.database import scratch_database
from pipeline.errors import InputError, StorageError
from pipeline.records import DroppedSection, Page, Section
from pipeline.settings import Topic, bundled, load_topic
from pipeline.sources.notebook import read_csv_rows
from pipeline.sources.sample import SampleTransport
from pipeline.sources.sectioning import LEFT_OUT, RawSection, Sectioner
from pipeline.text.duplicates import NearDuplicates
from pipeline.text.tokens import token_counter

TOPIC = Topic("test", "en", ("2020 A",), ("2020",), ("^List of",), ("See also", "NOTES"), 40, 1500)
SHIPPED = bundled("topics", "olympics-2020.toml")


# --- sections that count ----------------------------------------------------------------------------


def raw(heading: str, content: str, *above: str) -> RawSection:
    return RawSection(heading, (*above, heading), 2 + len(above), heading.replace(" ", "_"), content)


def count_words(text: str) -> int:
    return len(text.split())


def cut(
    page: Page, sections: list[RawSection], topic: Topic = TOPIC, count: Callable[[str], int] = count_words
) -> tuple[list[Section], list[DroppedSection]]:
    with scratch_database() as database:
        return Sectioner(topic, count, NearDuplicates(database)).sections(page, sections)


PAGE = Page(5, "Title", "https://w.example/Title", 7, "", "", "", 0, "kept", "")


def test_a_section_counts_from_40_tokens_of_its_whole_context() -> None:
    kept, dropped = cut(PAGE, [raw("H", "w " * 38), raw("H", "w " * 37), raw("H", " \n")])
    assert [(s.position, s.tokens) for s in kept] == [(0, 40)]
    assert [(d.position, d.tokens, d.reason) for d in dropped] == [(1, 39, "short"), (2, 2, "empty")]


def test_a_section_above_1500_tokens_is_split_with_nothing_lost() -> None:
    count = token_counter("cl100k_base")
    whole, long = "Some words here. " * 370, "".join(f"Runner {i} finished the race in {i * 7} seconds. " for i in range(400))
    kept, dropped = cut(PAGE, [raw("Whole", whole), raw("Long", long)], count=count)
    parts = [s for s in kept if s.heading == "Long"]
    assert ([s.content for s in kept if s.heading == "Whole"], dropped) == ([whole], [])
    assert "".join(s.content for s in parts) == long
    assert [s.part for s in parts] == list(range(len(parts)))
    assert all(40 <= s.tokens <= 1500 and s.tokens == count(s.context) for s in parts)


SECTIONS = st.lists(
    st.tuples(
        st.sampled_from(["H", "I", "Notes"]),
        st.lists(st.sampled_from(["w ", "w. ", "x\n"]), max_size=12).flatmap(lambda bits: st.integers(0, 40).map(lambda n: "".join(bits * n))),
    ),
    max_size=8,
)


@given(SECTIONS)
def test_what_goes_in_comes_out_kept_or_dropped(given_sections: list[tuple[str, str]]) -> None:
    topic = replace(TOPIC, min_tokens=5, max_tokens=60)
    kept, dropped = cut(PAGE, [raw(*item) for item in given_sections], topic)
    texts = {d.position: d.content for d in dropped}
    for section in kept:
        texts[section.position] = texts.get(section.position, "") + section.content
    assert [texts[position] for position in range(len(given_sections))] == [content for _, content in given_sections]
    assert len({s.section_id for s in kept}) == len(kept)
    assert max((s.tokens for s in kept), default=0) <= 60


def test_a_heading_of_low_information_drops_what_stands_below_it_too_in_any_case() -> None:
    long = "w " * 50
    kept, dropped = cut(PAGE, [raw("SEE ALSO", long), raw("Sub", long, "Notes"), raw("Notes on style", long)])
    assert [s.heading for s in kept] == ["Notes on style"]
    assert [(d.heading, d.reason) for d in dropped] == [("SEE ALSO", "low_information"), ("Sub", "low_information")]


PARAGRAPH = " ".join(f"word{n}" for n in range(100))


def test_a_text_that_repeats_an_earlier_one_names_it_on_this_page_or_another() -> None:
    renamed = PARAGRAPH.replace("word50", "another").replace("word90", "name")
    with scratch_database() as database:
        sectioner = Sectioner(TOPIC, count_words, NearDuplicates(database))
        (first, again), _ = sectioner.sections(PAGE, [raw("H", PARAGRAPH), raw("H", PARAGRAPH.replace(" ", "\n"))])
        (elsewhere, other), _ = sectioner.sections(replace(PAGE, page_id=6), [raw("J", renamed), raw("J", "v " * 50)])
    assert (first.duplicate_of, other.duplicate_of) == ("", "")
    assert (again.duplicate_of, elsewhere.duplicate_of) == (first.section_id, first.section_id)


def test_lines_that_a_section_left_out_are_rows_of_their_own_and_the_section_is_kept() -> None:
    section = replace(raw("H", "w " * 50), left_out="Legend: Q = qualified")
    kept, dropped = cut(PAGE, [section])
    assert [s.content for s in kept] == ["w " * 50]
    assert [(d.reason, d.content, d.tokens) for d in dropped] == [(LEFT_OUT, "Legend: Q = qualified", 4)]


def test_a_sections_row_bears_its_path_and_address_and_the_same_id_each_time() -> None:
    section = raw("Men's 100 m", "w " * 50, "Events")
    (one,), _ = cut(PAGE, [section])
    (two,), _ = cut(PAGE, [raw("Empty", ""), section])
    assert (one.heading_path, one.url) == ("Events > Men's 100 m", "https://w.example/Title#Men%27s_100_m")
    assert (one.section_id, one.position, two.position) == (two.section_id, 0, 1)


# --- files ------------------------------------------------------------------------------------------


def rows_of(path: Path, content: bytes) -> tuple[list[dict[str, str]], str]:
    path.write_bytes(content)
    found: list[dict[str, str]] = []
    try:
        found.extend(row for row in read_csv_rows(path, ("title", "heading", "content")))
    except InputError as error:
        return found, str(error)
    return found, ""


HEADER = b"title,heading,content\n"
ROW = {"title": "NA", "heading": "", "content": "1\n2"}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda content: b"\xef\xbb\xbf" + content])
def test_a_csv_plain_packed_or_with_a_bom_gives_texts_as_they_stand(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    assert rows_of(tmp_path / "any", pack(HEADER + b'NA,,"1\n2"\n')) == ([ROW], "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"), (b"title,content\na,b\n", "heading"), (b"page,text\na,b\n", "title, heading, content (found: page, text)"), (HEADER + b"a,b,\xff\n", "not UTF-8"), (HEADER + b'a,b,"c\n', "not a well-formed CSV"),
        (gzip.compress(HEADER)[:-9], "damaged or cut off"), (HEADER + b"a,b,c,d\n", "not a well-formed CSV"),
    ],
)  # fmt: skip
def test_a_csv_that_cannot_be_read_is_an_error_that_says_why_and_names_it(tmp_path: Path, content: bytes, said: str) -> None:
    rows, error = rows_of(tmp_path / "bad.csv", content)
    assert rows == []
    assert said in error
    assert "bad.csv" in error


def test_rows_before_a_fault_come_before_the_error(tmp_path: Path) -> None:
    rows, error = rows_of(tmp_path / "bad.csv", HEADER + b"a,b,c\n" * 3 + b"a,b,c,d\n")
    assert "line 5" in error
    assert len(rows) == 3


def test_a_csv_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file – .*gone\.csv"):
        list(read_csv_rows(tmp_path / "gone.csv", ()))


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_sample_that_is_not_whole_is_an_error_that_names_the_file(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "wiki.json").write_text(content)
    with pytest.raises(StorageError, match=r"wiki\.json"):
        SampleTransport(tmp_path)


# --- topic files ------------------------------------------------------------------------------------


def test_the_shipped_topic_is_read() -> None:
    topic = load_topic(SHIPPED)
    assert (topic.language, topic.seeds, topic.title_contains) == ("en", ("2020 Summer Olympics",), ("2020", "olympi"))
    assert (topic.min_tokens, topic.max_tokens, "See also" in topic.low_information) == (40, 1500, True)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('name = "2020 Summer Olympics"', "", "lacks a key – .*: name"),
        ('seeds = ["2020 Summer Olympics"]', "", "lacks a key – .*: seeds"),
        ("min_tokens = 40", "min_tokens = 40\nmintokens = 40", "unknown key – .*: mintokens"),
        ("min_tokens = 40", "min_tokens = '40'", "wrong type – .*: min_tokens"),
        ("min_tokens = 40", "min_tokens = true", "wrong type – .*: min_tokens"),
        ('seeds = ["2020 Summer Olympics"]', 'seeds = "2020 Summer Olympics"', "wrong type – .*: seeds"),
        ('seeds = ["2020 Summer Olympics"]', "seeds = [2020]", "wrong type – .*: seeds"),
        ("title_excludes = []", 'title_excludes = ["("]', "title_excludes"),
        ("title_excludes = []", 'title_excludes = []\ntitle_matches = ["["]', "title_matches"),
        ("title_excludes = []", "title_excludes = []\nfacts = 1", "wrong type – .*: facts"),
        ("title_excludes = []", "title_excludes = []\ncategory_depth = -1", "category_depth = -1"),
        ('seeds = ["2020 Summer Olympics"]', 'seeds = [" "]', "seeds is empty"),
        ('language = "en"', 'language = ""', "language"),
        ("min_tokens = 40", "min_tokens = ", "not TOML – .*line"),
    ],
)
def test_a_fault_in_a_topic_file_is_an_error_that_names_the_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    path = tmp_path / "topic.toml"
    path.write_text(SHIPPED.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(InputError, match=key):
        load_topic(path)


def test_what_a_topic_file_may_leave_out_has_the_defaults_that_change_nothing() -> None:
    topic = load_topic(SHIPPED)
    assert (topic.title_matches, topic.categories, topic.category_depth, topic.facts) == ((), (), 0, False)


def test_a_topic_of_a_name_and_a_seed_is_enough(tmp_path: Path) -> None:
    (tmp_path / "topic.toml").write_text('name = "Cheese"\nseeds = ["Cheese"]\n', "utf-8")
    topic = load_topic(tmp_path / "topic.toml")
    assert (topic.language, topic.title_contains, topic.min_tokens, topic.max_tokens, "References" in topic.low_information) == (
        "en",
        (),
        40,
        1500,
        True,
    )


def test_a_topic_may_begin_with_categories_alone(tmp_path: Path) -> None:
    path = tmp_path / "topic.toml"
    path.write_text(SHIPPED.read_text("utf-8").replace('seeds = ["2020 Summer Olympics"]', 'seeds = []\ncategories = ["Category:Sports"]'), "utf-8")
    assert load_topic(path).categories == ("Category:Sports",)


def test_a_topic_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read – .*none\.toml"):
        load_topic(tmp_path / "none.toml")
