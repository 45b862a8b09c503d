"""Each training file is what its readers take, and says what the example says."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from conftest import ROOT
from examples_of_formats import EXAMPLES, JUDO, example, negative
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.formats import chat, hf, squad
from pipeline.dataset.formats.lines import ROWS, TARGETS
from pipeline.records import NO_ANSWER, Example, Section
from pipeline.store import read_rows, write_json, write_jsonl, write_rows
from pipeline.text.compare import normalise_answer

if TYPE_CHECKING:
    from pathlib import Path

GOLDEN = ROOT / "tests" / "golden"
TITLES = {"sec-judo": "Judo", "sec-surfing": "Surfing"}
odd_text = st.text(st.characters(codec=None) | st.sampled_from('"\\\n\r\t\0\u2028\u202e\u05d0\ud800\udfff\U0001f94b{}'))


def spans(examples: list[Example]) -> dict[str, squad.Span]:
    return {e.example_id: squad.span_of(e) for e in examples}


def golden_of(where: str, target: str) -> Path:
    return GOLDEN / f"{where or 'chat'}.{target}.jsonl"


@pytest.mark.parametrize(("where", "target"), [(where, target) for where in ROWS for target in TARGETS])
def test_rows_are_those_of_the_golden_file(where: str, target: str, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "file", map(ROWS[where][target], EXAMPLES))
    assert (tmp_path / "file").read_text("utf-8") == golden_of(where, target).read_text("utf-8")


def test_squad_files_are_those_of_the_golden_files(tmp_path: Path) -> None:
    write_json(tmp_path / "squad.json", squad.document(EXAMPLES, spans(EXAMPLES), TITLES))
    write_jsonl(tmp_path / "aligned.jsonl", squad.notes(EXAMPLES, spans(EXAMPLES)))
    for name in ("squad.json", "aligned.jsonl"):
        assert (tmp_path / name).read_text("utf-8") == (GOLDEN / name).read_text("utf-8")


def questions(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(p["context"], qa) for article in document["data"] for p in article["paragraphs"] for qa in p["qas"]]


def test_squads_answers_and_plausible_answers_stand_where_they_are_said_to_stand() -> None:
    found = questions(squad.document(EXAMPLES, spans(EXAMPLES), TITLES))
    answers = [(context, a) for context, qa in found for a in [*qa["answers"], *qa.get("plausible_answers", [])]]
    assert len(answers) == 4
    assert all(context[a["answer_start"] :].startswith(a["text"]) and a["text"] for context, a in answers)


def test_every_example_is_a_question_of_squad_or_left_out_with_its_reason() -> None:
    written = {qa["id"] for _, qa in questions(squad.document(EXAMPLES, spans(EXAMPLES), TITLES))}
    left = {row["id"]: row["how"] for row in squad.notes(EXAMPLES, spans(EXAMPLES)) if row["how"] in squad.LEFT_OUT}
    assert written | left.keys() == {e.example_id for e in EXAMPLES}
    assert not written & left.keys()
    assert left == {"ex-3": "not_in_context"}


def test_a_context_stands_once_under_its_pages_title_however_many_questions_it_has() -> None:
    document = squad.document(EXAMPLES, spans(EXAMPLES), TITLES)
    assert [article["title"] for article in document["data"]] == ["Judo", "Surfing"]
    contexts = [p["context"] for article in document["data"] for p in article["paragraphs"]]
    assert len(contexts) == len(set(contexts)) == 3


@pytest.mark.parametrize(
    ("answer", "evidence", "text", "how"),
    [
        ("Tamerlan Bashaev", "to Tamerlan Bashaev on", "Tamerlan Bashaev", "verbatim"),
        ("France", "", "France", "verbatim"),
        ("teddy riner", "", "Teddy Riner", "spelt_otherwise"),
        ("“The  bear”", "", '"the Bear"', "spelt_otherwise"),
        ("Teddy\nRiner", "Teddy Riner of", "Teddy Riner", "spelt_otherwise"),
        ("quarter", "", "quarter", "verbatim"),
        ("Budo", "", "Budo", "inside_a_word"),
        ("July 30, 2021", "on 30 July 2021.", "30 July 2021.", "best_window"),
        ("a defeat in the quarter-final", 'Riner of France – "the Bear" – lost a quarter-final to', "quarter-final", "best_window"),
        ("46 medals", "Forty-six judoka took medals home", "Forty-six judoka took medals home", "evidence"),
        ("nobody knows", "took medals home", "took medals home", "evidence"),
    ],
)
def test_an_answer_is_aligned_in_the_order_that_is_documented(answer: str, evidence: str, text: str, how: str) -> None:
    assert squad.span_of(example("x", answer=answer, evidence=evidence)) == squad.Span(text, JUDO.index(text), how)


@pytest.mark.parametrize(
    ("answer", "evidence", "how"),
    [
        ("in Osaka", "", "not_in_context"),
        ("in Osaka", "something else", "evidence_not_in_context"),
        ("the", "Teddy Riner", "nothing_to_compare"),
        ("", "", "nothing_to_compare"),
        ("02", "", "not_in_context"),
        ("–", "", "not_in_context"),
    ],
)
def test_an_answer_that_cannot_be_aligned_has_a_reason(answer: str, evidence: str, how: str) -> None:
    span = squad.span_of(example("x", answer=answer, evidence=evidence))
    assert (span.start, span.how) == ((-1, how) if answer != "–" else (span.start, span.how))
    assert span.start < 0 or normalise_answer(span.text)


def test_the_answer_is_taken_from_the_evidence_though_it_stands_earlier_in_the_context_too() -> None:
    context = "Judo\nMen\n\nThe Bear slept. The Bear won the final."
    span = squad.span_of(example("x", context=context, answer="The Bear", evidence="The Bear won"))
    assert span == squad.Span("The Bear", context.rindex("The Bear"), "verbatim")


def test_a_plausible_answer_that_is_not_in_the_context_is_left_out_and_noted() -> None:
    row = negative("x", "similar", plausible_answer="Italo Ferreira")
    [(_, qa)] = questions(squad.document([row], spans([row]), TITLES))
    assert "plausible_answers" not in qa
    assert [note["how"] for note in squad.notes([row], spans([row]))] == ["plausible_not_in_context"]


def scores(document: dict[str, Any], predictions: dict[str, str]) -> Counter[str]:
    """Exact match as SQuAD 2.0's evaluation script counts it, in percent of all, answerable and unanswerable questions."""
    points: dict[str, list[bool]] = {"exact": [], "HasAns_exact": [], "NoAns_exact": []}
    for _, qa in questions(document):
        gold = [a["text"] for a in qa["answers"] if normalise_answer(a["text"])] or [""]
        right = any(normalise_answer(predictions[qa["id"]]) == normalise_answer(text) for text in gold)
        points["exact"].append(right)
        points["HasAns_exact" if bool(qa["answers"]) else "NoAns_exact"].append(right)
        assert bool(qa["answers"]) is not qa["is_impossible"]
    return Counter({name: round(100 * sum(found) / len(found)) for name, found in points.items()})


