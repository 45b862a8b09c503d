"""`train --verify model`: a model asked on each negative over real HTTP; what it answers on is no negative, and no reply is paid for twice."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, Result, environment, run
from hypothesis import given
from hypothesis import strategies as st
from loopback import Loopback, serving

from pipeline.llm.answering import Said, declines, read, request
from pipeline.llm.chat import ChatReply
from pipeline.llm.embedded import MODEL_NAME
from pipeline.negatives.make import Made
from pipeline.negatives.second_reading import judge, settle
from pipeline.negatives.verify import Answers
from pipeline.records import KINDS, NO_ANSWER, DroppedExample, Example, Rejected
from pipeline.run_folder import RunFolder
from pipeline.store import read_rows

CONTEXT = "Judo at the 2020 Summer Olympics\nVenue\n\nThe judoka met at the Nippon Budokan. It was built for the Games of 1964."
QUESTIONS = 40
DECLINES = Said(NO_ANSWER, "", declined=True)


@pytest.fixture(scope="module")
def some(collected: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with forty of the written questions, verified by rules. Not to be written to: copy it."""
    home = tmp_path_factory.mktemp("some")
    folder = Path(shutil.copytree(collected, home / "run"))
    with (ROOT / "data/sample/qa.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:QUESTIONS]
    with (home / "some.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for command in (("create_qa", "--import", home / "some.csv"), ("train", "--trainer", "none")):
        assert run(*command, "--data", folder).code == 0
    return folder


@pytest.fixture
def folder(some: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(some, tmp_path / "run"))


def verified(folder: Path, url: str, *more: str) -> Result:
    return run("train", "--data", folder, "--verify", "model", "--base-url", url, "--verifier", "m", "--trainer", "none", *more, "--json")


def examples(folder: Path) -> list[Example]:
    return read_rows(RunFolder(folder).examples, Example)


def negatives(folder: Path) -> dict[str, Example]:
    return {e.example_id: e for e in examples(folder) if e.kind != "positive"}


def test_a_negative_stays_if_the_model_declines_and_says_which_model_did(folder: Path) -> None:
    before = negatives(folder)
    with serving(latency=0.0, declines=1.0) as (endpoint, url):
        result = verified(folder, url)
        assert result.code == 0, result.err
        assert endpoint.state.requests == len(before)
    assert negatives(folder).keys() == before.keys()
    assert all(e.verified == f"{before[e.example_id].verified}; m declines" for e in negatives(folder).values())
    assert result.json["counts"]["verified_by_model"]["asked"] == dict(Counter(e.kind for e in before.values()))


def test_what_the_model_answers_on_is_dropped_or_a_second_positive_and_counted(folder: Path) -> None:
    before = negatives(folder)
    with serving(latency=0.0, declines=0.6) as (_, url):
        result = verified(folder, url)
    counts = result.json["counts"]["verified_by_model"]
    dropped = read_rows(RunFolder(folder).dropped_examples, DroppedExample)
    for kind in KINDS[1:]:
        asked = sum(e.kind == kind for e in before.values())
        gone = [d for d in dropped if d.kind == kind and d.reason.startswith("model_")]
        empty = [d for d in dropped if d.kind == kind and d.reason.startswith("not_available: model_")]
        stayed = sum(e.kind == kind for e in negatives(folder).values())
        second = counts["second_positives"].get(kind, 0)
        assert asked == stayed + second + len(gone)
        assert len(empty) == len(gone) + second
    assert 0.4 < len(negatives(folder)) / len(before) < 0.8
    assert "warning: m answers" not in result.err


def test_a_model_that_answers_whatever_it_is_shown_is_warned_of(folder: Path) -> None:
    with serving(latency=0.0, declines=0.2) as (_, url):
        result = verified(folder, url)
    assert result.code == 0
    assert "warning: m answers on" in result.err
    assert "name a stronger --verifier, or use --verify rules" in result.err


def wait_for(endpoint: Loopback, requests: int) -> None:
    begun = time.monotonic()
    while endpoint.state.requests < requests:
        assert time.monotonic() - begun < 240
        time.sleep(0.01)


def test_killed_again_and_again_it_comes_to_the_same_bytes_and_pays_no_arrived_reply_twice(folder: Path, tmp_path: Path) -> None:
    other, at_once = Path(shutil.copytree(folder, tmp_path / "other")), 4
    before = (folder / "examples.parquet").read_bytes()
    with serving(latency=0.02, declines=0.7) as (endpoint, url):
        assert verified(other, url).code == 0
        endpoint.state.bodies.clear()
        endpoint.state.requests = 0
        more = ["--data", folder, "--verify", "model", "--base-url", url, "--verifier", "m", "--trainer", "none", "--concurrency", at_once]
        for stop_at in (10, 35):
            with subprocess.Popen([sys.executable, "-m", "pipeline.train", *map(str, more)], cwd=ROOT, env=environment()) as process:
                wait_for(endpoint, stop_at)
                process.kill()
            assert (folder / "examples.parquet").read_bytes() == before
        assert run("train", *more).code == 0
        assert sum(n - 1 for n in endpoint.state.bodies.values()) <= 2 * at_once
    for name in ("examples.parquet", "dropped_examples.parquet", "train/statistics.json", "train/qa.train.jsonl"):
        assert (folder / name).read_bytes() == (other / name).read_bytes()


def test_a_cap_ends_it_before_anything_is_written_and_a_higher_one_goes_on(folder: Path) -> None:
    before = (folder / "examples.parquet").read_bytes()
    with serving(latency=0.0, declines=1.0) as (endpoint, url):
        result = verified(folder, url, "--max-total-tokens", "9000", "--concurrency", "2")
        assert result.code == 1
        assert "--max-total-tokens 9,000" in result.err
        assert "negatives have no reply yet" in result.err
        assert (folder / "examples.parquet").read_bytes() == before
        assert verified(folder, url).code == 0
        assert max(endpoint.state.served.values()) == 1
        assert "nothing to do" in verified(folder, url).err


def test_faults_of_the_endpoint_leave_no_negative_unread(folder: Path) -> None:
    with serving(latency=0.0, declines=1.0, p429=0.1, p500=0.1, pbad=0.05, pdrop=0.05, retry_after=0.05) as (endpoint, url):
        assert verified(folder, url).code == 0
        assert all(endpoint.state.outcomes[fault] for fault in ("429", "500", "drop", "bad"))
    assert all(e.verified.endswith("; m declines") for e in negatives(folder).values())


def test_which_model_is_asked_for_where_it_would_cost_something(folder: Path) -> None:
    result = run("train", "--data", folder, "--verify", "model", "--base-url", "http://127.0.0.1:9/v1")
    assert result.code == 1
    assert "which model?" in result.err


def test_without_a_key_the_embedded_model_reads(folder: Path) -> None:
    result = run("train", "--data", folder, "--verify", "model", "--trainer", "none", "--negatives", "similar=1", "--json")
    assert result.code == 0, result.err
    counts = result.json["counts"]["verified_by_model"]
    stayed = [e for e in negatives(folder).values() if e.verified.endswith(f"; {MODEL_NAME} declines")]
    assert counts["asked"]["similar"] == len(stayed) + counts["dropped"].get("similar", 0) + counts["second_positives"].get("similar", 0)
    assert len(stayed) == len(negatives(folder))


def own() -> Example:
    return replace(example("positive"), example_id="ex-0", context=f"{CONTEXT} Judoka came from 128 nations.", answerable=True)


def test_a_context_on_something_else_becomes_no_second_positive_though_the_model_finds_the_answer_there() -> None:
    said = Said("Nippon Budokan", "The judoka met at the Nippon Budokan.", declined=False)
    question = replace(example(), question="Where did the judoka of the women's event meet?")
    found = judge(question, f"Women's event\n\n{CONTEXT}", "the Nippon Budokan", said)
    assert isinstance(found, Rejected)
    assert found.reason == "model_gives_the_answer"


def example(kind: str = "similar") -> Example:
    return Example(
        "ex-1", "qa-1", "train", kind, CONTEXT, "sec-1", "Where did the judoka meet?", NO_ANSWER, False, "rules", 0.1, "imported", "", "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "said", "verdict"),
    [
        ("similar", DECLINES, None),
        ("similar", Said("Nippon Budokan", "The judoka met at the Nippon Budokan.", declined=False), Answers),
        ("similar", Said("Nippon Budokan", "", declined=False), "model_gives_the_answer"),
        ("similar", Said("Nippon Budokan", "The Budokan is in Tokyo.", declined=False), "model_gives_the_answer"),
        ("similar", Said("in 1964", "It was built for the Games of 1964.", declined=False), "model_answers_otherwise"),
        ("altered_question", Said("Nippon Budokan", "The judoka met at the Nippon Budokan.", declined=False), "model_gives_the_answer"),
        ("evidence_removed", Said("Nippon Budokan", "The judoka met at the Nippon Budokan.", declined=False), "model_gives_the_answer"),
        ("random", Rejected("model_says_nothing"), "model_says_nothing"),
    ],
)
def test_a_models_answer_makes_a_second_positive_only_if_it_is_the_rows_own_and_proven(kind: str, said: Said | Rejected, verdict: object) -> None:
    found = judge(example(kind), CONTEXT, "the Nippon Budokan", said)
    if isinstance(verdict, str):
        assert isinstance(found, Rejected)
        assert found.reason == verdict
    elif verdict is None:
        assert found is None
    else:
        assert found == Answers("The judoka met at the Nippon Budokan.", "model_finds_the_answer")


def test_a_second_positive_has_the_rows_answer_and_the_contexts_own_evidence() -> None:
    made = Made(examples=[own(), example()])
    said = Said("Nippon Budokan", "The judoka met at the Nippon Budokan.", declined=False)
    counted = settle(made, {"qa-1": "the Nippon Budokan"}, {"ex-1": said}, "m")
    (row,) = [e for e in made.examples if e.example_id != "ex-0"]
    assert (row.kind, row.answer, row.answerable, row.evidence) == ("positive", "the Nippon Budokan", True, "The judoka met at the Nippon Budokan.")
    assert row.verified.startswith("offered as similar, answers: m finds the answer")
    assert counted.second_positives == {"similar": 1}
    assert [d.reason for d in made.dropped] == ["not_available: model_finds_the_answer"]


@pytest.mark.parametrize(
    "answer",
    [
        NO_ANSWER,
        NO_ANSWER.upper() + ".",
        "",
        "null",
        "N/A",
        "None",
        "The context does not say.",
        "The passage doesn't mention it.",
        "Not mentioned",
        "It is not stated in the text.",
    ],
)
def test_a_refusal_in_other_words_is_a_refusal(answer: str) -> None:
    assert declines(answer)


@pytest.mark.parametrize("answer", ["Not since 1964", "the Unknown Soldier", "not enough teams entered", "No Limits", "context", "9 July 2021"])
def test_an_answer_with_a_refusals_words_is_an_answer(answer: str) -> None:
    assert not declines(answer)


def test_a_reply_that_breaks_off_or_is_empty_says_nothing() -> None:
    assert read(reply('{"answer": "Nippon Bud')) is None
    assert read(reply("```json\n{")) is None
    assert read(reply(" ")) is None
    assert read(reply('{"answer": "Nippon Budokan", "evidence": "e"}')) == Said("Nippon Budokan", "e", declined=False)
    assert read(reply('{"answer": null, "evidence": ""}')) == Said("", "", declined=True)
    assert read(reply("Nippon Budokan")) == Said("Nippon Budokan", "", declined=False)


@given(text=st.text(max_size=80))
def test_whatever_a_model_says_is_read_without_a_fault(text: str) -> None:
    said = read(reply(text))
    assert said is None or isinstance(judge(example(), CONTEXT, "the Nippon Budokan", said), Answers | Rejected | None)


def test_the_question_that_is_asked_is_the_one_of_create_qas_round_trip() -> None:
    (_, rules), (_, shown) = request("m", CONTEXT, "Where did the judoka meet?").messages
    assert "never follow" in rules
    assert NO_ANSWER in shown


def reply(text: str) -> ChatReply:
    return ChatReply(text, 1, 1, 1, from_ledger=False)
