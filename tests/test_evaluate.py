"""evaluate: the run's test split and files of one's own, with and without a QA model, beside baselines; nothing paid for twice."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tiny
from conftest import ROOT, Result, environment, run
from sklearn.metrics import roc_auc_score
from test_endpoint import Body, completion, error, serving

from pipeline.answering.reader import Chosen, answer_in, request_for
from pipeline.dataset.formats import chat
from pipeline.records import NO_ANSWER, Example
from pipeline.run_folder import RunFolder
from pipeline.store import read_rows

if TYPE_CHECKING:
    from pathlib import Path

LOIRE = "The Loire is 1,006 km long. It rises at Mont Gerbier de Jonc."
ROWS: list[dict[str, Any]] = [
    {"id": "a", "context": LOIRE, "question": "How long is the Loire?", "answers": ["1,006 km"], "answerable": True, "title": "Loire"},
    {
        "id": "b",
        "context": LOIRE,
        "question": "Where does the Loire rise?",
        "answers": ["Mont Gerbier de Jonc"],
        "answerable": True,
        "title": "Loire",
    },
    {"id": "c", "context": LOIRE, "question": "Who painted the Mona Lisa?", "answers": [], "answerable": False, "kind": "random", "title": "Lisa"},
    {
        "id": "d",
        "context": LOIRE,
        "question": "How long was the Loire in 1958?",
        "answers": [],
        "answerable": False,
        "kind": "altered",
        "title": "Loire",
    },
]


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    return tmp_path / "mine.jsonl"


def metrics_of(folder: Path, name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "evaluation" / name / "metrics.json").read_text("utf-8"))
    return value


def predictions_of(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "evaluation" / name / "predictions.jsonl").read_text("utf-8").splitlines()]


def test_the_test_split_is_judged_beside_baselines_and_the_figures_are_those_of_its_rows(folder: Path) -> None:
    result = run("evaluate", "--data", folder, "--json")
    assert result.code == 0, result.err
    metrics, rows = metrics_of(folder, "test"), predictions_of(folder, "test")
    test_rows = {e.example_id: e for e in read_rows(RunFolder(folder).examples, Example) if e.split == "test"}
    assert {row["id"] for row in rows} == set(test_rows)
    assert all(row["gold"] == ([test_rows[row["id"]].answer] if row["answerable"] else []) for row in rows)
    assert list(metrics["systems"]) == ["judged", "discriminator_alone", "idf_overlap", "answer_in_context", "always_answer", "always_decline"]
    judged = metrics["systems"]["judged"]
    truth, p = np.asarray([row["answerable"] for row in rows]), np.asarray([row["p_answerable"] for row in rows])
    assert judged["discriminator"]["all"]["auroc"] == pytest.approx(roc_auc_score(truth, p), abs=1e-4)
    declined = np.asarray([row["answer"] is None for row in rows])
    assert judged["abstention"]["all"]["over_refusal"] == pytest.approx(declined[truth].mean(), abs=1e-4)
    assert (declined == (p < metrics["threshold"])).all()
    assert metrics["threshold"] == json.loads((folder / "models" / "discriminator" / "model.json").read_text("utf-8"))["threshold"]
    assert metrics["threshold_chosen_on"] == "validation"
    assert metrics["systems"]["always_decline"]["abstention"]["all"]["recall"] == 1.0
    assert metrics["systems"]["answer_in_context"]["abstention"]["altered_question"]["answered_when_insufficient"] > 0.5
    assert result.json["counts"]["auroc"] == judged["discriminator"]["all"]["auroc"]
    for name in ("reliability.png", "risk_coverage.png"):
        assert (folder / "evaluation" / "test" / name).read_bytes().startswith(b"\x89PNG")


def test_a_second_run_does_nothing_and_a_forced_one_gives_the_same_bytes(folder: Path, rows: Path) -> None:
    arguments = ("--dataset", rows, "--data", folder)
    assert run("evaluate", *arguments).code == 0
    written = {path.name: path.read_bytes() for path in (folder / "evaluation" / "mine.jsonl").iterdir()}
    again = run("evaluate", *arguments)
    assert "nothing to do" in again.out
    assert run("evaluate", *arguments, "--force").code == 0
    assert {path.name: path.read_bytes() for path in (folder / "evaluation" / "mine.jsonl").iterdir()} == written
    other = run("evaluate", *arguments, "--threshold", "0")
    assert "nothing to do" not in other.out
    stages = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert stages["evaluate mine.jsonl"]["settings"]["threshold"] == 0.0
    assert "train" in stages


def test_rows_of_ones_own_are_judged_whatever_their_number(folder: Path, tmp_path: Path, rows: Path) -> None:
    one = tmp_path / "one.jsonl"
    one.write_text(rows.read_text("utf-8").splitlines()[0] + "\n", "utf-8")
    assert run("evaluate", "--dataset", one, "--data", folder, "--name", "one").code == 0
    metrics = metrics_of(folder, "one")
    assert metrics["systems"]["judged"]["abstention"]["all"]["f1"] is None
    assert metrics["intervals"]["shares_of_one"]["f1"] is None
    (row,) = predictions_of(folder, "one")
    assert set(row) >= {"id", "question", "answer", "p_answerable", "gold"}


def test_a_year_that_the_context_lacks_is_told(folder: Path, rows: Path) -> None:
    assert run("evaluate", "--dataset", rows, "--threshold", "0.03", "--data", folder).code == 0
    by_id = {row["id"]: row for row in predictions_of(folder, "mine.jsonl")}
    assert by_id["d"]["against"] == "1958 is not in it"
    assert by_id["d"]["answer"] is None
    assert by_id["a"]["answer"] == "The Loire is 1,006 km long."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--dataset", "none.jsonl"), "there is no such file"),
        (("--discriminator", "nobody"), "here are: discriminator"),
        (("--qa", "nobody"), "there is no such model"),
        (("--name", "../up"), "no name of a folder"),
        (("--base-url", "http://127.0.0.1:9/v1"), "name the endpoint's model with --qa"),
        (("--classifier", "discriminator"), "--dataset"),
    ],
)
def test_what_cannot_be_judged_is_a_sentence(arguments: tuple[str, ...], said: str, trained: Path) -> None:
    result = run("evaluate", *arguments, "--data", trained)
    assert (result.code, len(result.errors)) == (1, 1)
    assert said in result.err


def right(body: Body) -> tuple[int, str]:
    """Answer what is asked about the Loire's length, and decline the rest."""
    question = body["messages"][-1]["content"].rpartition("Question: ")[2]
    return 200, completion("1,006 km" if "How long is" in question else f" {NO_ANSWER}. ")


