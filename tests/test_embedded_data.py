"""The sections that the embedded model is trained on keep what their README says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.settings import CHECKOUT
from pipeline.text.compare import mentions, normalise_answer

JUDGED = CHECKOUT / "data" / "embedded" / "judged.jsonl"
FILES = sorted({*(CHECKOUT / "data" / "embedded").glob("*.jsonl")} - {JUDGED})
SECTIONS = [json.loads(line) for file in FILES for line in file.read_text("utf-8").splitlines()]


def questions() -> list[tuple[dict[str, Any], dict[str, str]]]:
    return [(section, qa) for section in SECTIONS for qa in section["qa"]]


def test_there_are_three_files_with_as_many_sections_as_their_readme_says() -> None:
    assert [file.name for file in FILES] == ["games.jsonl", "general.jsonl", "sport.jsonl"]
    assert len({(s["title"], s["heading"]) for s in SECTIONS}) == len(SECTIONS) == 414


def test_each_answer_stands_in_its_evidence_and_that_in_the_section_and_not_in_the_question() -> None:
    wrong = [
        qa["question"] for section, qa in questions()
        if qa["answer"] not in qa["evidence"] or qa["evidence"] not in section["content"] or mentions(qa["question"], qa["answer"])
    ]  # fmt: skip
    assert not wrong


def test_no_question_is_asked_twice() -> None:
    asked = [normalise_answer(qa["question"]) for _, qa in questions()] + [normalise_answer(q) for s in SECTIONS for q in s["unanswerable"]]
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("words", ["2020 Summer Olympics", "Tokyo 2020", "2020 Olympics", "2020 Summer Paralympics"])
def test_nothing_is_about_the_games_that_the_model_is_tested_on(words: str) -> None:
    assert not [s["title"] for s in SECTIONS if words in json.dumps(s, ensure_ascii=False)]


def test_a_judged_span_names_its_sentence_and_no_question_holds_its_answer() -> None:
    judged = [json.loads(line) for line in JUDGED.read_text("utf-8").splitlines()]
    names = {"section_id", "sentence", "answer", "question", "written_by", "well_formed", "answerable", "right", "better"}
    verdicts = [("well_formed" in line, "answerable" in line, "right" in line) for line in judged]
    assert all(set(line) <= names for line in judged)
    assert all(any(verdict) == all(verdict) == (line["written_by"] == "model") for verdict, line in zip(verdicts, judged, strict=True))
    assert not [line["better"] for line in judged if mentions(line.get("better", ""), line["answer"])]


def test_a_question_that_is_learnt_to_be_written_is_found_right_by_the_turn_that_asks_for_it() -> None:
    from embedded_rows import Judged, turns_of_judged

    from pipeline.dataset.formats import NO, YES
    from pipeline.llm import prompts

    rows = list(turns_of_judged([Judged("Context", "Riner lost to Bashaev.", "Bashaev", "Who beat Riner?", "Whom did Bashaev lose to?", True)]))
    written, wrong = rows[0], next(row for row in rows if row.kind == "check judged")
    assert written.text + written.answer == prompts.turn_check("Riner lost to Bashaev.", "Bashaev", "Who beat Riner?") + YES
    assert (wrong.text, wrong.answer) == (prompts.turn_check("Riner lost to Bashaev.", "Bashaev", "Whom did Bashaev lose to?"), NO)
    assert [row.kind for row in rows] == ["write judged", "read judged", "check judged", "decline judged", "judge judged"]
