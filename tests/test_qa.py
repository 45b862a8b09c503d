"""Checks, candidates, numbered lists and a section's outcomes: pure functions, and an `ask` that answers from a list."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import EndpointError, EndpointRefused
from pipeline.llm.chat import ChatReply, ChatRequest
from pipeline.qa import checks
from pipeline.qa.candidates import candidates
from pipeline.qa.generate import Outcome, Plan, section_rows
from pipeline.qa.notebook import numbered, pairs
from pipeline.qa.replies import parse_items
from pipeline.records import NO_ANSWER, QA, Rejected, RejectedQA, Section

BOLT = "Lamont Jacobs of Italy won the men's 100 metres in 9.80 seconds on 1 August 2021."
CONTENT = f"{BOLT} A total of 84 athletes from 61 nations had entered the event before it began. Fred Kerley of the United States came second in it."
SECTION = Section("sec-1", 1, 0, 0, "Athletics", "Men", "Men", 2, CONTENT, 60, 1, "u", "")
GOOD = ("Who won the sprint over 100 metres in Tokyo?", "Lamont Jacobs", BOLT)
OTHER = ("How many athletes entered the sprint in Tokyo 2020?", "84", "A total of 84 athletes from 61 nations had entered the event")
Said = str | Exception
Item = tuple[str, str, str]


def reason(result: object) -> str:
    return result.reason if isinstance(result, Rejected) else ""


@pytest.mark.parametrize(("question", "why"), [
    ("Who won the race in Tokyo?", ""), (" ", "no_question"), ("", "no_question"), ("He won the race in Tokyo.", "not_a_question"),
    ("Who won\nthe race in Tokyo?", "not_a_question"), ("Who won gold?", "question_length"), ("Who won it all?", ""),
    (" ".join(["word"] * 40) + "?", ""), (" ".join(["word"] * 41) + "?", "question_length"),
])  # fmt: skip
def test_a_question_is_one_line_with_a_mark_and_four_to_forty_words(question: str, why: str) -> None:
    assert reason(checks.question_form(question)) == why


@pytest.mark.parametrize("question", [
    "Who won gold according to the text?", "What does this section say of Tokyo?", "Which teams of Japan are in the above table or this table?",
    "When did he win gold in Tokyo?", "What was its length in 2020?", "who won the race over many laps?", "Where was the opening ceremony held?",
    "What was mentioned in the report on Tokyo?",
])  # fmt: skip
def test_a_question_that_leans_on_an_unseen_text_does_not_stand_alone(question: str) -> None:
    assert reason(checks.stands_alone(question)) == "does_not_stand_alone"


@pytest.mark.parametrize("question", ["Who won the 100 metres?", "When did Japan win its first medal?", "who carried the flag for Östersund?"])
def test_a_question_that_names_its_subject_stands_alone(question: str) -> None:
    assert checks.stands_alone(question) is None


@pytest.mark.parametrize(("answer", "why"), [
    ("Lamont Jacobs", ""), ("", "no_answer"), (" – the … a.", ""), ("the.", "no_answer"), (f"{NO_ANSWER.upper()}.", "model_declined"),
    (" ".join(["word"] * 40), ""), (" ".join(["word"] * 41), "answer_length"), ("tokyo!", "answer_in_question"), ("Tok", ""),
])  # fmt: skip
def test_an_answer_is_short_and_neither_empty_nor_in_the_question_nor_the_declining_sentence(answer: str, why: str) -> None:
    assert reason(checks.answer_form("Who won the race in Tokyo?", answer)) == why


@pytest.mark.parametrize(("question", "kind", "why"), [
    ("When did Tokyo open?", "date", ""), ("In which year did Tokyo open?", "date", ""), ("Who opened Tokyo?", "date", "asks_for_something_else"),
    ("How many teams came?", "number", ""), ("What was the winning time?", "number", ""), ("Who came?", "number", "asks_for_something_else"),
    ("Which team won?", "name", ""), ("When did Tokyo open?", "name", "asks_for_something_else"),
])  # fmt: skip
def test_a_question_asks_for_the_kind_of_thing_its_answer_is(question: str, kind: str, why: str) -> None:
    assert reason(checks.asks_for_kind(question, kind)) == why


def test_evidence_comes_back_in_the_sections_own_wording() -> None:
    content = "Some text. The men’s race\n took  place – late – in Tokyo. More."
    quoted = "“The men's race took place - late - in Tokyo.”"
    assert checks.verbatim_evidence(quoted, content) == "The men’s race\n took  place – late – in Tokyo."
    assert reason(checks.verbatim_evidence("The men's race took place in Tokyo.", content)) == "evidence_not_in_section"
    assert reason(checks.verbatim_evidence(" \n", content)) == "no_evidence"
    assert reason(checks.verbatim_evidence("''", content)) == "evidence_not_in_section"


@pytest.mark.parametrize(("answer", "missing"), [("22.01 metres", ""), ("22 metres", "22"), ("2 of 61", "2"), ("gold", ""), ("61 and 62", "62")])
def test_each_number_of_an_answer_stands_whole_in_the_evidence(answer: str, missing: str) -> None:
    found = checks.numbers_supported(answer, "She threw 22.01 metres among 61 athletes.")
    assert (found.detail if found else "") == missing


def test_a_question_shares_a_word_with_its_evidence_beyond_title_and_answer() -> None:
    evidence = "Jacobs took the sprint in Tokyo."
    assert checks.about_the_evidence("Who won the sprint in Tokyo?", "Tokyo", "Jacobs", evidence) is None
    assert reason(checks.about_the_evidence("Who was Jacobs in Tokyo?", "Tokyo", "Jacobs", evidence)) == "not_about_the_evidence"


def test_a_question_must_find_its_own_section_among_the_first() -> None:
    ranked = ["sec-a", "sec-b", "sec-c"]
    assert checks.findable("q", "sec-b", lambda _, k: ranked[:k], 2) is None
    assert reason(checks.findable("q", "sec-c", lambda _, k: ranked[:k], 2)) == "not_specific"


@pytest.mark.parametrize(("text", "found"), [
    ("Who?\n2. When?", {1: "Who?", 2: "When?"}),
    ("1. Who?\n2) When?\n 10. How?", {1: "Who?", 2: "When?", 10: "How?"}),
    ("1. 1. Who?\n2. When?", {1: "Who?", 2: "When?"}), ("1.\n1. Who?", {1: "Who?"}), ("1. Who\nwon it?\n3. When?", {1: "Who won it?", 3: "When?"}),
    ("22.01\n2. 9.58", {1: "22.01", 2: "9.58"}), ("1. 22.01\n2. 1.5 million", {1: "22.01", 2: "1.5 million"}), ("1. 2. liga", {1: "2. liga"}),
    ("1. a\n1. b\n2. c", {1: "a", 2: "c"}),
    ("1. a\n1. b\nmore of b\n2. c", {1: "a", 2: "c"}), ("2020. A year", {1: "2020. A year"}), (" \n ", {}), ("", {}), ("2. \n3. c", {3: "c"}),
])  # fmt: skip
def test_a_numbered_list_is_read_with_its_artefacts(text: str, found: dict[int, str]) -> None:
    assert numbered(text) == found


LINE = st.text(st.characters(categories=["L"]), min_size=1, max_size=8)


@given(lines=st.lists(LINE, min_size=1, max_size=9), first=st.booleans(), doubled=st.booleans())
def test_any_list_comes_back_whether_its_first_number_is_missing_or_doubled(lines: list[str], first: bool, doubled: bool) -> None:
    text = "\n".join(f"{n}. {f'{n}. ' if doubled else ''}{line}" for n, line in enumerate(lines, 1))
    assert numbered(text if first else text.removeprefix("1. ")) == dict(enumerate(lines, 1))


def test_lists_of_different_length_are_paired_by_number_and_none_is_lost() -> None:
    assert pairs("Who?\n3. How?", "1. A\n2. 22.01", "3. E") == [(1, "Who?", "A", ""), (2, "", "22.01", ""), (3, "How?", "", "E")]
    assert pairs("", "", "") == []


def test_a_number_that_only_the_evidence_has_is_not_lost() -> None:
    assert pairs("1. Who?", "1. A", "1. E\n2. F") == [(1, "Who?", "A", "E"), (2, "", "", "F")]


ITEMS: list[Item] = [GOOD, OTHER]
AS_JSON = json.dumps({"items": [{"question": q, "answer": a, "evidence": e} for q, a, e in ITEMS]})


@pytest.mark.parametrize("reply", [
    AS_JSON, AS_JSON[len('{"items": ') : -1], f"```json\n{AS_JSON}\n```", f"Here they are:\n{AS_JSON}\nI hope that helps [or not].",
    f"As asked [see above], here they are: {AS_JSON}",
    "".join(f"{n}. {q}\n   Answer: {a}\n   Evidence: {e}\n" for n, (q, a, e) in enumerate(ITEMS, 1)),
    "".join(f"{n}) **Question:** {q}\n- **A:** {a}\n- **Evidence**: {e}\n" for n, (q, a, e) in enumerate(ITEMS, 1)),
], ids=["object", "array", "fenced", "prose", "brackets_before", "list", "labelled_list"])  # fmt: skip
def test_items_are_read_from(reply: str) -> None:
    assert parse_items(reply) == ITEMS


@given(cut=st.integers(0, len(AS_JSON) - 1))
def test_json_that_breaks_off_gives_no_item(cut: int) -> None:
    assert parse_items(AS_JSON[:cut]) == []


@pytest.mark.parametrize("reply", [
    "", "I cannot do that.", "{}", "[]", '{"items": []}', '{"items": 7}', "[1, null]", "[" * 5000, '{"question": true}', '{"question": ["q"]}',
])  # fmt: skip
def test_a_reply_without_items_gives_none(reply: str) -> None:
    assert parse_items(reply) == []


def test_what_an_item_leaves_out_is_empty_and_a_number_is_text() -> None:
    assert parse_items('{"question": " q? ", "answer": 84, "evidence": null, "more": 1}') == [("q?", "84", "")]
    assert parse_items("1. Who won?\n2. Who lost?") == [("Who won?", "", ""), ("Who lost?", "", "")]


def of(content: str) -> Section:
    return replace(SECTION, content=content)


WORDS = st.sampled_from(
    "in the race 12 84 athletes 5 August 2021 Lamont Jacobs of Italy 9.80 seconds . ? \n Men’s 東京 1,000 metres % The \u2028 \x1c".split(" ")
)


@given(content=st.lists(WORDS, min_size=20, max_size=120).map(" ".join), n=st.integers(0, 5))
@settings(deadline=None)
def test_candidates_stand_word_for_word_in_their_sentence_and_that_in_the_section(content: str, n: int) -> None:
    found = candidates(of(content), n)
    assert len(found) <= n
    assert len({c.answer for c in found}) == len(found)
    assert all(c.answer in c.evidence and c.evidence in content for c in found)
    assert candidates(of(content), n) == found


def test_candidates_are_dates_numbers_with_their_unit_and_names() -> None:
    found = {c.answer: (c.kind, c.opening) for c in candidates(SECTION, 20)}
    wanted = {"1 August 2021": ("date", "When"), "84 athletes": ("number", "How many athletes"), "Lamont Jacobs of Italy": ("name", "")}
    assert {answer: found.get(answer) for answer in wanted} == wanted


def test_a_share_in_per_cent_is_a_candidate() -> None:
    found = candidates(of("The organisers said that 64 % of all seats were sold by then."), 3)
    assert [(c.answer, c.opening) for c in found] == [("64 %", "How many")]


def test_what_stands_in_the_heading_or_three_times_in_the_section_is_no_candidate() -> None:
    assert "Lamont Jacobs of Italy" not in {c.answer for c in candidates(replace(SECTION, heading="Lamont Jacobs of Italy"), 20)}
    assert "84 athletes" not in {c.answer for c in candidates(of(f"{CONTENT} 84 athletes came. 84 athletes went."), 20)}


def asker(*said: Said, asked: list[ChatRequest] | None = None) -> Callable[[ChatRequest], Awaitable[ChatReply]]:
    """Answer with each of `said` in turn, the last one for ever; an exception is raised."""
    left = list(said)

    async def ask(request: ChatRequest) -> ChatReply:
        asked.append(request) if asked is not None else None
        text = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(text, Exception):
            raise text
        return ChatReply(text, 10, 5, 1, from_ledger=False)

    return ask


def rows(*said: Said, style: str = "question-first", n: int = 2, round_trip: float = 0.0, section: Section = SECTION) -> list[Outcome]:
    return asyncio.run(section_rows(section, Plan("m", style, n, round_trip), asker(*said), lambda _q, _k: ["sec-1"]))


def reasons(outcomes: list[Outcome]) -> list[str]:
    return ["kept" if isinstance(row, QA) else row.reason for row in outcomes]


def written(*items: Item) -> str:
    return json.dumps({"items": [dict(zip(("question", "answer", "evidence"), item, strict=True)) for item in items]})


def test_a_good_reply_becomes_rows() -> None:
    assert [(row.question, row.answer, row.evidence) for row in rows(written(*ITEMS)) if isinstance(row, QA)] == ITEMS


@pytest.mark.parametrize(("said", "wanted"), [
    (written(GOOD), ["kept", "not_written"]), (written(GOOD, GOOD), ["kept", "duplicate_question"]),
    ("", ["empty_reply"] * 2), ("No.", ["malformed_reply"] * 2),
    (written(GOOD, OTHER, OTHER), ["kept", "kept", "more_than_asked_for"]),
    (written((GOOD[0], "Kerley", "It rained.")), ["evidence_not_in_section", "not_written"]),
    (written((f"In short: {OTHER[0]}", "85", OTHER[2]), OTHER), ["number_not_in_evidence", "kept"]), (EndpointError("down"), ["endpoint_error"] * 2),
])  # fmt: skip
def test_each_question_that_was_asked_for_has_its_outcome(said: Said, wanted: list[str]) -> None:
    assert reasons(rows(said)) == wanted


def test_the_replys_raw_text_stays_with_what_was_rejected() -> None:
    said = written(GOOD, GOOD)
    assert [row.reply for row in rows(said) if isinstance(row, RejectedQA)] == [said]


def test_a_list_of_bare_questions_is_answered_by_a_call_for_each() -> None:
    answer = json.dumps({"answer": GOOD[1], "evidence": GOOD[2]})
    assert reasons(rows(f"1. {GOOD[0]}\n2. Was the Tokyo sprint cancelled?", answer, NO_ANSWER)) == ["kept", "model_declined"]
    assert reasons(rows(f"1. {GOOD[0]}\n2. {OTHER[0]}", answer, EndpointError("down"))) == ["kept", "endpoint_error"]


def test_a_refusal_ends_the_section_in_either_style() -> None:
    for said in ([EndpointRefused("no")], [f"1. {GOOD[0]}", EndpointRefused("no")]):
        with pytest.raises(EndpointRefused):
            rows(*said)
    with pytest.raises(EndpointRefused):
        rows(EndpointRefused("no"), style="answer-first")


def test_a_duplicate_of_another_section_is_not_asked_about() -> None:
    asked: list[ChatRequest] = []
    twin = replace(SECTION, duplicate_of="sec-0")
    outcomes = asyncio.run(section_rows(twin, Plan("m", "question-first", 3, 0), asker("", asked=asked), lambda _q, _k: []))
    assert (reasons(outcomes), asked) == (["duplicate_section"] * 3, [])


ODD: list[Item] = [*ITEMS, ("", "a", "b"), ("Q", "", ""), ("Who won \ud800 in Tokyo?", "\ud800", BOLT)]
SAID = ["did the race in Tokyo begin?", "won the event before it began in Tokyo?", "", "x", "Lamont Jacobs", "84"]


@given(said=st.lists(st.sampled_from(ODD), max_size=5), n=st.integers(1, 4))
@settings(deadline=None)
def test_question_first_gives_an_outcome_for_each_that_was_asked_for(said: list[Item], n: int) -> None:
    outcomes = rows(written(*said), "x", n=n)
    assert len(outcomes) == max(n, len([q for q, _, _ in said if q]))
    assert len({row.qa_id if isinstance(row, QA) else row.rejected_id for row in outcomes}) == len(outcomes)


@given(said=st.lists(st.sampled_from(SAID), min_size=1, max_size=8), n=st.integers(1, 9), f1=st.sampled_from([0.0, 0.6]))
@settings(deadline=None)
def test_answer_first_gives_exactly_one_outcome_for_each_that_was_asked_for(said: list[str], n: int, f1: float) -> None:
    outcomes = rows(*said, style="answer-first", n=n, round_trip=f1)
    assert len(outcomes) == n
    assert reasons(outcomes).count("no_candidate_answer") == max(0, n - len(candidates(SECTION, n)))


def test_an_answer_that_is_not_read_back_fails_the_round_trip() -> None:
    question = "How many athletes entered the event in Tokyo in 2021?"
    one = of("A total of 84 athletes from there had entered the event before it began.")
    asks = question.removeprefix("How many athletes")
    (kept,) = rows(asks, "84 athletes", style="answer-first", n=1, round_trip=0.6, section=one)
    assert isinstance(kept, QA)
    assert (kept.question, kept.answer, kept.round_trip_f1, kept.tokens_in) == (question, "84 athletes", 1.0, 20)
    assert reasons(rows(asks, "61 teams", style="answer-first", n=1, round_trip=0.6, section=one)) == ["round_trip_failed"]
    read = json.dumps({"answer": "Fred Kerley", "evidence": ""})
    assert reasons(rows(written(GOOD), read, n=1, round_trip=0.6)) == ["round_trip_failed"]


def test_a_question_whose_first_try_was_rejected_may_be_asked_again() -> None:
    assert reasons(rows(written((GOOD[0], "Kerley", "It rained."), GOOD))) == ["evidence_not_in_section", "kept"]


def test_candidates_evidence_is_one_line() -> None:
    assert all(not re.search(r"[\r\n]", c.evidence) for c in candidates(of(CONTENT.replace(". ", ".\n")), 9))
