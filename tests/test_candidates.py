"""Spans of a section that could be answers: what is found, what is left, and in which order."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.qa.candidates import candidates
from pipeline.records import Section

CONTENT = (
    "Lamont Jacobs of Italy won the men's 100 metres in 9.80 seconds on 1 August 2021. A total of 84 athletes from 61 nations had entered the"
    " event before it began. Fred Kerley of the United States came second in it."
)
SECTION = Section("sec-1", 1, 0, 0, "Athletics", "Men", "Men", 2, CONTENT, 60, 1, "u", "")


def of(content: str) -> Section:
    return replace(SECTION, content=content)


def found(content: str, n: int = 20) -> dict[str, str]:
    return {c.answer: c.kind for c in candidates(of(content), n)}


WORDS = st.sampled_from(
    "in the race 12 84 athletes 5 August 2021 Lamont Jacobs of Italy 9.80 seconds . ? \n Men’s 東京 1,000 metres % The 3–0 Rank: 1; Name: Li"
    " \u2028 \x1c".split(" ")
)


@given(content=st.lists(WORDS, min_size=20, max_size=120).map(" ".join), n=st.integers(0, 5))
@settings(deadline=None)
def test_candidates_stand_word_for_word_in_their_sentence_and_that_in_the_section(content: str, n: int) -> None:
    chosen = candidates(of(content), n)
    assert len(chosen) <= n
    assert len({c.answer for c in chosen}) == len(chosen)
    assert all(c.answer in c.evidence and c.evidence in content for c in chosen)
    assert candidates(of(content), n) == chosen


@given(content=st.lists(WORDS, min_size=20, max_size=120).map(" ".join), n=st.integers(1, 8))
@settings(deadline=None)
def test_who_asks_for_fewer_gets_the_first_of_those_who_ask_for_more(content: str, n: int) -> None:
    assert candidates(of(content), 9)[:n] == candidates(of(content), n)


def test_candidates_are_dates_numbers_with_what_they_count_and_names() -> None:
    chosen = {c.answer: (c.kind, c.opening) for c in candidates(SECTION, 20)}
    wanted = {"1 August 2021": ("date", "When"), "84 athletes": ("number", "How many athletes"), "Lamont Jacobs": ("name", "")}
    assert {answer: chosen.get(answer) for answer in wanted} == wanted


@pytest.mark.parametrize(("sentence", "answer", "kind"), [
    ("The organisers said that 64 % of all seats were sold by then.", "64 %", "number"),
    ("Kazakhstan entered five karateka into the tournament of that year.", "five karateka", "number"),
    ("The home side won the final of the tournament 3–0 after half an hour.", "3–0", "result"),
    ("The winner of the race finished it in a time of 1:59.50 that day.", "1:59.50", "result"),
    ("The sport was part of the programme for the first time in 1972.", "1972", "year"),
    ("Both races were held not in the capital but in Sapporo, far to the north.", "Sapporo", "place"),
    ("The president of the committee, Jacques Rogge, appointed her to lead it.", "Jacques Rogge", "name"),
    ("Rank: 1; Shooter: Jean Quiquampoix; Nation: France; Hits: 34", "Jean Quiquampoix", "cell"),
])  # fmt: skip
def test_each_kind_of_fact_is_found(sentence: str, answer: str, kind: str) -> None:
    assert found(sentence).get(answer) == kind


@pytest.mark.parametrize(("sentence", "answer"), [
    ("The marathon was run on a Sunday in the cool of the morning.", "Sunday"),
    ("Many of the French riders fell on the wet stones that day.", "French"),
    ("Everybody knew that France's team would take the first place then.", "France's"),
    ("The Russian team of that year had been one of the strongest so far.", "The Russian"),
    ("Rank: 1; Shooter: Jean Quiquampoix; Nation: France; Hits: 34", "1"),
    ("It was held for the 13th time at the 2016 games of that city.", "2016"),
])  # fmt: skip
def test_what_nobody_would_ask_for_is_no_candidate(sentence: str, answer: str) -> None:
    assert answer not in found(sentence)


def test_the_nation_behind_a_name_is_not_part_of_the_answer_but_a_name_with_of_stays_whole() -> None:
    assert "Lisa Unruh" in found("The silver medal of that year went to Lisa Unruh of Germany after all.")
    assert "House of Representatives" in found("The bill was passed by the House of Representatives in the next year.")


def test_a_name_or_date_comes_before_a_bare_figure_and_a_leaning_sentence_last() -> None:
    chosen = [
        c.answer
        for c in candidates(of("In all 17 of them came to see it that day. She met Anna Kern there later on. The bridge was opened by Paul Roth."), 3)
    ]
    assert chosen == ["Paul Roth", "Anna Kern", "17"]


def test_candidates_are_spread_over_sentences_before_one_is_asked_twice() -> None:
    content = "Anna Kern met Paul Roth and Eva Lang in the hall of the town. The bridge over the river was opened by Max Horn."
    assert {c.evidence for c in candidates(of(content), 2)} == {*content.replace(". ", ".|").split("|")}


def test_what_stands_in_the_heading_or_three_times_in_the_section_is_no_candidate() -> None:
    assert "Lamont Jacobs" not in {c.answer for c in candidates(replace(SECTION, heading="Lamont Jacobs"), 20)}
    assert "84 athletes" not in found(f"{CONTENT} 84 athletes came. 84 athletes went.")


def test_candidates_evidence_is_one_line() -> None:
    assert all(not re.search(r"[\r\n]", c.evidence) for c in candidates(of(CONTENT.replace(". ", ".\n")), 9))


@pytest.mark.parametrize(("sentence", "answer"), [
    ("The head of the team, World Champion Lei Chien-ying, had to leave it early.", "Lei Chien-ying"),
    ("The flag was carried in by Sports Minister Mervin Maldonado that evening.", "Mervin Maldonado"),
    ("The final of that day was won in the end by Larisa Iordache's younger sister.", ""),
    ("All that was said of it in the hall came from Prime Minister Yoshihide Suga.", "Yoshihide Suga"),
])  # fmt: skip
def test_a_title_is_no_part_of_a_name_and_no_name_is_cut(sentence: str, answer: str) -> None:
    assert [name for name, kind in found(sentence).items() if kind == "name"] == [answer] * bool(answer)


def test_an_office_a_people_and_a_compound_are_no_names() -> None:
    sentence = "The Minister of Youth met the Australian Olympian at a World Archery-approved place near the river."
    assert not {"Minister of Youth", "Minister", "Australian Olympian", "World Archery-approved"} & set(found(sentence))


def test_a_figure_ends_with_a_figure() -> None:
    assert found("There were 66, or so the papers said, and 1,200 metres to go for them.") == {"66": "number", "1,200 metres": "number"}


def test_a_person_is_asked_about_before_a_championship() -> None:
    content = "They had come by way of the World Rowing Championships of that summer. The first boat of them was steered by Paul Roth."
    assert [c.answer for c in candidates(of(content), 2)] == ["Paul Roth", "World Rowing Championships"]
