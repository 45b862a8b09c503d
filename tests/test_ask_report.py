"""Answers with a source, refusals that are clear."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

from conftest import ROOT, environment, run

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


def test_a_discriminator_that_nothing_has_measured_is_named_until_an_evaluation_has(trained: Path, tmp_path: Path) -> None:
    folder, notice = tmp_path / "run", "never measured"
    for command in (("collect", "--source", "sample", "--max-pages", "3"), ("create_qa", "--import", "data/sample/qa.csv"), ("train",)):
        assert run(*command, "--data", folder).code == 0
    (tmp_path / "note.txt").write_text("The lighthouse is 46 metres tall.", "utf-8")
    asked = ("ask", "How tall is it?", "--context", tmp_path / "note.txt", "--json", "--data")
    found = run(*asked, folder)
    assert found.err.count(notice) == 1
    assert [notice in said for said in found.json["notices"]] == [True]
    assert "--dataset FILE" in found.err
    measured = run(*asked, trained)
    assert measured.json["notices"] == []
    assert notice not in measured.err
    rows = [{"context": c, "question": q, "answers": ["46 metres"][:n], "answerable": bool(n)} for c, q, n in (("It is 46 metres tall.", "How tall?", 1), ("It is blue.", "How tall?", 0))]  # fmt: skip
    (tmp_path / "mine.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    assert run("evaluate", "--dataset", tmp_path / "mine.jsonl", "--data", folder).code == 0
    assert run(*asked, folder).json["notices"] == []


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


def test_quiet_still_gives_the_answer(trained: Path) -> None:
    result = run("ask", "What is the boiling point of lead?", "--data", trained, "--quiet")
    assert (result.out.splitlines()[0], result.err) == (NO_ANSWER, "")
