"""A page's HTML becomes its sections: nothing visible is lost, nothing raises."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.wiki.sections import LEAD, split_sections

WORD = re.compile(r"w\d+q")
OLD = '<h{0}><span class="mw-headline" id="{2}">{1}</span><span class="mw-editsection">[edit]</span></h{0}>'
NEW = '<div class="mw-heading mw-heading{0}"><h{0} id="{2}">{1}</h{0}><span class="mw-editsection">[edit]</span></div>'
PAGE = (
    '<div class="mw-parser-output"><p>Lead <b>bold</b>.</p><div id="toc"><h2>Contents</h2></div>'
    + NEW.format(2, "Events", "Events")
    + '<ul><li>one<ol><li>two</li></ol></li></ul><table class="wikitable"><caption>Medals</caption><tr><th rowspan="2">Rank</th><th colspan="2">Who</th></tr>'
    '<tr><th>A</th><th>B</th></tr><tr><td rowspan=2>1</td><td>x &amp; y</td><td style="display:none">z</td></tr></table><dl><dt>t</dt><dd>d</dd></dl></div>'
)


def lines(html: str) -> list[str]:
    return [line for section in split_sections(html) for line in section.lines]


def table(*rows: str, caption: str = "") -> list[str]:
    return lines("<table>" + (f"<caption>{caption}</caption>" if caption else "") + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>")


def words_of(html: str) -> set[str]:
    return set(WORD.findall(" ".join(f"{s.heading} {s.content}" for s in split_sections(html))))


# --- headings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("markup", [OLD, NEW])
def test_a_heading_in_either_markup_begins_a_section_with_its_level_and_anchor(markup: str) -> None:
    lead, events = split_sections("<p>first</p>" + markup.format(3, "The <i>events</i>", "The_events") + "<p>second</p>")
    assert (lead.heading, lead.path, lead.level, lead.anchor, lead.content) == (LEAD, (LEAD,), 1, "", "first")
    assert (events.heading, events.level, events.anchor, events.content) == ("The events", 3, "The_events", "second")


@pytest.mark.parametrize("markup", [OLD, NEW])
def test_a_path_names_the_headings_above_and_ends_at_a_heading_of_the_same_level(markup: str) -> None:
    html = "".join(markup.format(level, name, name) for level, name in [(2, "A"), (3, "B"), (4, "C"), (3, "D"), (2, "E"), (4, "F")])
    assert [s.path for s in split_sections(html)[1:]] == [("A",), ("A", "B"), ("A", "B", "C"), ("A", "D"), ("E",), ("E", "F")]


def test_the_last_heading_stays_though_its_section_is_empty() -> None:
    assert [(s.heading, s.content) for s in split_sections("<p>x</p>" + NEW.format(2, "End", "End"))] == [(LEAD, "x"), ("End", "")]


def test_a_heading_inside_a_list_or_table_still_begins_a_section() -> None:
    sections = split_sections("<ul><li>a<h2>H</h2>b</li></ul><table><tr><td>c<h3>I</h3>d</td></tr></table>")
    assert [(s.path, s.lines) for s in sections] == [((LEAD,), ["a"]), (("H",), ["b", "c"]), (("H", "I"), ["d"])]


# --- text -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one<b>two</b>three</p>", "onetwothree"),
        ("<p>one <b>two</b> three</p>", "one two three"),
        ("<p>one<b>two </b>three</p>", "onetwo three"),
        ("<p>one<b> two</b>three</p>", "one twothree"),
        ("<p>one<br>two</p>", "one two"),
        ("<p>one&nbsp;\n two</p>", "one two"),
        ("<table><tr><td><p>one</p>two</td></tr></table>", "one two"),
        ("<ul><li><div>one</div>two</li></ul>", "* one two"),
        ("<ul><li>one<div>two</div></li></ul>", "* one two"),
    ],
)
def test_words_are_apart_where_the_page_shows_them_apart(html: str, text: str) -> None:
    assert lines(html) == [text]


def test_paragraphs_and_loose_text_are_a_line_each_in_reading_order() -> None:
    assert lines("zero<p>one</p>two<div>three<p>four</p>five</div>six") == ["zero", "one", "two", "three", "four", "five", "six"]


def test_lists_are_marked_numbered_and_indented() -> None:
    html = "<ul><li>a<ol><li>b</li><li>c<ul><li>d</li></ul></li></ol></li><li>e</li></ul>"
    assert lines(html) == ["* a", "  1. b", "  2. c", "    * d", "* e"]


def test_a_definition_list_shows_term_and_definition() -> None:
    assert lines("<dl><dt>Term</dt><dd>meaning<ul><li>more</li></ul></dd></dl>") == ["Term", ": meaning", "  * more"]


def test_a_table_inside_a_list_item_comes_after_the_item() -> None:
    assert lines("<ul><li>a<table><tr><th>H</th><th>I</th></tr><tr><td>1</td><td>2</td></tr></table></li></ul>") == ["* a", "H: 1; I: 2"]


# --- tables -----------------------------------------------------------------------------------------


def test_a_row_is_one_line_with_its_columns_headers_after_the_caption() -> None:
    assert table("<th>Rank</th><th>Name</th>", "<td>1</td><td>Ann</td>", caption="Medals") == ["Medals", "Rank: 1; Name: Ann"]


def test_a_row_span_reaches_down_into_each_row_it_covers() -> None:
    rows = table("<th>G</th><th>N</th>", "<td rowspan=3>a</td><td>1</td>", "<td>2</td>", "<td>3</td>", "<td>b</td><td>4</td>")
    assert rows == ["G: a; N: 1", "G: a; N: 2", "G: a; N: 3", "G: b; N: 4"]


def test_a_row_span_in_the_last_column_reaches_down_past_a_shorter_row() -> None:
    assert table("<th>G</th><th>N</th>", "<td>1</td><td rowspan=0>a</td>", "<td>2</td>") == ["G: 1; N: a", "G: 2; N: a"]


def test_a_column_span_pushes_later_cells_under_their_own_headers_and_is_said_once() -> None:
    assert table("<th>A</th><th>B</th><th>C</th>", "<td colspan=2>x</td><td>y</td>") == ["A / B: x; C: y"]


def test_headers_of_two_rows_are_joined_and_a_spanning_one_is_said_once() -> None:
    rows = table("<th rowspan=2>Rank</th><th colspan=2>Time</th>", "<th>Heat</th><th>Final</th>", "<td>1</td><td>9</td><td>8</td>")
    assert rows == ["Rank: 1; Time Heat: 9; Time Final: 8"]


def test_a_cell_across_the_table_is_a_line_of_its_own_without_a_header() -> None:
    rows = table("<th>A</th><th>B</th>", "<td>1</td><td>2</td>", "<td colspan=2>Group</td>", "<td>3</td><td>4</td>")
    assert rows == ["A: 1; B: 2", "Group", "A: 3; B: 4"]
    assert table("<th colspan=2>Title</th>", "<td>1</td><td>2</td>") == ["Title", "1; 2"]


def test_row_headers_are_data_and_a_table_of_headers_alone_is_its_text() -> None:
    assert table("<th>A</th><th>B</th>", "<th>x</th><td>1</td>") == ["A: x; B: 1"]
    assert table("<th>A</th><th>B</th>", "<th>C</th><th>D</th>") == ["A; B", "C; D"]


@pytest.mark.parametrize("span", ["", "x", "-3", "1.5", "²", "0", "99999999999999"])
@pytest.mark.parametrize("name", ["rowspan", "colspan"])
def test_a_span_that_is_no_sensible_number_loses_no_cell_of_its_row_or_the_next(name: str, span: str) -> None:
    said = " ".join(table(f'<td>a</td><td {name}="{span}">b</td>', "<td>c</td><td>d</td>"))
    assert all(cell in said for cell in "abcd")


def test_cells_after_the_widest_span_are_not_lost() -> None:
    assert "behind" in " ".join(table("<td colspan=1000>wide</td><td>behind</td>"))


def test_a_nested_table_is_read_once_inside_its_cell() -> None:
    rows = table("<th>A</th><th>B</th>", "<td>1</td><td>out<table><caption>cap</caption><tr><td>in</td></tr></table></td>")
    assert rows == ["A: 1; B: out cap in"]


def test_a_header_above_a_column_without_data_is_not_lost() -> None:
    assert "Notes" in " ".join(table("<th>A</th><th>Notes</th>", "<td>1</td><td></td>"))


def test_headers_above_a_row_that_spans_the_table_are_not_lost() -> None:
    said = " ".join(table("<th>Date</th><th>Venue</th>", "<td colspan=2>to be announced</td>"))
    assert all(word in said for word in ("Date", "Venue", "announced"))


@pytest.mark.parametrize(
    "html",
    ["<table>loose<tr><td>x</td></tr></table>", "<table><tr>loose<td>x</td></tr></table>", "<table><tr><td>x</td></tr><div>loose</div></table>"],
)
def test_text_between_a_tables_cells_is_not_lost(html: str) -> None:
    assert "loose" in " ".join(lines(html))


# --- what is dropped --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "html",
    [
        '<sup class="reference">[GONE]</sup>', '<div class="mw-references-wrap"><ol class="references"><li>GONE</li></ol></div>',
        '<div class="reflist">GONE</div>', '<div class="navbox"><table><tr><td>GONE</td></tr></table></div>', '<table class="infobox"><tr><td>GONE</td></tr></table>',
        '<div id="toc" class="toc"><h2>GONE</h2><ul><li>GONE</li></ul></div>', '<span class="mw-editsection">GONE</span>', "<style>GONE</style>",
        "<script>GONE</script>", '<span style="display:none">GONE</span>', '<span style="color:red; DISPLAY : none">GONE</span>',
        '<span style="visibility:hidden">GONE</span>', "<p hidden>GONE</p>", '<ul class="gallery"><li>GONE</li></ul>', '<div class="thumb">GONE</div>',
        "<figure><figcaption>GONE</figcaption></figure>", '<div class="hatnote">GONE</div>', "<!-- GONE -->", '<table class="ambox"><tr><td>GONE</td></tr></table>',
        '<div class="navbox"><span style="display:none">GONE</span>GONE</div>',
    ],
)  # fmt: skip
def test_what_is_no_text_of_the_article_is_dropped_and_its_surroundings_stay(html: str) -> None:
    sections = split_sections(f"<p>before</p>{html}<p>after</p>")
    assert [(s.heading, s.lines) for s in sections] == [(LEAD, ["before", "after"])]


def test_a_reference_and_a_hidden_span_inside_a_cell_leave_the_cells_text() -> None:
    assert table('<td><span style="display:none">07</span>7<sup class="reference">[1]</sup></td><td>b</td>') == ["7; b"]


# --- broken and random HTML -------------------------------------------------------------------------


def test_a_page_cut_anywhere_is_still_read() -> None:
    assert [split_sections(PAGE[:cut])[0].heading for cut in range(len(PAGE) + 1)] == [LEAD] * (len(PAGE) + 1)


@pytest.mark.parametrize(
    "text", ["", "a.html", "http://example.org", "/etc/passwd", "<?xml version='1.0'?><p>x</p>", "<![CDATA[", "<!--", "<!DOCTYPE", "</p></td>", "a\x00b", "\ud800", "&#xD800;&#x110000;"]
)  # fmt: skip
def test_odd_text_neither_raises_nor_warns(text: str) -> None:
    assert split_sections(text)[0].heading == LEAD


@given(st.text(st.one_of(st.sampled_from("<>/=\"'&;!-[] \n"), st.sampled_from("abdhlprtu1.:"), st.characters(exclude_categories=()))))
def test_no_text_raises(text: str) -> None:
    assert split_sections(text)[0].heading == LEAD


@pytest.mark.parametrize("tag", ["b", "div", "ul><li", "dl><dd", "table><tr><td"])
def test_nesting_deeper_than_pythons_stack_is_read_to_the_bottom(tag: str) -> None:
    assert words_of(f"<{tag}>" * 1100 + "w1q") == {"w1q"}


BLOCKS = "p div b span ul ol li dl dt dd h2 h3 br pre a".split()
TABLES = "table tbody tr td th caption".split()
TAG = st.one_of(st.sampled_from(BLOCKS), st.sampled_from(TABLES), st.sampled_from(["td rowspan=2", "td colspan=3"]))
PART = st.one_of(TAG.map(lambda tag: f"<{tag}>"), TAG.map(lambda tag: f"<{tag}>TEXT"), TAG.map(lambda tag: f"</{tag.split()[0]}>TEXT"))


@settings(max_examples=300)
@given(st.lists(PART, min_size=5, max_size=40))
def test_random_html_loses_no_visible_text(soup: list[str]) -> None:
    html = "".join(part.replace("TEXT", f"w{i}q") for i, part in enumerate(soup))
    assert words_of(html) == set(WORD.findall(BeautifulSoup(f"<div>{html}", "lxml").get_text(" ")))


def _tree(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    tags = st.sampled_from(["p", "div", "b", "i", "ul", "ol", "dl", "li", "dd", "blockquote", "h2", "h4", "section", "span"])
    return st.builds(lambda tag, inner: f"<{tag}>{''.join(inner)}</{tag}>", tags, st.lists(children, max_size=4))


@given(st.recursive(st.just("TEXT"), _tree, max_leaves=25))
def test_nested_blocks_and_lists_lose_no_visible_text(tree: str) -> None:
    parts = tree.split("TEXT")
    html = "".join(f"{part}w{i}q" for i, part in enumerate(parts))
    assert words_of(html) == {f"w{i}q" for i in range(len(parts))}
