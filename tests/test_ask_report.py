"""Answers with a source, refusals that are clear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conftest import run

from pipeline.records import NO_ANSWER

if TYPE_CHECKING:
    from pathlib import Path


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


def test_quiet_still_gives_the_answer(trained: Path) -> None:
    result = run("ask", "What is the boiling point of lead?", "--data", trained, "--quiet")
    assert (result.out.splitlines()[0], result.err) == (NO_ANSWER, "")
