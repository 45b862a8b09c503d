"""The report in a real browser: found, filtered, judged, saved, loaded, applied; hostile texts are texts; all can use it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from conftest import run

from pipeline.evaluation.agreement import estimate
from pipeline.records import DroppedExample, Example, Section
from pipeline.reporting.rows import DROPPED_SHOWN
from pipeline.store import read_rows, write_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.run_folder import RunFolder

pytestmark = pytest.mark.browser

EVIL = (
    "<script>alert(1)</script>", '"></td><img src=x onerror=alert(2)>', "</script><script>alert(3)</script>", "\u202egnp.exe\u202c RTL \u200f שלום",
    "<!--<script>", "{{ 7*7 }} ${alert(4)}",
)  # fmt: skip


def shown(page: Any) -> int:
    """How many rows pass the filters."""
    return int(page.inner_text("#status").split()[0].replace(",", ""))


def says(page: Any, selector: str, text: str) -> None:
    """Wait until an element holds a text."""
    from playwright.sync_api import expect

    expect(page.locator(selector)).to_contain_text(text, timeout=30_000)


def examples_of(folder: RunFolder) -> list[Example]:
    return read_rows(folder.examples, Example)


def test_filters_show_the_rows_that_the_files_have(folder: RunFolder, open_page: Callable[..., Any]) -> None:
    page, rows = open_page(folder.report), examples_of(folder)
    assert shown(page) == len(rows)
    page.select_option("#f-kind", "same_page")
    assert shown(page) == sum(e.kind == "same_page" for e in rows)
    page.select_option("#f-split", "test")
    assert shown(page) == sum(e.kind == "same_page" and e.split == "test" for e in rows)
    page.fill("#f-score-low", "0.5")
    assert shown(page) == sum(e.kind == "same_page" and e.split == "test" and (e.verified_score or 0) >= 0.5 for e in rows)
    page.click("#f-clear")
    title = read_rows(folder.sections, Section)[0].title
    page.select_option("#f-page", title)
    here = {s.section_id for s in read_rows(folder.sections, Section) if s.title == title}
    assert shown(page) == sum(e.context_section_id in here for e in rows)
    page.click("#f-clear")
    page.select_option("#f-group", "not made")
    dropped = Counter((d.kind, d.reason) for d in read_rows(folder.dropped_examples, DroppedExample) if d.context_section_id)
    assert shown(page) == sum(min(n, DROPPED_SHOWN) for n in dropped.values())
    page.click("#f-clear")
    page.check("#f-audit")
    assert shown(page) == int(page.inner_text("#estimate").split()[3]) > 0


def test_search_finds_words_in_any_order_without_accents(folder: RunFolder, open_page: Callable[..., Any]) -> None:
    page = open_page(folder.report)
    page.fill("#f-search", "SAPPORO marathon")
    says(page, "#detail h3", "marathon")
    found = [e for e in examples_of(folder) if all(w in f"{e.question} {e.answer} {e.context}".lower() for w in ("sapporo", "marathon"))]
    assert 0 < len(found) <= shown(page)
    assert "sapporo" in page.inner_text("#detail").lower()
    page.fill("#f-search", "no such words zzz")
    says(page, "#status", "0 of ")
    assert "Take a filter away" in page.inner_text("#detail")


def test_only_rows_that_are_seen_are_in_the_document_and_the_last_can_be_reached(folder: RunFolder, open_page: Callable[..., Any]) -> None:
    page = open_page(folder.report)
    page.focus("#list")
    page.keyboard.press("End")
    assert page.locator(".row").count() < 40
    chosen = page.locator(".row[aria-selected=true]")
    assert chosen.get_attribute("aria-posinset") == str(shown(page))
    assert chosen.is_visible()


def test_the_evidence_is_marked_and_the_revision_linked(folder: RunFolder, open_page: Callable[..., Any]) -> None:
    page = open_page(folder.report)
    page.select_option("#f-kind", "positive")
    example = next(e for e in examples_of(folder) if e.example_id == page.inner_text("#detail code"))
    assert page.inner_text("#detail mark") == example.evidence
    assert "oldid=" in page.locator("#detail .context ~ p a").first.get_attribute("href")


def test_a_row_is_judged_by_keys_saved_loaded_elsewhere_and_applied_by_train(
    folder: RunFolder, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    page = open_page(folder.report)
    page.fill("#reviewer", "Ada")
    page.select_option("#f-kind", "positive")
    page.focus("#list")
    before = page.inner_text("#detail code")
    page.keyboard.press("j")
    assert page.inner_text("#detail code") != before
    page.keyboard.press("k")
    page.keyboard.press("y")
    assert page.inner_text("#detail code") != before  # the next one
    fixed = page.inner_text("#detail code")
    page.keyboard.press("f")
    page.fill("#fix-question", 'Is "this" <b>the</b> question?')
    page.click("text=Save the fix")
    dropped = page.inner_text("#detail code")
    page.keyboard.press("d")
    page.keyboard.press("Shift+D")
    page.keyboard.press("k")
    page.keyboard.press("u")
    assert page.inner_text("#progress") == "3 reviewed: 1 keep, 1 fix, 1 drop."
    with page.expect_download() as download:
        page.click("#export")
    download.value.save_as(tmp_path / "review.jsonl")
    lines = {row["example_id"]: row for row in map(json.loads, (tmp_path / "review.jsonl").read_text("utf-8").splitlines())}
    assert lines[before] == {"example_id": before, "verdict": "keep", "reviewer": "Ada"}
    assert lines[fixed] == {"example_id": fixed, "verdict": "fix", "question": 'Is "this" <b>the</b> question?', "reviewer": "Ada"}
    assert lines[dropped] == {"example_id": dropped, "verdict": "drop", "reason": "label", "reviewer": "Ada"}
    other = open_page(folder.report)
    other.set_input_files("#import", tmp_path / "review.jsonl")
    says(other, "#said", "3 verdicts loaded")
    other.select_option("#f-verdict", "fix")
    assert other.inner_text("#detail code") == fixed
    assert other.input_value("#fix-question") == 'Is "this" <b>the</b> question?'
    result = run("train", "--trainer", "none", "--review", tmp_path / "review.jsonl", "--data", folder.root, "--json")
    assert result.json["counts"]["review"] == {"kept": 1, "fixed": 1, "dropped": 1}
    after = {e.example_id: e for e in examples_of(folder)}
    assert dropped not in after
    assert after[fixed].question == 'Is "this" <b>the</b> question?'


def test_verdicts_outlive_the_page(folder: RunFolder, open_page: Callable[..., Any]) -> None:
    page = open_page(folder.report)
    page.focus("#list")
    page.keyboard.press("y")
    page.reload()
    page.wait_for_selector("#browser:not([hidden])")
    assert page.inner_text("#progress").startswith("1 reviewed")
    page.select_option("#f-verdict", "none")
    assert shown(page) == len(examples_of(folder)) - 1


@pytest.mark.parametrize(
    ("line", "said"), [("{", "line 2 is not JSON"), ('{"example_id": "x", "verdict": "burn"}', "line 2: the verdict burn is not known")]
)
def test_a_file_that_is_no_review_is_refused_whole(folder: RunFolder, open_page: Callable[..., Any], tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "bad.jsonl").write_text(f'{{"example_id": "{examples_of(folder)[0].example_id}", "verdict": "keep"}}\n{line}\n', "utf-8")
    page = open_page(folder.report)
    page.set_input_files("#import", tmp_path / "bad.jsonl")
    says(page, "#said", said)
    assert page.inner_text("#progress").startswith("0 reviewed")


def test_a_fix_that_makes_no_example_is_told_before_it_is_kept(folder: RunFolder, open_page: Callable[..., Any]) -> None:
    page = open_page(folder.report)
    page.select_option("#f-kind", "same_page")
    page.focus("#list")
    page.keyboard.press("f")
    page.click("text=Save the fix")
    assert "Nothing is changed" in page.inner_text("#detail [role=alert]")
    page.check("#fix-answerable")
    page.click("text=Save the fix")
    assert "must be written" in page.inner_text("#detail [role=alert]")
    page.fill("#fix-answer", "Ono")
    page.click("text=Save the fix")
    assert page.inner_text("#progress").endswith("1 fix, 0 drop.")


def test_keys_do_nothing_in_text_fields_and_can_be_switched_off(folder: RunFolder, open_page: Callable[..., Any]) -> None:
    page = open_page(folder.report)
    page.focus("#f-search")
    page.keyboard.type("day")
    assert page.inner_text("#progress").startswith("0 reviewed")
    page.click("#f-clear")
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.uncheck("#keys-on")
    page.keyboard.press("Escape")
    page.focus("#list")
    page.keyboard.press("y")
    assert page.inner_text("#progress").startswith("0 reviewed")
    before = page.inner_text("#detail code")
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#detail code") != before


def test_the_audits_estimate_in_the_page_is_the_reports(folder: RunFolder, open_page: Callable[..., Any]) -> None:
    page = open_page(folder.report)
    page.check("#f-audit")
    page.focus("#list")
    for key in ("d", "y", "y", "y"):
        page.keyboard.press(key)
    found = estimate(1, 4)
    assert f"4 of {shown(page)} read; 1 false: 25.0 % (95 % interval {100 * found.low:.1f} % to {100 * found.high:.1f} %)" in page.inner_text(
        "#estimate"
    )


def test_hostile_texts_are_shown_and_never_run(folder: RunFolder, open_page: Callable[..., Any]) -> None:
    rows = examples_of(folder)
    for at, evil in enumerate(EVIL):
        rows[at] = replace(rows[at], question=f"evil{at} {evil}", answer=evil, evidence=evil, context=f"{evil}\n\n{evil}")
    rows[len(EVIL)] = replace(rows[len(EVIL)], question="evilbig " + "<b>" * 3_500_000, context="<i>" * 3_500_000)
    write_rows(folder.examples, Example, rows)
    write_rows(
        folder.sections, Section, [replace(s, title=EVIL[1] if s.title.startswith("Judo") else s.title) for s in read_rows(folder.sections, Section)]
    )
    assert run("report", "--data", folder.root).code == 0
    assert folder.report.stat().st_size < 5_000_000
    page = open_page(folder.report)
    for at, evil in enumerate(EVIL):
        page.fill("#f-search", f"evil{at}")
        says(page, "#detail h3", f"evil{at} ")
        assert page.text_content("#detail h3") == f"evil{at} {evil}"
        assert page.text_content("#detail mark") == evil
    page.fill("#f-search", "evilbig")
    says(page, "#detail h3", "evilbig ")
    assert "more characters" in page.text_content("#detail h3")
    assert page.locator("#detail b, #detail i, img").count() == 0


def test_a_script_that_came_in_would_not_run(folder: RunFolder, open_page: Callable[..., Any], tmp_path: Path) -> None:
    injected = "<main><script>document.title = 'taken'</script><p id=in onclick=\"document.title='taken'\">in</p><img src=x onerror=\"document.title='taken'\">"
    (tmp_path / "injected.html").write_text(folder.report.read_text("utf-8").replace("<main>", injected), "utf-8")
    told: list[str] = []
    page = open_page(tmp_path / "injected.html", told=told)
    page.click("#in")
    assert page.title() == "Report: run"
    assert sum("Content Security Policy" in line for line in told) >= 2


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_keeps_people_from_using_it(folder: RunFolder, open_page: Callable[..., Any], width: int, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(folder.report, width=width, scheme=scheme)
    page.wait_for_selector(".drawing svg")
    page.focus("#list")
    page.keyboard.press("f")
    found = Axe().run(page).response["violations"]
    assert [(v["id"], [n["html"][:200] for n in v["nodes"]][:3]) for v in found if v["impact"] in ("serious", "critical", "moderate")] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_each_picture_has_a_name_and_its_figures_in_a_table(folder: RunFolder, open_page: Callable[..., Any]) -> None:
    page = open_page(folder.report)
    page.wait_for_selector("#chart-ranks svg")
    figures = page.locator("figure.chart")
    assert figures.count() >= 5
    for at in range(figures.count()):
        assert figures.nth(at).locator("svg[role=img]").get_attribute("aria-label")
        assert figures.nth(at).locator("table tbody tr").count() > 0