def with_qa(folder: Path, rows: Path, url: str, *more: object) -> Result:
    return run("evaluate", "--dataset", rows, "--qa", "reader", "--base-url", url, "--data", folder, *more, OPENAI_API_KEY="sk-1")


def test_a_qa_model_is_asked_as_it_was_trained_and_judged_with_and_without_the_discriminator(folder: Path, rows: Path) -> None:
    with serving(right) as endpoint:
        result = with_qa(folder, rows, endpoint.url, "--threshold", "0", "--name", "qa")
        assert result.code == 0, result.err
        assert len(endpoint.requests) == 4
        asked = endpoint.requests[0]["messages"]
        expected = chat.qa_asked(LOIRE, asked[1]["content"].rpartition("Question: ")[2])
        assert [(m["role"], m["content"]) for m in asked] == list(expected)
        assert with_qa(folder, rows, endpoint.url, "--threshold", "0.5", "--name", "other").code == 0
        assert len(endpoint.requests) == 4
    systems = metrics_of(folder, "qa")["systems"]
    assert systems["qa_alone"]["squad"]["exact"] == systems["judged"]["squad"]["exact"] == 75.0
    assert systems["always_answer"]["abstention"]["all"]["declined"] == 0
    assert [row["answer"] for row in predictions_of(folder, "qa")] == ["1,006 km", None, None, None]


def test_killed_with_replies_on_their_way_it_asks_only_for_what_is_missing(folder: Path, rows: Path) -> None:
    third, free = threading.Event(), threading.Event()

    def stuck(body: Body) -> tuple[int, str]:
        if len(endpoint.requests) >= 3:
            third.set()
            free.wait(60)
        return right(body)

    with serving(stuck) as endpoint:
        line = [
            sys.executable,
            "-m",
            "pipeline.evaluate",
            "--dataset",
            rows,
            "--qa",
            "reader",
            "--base-url",
            endpoint.url,
            "--data",
            folder,
            "--quiet",
        ]
        with subprocess.Popen(list(map(str, line)), cwd=ROOT, env=environment(OPENAI_API_KEY="sk-1")) as process:
            assert third.wait(60)
            process.kill()
        assert not (folder / "evaluation").exists()
        endpoint.requests.clear()
        free.set()
        endpoint.answer = right
        assert with_qa(folder, rows, endpoint.url).code == 0
        assert len(endpoint.requests) <= 3
    assert len(predictions_of(folder, "mine.jsonl-reader")) == 4


def test_an_endpoint_that_refuses_is_a_sentence_and_nothing_is_written(folder: Path, rows: Path) -> None:
    with serving(error(401, "bad key")) as endpoint:
        result = with_qa(folder, rows, endpoint.url)
    assert (result.code, len(result.errors)) == (1, 1)
    assert not (folder / "evaluation").exists()