def test_squads_metric_gives_the_files_own_answers_a_hundred_and_silence_only_the_unanswerable() -> None:
    document = squad.document(EXAMPLES, spans(EXAMPLES), TITLES)
    own = {qa["id"]: qa["answers"][0]["text"] if qa["answers"] else "" for _, qa in questions(document)}
    assert scores(document, own) == {"exact": 100, "HasAns_exact": 100, "NoAns_exact": 100}
    assert scores(document, dict.fromkeys(own, "")) == {"exact": 57, "HasAns_exact": 0, "NoAns_exact": 100}


@given(odd_text, odd_text, odd_text, odd_text)
def test_whatever_the_text_a_span_is_a_piece_of_the_context_that_squads_metric_can_compare(
    context: str, answer: str, evidence: str, more: str
) -> None:
    whole = context + evidence + more
    for row in (example("x", context=whole, answer=answer, evidence=evidence), negative("x", "similar", context=whole, plausible_answer=answer)):
        span = squad.span_of(row)
        assert span.how in (*squad.ALIGNED, *squad.LEFT_OUT, squad.NO_SPAN, "plausible_not_in_context")
        if span.start >= 0:
            assert whole[span.start : span.start + len(span.text)] == span.text
            assert normalise_answer(span.text)


@given(odd_text.filter(bool), odd_text)
def test_an_answer_with_letters_that_stands_in_the_context_is_never_left_out(answer: str, before: str) -> None:
    row = example("x", context=f"{before} {answer} end", answer=answer, evidence="")
    if normalise_answer(answer):
        assert squad.span_of(row).how in squad.ALIGNED


@given(odd_text, odd_text, odd_text)
def test_odd_text_goes_through_the_files_and_back(tmp_path_factory: pytest.TempPathFactory, context: str, question: str, answer: str) -> None:
    folder = tmp_path_factory.mktemp("odd")
    row = example("x", context=f"{context}{answer}", question=question, answer=answer, evidence=answer)
    found = spans([row])
    clean = {
        name: text.encode("utf-8", "replace").decode() for name, text in {"context": row.context, "question": question, "answer": answer}.items()
    }
    write_jsonl(folder / "chat", [chat.qa(row)])
    [line] = (folder / "chat").read_bytes().decode().split("\n")[:-1]
    assert json.loads(line)["messages"][1]["content"] == f"{clean['context']}\n\nQuestion: {clean['question']}"
    write_json(folder / "squad", squad.document([row], found, {}))
    for text, qa in questions(json.loads((folder / "squad").read_bytes())):
        assert text == clean["context"]
        assert all(text[a["answer_start"] :].startswith(a["text"]) for a in qa["answers"])
    write_rows(folder / "hf", hf.HubRow, [hf.row(row, found["ex-x"], None)])
    [back] = read_rows(folder / "hf", hf.HubRow)
    assert (back.context, back.question, back.answer) == (clean["context"], clean["question"], clean["answer"])


def test_a_row_for_the_hub_names_its_page_and_where_the_answer_stands() -> None:
    section = Section("sec-judo", 1, 0, 0, "Judo", "Men", "Men", 2, "…", 9, 77, "https://w.example/wiki/Judo#Men", "")
    row = hf.row(EXAMPLES[0], squad.span_of(EXAMPLES[0]), section)
    assert (row.title, row.heading, row.url, row.revision_id) == ("Judo", "Men", "https://w.example/wiki/Judo#Men", 77)
    assert row.answer_start is not None
    assert row.context[row.answer_start :].startswith(row.answer_span)
    declined = hf.row(EXAMPLES[4], squad.span_of(EXAMPLES[4]), None)
    assert (declined.answer, declined.answer_span, declined.answer_start, declined.plausible_answer) == (NO_ANSWER, "", None, "Carissa Moore")


if __name__ == "__main__":  # after a change that is meant: python tests/test_formats.py
    for place in ROWS:
        for made_for in TARGETS:
            write_jsonl(golden_of(place, made_for), map(ROWS[place][made_for], EXAMPLES))
