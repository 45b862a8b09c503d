"""The bundled sample: large enough, true to MediaWiki's markup, and written, not stamped out."""

from __future__ import annotations

import csv
import itertools
import json
from typing import TYPE_CHECKING

import pytest

from pipeline.records import QA, Page, RejectedQA, Section
from pipeline.run_folder import RunFolder
from pipeline.settings import bundled
from pipeline.store import read_rows
from pipeline.text.compare import jaccard, shingles

if TYPE_CHECKING:
    from pathlib import Path

PROSE_LIMIT = 0.3


@pytest.fixture(scope="module")
def sections(collected: Path) -> list[Section]:
    return read_rows(RunFolder(collected).sections, Section)


def test_the_sample_has_49_pages_and_over_200_sections(collected: Path, sections: list[Section]) -> None:
    pages = read_rows(RunFolder(collected).pages, Page)
    kept = [page for page in pages if page.status == "kept"]
    assert len(kept) == 49
    assert len(sections) > 200
    assert {page.status for page in pages} == {"kept", "redirect", "disambiguation", "filtered", "missing"}


def test_every_page_says_that_it_is_ours_and_cc0(collected: Path) -> None:
    for page in read_rows(RunFolder(collected).pages, Page):
        assert "Creative Commons Zero" in page.licence
        assert page.url.startswith("https://sample.invalid/") or page.status in ("redirect", "missing")
    assert "written for this project" in (collected / "ATTRIBUTION.md").read_text("utf-8")


def test_no_two_sections_are_alike_but_for_the_twenty_declared_ones(sections: list[Section]) -> None:
    with bundled("sample", "near_duplicates.csv").open(encoding="utf-8", newline="") as file:
        declared = {frozenset([(row["title"], row["heading"]), (row["of_title"], row["of_heading"])]) for row in csv.DictReader(file)}
    sets = [(frozenset([(s.title, s.heading)]), shingles(s.content)) for s in sections]
    alike = {a | b for (a, x), (b, y) in itertools.combinations(sets, 2) if jaccard(x, y) > PROSE_LIMIT}
    assert len(declared) == 20
    assert alike == declared


def test_exactly_the_declared_ones_are_marked_as_near_duplicates(sections: list[Section]) -> None:
    with bundled("sample", "near_duplicates.csv").open(encoding="utf-8", newline="") as file:
        declared = {frozenset([(row["title"], row["heading"]), (row["of_title"], row["of_heading"])]) for row in csv.DictReader(file)}
    by_id = {s.section_id: (s.title, s.heading) for s in sections}
    assert {frozenset([(s.title, s.heading), by_id[s.duplicate_of]]) for s in sections if s.duplicate_of} == declared


@pytest.mark.parametrize(
    "markup",
    [
        'class="mw-headline"',
        'class="mw-heading',
        "rowspan=",
        "colspan=",
        'class="navbox"',
        'class="infobox"',
        'class="reference"',
        "<ul>",
        "<ol>",
        "<dl>",
        "東京",
    ],
)
def test_the_sample_has_what_real_pages_have(markup: str) -> None:
    texts = [json.loads(path.read_text("utf-8"))["parse"]["text"] for path in bundled("sample", "pages").glob("*.json")]
    assert any(markup in text for text in texts)


def test_no_navigation_footnote_or_edit_link_gets_into_a_section(sections: list[Section]) -> None:
    for section in sections:
        for trace in ("Sample pages on Tokyo 2020", "A footnote of the sample wiki", "[edit]", "[1]", "mw-parser-output"):
            assert trace not in section.content, (section.title, section.heading)


def test_tables_are_read_with_their_headers_and_spans(sections: list[Section]) -> None:
    ranking = next(s for s in sections if s.title == "2020 Summer Olympics medal table" and s.heading == "Ranking")
    assert "Rank: 3; Team: Japan (日本); Medals Gold: 27; Medals Silver: 14; Medals Bronze: 17; Medals Total: 58" in ranking.content


def test_all_150_written_questions_pass_the_checks_with_their_evidence(trained: Path) -> None:
    folder = RunFolder(trained)
    rows = read_rows(folder.qa, QA)
    contents = {s.section_id: s.content for s in read_rows(folder.sections, Section)}
    assert [row.source for row in rows] == ["written"] * 150
    assert all(row.evidence in contents[row.section_id] and row.evidence for row in rows)
    assert read_rows(folder.rejected, RejectedQA) == []