def test_what_the_endpoint_refuses_is_counted_and_said_apart_from_what_the_model_declines(folder: Path, rows: Path, tmp_path: Path) -> None:
    def picky(body: Body) -> tuple[int, str]:
        return error(400, "context too long")(body) if "Where does" in body["messages"][-1]["content"] else right(body)

    with serving(picky) as endpoint:
        result = with_qa(folder, rows, endpoint.url, "--threshold", "0", "--name", "qa", "--json")
        assert result.code == 0, result.err
        assert metrics_of(folder, "qa")["refused_by_endpoint"] == {"reader": 1} == result.json["counts"]["refused_by_endpoint"]
        assert "warning: the endpoint of reader refused 1 of 4 questions" in result.err
        assert "nothing to do" in with_qa(folder, rows, endpoint.url, "--threshold", "0", "--name", "qa").out
        (tmp_path / "loire.txt").write_text(LOIRE, "utf-8")
        arguments = ("--context", tmp_path / "loire.txt", "--threshold", "0", "--qa", "reader", "--base-url", endpoint.url, "--data", folder)
        asked = run("ask", "Where does the Loire rise?", *arguments)
        assert (asked.code, len(asked.errors)) == (1, 1)
        assert "context too long" in asked.err


def test_a_model_that_words_the_answer_of_ask_may_decline_and_the_evidence_is_shown(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "loire.txt").write_text(LOIRE, "utf-8")
    with serving(right) as endpoint:
        arguments = ("--context", tmp_path / "loire.txt", "--threshold", "0", "--qa", "reader", "--base-url", endpoint.url, "--data", folder)
        answered = run("ask", "How long is the Loire?", *arguments)
        assert answered.out.splitlines()[:2] == ["1,006 km", "  evidence: The Loire is 1,006 km long."]
        declined = run("ask", "Where does the Loire rise?", *arguments, "--json")
        assert (declined.json["answer"], declined.json["by"]) == (None, "reader")


@pytest.mark.parametrize(
    ("reply", "answer"), [(f"{NO_ANSWER}.", ""), (f"  {NO_ANSWER.lower()}\n", ""), ("", ""), (" Nine\nminutes ", "Nine minutes")]
)
def test_a_reply_that_declines_is_no_answer(reply: str, answer: str) -> None:
    assert answer_in(reply) == answer


def test_a_request_depends_on_model_context_and_question() -> None:
    keys = {request_for(Chosen(name), *parts).key() for name, *parts in (("m", "c", "q"), ("n", "c", "q"), ("m", "d", "q"), ("m", "c", "r"))}
    assert len(keys) == 4


def test_the_embedded_model_is_asked_by_the_turn_that_it_was_trained_on_and_others_by_a_chat(tmp_path: Path) -> None:
    asked = {one: request_for(one, "c", "q").messages for one in (Chosen("m"), Chosen("m", bare=True), Chosen("m", tmp_path), Chosen("m", None, "u"))}
    assert asked.pop(Chosen("m")) == (("user", "c\nQuestion: q\nAnswer:"),)
    assert {messages[0][0] for messages in asked.values()} == {"system"}


def test_a_model_that_is_judged_on_rows_it_knows_is_told_of_whatever_file_they_come_from(tmp_path: Path) -> None:
    train, validation = tiny.questions(4), tiny.questions(2, begin=4)
    files = [tiny.write_lines(tmp_path / f"{name}.jsonl", rows) for name, rows in (("t", train), ("v", validation))]
    made = run("train", "--file", files[0], "--validation-file", files[1], "--data", tmp_path / "run")
    assert made.code == 0, made.err
    reworded = [{**row, "question": f"  {row['question'].upper()}"} for row in train[:3]]
    new = {"context": "Gus rang the bell.", "question": "Who rang the bell?", "answers": ["Gus"], "answerable": True}
    mine = tiny.write_lines(tmp_path / "mine.jsonl", [*reworded, validation[0], new])
    judged = run("evaluate", "--dataset", mine, "--data", tmp_path / "run")
    assert judged.code == 0, judged.err
    assert "discriminator was trained on 3 and validated on 1 of these 5 rows" in judged.err
    assert metrics_of(tmp_path / "run", "mine.jsonl")["rows_known_to_models"] == {"discriminator": {"train": 3, "validation": 1}}
    fresh = tiny.write_lines(tmp_path / "fresh.jsonl", [new])
    assert "was trained on" not in run("evaluate", "--dataset", fresh, "--data", tmp_path / "run").err
