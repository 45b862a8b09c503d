"""A notebook's questions and answers: its artefacts, sections that the run lacks, and what --force and --limit leave alone."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from conftest import run
from loopback import serving

from pipeline.records import QA, Page, RejectedQA, Section
from pipeline.store import read_rows, sha256_of

TEXT = (
    "The regatta was held on Enoshima from 25 July to 4 August 2021 in ten classes with 350 sailors from 65 nations. "
    "Light winds delayed the first day, and the last race was sailed in the evening before the harbour closed. "
    "The hosts from Japan came second in one class and went home with a single silver medal after ten days of racing."
)


@pytest.fixture
def folder(collected: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(collected, tmp_path / "run"))


def notebook(path: Path, *rows: tuple[str, str, str, str, str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("title", "heading", "content", "questions", "answers"))
        writer.writerows(rows)
    return path


def kept(folder: Path, source: str) -> list[QA]:
    return [row for row in read_rows(folder / "qa.parquet", QA) if row.source == source]


def test_sections_that_the_run_lacks_come_with_their_questions(folder: Path, tmp_path: Path) -> None:
    before = read_rows(folder / "sections.parquet", Section)
    questions, answers = (
        "Where was the regatta of 2021 held?\n2. How many sailors came to Enoshima?\n4. When did it end?",
        "1. on Enoshima\n2. 350\n3. never",
    )
    path = notebook(
        tmp_path / "q.csv", ("Sailing elsewhere", "Summary", TEXT, questions, answers), ("Too short", "Summary", "Short.", "Who won it?", "A")
    )
    result = run("create_qa", "--import", path, "--data", folder, "--json")
    assert result.code == 0, result.err
    assert "1 sections that this run did not have" in result.err
    sections = read_rows(folder / "sections.parquet", Section)
    (new,) = [section for section in sections if section.title == "Sailing elsewhere"]
    assert (len(sections), new.content, new.tokens > 40) == (len(before) + 1, TEXT, True)
    assert [(s.page_id, s.position, s.part) for s in sections] == sorted((s.page_id, s.position, s.part) for s in sections)
    assert {row.section_id for row in kept(folder, "imported")} == {new.section_id}
    assert {row.answer for row in kept(folder, "imported")} == {"on Enoshima", "350"}
    reasons = {row.question: row.reason for row in read_rows(folder / "rejected.parquet", RejectedQA)}
    assert reasons == {"": "no_question", "When did it end?": "does_not_stand_alone", "Who won it?": "section_short"}
    (page,) = [page for page in read_rows(folder / "pages.parquet", Page) if page.title == "Sailing elsewhere"]
    assert (page.page_id, page.status, page.reason, page.revision_id) == (new.page_id, "kept", "came with imported rows", None)
    assert "- Sailing elsewhere\n" in (folder / "ATTRIBUTION.md").read_text()
    stages = json.loads((folder / "manifest.json").read_text())
    assert stages["collect"]["outputs"]["sections.parquet"] == stages["create_qa"]["inputs"]["sections"] == sha256_of(folder / "sections.parquet")
    assert "nothing has changed" in run("collect", "--source", "sample", "--data", folder).out
    assert "nothing to do" in run("create_qa", "--import", path, "--data", folder).out


def test_a_section_that_the_run_has_is_not_taken_in_again(folder: Path, tmp_path: Path) -> None:
    known = next(s for s in read_rows(folder / "sections.parquet", Section) if "Teddy Riner" in s.content)
    path = notebook(tmp_path / "q.csv", (known.title, known.heading, "An older wording of it.", "Who came to Tokyo for France?", "Teddy Riner"))
    before = sha256_of(folder / "sections.parquet")
    assert run("create_qa", "--import", path, "--data", folder).code == 0
    assert sha256_of(folder / "sections.parquet") == before
    assert [row.section_id for row in kept(folder, "imported")] == [known.section_id]


def test_force_redoes_its_own_rows_and_leaves_the_others(folder: Path) -> None:
    with serving(latency=0.001) as (_, url):
        model = ("create_qa", "--data", folder, "--base-url", url, "--model", "m", "--limit", "5")
        run("create_qa", "--import", "data/sample/qa.csv", "--data", folder)
        assert run(*model).code == 0
        before = sha256_of(folder / "qa.parquet")
        assert run(*model, "--force").code == 0
        assert sha256_of(folder / "qa.parquet") == before
        assert run("create_qa", "--import", "data/sample/qa.csv", "--data", folder, "--force").code == 0
        assert sha256_of(folder / "qa.parquet") == before
    assert (len(kept(folder, "written")), len(kept(folder, "generated")) > 5) == (150, True)


def test_a_smaller_limit_or_another_model_takes_no_other_sections_rows_away(folder: Path) -> None:
    with serving(latency=0.001) as (_, url):
        line = ("create_qa", "--data", folder, "--base-url", url)
        assert run(*line, "--model", "m", "--limit", "8").code == 0
        before = {row.section_id for row in kept(folder, "generated")}
        assert run(*line, "--model", "n", "--limit", "3").code == 0
    rows = kept(folder, "generated")
    assert {row.section_id for row in rows} == before
    assert len({row.section_id for row in rows if row.model == "n"}) == 3
    assert not {row.section_id for row in rows if row.model == "n"} & {row.section_id for row in rows if row.model == "m"}
