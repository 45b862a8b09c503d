"""The checker of chat files finds every fault that services document, names the row, and says what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from examples_of_formats import EXAMPLES
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.chat_rules import Fault, faults
from pipeline.dataset.formats import chat
from pipeline.text.tokens import token_counter

USER: dict[str, Any] = {"role": "user", "content": "Who won?"}
ASSISTANT: dict[str, Any] = {"role": "assistant", "content": " yes"}
SYSTEM: dict[str, Any] = {"role": "system", "content": "Answer."}


def line(*messages: Any, **more: Any) -> bytes:
    return json.dumps({"messages": list(messages), **more}).encode() + b"\n"


def said(rows: list[bytes], tokens_a_row: int = 1000, fewest_rows: int = 0) -> list[Fault]:
    return faults("qa.train.jsonl", rows, token_counter("cl100k_base"), tokens_a_row, fewest_rows)


@pytest.mark.parametrize(
    "row",
    [
        line(USER, ASSISTANT), line(SYSTEM, USER, ASSISTANT), line(SYSTEM, USER, ASSISTANT, USER, ASSISTANT),
        line(USER, {**ASSISTANT, "weight": 0}, USER, {**ASSISTANT, "weight": 1}),
    ],
)  # fmt: skip
def test_rows_as_documented_have_no_fault(row: bytes) -> None:
    assert said([row]) == []


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (b"\xef\xbb\xbf" + line(USER, ASSISTANT), "byte-order mark"),
        (line(USER, ASSISTANT).replace(b"won", b"\xff"), "not UTF-8"),
        (b"{'messages': []}\n", "not JSON"),
        (b"\n", "not JSON"),
        (b"[]\n", "no list of messages"),
        (b"{}\n", "no list of messages"),
        (line(), "no list of messages"),
        (b'{"messages": "hello"}\n', "no list of messages"),
        (line(USER, ASSISTANT, id="ex-1"), "key that not all services know: id"),
        (line(USER, "hello", ASSISTANT), "a message is no object"),
        (line(USER, {**ASSISTANT, "name": "x"}), "message has a key that not all services know: name"),
        (line({**USER, "role": "human"}, ASSISTANT), "a role is unknown: human"),
        (line({**USER, "role": ["user"]}, ASSISTANT), "a role is unknown"),
        (line({"content": "Who?"}, ASSISTANT), "a role is unknown: None"),
        (line({"role": "user"}, ASSISTANT), "content of a message is NoneType"),
        (line({**USER, "content": ["Who?"]}, ASSISTANT), "content of a message is list"),
        (line(USER, {**ASSISTANT, "content": ""}), "content of a message is empty"),
        (line(USER, {**ASSISTANT, "content": " \n"}), "content of a message is empty"),
        (line({**USER, "content": "\ud800"}, ASSISTANT), "surrogate"),
        (line(USER), "roles are not in order: user"),
        (line(ASSISTANT), "roles are not in order: assistant"),
        (line(SYSTEM), "roles are not in order: system"),
        (line(ASSISTANT, USER), "roles are not in order"),
        (line(USER, SYSTEM, ASSISTANT), "roles are not in order"),
        (line(USER, USER, ASSISTANT), "roles are not in order"),
        (line(USER, ASSISTANT, USER), "roles are not in order"),
        (line(USER, {**ASSISTANT, "weight": 2}), "a weight is 2"),
        (line(USER, {**ASSISTANT, "weight": 0.5}), "a weight is 0.5"),
        (line(USER, {**ASSISTANT, "weight": 1.0}), "a weight is 1.0"),
        (line(USER, {**ASSISTANT, "weight": True}), "a weight is True"),
        (line(USER, {**ASSISTANT, "weight": None}), "a weight is None"),
        (line({**USER, "weight": 1}, ASSISTANT), "weight stands on a message that is not the assistant's"),
        (line(USER, {**ASSISTANT, "weight": 0}), "no assistant message has a weight above 0"),
    ],
)
def test_each_documented_fault_is_found_in_its_row_with_what_to_do(row: bytes, what: str) -> None:
    found = said([line(USER, ASSISTANT), row, line(USER, ASSISTANT)])
    assert len(found) == 1
    assert what in found[0].what
    assert (found[0].file, found[0].row, found[0].of_amount) == ("qa.train.jsonl", 2, False)
    assert str(found[0]) == f"{found[0].what} – qa.train.jsonl, row 2 – {found[0].do}"
    assert found[0].do


def test_a_row_with_too_many_tokens_is_a_fault_of_amount_and_counted_as_openai_does() -> None:
    words = {**USER, "content": "word " * 99 + "word"}
    found = said([line(words, ASSISTANT)], tokens_a_row=111)
    assert [(fault.what, fault.of_amount) for fault in found] == [("the row has 112 tokens, and the limit is 111", True)]
    assert said([line(words, ASSISTANT)], tokens_a_row=112) == []


def test_too_few_rows_are_a_fault_of_the_file() -> None:
    found = said([line(USER, ASSISTANT)] * 9, fewest_rows=10)
    assert [(fault.row, fault.of_amount, str(fault)) for fault in found] == [
        (0, True, "the file has 9 rows, and services ask for 10 – qa.train.jsonl – add questions, or train locally")
    ]
    assert said([line(USER, ASSISTANT)] * 10, fewest_rows=10) == []
    assert len(said([], fewest_rows=10)) == 1


def test_a_row_may_have_several_faults() -> None:
    assert len(said([line({"role": "human", "content": ""}, {**ASSISTANT, "weight": 7}, extra=1)])) == 4


def test_our_own_rows_have_no_fault() -> None:
    rows = [json.dumps(row(e), ensure_ascii=False).encode() + b"\n" for e in EXAMPLES for row in (chat.qa, chat.discriminator)]
    assert said(rows, fewest_rows=10) == []


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
    st.binary(),
)
def test_whatever_stands_in_a_line_is_a_fault_and_no_crash(value: Any, garbage: bytes) -> None:
    assert said([json.dumps(value).encode()])
    assert said([json.dumps({"messages": [value, {"role": value, "content": value, "weight": value}]}).encode()])
    assert said([b"{" + garbage])
