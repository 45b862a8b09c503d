"""ATTRIBUTION.md names every source with its revision and licence, whatever the title."""

from __future__ import annotations

from dataclasses import replace

from pipeline.records import Page
from pipeline.sources.attribution import attribution

PAGE = Page(
    1,
    "Tokyo [2020] *Games*",
    "https://w.example/wiki/Tokyo",
    7,
    "2021-08-08T12:00:00Z",
    "2026-01-01T00:00:00+00:00",
    "CC BY-SA 4.0 https://l.example",
    3,
    "kept",
    "",
)


def test_a_page_is_named_with_its_address_revision_day_and_licence() -> None:
    said = attribution([PAGE])
    line = r"- [Tokyo \[2020\] \*Games\*](<https://w.example/wiki/Tokyo>), [revision 7 of 2021-08-08](<https://w.example/wiki/Tokyo?oldid=7>)"
    assert line in said.splitlines()
    assert "CC BY-SA 4.0 <https://l.example>.\n" in said
    assert "same licence (share alike)" in said


def test_pages_that_are_not_kept_are_no_sources_and_the_others_stand_by_title() -> None:
    pages = [replace(PAGE, title=title, status=status) for title, status in (("B", "kept"), ("A", "kept"), ("C", "redirect"))]
    assert [line[3] for line in attribution(pages).splitlines() if line.startswith("- ")] == ["A", "B"]


def test_a_source_without_licence_or_address_says_so_and_claims_nothing() -> None:
    said = attribution([replace(PAGE, url="", revision_id=None, revision_timestamp="", licence="")])
    assert "The source named no licence." in said
    assert "share alike" not in said
    assert said.endswith("- Tokyo \\[2020\\] \\*Games\\*\n")


def test_an_address_that_is_no_web_address_becomes_no_link() -> None:
    assert "](" not in attribution([replace(PAGE, url="javascript:alert(1)")])
    assert "](" not in attribution([replace(PAGE, url="https://w.example/> <b>")])


def test_a_wiki_without_short_addresses_or_with_a_bare_one_is_linked_too() -> None:
    assert "(<https://w.example/index.php?title=A&oldid=7>)" in attribution([replace(PAGE, url="https://w.example/index.php?title=A")])
    assert "(<http://[::1]:8080/wiki/A?oldid=7>)" in attribution([replace(PAGE, url="http://[::1]:8080/wiki/A")])


def test_a_title_cannot_forge_a_line() -> None:
    said = attribution([replace(PAGE, title="A\n\n- forged\n===", licence="CC\n- forged")])
    assert len([line for line in said.splitlines() if line.startswith("- ")]) == 1
    assert "===" not in said.splitlines()
