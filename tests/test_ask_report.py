"""Answers with a source, refusals that are clear, and a page on which nothing of a wiki is executed."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from conftest import ROOT, environment, run

from pipeline.records import KINDS, NO_ANSWER, Example, Section
from pipeline.report import warnings
from pipeline.store import RunFolder, read_rows, write_rows

if TYPE_CHECKING:
    from pathlib import Path

EVIL = '</td><script>alert(1)</script>\u202e"><img src=x onerror=alert(2)>{{ 7*7 }}'


def test_a_question_that_a_section_answers_is_answered_with_its_source(trained: Path) -> None:
    result = run("ask", "Who won the men's individual road race at the 2020 Summer Olympics?", "--data", trained, "--json")
    assert result.code == 0
    assert result.json["answer"]
    best = result.json["candidates"][0]
    assert best["title"] == "Cycling at the 2020 Summer Olympics – Men's individual road race"
    assert best["url"].startswith("https://sample.invalid/")
    assert best["p_answerable"] >= result.json["threshold"]


def test_a_question_that_no_section_answers_is_declined_word_for_word(trained: Path) -> None:
    result = run("ask", "What is the boiling point of lead?", "--data", trained)
    assert result.code == 0
    assert result.out.splitlines()[0] == NO_ANSWER


def test_the_threshold_decides(trained: Path) -> None:
    question = "Who won the men's individual road race at the 2020 Summer Olympics?"
    assert run("ask", question, "--threshold", "1", "--data", trained, "--json").json["answer"] is None
    assert run("ask", question, "--threshold", "0", "--data", trained, "--json").json["answer"]


def test_a_context_of_ones_own_is_judged_without_a_search(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("The lighthouse at Cape Fear is 46 metres tall. It was painted in 1958.", "utf-8")
    result = run(
        "ask", "How tall is the lighthouse at Cape Fear?", "--context", tmp_path / "note.txt", "--threshold", "0", "--data", trained, "--json"
    )
    assert result.json["answer"] == "The lighthouse at Cape Fear is 46 metres tall."
    assert len(result.json["candidates"]) == 1


def test_an_empty_question_or_context_is_a_sentence(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n", "utf-8")
    for args in (("  ",), ("Who?", "--context", tmp_path / "empty.txt"), ("Who?", "--context", tmp_path / "none.txt")):
        result = run("ask", *args, "--data", trained)
        assert result.code == 1
        assert len(result.errors) == 1


def test_questions_of_a_pipe_are_answered_one_by_one_with_models_and_index_loaded_once(trained: Path) -> None:
    asked = "Who won the men's individual road race at the 2020 Summer Olympics?\n\nWhat is the boiling point of lead?\n"
    line = [sys.executable, "-W", "error", "-m", "pipeline.ask", "--data", str(trained), "--json"]
    done = subprocess.run(line, cwd=ROOT, env=environment(), input=asked, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    first, second, last = (json.loads(text) for text in done.stdout.splitlines())
    assert first["answer"]
    assert first["seconds"] > 0
    assert second["answer"] is None
    assert last["counts"] == {"asked": 2, "answered": 1}
    assert NO_ANSWER in done.stderr


def test_a_question_of_bytes_that_are_no_text_is_a_question_all_the_same(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("The lighthouse is 46 metres tall.", "utf-8")
    line = [sys.executable, "-m", "pipeline.ask", "--context", str(tmp_path / "note.txt"), "--data", str(trained), "--json"]
    given = subprocess.run([*line, b"Who \xff won?"], cwd=ROOT, env=environment(), capture_output=True, timeout=240, check=False)
    assert given.returncode == 0, given.stderr
    assert json.loads(given.stdout)["question"] == "Who ? won?"
    piped = subprocess.run(line, cwd=ROOT, env=environment(), input=b"Who \xff won?\n\xe2\x80\x8b\n", capture_output=True, timeout=240, check=False)
    assert piped.returncode == 0, piped.stderr
    assert json.loads(piped.stdout.splitlines()[-1])["counts"]["asked"] == 2


def test_a_text_cannot_command_the_terminal_that_it_is_shown_on(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("The lighthouse\x1b[2J is 46 metres\x9b31m tall.", "utf-8")
    arguments = ("How tall is the lighthouse?", "--context", tmp_path / "note.txt", "--threshold", "0", "--data", trained)
    plain, as_json = run("ask", *arguments), run("ask", *arguments, "--json")
    assert plain.out.startswith("The lighthouse\\x1b[2J is 46 metres\\x9b31m tall.")
    assert as_json.json["answer"] == "The lighthouse\x1b[2J is 46 metres\x9b31m tall."
    for shown in (plain.out, plain.err, as_json.out, as_json.err):
        assert not any(c in shown for c in "\x1b\x07\x9b")


def test_a_terminal_gets_a_prompt_and_ctrl_d_ends_it(trained: Path) -> None:
    terminal, end = pty.openpty()
    line = [sys.executable, "-m", "pipeline.ask", "--data", str(trained), "--quiet"]
    with subprocess.Popen(line, cwd=ROOT, env=environment(TERM="dumb"), stdin=end, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.write(terminal, b"What is the boiling point of lead?\n\x04")
        out, err = process.communicate(timeout=240)
    os.close(terminal)
    os.close(end)
    assert process.returncode == 0, err
    assert NO_ANSWER in out.decode()


def test_a_section_about_another_year_or_side_is_not_taken_and_the_refusal_says_why(trained: Path) -> None:
    city = run("ask", "Which city hosted the surfing of the 2024 Summer Olympics?", "--data", trained)
    assert city.out.splitlines()[0] == NO_ANSWER
    assert "it is about 2020, not 2024" in city.out
    men = run("ask", "Who won the men's 100 metres at the 2020 Summer Olympics?", "--data", trained, "--json")
    assert men.json["answer"] is None
    assert any(one["against"] == "it is about women, not men" for one in men.json["candidates"])


def test_the_search_hands_over_no_more_sections_than_fit(trained: Path) -> None:
    question = "Who won the men's individual road race at the 2020 Summer Olympics?"
    assert len(run("ask", question, "--data", trained, "--json", "--max-tokens", "1").json["candidates"]) == 1
    assert len(run("ask", question, "--data", trained, "--json", "--candidates", "3").json["candidates"]) == 3


class Tags(HTMLParser):
    """Which elements a page has, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_text_of_pages_and_models_is_shown_and_never_run(trained: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(trained, folder.root)
    evil = [replace(e, question=EVIL, answer=EVIL, context=EVIL) for e in read_rows(folder.examples, Example)]
    write_rows(folder.examples, Example, evil)
    sections = [replace(s, title=EVIL, url="javascript:alert(3)") for s in read_rows(folder.sections, Section)]
    write_rows(folder.sections, Section, sections)
    assert run("report", "--data", folder.root).code == 0
    page = folder.report.read_text("utf-8")
    tags = Tags()
    tags.feed(page)
    assert not tags.names & {"script", "img", "iframe", "object", "link"}
    assert tags.handlers == []
    assert not any(link.startswith("javascript") for link in tags.links)
    assert "&lt;script&gt;alert(1)" in page
    assert "49" not in page.split("Examples: positive")[1].split("<article>")[1]


def test_the_report_shows_counts_metrics_and_ten_rows_of_each_kind(trained: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(trained, folder.root)
    result = run("report", "--data", folder.root)
    assert str(folder.report) in result.out
    page = folder.report.read_text("utf-8")
    counts = json.loads(folder.manifest.read_text("utf-8"))["train"]["counts"]["by_kind"]
    assert counts["altered_question"] >= 10
    for kind in KINDS:
        assert f"Examples: {kind}" in page
        assert page.split(f"Examples: {kind}")[1].split("<h2>")[0].count("<article>") == min(10, counts[kind])
    assert "Baseline: IDF overlap, no model, test split" in page
    assert "<mark>" in page
    again = folder.report.read_bytes()
    run("report", "--data", folder.root)
    assert folder.report.read_bytes() == again


def test_a_reader_is_warned_of_few_rows_and_easy_negatives() -> None:
    counts = {
        "create_qa": {"kept": 5, "rejected": 90, "kept_by_source": {"generated": 5}},
        "train": {"not_available": 2, "negatives_asked_for": 15},
    }  # fmt: skip
    metrics = {"test": {"discriminator": {"all": {"n_positive": 1}}, "idf_overlap": {"all": {"auroc": 0.97}}}}
    said = " ".join(warnings(counts, metrics))
    for part in ("rejected (90)", "only 1 answerable", "0.970", "2 of 15"):
        assert part in said


def test_quiet_still_gives_the_answer(trained: Path) -> None:
    result = run("ask", "What is the boiling point of lead?", "--data", trained, "--quiet")
    assert (result.out.splitlines()[0], result.err) == (NO_ANSWER, "")
