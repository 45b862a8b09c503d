"""A page's HTML becomes its sections: nothing visible is lost, nothing raises."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.wiki.formulas import unwrapped
from pipeline.wiki.sections import FACTS, LEAD, split_sections
from pipeline.wiki.visible import text_of, visible_tree

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


def words_of(html: str, *, facts: bool = False) -> set[str]:
    return set(WORD.findall(" ".join(f"{s.heading} {s.content} {s.left_out}" for s in split_sections(html, facts=facts))))


def facts_of(*rows: str) -> list[str]:
    box = f'<table class="infobox vcard">{"".join(f"<tr>{row}</tr>" for row in rows)}</table>'
    return [line for s in split_sections(f"<p>Lead</p>{box}<h2>H</h2>", facts=True) if s.heading == FACTS for line in s.lines]


def parted(html: str) -> tuple[list[str], list[str]]:
    """Return the text of a page without headings, and what was left out of it."""
    (section,) = split_sections(html)
    return section.lines, section.left_out


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


def test_a_heading_deep_in_its_div_and_parsoids_section_elements_begin_sections_too() -> None:
    html = (
        '<section data-mw-section-id="0"><p id="mwAg">lead</p></section><section data-mw-section-id="1"><div class="mw-heading mw-heading2" id="x">'
        '<div><h2 id="A" data-mw="{}">A<span typeof="mw:Entity">&amp;</span></h2></div></div><p>a</p><section><h3 id="B">B</h3><p>b</p></section></section>'
    )
    assert [(s.path, s.anchor, s.lines) for s in split_sections(html)] == [
        ((LEAD,), "", ["lead"]),
        (("A&",), "A", ["a"]),
        (("A&", "B"), "B", ["b"]),
    ]


def test_the_anchor_of_today_and_not_the_one_before_it_is_kept() -> None:
    old = '<h2><span id="R.26D.3F"></span><span class="mw-headline" id="R&amp;D?">R&amp;D?</span></h2>'
    assert [s.anchor for s in split_sections(old + '<p>See <span class="mw-headline" id="no">this</span></p>')] == ["", "R&D?"]


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
        ("<ul>one<br>two<b> </b>three</ul>", "one two three"),
    ],
)
def test_words_are_apart_where_the_page_shows_them_apart(html: str, text: str) -> None:
    assert lines(html) == [text]


def test_paragraphs_and_loose_text_are_a_line_each_in_reading_order() -> None:
    assert lines("zero<p>one</p>two<div>three<p>four</p>five</div>six") == ["zero", "one", "two", "three", "four", "five", "six"]


def test_lists_are_marked_numbered_and_indented() -> None:
    html = "<ul><li>a<ol><li>b</li><li>c<ul><li>d</li></ul></li></ol></li><li>e</li></ul>"
    assert lines(html) == ["* a", "  1. b", "  2. c", "    * d", "* e"]


def test_a_numbered_list_begins_where_the_page_says() -> None:
    assert lines('<ol start="4"><li>a</li><li value="7">b</li><li value="x">c</li></ol>') == ["4. a", "7. b", "8. c"]


def test_a_definition_list_shows_term_and_definition() -> None:
    assert lines("<dl><dt>Term</dt><dd>meaning<ul><li>more</li></ul></dd></dl>") == ["Term", ": meaning", "  * more"]


def test_a_table_inside_a_list_item_comes_after_the_item() -> None:
    assert lines("<ul><li>a<table><tr><th>H</th><th>I</th></tr><tr><td>1</td><td>2</td></tr></table></li></ul>") == ["* a", "H: 1; I: 2"]


# --- formulas and raised numbers ----------------------------------------------------------------------

MATHML = (
    '<math xmlns="http://www.w3.org/1998/Math/MathML" alttext="{\\displaystyle E=mc^{2}}"><semantics><mrow><mstyle displaystyle="true"><mi>E</mi>'
    '<mo>=</mo><mi>m</mi></mstyle></mrow>\n<annotation encoding="application/x-tex">{\\displaystyle E=mc^{2}}</annotation></semantics></math>'
)
FORMULA = (
    '<span class="mwe-math-element mwe-math-element-inline"><span class="mwe-math-mathml-inline mwe-math-mathml-a11y" style="display: none;">'
    f'{MATHML}</span><img src="x" class="mwe-math-fallback-image-inline" aria-hidden="true" alt="{{\\displaystyle E=mc^{{2}}}}"></span>'
)


@pytest.mark.parametrize(
    "formula",
    [
        FORMULA,
        MATHML,
        '<math alttext="E=mc^{2}"><mi>E</mi></math>',
        '<math class="mwe-math-element"><mi>E</mi><annotation encoding="application/x-tex">E=mc^{2}</annotation></math>',
        '<span class="mwe-math-element"><img class="mwe-math-fallback-image-inline" alt="{\\textstyle E=mc^{2}}"></span>',
        '<img class="tex" alt="E=mc^{2}">',
        '<span class="mwe-math-element">E=mc^{2}</span>',
        '<span style="display:none"><math alttext="no"></math></span><math hidden alttext="no"></math><math><mi>E=mc^{2}</mi><annotation encoding="text/plain">no</annotation></math>',
    ],
)
def test_a_formula_is_its_tex_once(formula: str) -> None:
    assert lines(f"<p>Then {formula}, or so.</p>") == ["Then E=mc^{2}, or so."]
    assert table(f"<td>a</td><td>{formula}</td>") == ["a; E=mc^{2}"]
    assert lines(f"<dl><dd>{formula}</dd></dl>") == [": E=mc^{2}"]


def test_a_formula_of_its_own_is_a_line_of_its_own() -> None:
    inner = '<div class="mwe-math-mathml-display" style="display: none;"><math alttext="x"></math></div>'
    assert lines(f'<p>a<div class="mwe-math-element mwe-math-element-block">{inner}</div>b') == ["a", "x", "b"]


def test_a_formula_that_is_never_closed_does_not_swallow_the_page() -> None:
    assert [(s.heading, s.lines) for s in split_sections('<p>a <math alttext="x"><mi>y</mi><p>b<h2>H</h2>c')] == [(LEAD, ["a x", "b"]), ("H", ["c"])]


@pytest.mark.parametrize(
    ("tex", "bare"),
    [
        (r"{\displaystyle x}", "x"),
        (r"{\displaystyle {\frac {a}{b}}}", r"{\frac {a}{b}}"),
        (r"{\displaystyle a\}b\{}", r"a\}b\{"),
        (r"{\scriptstyle x}", "x"),
        (r"{\displaystyle a}{b}", r"{\displaystyle a}{b}"),
        (r"{\displaystyle a", r"{\displaystyle a"),
        (r"{\displaystyleless a}", r"{\displaystyleless a}"),
        ("{a}", "{a}"),
    ],
)
def test_the_wrapper_goes_where_it_is_around_the_whole_formula(tex: str, bare: str) -> None:
    assert unwrapped(tex) == bare


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("10<sup>3</sup>", "10³"),
        ("5 m<sup>2</sup>", "5 m²"),
        ("10<sup>−3</sup> 10<sup>-3</sup> 10<sup>+9</sup>", "10⁻³ 10⁻³ 10⁺⁹"),
        ("12<sup>1</sup> and 12<sup>1,2</sup>", "12¹ and 12¹,²"),
        ("x<sup><i><b>(4)</b></i></sup>", "x⁽⁴⁾"),
        ("2<sup>10<sup>3</sup></sup>", "2¹⁰³"),
        ("1<sup>st</sup> 2<sup>nd</sup>", "1st 2nd"),
        ("x<sup>2n</sup> a<sup>b</sup>", "x2n ab"),
        ("H<sub>2</sub>O", "H2O"),
        ("a<sup></sup>b<sup>,</sup>c<sup> </sup>d", "ab,c d"),
        ("a<sup>1<p>2</p>", "a1 2"),
        ("a<sup>1<ul><li>2</li></ul>", "a¹ * 2"),
    ],
)
def test_a_raised_number_stays_apart_from_the_number_before_it(html: str, text: str) -> None:
    assert " ".join(lines(f"<p>{html}")) == text


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


def test_a_column_span_ends_where_a_cell_hangs_down_from_above() -> None:
    rows = table("<th>A</th><th>B</th><th>C</th>", "<td>1</td><td rowspan=2>2</td><td>3</td>", "<td colspan=2>x</td><td>y</td>")
    assert rows == ["A: 1; B: 2; C: 3", "A: x; B: 2; C: y"]


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


def test_a_cell_that_is_a_picture_alone_says_what_the_picture_says() -> None:
    medal, flag, file = '<span typeof="mw:File"><img alt="1st place"></span>', '<img alt="Flag">', '<img alt="Photo.JPG">'
    assert table("<th>Rank</th><th>Name</th><th>P</th>", f"<td>{medal} </td><td>{flag} Ann</td><td>{file}</td>") == [
        "Rank; Name; P",
        "Rank: 1st place; Name: Ann",
    ]
    assert table(f"<td>{flag}<p>Ann</p></td><td></td><td><ul><li>x</li></ul>{flag}</td><td style='display:none'>{flag}</td>") == ["Ann; x"]
    assert lines(f"<p>{flag}</p><ul><li>{flag}</li></ul>") == []
    assert table(f"<td>a</td><td><img hidden alt='Flag'></td><td><img alt='{'A long description. ' * 9}'></td>") == ["a"]
    assert facts_of(f"<th>A</th><td>{flag}</td>") == ["A"]


def test_an_empty_row_above_the_headers_changes_nothing() -> None:
    assert table("", "<th>A</th><th>B</th>", "", "<td>1</td><td>2</td>") == ["A: 1; B: 2"]


def test_an_empty_corner_does_not_keep_the_first_row_from_being_headers() -> None:
    rows = table("<td></td><th>A</th><th>B</th>", "<th>x</th><td></td><td>2</td>", "<th>y</th><td>3</td><td></td>")
    assert rows == ["x; B: 2", "y; A: 3"]
    assert table("<th>A</th><th>B</th>", "<td></td><th>x</th>", "<td>1</td><td>2</td>") == ["B: x", "A: 1; B: 2"]


def test_a_colon_that_ends_a_header_is_not_doubled_and_equal_headers_of_a_column_are_said_once() -> None:
    assert table("<th>A:</th><th>B</th>", "<th>A:</th><th>C</th>", "<td>1</td><td>2</td>") == ["A: 1; B C: 2"]


def test_a_header_that_is_a_text_or_one_of_many_above_a_cell_is_not_said_before_each_cell() -> None:
    long = "word " * 30 + "end"
    assert table(f"<th>{long}</th><th>B</th>", "<td>1</td><td>2</td>", "<td>3</td><td>4</td>") == [f"{long}; B", "1; B: 2", "3; B: 4"]
    assert table("<th>H1</th>" + "".join(f"<th>H{i}</th>" for i in range(2, 11)), "<td colspan=9>x</td><td>y</td>")[1] == "x; H10: y"


def test_after_a_handful_of_header_rows_only_the_first_is_the_headers() -> None:
    rows = table("<th>A</th><th>B</th>", *(f"<th>a{i}</th><th>b{i}</th>" for i in range(2000)), *["<td>1</td><td>2</td>"] * 2000)
    assert rows[:2] + rows[-1:] == ["A: a0; B: b0", "A: a1; B: b1", "A: 1; B: 2"]


def test_a_cell_that_hangs_down_is_repeated_within_measure() -> None:
    long = "word " * 100 + "end"
    assert table(f"<td rowspan=0>{long}</td><td>1</td>", "<td>2</td>", "<td>3</td>") == [f"{long}; 1", "2", "3"]
    rows = table("<td rowspan=0>abc</td>" * 1000, *["<td>x</td>"] * 2000)
    assert len(rows) == 2001
    assert rows[1].count("abc") == 1000
    assert rows[2000] == "x"


@pytest.mark.parametrize(
    "html",
    ["<table>loose<tr><td>x</td></tr></table>", "<table><tr>loose<td>x</td></tr></table>", "<table><tr><td>x</td></tr><div>loose</div></table>"],
)
def test_text_between_a_tables_cells_is_not_lost(html: str) -> None:
    assert "loose" in " ".join(lines(html))


# --- facts ------------------------------------------------------------------------------------------


def test_the_infobox_is_a_section_after_the_lead_when_asked_for_and_dropped_otherwise() -> None:
    html = '<table class="infobox"><tr><th>Year</th><td>2020</td></tr></table><p>Lead</p><h2>H</h2><p>text</p>'
    facts = split_sections(html, facts=True)
    assert [(s.heading, s.lines) for s in facts] == [(LEAD, ["Lead"]), (FACTS, ["Year: 2020"]), ("H", ["text"])]
    assert (facts[1].path, facts[1].level, facts[1].anchor) == ((FACTS,), 2, "")
    assert [(s.heading, s.lines) for s in split_sections(html)] == [(LEAD, ["Lead"]), ("H", ["text"])]
    assert [s.heading for s in split_sections("<p>no box</p>", facts=True)] == [LEAD]


def test_facts_are_labels_with_values_and_full_rows() -> None:
    assert facts_of(
        '<th colspan="2" class="infobox-above">Men\'s 100 metres<br>at the Games</th>',
        '<td colspan="2" class="infobox-image"><img alt="GONE"><div class="infobox-caption">GONE</div></td>',
        '<th scope="row" class="infobox-label">Date:</th><td class="infobox-data">31 July<span style="display:none">GONE</span><sup class="reference">[1]</sup></td>',
        '<th>Teams</th><td><div class="plainlist"><ul><li>a<ul><li>b</li></ul></li><li>c</li></ul></div></td>',
        "<td colspan=2>free <b>text</b></td>",
        "<td>Gold</td><td>2020 Tokyo</td><td>Team</td>",
        "<th>Empty</th><td></td>",
        "<th></th><td>alone</td>",
    ) == ["Men's 100 metres at the Games", "Date: 31 July", "Teams: a; b; c", "free text", "Gold; 2020 Tokyo; Team", "Empty", "alone"]  # fmt: skip


def test_rows_of_a_box_in_the_box_are_facts_and_captions_are_none() -> None:
    innermost = "<table><tr><th>Silver</th><td>2</td></tr></table>"
    inner = f'<table class="infobox infobox-subbox"><tr><th>Gold</th><td>1</td></tr><tr><td>{innermost}</td></tr><tr><th>Bronze</th><td>3</td></tr></table>'
    facts = facts_of("<th>A</th><td>1</td>", f"<td colspan=2>Record{inner}</td>", "<th>Z</th><td>9</td>")
    assert facts == ["A: 1", "Record", "Gold: 1", "Silver: 2", "Bronze: 3", "Z: 9"]
    html = '<table class="infobox"><caption>GONE</caption>loose<tr><td>x</td></tr></table><div class="infobox"><p>own</p><table><tr><td>y</td></tr></table></div>'
    assert split_sections(html, facts=True)[1].lines == ["loose", "x", "own", "y"]


def test_an_infobox_deep_in_a_list_or_table_is_facts_and_not_said_there() -> None:
    box = '<table class="infobox"><tr><th>A</th><td>1</td></tr></table>'
    html = f"<ul><li>item{box}</li></ul><table><tr><td>cell{box}</td></tr></table><h2>H</h2>{box}"
    assert [s.lines for s in split_sections(html, facts=True)] == [["* item", "cell"], ["A: 1"] * 3, []]


# --- legends and lone labels --------------------------------------------------------------------------

RESULTS = "<table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table>"


@pytest.mark.parametrize(
    "line",
    [
        "Qualification Legend: FA=Final A (medal); FB=Final B (non-medal); R=Repechage",
        "Qualification legend: FA, Gold medal final; FB, Bronze medal final",
        "Legend: – Qualified for medal race(s); DNF – Did not finish; † – Discarded race not counted in the overall result.",
        "Legend: qualified for the next round",
        "MenWomenQualification Legend: FA = Qualify to final (medal)",
        "MenWomenMixed Legend: M = Medal race; EL = Eliminated – did not advance into the medal race",
        "SprintTeam sprintQualification legend: FA=Gold medal final; FB=Bronze medal finala Athlete who rode in qualification only.",
        "PursuitQualification legend: Q: qualified, in contention for gold; q: qualified, in contention for bronze",
        "Key: Q = qualified; q = fastest loser",
        "Key: Q – qualified",
        "Key * Host nation (Japan)",
        "Men", "Women's", "Mixed:", "Boys’", "MenWomen", "MenWomenMixed", "Men Women", "Key", "Legend:",
    ],
)  # fmt: skip
def test_legends_and_lone_labels_are_set_apart_and_kept_beside_the_text(line: str) -> None:
    assert parted(f"<p>before</p><p>{line}</p>") == (["before"], [line])
    assert parted(f"<p>{line}</p><p>Women</p>") == ([], [line, "Women"])


@pytest.mark.parametrize(
    "line",
    [
        "Key players were missing: the captain = the coach.",
        "Key: the wind fell, and he won.",
        "Key: the wind",
        "Key West hosted the race.",
        "Legend: he won everything there was to win.",
        "Usain Bolt, a living legend: fast, tall",
        "Legend has it that he ran.",
        "Men and women competed.",
        "Men's 100 metres",
        "Mentor",
        "Opening",
        "Open water",
        "women",
    ],
)
def test_a_text_that_merely_begins_like_a_legend_or_label_stays(line: str) -> None:
    assert parted(f"<p>{line}</p>") == ([line], [])


@pytest.mark.parametrize(
    ("under", "line"), [(RESULTS, "A: 1; B: 2"), ("<ul><li>x</li></ul>", "* x"), ("<p>Ten teams qualified.</p>", "Ten teams qualified.")]
)
@pytest.mark.parametrize("markup", ["<p><b>Men's</b></p>", "<dl><dt>Men's</dt></dl>", "<div>Men's</div>"])
def test_a_label_stays_where_it_names_what_stands_directly_under_it(markup: str, under: str, line: str) -> None:
    legend = "<p>Legend: Q = Qualified</p>"
    assert parted(markup + legend + under) == (["Men's", line], ["Legend: Q = Qualified"])
    assert parted(markup + "<p>Women</p>" + under) == (["Women", line], ["Men's"])


def test_several_labels_in_one_line_name_nothing_and_one_above_a_heading_neither() -> None:
    assert parted("<p>MenWomen</p>" + RESULTS) == (["A: 1; B: 2"], ["MenWomen"])
    assert [(s.lines, s.left_out) for s in split_sections("<p>Men</p><h2>H</h2>" + RESULTS)] == [([], ["Men"]), (["A: 1; B: 2"], [])]


def test_rows_cells_and_items_are_never_labels_or_legends() -> None:
    assert table("<td colspan=2>Men</td>", "<td>1</td><td>2</td>", "<td colspan=2>Women</td>") == ["Men", "1; 2", "Women"]
    assert table("<th>Key</th><th>Value</th>", "<td>Q = x</td><td>1</td>") == ["Key: Q = x; Value: 1"]
    assert lines("<ul><li>Men</li><li>Women</li></ul>") == ["* Men", "* Women"]


def test_a_legend_that_is_indented_is_one() -> None:
    assert parted("<dl><dd><b>Key:</b> Q – qualified</dd></dl>") == ([], [": Key: Q – qualified"])


def test_elements_that_the_page_marks_as_legends_are_set_apart_outside_of_cells() -> None:
    legend = '<div class="legend"><span class="legend-color" style="background:red">&nbsp;</span>&nbsp;Winner</div>'
    assert parted(f'<p>a</p>{legend}<p>b <span class="legend nowrap">in line</span> c</p>') == (["a", "b c"], ["Winner", "in line"])
    assert parted(f'<ul><li>item{legend}</li><li class="legend">x</li></ul>') == (["* item"], ["Winner", "x"])
    assert parted(f"<table><tr><td>a</td><td>{legend}</td></tr></table>") == (["a; Winner"], [])


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
        '<span id="coordinates">GONE</span>', '<span class="geo-nondefault">GONE</span><span class="geo-multi-punct"> / </span>', '<div class="noexcerpt">GONE</div>',
        '<div class="side-box side-box-right plainlinks sistersitebox"><div class="side-box-flex">GONE</div></div>', '<div class="navbar plainlinks">GONE</div>',
        '<a class="mw-kartographer-maplink">GONE</a>', '<div class="mw-kartographer-container">GONE</div>', '<div role="navigation">GONE</div>',
        '<figure class="mw-default-size" typeof="mw:File/Thumb"><a><img></a><figcaption>GONE</figcaption></figure>', "<figcaption>GONE</figcaption>",
        '<span class="mw-default-size" typeof="mw:Error mw:File"><span class="mw-broken-media">GONE</span></span>', '<ol class="references"><li>GONE</li></ol>',
        '<sup class="mw-ref reference" typeof="mw:Extension/ref"><a><span class="mw-reflink-text">[GONE]</span></a></sup>', "<title>GONE</title>",
        '<style data-mw-deduplicate="TemplateStyles:r1">GONE</style><link rel="mw-deduplicated-inline-style">', '<div class="redirectMsg"><p>GONE</p></div>',
        '<strong class="error mw-ext-cite-error">GONE</strong>', '<span class="sortkey">GONE</span>', "<?php GONE ?>", "<p style='visibility: hidden'>GONE<b>GONE</b></p>",
    ],
)  # fmt: skip
def test_what_is_no_text_of_the_article_is_dropped_and_its_surroundings_stay(html: str) -> None:
    sections = split_sections(f"<p>before</p>{html}<p>after</p>")
    assert [(s.heading, s.lines) for s in sections] == [(LEAD, ["before", "after"])]


def test_a_place_is_said_in_one_notation() -> None:
    place = (
        '<span class="geo-inline"><a class="external text"><span class="geo-default"><span class="geo-dms"><span class="latitude">35°N</span> '
        '<span class="longitude">139°E</span></span></span><span class="geo-multi-punct">&#xfeff; / &#xfeff;</span><span class="geo-nondefault">'
        '<span class="geo-dec">35.6°N 139.7°E</span><span style="display:none">&#xfeff; / <span class="geo">35.6; 139.7</span></span></span></a></span>'
    )
    assert lines(f"<p>It is at {place}.</p>") == ["It is at 35°N 139°E."]


def test_a_style_that_hides_nothing_hides_nothing() -> None:
    assert lines('<p style="display: block; backface-visibility: hidden; overflow: hidden">text</p>') == ["text"]


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


def test_nesting_without_end_and_text_on_each_way_out_of_it_are_read_in_time() -> None:
    assert words_of("<table><tr><td>a" * 30_000 + "w1q") == {"w1q"}
    assert words_of("<ul><li>a" * 100_000 + "<li>b</ul>c" * 100_000 + "w1q") == {"w1q"}


def test_a_page_of_more_elements_than_memory_may_hold_keeps_its_text() -> None:
    html = "<table>" + "<tr><td>w1q</td><td>w2q</td></tr>" * 3 + "</table><ul><li>w3q</li></ul><h2>w4q</h2><p>w5q</p>"
    tree, builder = visible_tree(html, max_elements=5)
    assert text_of(tree).split() == ["w1q", "w2q"] * 3 + ["w3q", "w4q", "w5q"]
    assert len(tree.find_all(True)) == 5
    assert builder.headings == []


def test_lists_are_indented_as_deep_as_anybody_reads() -> None:
    deep = lines("<ul><li>a" * 200)
    assert "".join(deep).count("a") == 200
    assert max(len(line) - len(line.lstrip(" ")) for line in deep) == 100


BLOCKS = "p div b span ul ol li dl dt dd h2 h3 br pre a sup math mi".split()
TABLES = "table tbody tr td th caption".split()
OTHERS = ["td rowspan=2", "td colspan=3", "th rowspan=0", "table class=infobox", "span class=mwe-math-element", "div class=legend", "li class=legend"]
TAG = st.one_of(st.sampled_from(BLOCKS), st.sampled_from(TABLES), st.sampled_from(OTHERS))
PART = st.one_of(TAG.map(lambda tag: f"<{tag}>"), TAG.map(lambda tag: f"<{tag}>TEXT"), TAG.map(lambda tag: f"</{tag.split()[0]}>TEXT"))


def visible_words(html: str, *, facts: bool) -> set[str]:
    """Say what must be found, by another way: BeautifulSoup's own tree, less infoboxes, or less their captions."""
    soup = BeautifulSoup(f"<div>{html}", "lxml")
    for box in soup.select(".infobox caption" if facts else ".infobox"):
        box.decompose()
    return set(WORD.findall(soup.get_text(" ")))


