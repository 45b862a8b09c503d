"""Checks, candidates, numbered lists and a section's outcomes: pure functions, and an `ask` that answers from a list."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import EndpointError, EndpointRefused, NotAsked, RequestRefused
from pipeline.llm.chat import ChatReply, ChatRequest
from pipeline.llm.replies import parse_answer, parse_items
from pipeline.qa import checks
from pipeline.qa.answer_first import LEAST_P_YES, TRIES
from pipeline.qa.candidates import candidates
from pipeline.qa.drafts import Outcome, Plan
from pipeline.qa.duplicates import marks, same_question
from pipeline.qa.generate import section_rows
from pipeline.qa.notebook import numbered, pairs
from pipeline.qa.settle import keep_earlier, settle_made
from pipeline.records import NO_ANSWER, QA, Rejected, RejectedQA, Section
from pipeline.workbench import Workbench

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
    (" ".join(["word"] * 40) + "?", ""), (" ".join(["word"] * 41) + "?", "question_length"), ("東京オリンピックはいつ開会しましたか\uff1f", ""),
    ("متى افتتحت دورة الألعاب؟", ""), ("Πότε άνοιξαν οι αγώνες;", ""), ("Who won the race;", "not_a_question"),
])  # fmt: skip
def test_a_question_is_one_line_with_a_mark_and_four_to_forty_words(question: str, why: str) -> None:
    assert reason(checks.question_form(question)) == why


@pytest.mark.parametrize("question", [
    "Who won gold according to the text?", "What does this section say of Tokyo?", "Which teams of Japan are in the above table or this table?",
    "When did he win gold in Tokyo?", "What was its length in 2020?", "who won the race over many laps?", "Where was the opening ceremony held?",
    "What was mentioned in the report on Tokyo?", "What medal did the swimmer say he won in Tokyo?", "Whom did they beat in the Tokyo final?",
])  # fmt: skip
def test_a_question_that_leans_on_an_unseen_text_does_not_stand_alone(question: str) -> None:
    assert reason(checks.stands_alone(question)) == "does_not_stand_alone"


@pytest.mark.parametrize(
    "question",
    [
        "東京オリンピックはいつ開会しましたか?",
        "متى افتتحت دورة الألعاب في طوكيو؟",
        "When did Japan say they had won?",
        "Who won the 100 metres?",
        "When did Japan win its first medal?",
        "who carried the flag for Östersund?",
    ],
)
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


@pytest.mark.parametrize(("answer", "why"), [
    ("Lamont Jacobs", ""), ("Jacobs of Italy", ""), ("9.80 seconds", ""), ("1 August", ""), ("in the first week of June", "name_not_in_evidence"),
    ("Fred Kerley", "name_not_in_evidence"), ("Marcell Jacobs", "name_not_in_evidence"), ("gold", "answer_not_in_evidence"),
    ("won by Kerley", "name_not_in_evidence"), ("9.79 seconds", "number_not_in_evidence"), ("He won the metres", ""), ("Because it rained", "answer_not_in_evidence"),
])  # fmt: skip
def test_numbers_names_and_half_of_the_other_words_of_an_answer_stand_in_its_evidence(answer: str, why: str) -> None:
    assert reason(checks.answer_supported(answer, BOLT)) == why


def test_small_numbers_may_be_in_words_and_other_scripts_need_no_spaces() -> None:
    assert checks.answer_supported("21 medals", "She brought home twenty-one medals.") is None
    assert checks.answer_supported("three", "Only 3 of the boats came back.") is None
    assert checks.answer_supported("福島", "ソフトボールは2021年7月21日に福島で始まった。") is None
    assert reason(checks.answer_supported("横浜", "ソフトボールは2021年7月21日に福島で始まった。")) == "answer_not_in_evidence"


def test_evidence_cuts_no_word_and_is_more_than_a_fragment_unless_it_is_a_whole_line() -> None:
    content = "The hammer throw was won by Wojciech Nowicki.\nGold | Poland\nSilver | Norway and more"
    assert reason(checks.verbatim_evidence("hammer throw was won by Wojciech Now", content)) == "evidence_not_in_section"
    assert reason(checks.verbatim_evidence("he hammer throw was won", content)) == "evidence_not_in_section"
    assert checks.verbatim_evidence("ammer", "A hammer and the ammer.") == "ammer"
    assert reason(checks.evidence_form("the hammer throw", content)) == "evidence_too_short"
    assert reason(checks.evidence_form("Silver | Norway", content)) == "evidence_too_short"
    assert checks.evidence_form("Gold | Poland", content) is None
    assert checks.evidence_form("福島で始まった。", "7月21日に福島で始まった。") is None


def asks(question: str, answer: str) -> QA:
    return QA(f"qa-{question}{answer}", "sec-1", question, answer, "", "generated", "", None, "", "", 0, 0)


@pytest.mark.parametrize(("one", "other", "same"), [
    (("Who won the race in Tokyo?", "A"), ("who won the race in Tokyo ?", "B"), True),
    (("When did the athletics events in Tokyo begin?", "30 July"), ("When did athletics events begin in Tokyo?", "30 July 2021"), True),
    (("How many athletes took part in judo in Tokyo?", "84"), ("How many athletes in total took part in judo in Tokyo?", "84 athletes"), True),
    (("Who won the men's 100 metres in Tokyo?", "A"), ("Who won the women's 100 metres in Tokyo?", "A"), False),
    (("Who won the 100 metres race in Tokyo?", "A"), ("Who won the 200 metres race in Tokyo?", "A"), False),
    (("Which medal did Kenya win in the Tokyo marathon?", "gold"), ("Which medal did Japan win in the Tokyo marathon?", "gold"), False),
    (("When did the athletics events in Tokyo begin?", "30 July"), ("When did athletics events begin in Tokyo?", "at noon"), False),
    (("Who won group A in Tokyo?", "x"), ("Who won group B in Tokyo?", "x"), False),
    (("Who lit the flame?", "A"), ("Where was the race held?", "A"), False),
])  # fmt: skip
def test_two_questions_are_the_same_if_they_differ_in_no_telling_word_and_have_one_answer(
    one: tuple[str, str], other: tuple[str, str], same: bool
) -> None:
    a, b = asks(*one), asks(*other)
    assert same_question(a, b) is same_question(b, a) is same
    assert not same or set(marks(a)) & set(marks(b))


def settled(made: list[QA | RejectedQA], earlier: list[QA]) -> tuple[list[QA], list[RejectedQA]]:
    with Workbench(QA, RejectedQA) as bench:
        bench.know([("sec-1", "Athletics", "Men")])
        keep_earlier(bench, earlier)
        for place, row in enumerate(made):
            bench.put(place, [row])
        settle_made(bench)
        return list(bench.rows(QA)), list(bench.rows(RejectedQA))


@given(draws=st.lists(st.tuples(st.sampled_from(["A", "B", "C"]), st.sampled_from(["x", "y"])), max_size=8), old=st.integers(0, 4))
@settings(deadline=None)
def test_each_row_is_kept_or_rejected_and_no_question_is_there_twice(draws: list[tuple[str, str]], old: int) -> None:
    drawn = [asks(f"Who won the race of {name} in Tokyo?", answer) for name, answer in draws]
    earlier, made = [replace(row, source="written") for row in drawn[:old]], list[QA | RejectedQA](drawn[old:])
    there, gone = settled(made, earlier)
    assert len(there) + len(gone) == len(made) + len({row.qa_id for row in earlier})
    fresh = [row for row in there if row.source == "generated"]
    assert len({row.question for row in fresh}) == len(fresh)
    assert not {row.question for row in fresh} & {row.question for row in earlier}
    assert len({row.rejected_id for row in gone}) == len(gone)
    assert all(row.title == "Athletics" and row.reason == "duplicate_question" for row in gone)


def test_a_row_from_before_whose_section_is_gone_is_rejected() -> None:
    assert [row.reason for row in settled([], [replace(asks("Who won in Tokyo?", "A"), section_id="sec-9")])[1]] == ["section_gone"]


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
    assert parse_items(AS_JSON[:cut]) is None


@pytest.mark.parametrize("reply", [
    "", "I cannot do that.", "{}", '{"items": 7}', "[1, null]", "[" * 5000, '{"question": true}', '{"question": ["q"]}',
    '<think>I might say {"items": []} or so',
])  # fmt: skip
def test_a_reply_without_items_gives_none(reply: str) -> None:
    assert parse_items(reply) is None


@pytest.mark.parametrize(
    "reply", ["[]", '{"items": []}', ' { "items" : [ ] } ', '```json\n{"items": []}\n```', '<think>No fact.</think>\n{"items": []}']
)
def test_a_reply_that_says_there_is_nothing_is_not_malformed(reply: str) -> None:
    assert parse_items(reply) == []


def test_what_a_model_thought_is_no_reply() -> None:
    thought = '<think>{"items": [{"question": "A?", "answer": "b", "evidence": "c"}]}</think>'
    assert parse_items(thought + AS_JSON) == ITEMS
    assert parse_answer(f'{thought}{{"answer": "84", "evidence": "e"}}') == ("84", "e")


def test_what_an_item_leaves_out_is_empty_and_a_number_is_text() -> None:
    assert parse_items('{"question": " q? ", "answer": 84, "evidence": null, "more": 1}') == [("q?", "84", "")]
    assert parse_items("1. Who won?\n2. Who lost?") == [("Who won?", "", ""), ("Who lost?", "", "")]


def of(content: str) -> Section:
    return replace(SECTION, content=content)


def asker(*said: Said, asked: list[ChatRequest] | None = None, p_yes: float = 1.0) -> Callable[[ChatRequest], Awaitable[ChatReply]]:
    """Answer with each of `said` in turn, the last one for ever; an exception is raised. Asked to judge, say yes with `p_yes`."""
    left = list(said)

    async def ask(request: ChatRequest) -> ChatReply:
        asked.append(request) if asked is not None else None
        if request.likely:
            return ChatReply(" yes", 10, 1, 1, from_ledger=False, likely=((" yes", p_yes), (" no", 1 - p_yes)))
        text = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(text, Exception):
            raise text
        return ChatReply(text, 10, 5, 1, from_ledger=False)

    return ask


def rows(
    *said: Said, style: str = "question-first", n: int = 2, round_trip: float = 0.0, section: Section = SECTION, small: bool = False
) -> list[Outcome]:
    return asyncio.run(section_rows(section, Plan("m", style, n, round_trip, small), asker(*said), lambda _q, _k: ["sec-1"]))


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


@pytest.mark.parametrize(("error", "why"), [
    (NotAsked("the cap is reached"), "not_asked"), (RequestRefused("no"), "request_refused"), (EndpointRefused("no"), "endpoint_error"),
    (EndpointError("down"), "endpoint_error"),
])  # fmt: skip
def test_what_was_not_answered_says_why_in_either_style(error: EndpointError, why: str) -> None:
    error.attempts = 7
    for style in ("question-first", "answer-first"):
        outcomes = rows(error, style=style)
        assert reasons(outcomes) == [why] * 2
        assert all(isinstance(row, RejectedQA) and row.attempts == 7 and row.title and row.heading for row in outcomes)
    assert reasons(rows(f"1. {GOOD[0]}", error)) == [why, "not_written"]


def test_a_reply_that_cannot_be_read_is_asked_for_again_as_another_sample_and_paid_for() -> None:
    asked: list[ChatRequest] = []
    outcomes = asyncio.run(section_rows(SECTION, Plan("m", "question-first", 2, 0), asker("{", "", written(*ITEMS), asked=asked), lambda _q, _k: []))
    assert reasons(outcomes) == ["kept", "kept"]
    assert ([request.sample for request in asked], len({request.key() for request in asked})) == ([0, 1, 2], 3)
    assert [request.body()["seed"] for request in asked] == [0, 1, 2]
    assert sum(row.tokens_in for row in outcomes) == 30


def test_a_reply_that_was_cut_is_asked_for_again_with_more_room() -> None:
    asked: list[ChatRequest] = []

    async def ask(request: ChatRequest) -> ChatReply:
        asked.append(request)
        return ChatReply('{"items": [', 10, 5, 1, from_ledger=False, cut=True)

    asyncio.run(section_rows(SECTION, Plan("m", "question-first", 2, 0), ask, lambda _q, _k: []))
    assert [request.max_tokens for request in asked] == [440, 880, 880]


def test_a_model_that_refuses_is_not_asked_again() -> None:
    asked: list[ChatRequest] = []

    async def ask(request: ChatRequest) -> ChatReply:
        asked.append(request)
        return ChatReply("", 10, 5, 1, from_ledger=False, refusal="I'd rather not.")

    outcomes = asyncio.run(section_rows(SECTION, Plan("m", "question-first", 2, 0), ask, lambda _q, _k: []))
    assert (reasons(outcomes), len(asked)) == (["model_refused"] * 2, 1)


def test_a_section_that_says_nothing_is_not_asked_about() -> None:
    asked: list[ChatRequest] = []
    for content in ("| – | – |", "Athletics – Men", "", "See the men of athletics."):
        outcomes = asyncio.run(section_rows(of(content), Plan("m", "question-first", 2, 0), asker("", asked=asked), lambda _q, _k: []))
        assert (reasons(outcomes), asked) == (["nothing_to_ask"] * 2, [])
    assert reasons(rows('{"items": []}')) == ["nothing_to_ask"] * 2


@pytest.mark.parametrize(
    "content", ["ソフトボールは2021年7月21日に福島で始まった。", "Беларусь завоевала семь медалей.", "Gold | Kenya | Kipchoge | 2:08:38"]
)
def test_sections_of_every_kind_are_asked_about(content: str) -> None:
    assert reasons(rows("{}", section=of(content))) == ["malformed_reply"] * 2


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
def test_answer_first_tries_candidates_until_as_many_stand_as_were_asked_for(said: list[str], n: int, f1: float) -> None:
    outcomes = rows(*said, style="answer-first", n=n, round_trip=f1, small=True)
    kept, there = reasons(outcomes).count("kept"), len(candidates(SECTION, TRIES * n))
    assert kept <= n <= len(outcomes)
    assert kept == n or len(outcomes) == max(n, there)
    assert reasons(outcomes).count("no_candidate_answer") == max(0, n - there)


ENTERED = "A total of 84 athletes from there had entered the event in Tokyo before it began."


def test_an_answer_that_is_not_read_back_fails_the_round_trip() -> None:
    question = "How many athletes entered the event in Tokyo?"
    one = of(ENTERED)
    asks = question.removeprefix("How many athletes")
    (kept,) = rows(asks, "84 athletes", style="answer-first", n=1, round_trip=0.6, section=one, small=True)
    assert isinstance(kept, QA)
    assert (kept.question, kept.answer, kept.round_trip_f1, kept.tokens_in) == (question, "84 athletes", 1.0, 30)
    assert reasons(rows(asks, "61 teams", style="answer-first", n=1, round_trip=0.6, section=one, small=True))[0] == "round_trip_failed"


def test_an_instruct_model_writes_the_whole_question_and_answers_with_evidence() -> None:
    read = json.dumps({"answer": "84 athletes", "evidence": ENTERED})
    said = ("How many athletes entered the event in Tokyo?", read)
    (kept,) = rows(*said, style="answer-first", n=1, round_trip=0.6, section=of(ENTERED))
    assert isinstance(kept, QA)
    assert (kept.question, kept.answer, kept.evidence) == (said[0], "84 athletes", ENTERED)


def test_what_is_asked_of_the_embedded_model_begins_with_the_section() -> None:
    asked: list[ChatRequest] = []
    one = of(ENTERED)
    plan = Plan("m", "answer-first", 1, 0.6, small=True)
    asyncio.run(section_rows(one, plan, asker(" entered the event in Tokyo?", "84 athletes", asked=asked), lambda _q, _k: [one.section_id]))
    assert [(request.stop, request.likely > 0) for request in asked] == [(("\n",), False), (("\n",), False), ((), True)]
    assert all(request.messages[0][1].startswith(f"{one.context}\n") for request in asked)


def test_a_question_that_the_embedded_model_itself_doubts_is_no_row() -> None:
    plan, said = Plan("m", "answer-first", 1, 0.6, small=True), (" entered the event in Tokyo?", "84 athletes")
    for p_yes, came in ((LEAST_P_YES, "kept"), (LEAST_P_YES - 0.01, "judged_unanswerable")):
        outcomes = asyncio.run(section_rows(of(ENTERED), plan, asker(*said, p_yes=p_yes), lambda _q, _k: ["sec-1"]))
        assert reasons(outcomes)[0] == came


@pytest.mark.parametrize(("question", "why"), [
    ("Who won the men's 100 metres for Italy?", ""), ("Which Italian won the 100 metres on 1 August 2021?", ""),
    ("How many nations entered the Athletics events?", ""), ("Who of the Americans came second?", ""), ("Jacobs won which race?", ""),
    ("Who won the men's 100 metres in Tokyo?", "names_something_else"), ("Who won the men's 200 metres?", "names_something_else"),
    ("Which Norwegian won the men's 100 metres?", "names_something_else"), ("How did Usain Bolt do in the race?", "names_something_else"),
])  # fmt: skip
def test_a_question_names_nothing_that_its_section_does_not(question: str, why: str) -> None:
    assert reason(checks.nothing_foreign(question, SECTION.context)) == why
    read = json.dumps({"answer": "Fred Kerley", "evidence": ""})
    assert reasons(rows(written(GOOD), read, n=1, round_trip=0.6)) == ["round_trip_failed"]


def test_a_question_whose_first_try_was_rejected_may_be_asked_again() -> None:
    assert reasons(rows(written((GOOD[0], "Kerley", "It rained."), GOOD))) == ["evidence_not_in_section", "kept"]


@pytest.mark.parametrize(
    "listed",
    ["1. a\n2. b\n3. c", "a\n2. b\n3. c", "- a\n- b\n- c", "* a\n* b\n\n* c", "(1) a\n(2) b\n(3) c", "Q1: a\nQ2: b\nQ3: c", "**1.** a\n**2.** b\n**3.** c",
     "1: a\n2: b\n3: c", "1. a 2. b 3. c", "a 2. b 3. c"],
)  # fmt: skip
def test_lists_are_read_in_every_form_that_people_number_them(listed: str) -> None:
    assert numbered(listed) == {1: "a", 2: "b", 3: "c"}


@pytest.mark.parametrize("text", ["It took 22.01 metres.", "at 10:30 on 2. August", "scored 3. and last", "- 5 degrees"])
def test_numbers_within_an_answer_do_not_make_a_list(text: str) -> None:
    assert numbered(text) == {1: text}


@pytest.mark.parametrize(
    "answer",
    ["I don't know.", "I do not know", "The text does not mention it.", "Not mentioned in the passage.", "Unknown", "n/a", "No idea", "It is not specified",
     "This cannot be determined from the text.", "The section doesn’t say.", "No information is given"],
)  # fmt: skip
def test_a_refusal_in_whatever_words_is_no_answer(answer: str) -> None:
    assert reason(checks.answer_form("Who won the race in Tokyo?", answer)) == "model_declined"


@pytest.mark.parametrize("answer", ["Not Naomi Osaka but Barty", "No Limits", "the unknown runner from Kenya", "Page 7", "Knowles"])
def test_an_answer_that_only_begins_like_a_refusal_is_one(answer: str) -> None:
    assert checks.answer_form("Who won the race in Tokyo?", answer) is None


def test_an_imported_answer_of_which_the_section_has_no_word_is_rejected() -> None:
    context = "Sports\n\nThere were 339 events in 33 sports, held in Tokyo."
    assert reason(checks.some_support("Barack Obama", context)) == "answer_not_in_section"
    assert [checks.some_support(answer, context) for answer in ("in Tokyo", "Yes", "339 events", "a sport")] == [None] * 4
    assert checks.some_support("東京", "東京オリンピックは日本で行われた") is None


def test_several_questions_in_one_are_rejected_and_a_quoted_one_is_not() -> None:
    assert reason(checks.question_form("How many events were held? How many sports were there?")) == "several_questions"
    assert checks.question_form("Who sang 'Who are you?' at the opening of the Games?") is None
