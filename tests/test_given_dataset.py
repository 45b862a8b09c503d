"""Datasets of one's own: SQuAD 2.0 and JSON lines are read as they stand, and a fault is a sentence that names its row."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from conftest import ROOT, environment
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.given import read_dataset
from pipeline.errors import InputError
from pipeline.records import QA, Question, Section
from pipeline.store import read_rows

if TYPE_CHECKING:
    from pathlib import Path

LOIRE = "The Loire is 1,006 km long. It rises in the Massif Central, at Mont Gerbier de Jonc, and flows into the Atlantic."
SQUAD: dict[str, Any] = {
    "version": "v2.0",
    "data": [
        {
            "title": "River_Loire",
            "paragraphs": [
                {
                    "context": LOIRE,
                    "qas": [
                        {"id": "a", "question": "Where does the Loire rise?", "is_impossible": False,
                         "answers": [{"text": "Massif Central", "answer_start": 44}, {"text": "Massif Central", "answer_start": 44}, {"text": "at Mont Gerbier de Jonc", "answer_start": 60}]},
                        {"id": "b", "question": "How long is the Rhône?", "is_impossible": True, "answers": [],
                         "plausible_answers": [{"text": "1,006 km", "answer_start": 13}]},
                    ],
                }
            ],
        }
    ],
}  # fmt: skip


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def row(**other: Any) -> dict[str, Any]:
    return {"context": LOIRE, "question": "How long is the Loire?", "answers": ["1,006 km"], "answerable": True, **other}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("packed", [False, True])
def test_squad_is_read_with_each_answer_once_and_no_plausible_ones(tmp_path: Path, indent: int | None, packed: bool) -> None:
    path = tmp_path / "squad.json"
    text = json.dumps(SQUAD, indent=indent).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    first, second = read_dataset(path)
    assert first == Question("a", LOIRE, "Where does the Loire rise?", ("Massif Central", "at Mont Gerbier de Jonc"), True, "positive", "River_Loire")
    assert second == Question("b", LOIRE, "How long is the Rhône?", (), False, "written", "River_Loire")
    assert first.context is second.context


def test_json_lines_keep_id_kind_and_title_and_ignore_the_rest(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "d.jsonl", row(id=7, kind="positive", title="Loire", source="me"), row(answers=[], answerable=False, kind="altered"), row()
    )
    first, second, third = read_dataset(path)
    assert (first.id, first.title) == ("7", "Loire")
    assert (second.kind, second.answers, second.answerable) == ("altered", (), False)
    assert third.id.startswith("q-")
    assert third.kind == "positive"


def test_equal_rows_without_ids_get_different_ids_and_the_same_ones_again(tmp_path: Path) -> None:
    path = lines(tmp_path / "d.jsonl", row(), row())
    names = [q.id for q in read_dataset(path)]
    assert len(set(names)) == 2
    assert names == [q.id for q in read_dataset(path)]


def test_answers_as_datasets_writes_them_are_read(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "d.jsonl",
        row(answers={"text": ["1,006 km"], "answer_start": [13]}),
        row(answers={"text": [], "answer_start": []}, answerable=False),
    )
    assert [q.answers for q in read_dataset(path)] == [("1,006 km",), ()]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row(), row(context=" ")], "row 2"),
        ([row(question=None)], "has no question"),
        ([row(answerable="yes")], "answerable is neither true nor false"),
        ([row(answers=[])], "is said to be answerable and has no answer"),
        ([row(answerable=False)], "unanswerable and has answers"),
        ([row(answers=[3])], "an answer is no text"),
        ([row(answers=3)], "answers is no list"),
        ([row(id="x"), row(id="x")], "x (also row 1)"),
        ([row(kind=1.5)], "kind is no text"),
        ([row(answers=[], answerable=False, kind="positive")], "a row's kind has a name that is taken"),
        ([row(kind="all")], "a row's kind has a name that is taken"),
        ([row(question="Who \ud83d?")], "question has half a character"),
        ([row(answers=["\ude00"])], "an answer has half a character"),
        ([row(), 3], "no JSON object"),
        ([], "no question"),
        ([{"data": 3}], "neither SQuAD nor JSON lines"),
        ([{"data": [{"title": "T"}]}], "article 1: paragraphs"),
        ([{"data": [{"paragraphs": [{"context": "C.", "qas": [{"id": "q", "question": "Q?", "answers": []}]}]}]}], "article 1, paragraph 1, question 1"),
    ],
)  # fmt: skip
def test_a_fault_is_a_sentence_with_file_and_place(tmp_path: Path, rows: list[object], said: str) -> None:
    path = lines(tmp_path / "d.jsonl", *rows)
    with pytest.raises(InputError) as error:
        read_dataset(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_what_a_row_lacks_is_named_all_at_once(tmp_path: Path) -> None:
    path = lines(tmp_path / "mine.jsonl", {"text": "a", "question": "b", "answers": []})
    with pytest.raises(InputError, match="row 1: context, answerable"):
        read_dataset(path)


def test_a_file_that_is_cut_off_missing_or_no_text_is_a_sentence(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps(SQUAD).encode())
    (tmp_path / "cut.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "latin").write_bytes("é".encode("latin-1"))
    (tmp_path / "half.json").write_bytes(json.dumps(SQUAD).encode()[:300])
    for name in ("cut.gz", "latin", "half.json", "none", "."):
        with pytest.raises(InputError) as error:
            read_dataset(tmp_path / name)
        assert str(tmp_path) in str(error.value)


@given(
    st.lists(
        st.tuples(st.text(min_size=1), st.text(min_size=1), st.booleans()).filter(lambda r: r[0].strip() and r[1].strip()), min_size=1, max_size=5
    )
)
def test_what_is_written_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, bool]]) -> None:
    path = tmp_path_factory.mktemp("d") / "d.jsonl"
    lines(path, *(row(context=c, question=q, answerable=a, answers=[q] if a else []) for c, q, a in rows))
    assert [(r.context, r.question, r.answerable) for r in read_dataset(path)] == rows


def test_a_run_folder_is_made_of_squad_with_the_sentence_that_has_the_answer(tmp_path: Path) -> None:
    (tmp_path / "squad.json").write_text(json.dumps(SQUAD), "utf-8")
    command = [sys.executable, "scripts/squad_run.py", tmp_path / "squad.json", "--data", tmp_path / "run"]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (section,) = read_rows(tmp_path / "run" / "sections.parquet", Section)
    (qa,) = read_rows(tmp_path / "run" / "qa.parquet", QA)
    (written,) = read_dataset(tmp_path / "run" / "written.jsonl")
    assert (section.title, section.content, qa.section_id, qa.answer) == ("River Loire", LOIRE, section.section_id, "Massif Central")
    assert qa.evidence == "It rises in the Massif Central, at Mont Gerbier de Jonc, and flows into the Atlantic."
    assert (written.id, written.answerable, written.kind, written.context) == ("b", False, "written", section.context)