@settings(max_examples=300)
@given(st.lists(PART, min_size=5, max_size=40), st.booleans())
def test_random_html_loses_no_visible_text(soup: list[str], facts: bool) -> None:
    html = "".join(part.replace("TEXT", f"w{i}q") for i, part in enumerate(soup))
    assert words_of(html, facts=facts) == visible_words(html, facts=facts)


def _element(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    tags = st.sampled_from(["p", "div", "b", "i", "ul", "ol", "dl", "li", "dd", "blockquote", "h2", "h4", "section", "span", "sup", "pre"])
    return st.builds(lambda tag, inner: f"<{tag}>{''.join(inner)}</{tag}>", tags, st.lists(children, max_size=4))


def _table(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    spans = st.sampled_from(["", " rowspan=2", " rowspan=0", " colspan=2", " colspan=1000", " colspan=2 rowspan=3"])
    cell = st.builds(lambda tag, span, inner: f"<{tag}{span}>{inner}</{tag}>", st.sampled_from(["td", "th"]), spans, children)
    row = st.lists(cell, max_size=4).map(lambda cells: f"<tr>{''.join(cells)}</tr>")
    tag = st.sampled_from(['table class="wikitable"', 'table class="infobox"'])
    return st.builds(lambda tag, rows: f"<{tag}>{''.join(rows)}</table>", tag, st.lists(row, max_size=4))


LEAF = st.sampled_from(["TEXT", '<math alttext="{\\displaystyle TEXT}"><mi>x</mi></math>', "a<sup>2</sup>TEXT", '<div class="legend">TEXT</div>'])


@given(st.recursive(LEAF, lambda children: st.one_of(_element(children), _table(children)), max_leaves=25))
def test_nested_blocks_lists_tables_and_boxes_lose_no_visible_text(tree: str) -> None:
    parts = tree.split("TEXT")
    html = parts[0] + "".join(f"w{i}q{part}" for i, part in enumerate(parts[1:]))
    assert words_of(html, facts=True) == {f"w{i}q" for i in range(len(parts) - 1)}


@pytest.mark.parametrize("filling", ["&nbsp;" * 1_000_000, " " * 1_000_000, "x" * 1_000_000, "<sup>2" * 20_000, "<br>" * 100_000])
def test_a_cell_of_a_million_characters_is_read(filling: str) -> None:
    (row,) = table(f"<td>begin{filling}end</td><td>b</td>")
    assert row.startswith("begin")
    assert row.endswith("end; b")
