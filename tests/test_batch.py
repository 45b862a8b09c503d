"""create_qa --batch against a loopback server that keeps the Batch API's rules."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, Result, environment, run
from loopback import Loopback, serving

from pipeline.ledger import Ledger
from pipeline.llm.batch import write_files
from pipeline.llm.batchbook import ROUNDS, BatchBook
from pipeline.llm.chat import ChatRequest
from pipeline.records import QA, RejectedQA
from pipeline.store import read_rows

LIMIT = 12


@pytest.fixture
def folder(collected: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(collected, tmp_path / "run"))


def arguments(folder: Path, url: str, *more: object) -> tuple[str, ...]:
    return ("--data", str(folder), "--base-url", url, "--model", "gpt-5-mini", "--limit", str(LIMIT), *map(str, more))


def batch(folder: Path, url: str, *more: object) -> Result:
    return run("create_qa", *arguments(folder, url, "--batch", "--json", *more))


def rows(folder: Path) -> tuple[list[QA], list[RejectedQA]]:
    return read_rows(folder / "qa.parquet", QA), read_rows(folder / "rejected.parquet", RejectedQA)


def tables(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("qa.parquet", "rejected.parquet")]


def cost(folder: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((folder / "manifest.json").read_text())["create_qa"]["cost"]
    return found


def test_a_batch_makes_the_rows_that_single_calls_make_at_half_the_price(folder: Path, tmp_path: Path) -> None:
    single = Path(shutil.copytree(folder, tmp_path / "single"))
    with serving(latency=0.001) as (endpoint, url):
        assert batch(folder, url).code == 0
        assert (endpoint.state.requests, endpoint.state.outcomes["upload"], endpoint.state.outcomes["batch"]) == (1, 1, 1)
        assert run("create_qa", *arguments(single, url)).code == 0
    assert tables(folder) == tables(single)
    assert cost(folder)["usd"] == pytest.approx(cost(single)["usd"] / 2, abs=1e-5)
    assert cost(folder)["calls"] == cost(single)["calls"] == LIMIT
    assert not (folder / "batches").exists()


def test_what_a_reply_makes_necessary_goes_into_the_next_batch(folder: Path) -> None:
    with serving(latency=0.001) as (endpoint, url):
        assert batch(folder, url, "--round-trip", "0.6").code == 0
        assert endpoint.state.outcomes["batch"] == 2
        assert endpoint.state.requests == 1
    assert all(row.round_trip_f1 == 1.0 for row in rows(folder)[0])


@pytest.mark.parametrize("config", [{"p500": 0.3}, {"batch_error": 0.4}, {"pbad": 0.3}, {"batch_expire": 0.4}])
def test_what_failed_or_was_not_answered_in_time_is_sent_again(config: dict[str, float], folder: Path, tmp_path: Path) -> None:
    with serving(latency=0.001) as (_, url):
        assert batch(Path(shutil.copytree(folder, tmp_path / "calm")), url).code == 0
    with serving(latency=0.001, **config) as (endpoint, url):
        result = batch(folder, url)
        assert endpoint.state.outcomes["batch"] >= 2
        assert max(endpoint.state.served.values()) == 1
    lost = [row for row in rows(folder)[1] if row.reason == "endpoint_error"]
    assert result.code == (1 if lost else 0)
    calm = {row.qa_id for row in rows(tmp_path / "calm")[0]}
    assert {row.qa_id for row in rows(folder)[0]} == {i for i in calm if i not in {r.section_id for r in lost}} or lost
    assert all(row.attempts == ROUNDS and row.detail and row.title for row in lost)


def kill_at(folder: Path, endpoint: Loopback, url: str, step: int, when: str) -> bool:
    """Run until the endpoint holds a request, then kill the process; tell whether it came so far."""
    endpoint.state.steps, endpoint.state.held = 0, False
    endpoint.config = replace(endpoint.config, hold_at=step, hold=when)
    line = [sys.executable, "-m", "pipeline.create_qa", *arguments(folder, url, "--batch", "--quiet")]
    with subprocess.Popen(line, cwd=ROOT, env=environment()) as process:
        while process.poll() is None and not endpoint.state.held:
            time.sleep(0.01)
        process.kill()
    endpoint.config = replace(endpoint.config, hold_at=0)
    return endpoint.state.held


STEPS = 9  # probe, list files, upload, list batches, begin, three looks, download


CHANGES = (1, 3, 5, 9)  # those that leave something behind: killed after one, nothing of it is written down here


@pytest.mark.parametrize(("step", "when"), [*((step, "before") for step in range(1, STEPS + 1)), *((step, "after") for step in CHANGES)])
def test_killed_between_any_two_steps_it_goes_on_and_begins_no_batch_twice(step: int, when: str, folder: Path, tmp_path: Path) -> None:
    with serving(latency=0.001) as (endpoint, url):
        assert kill_at(folder, endpoint, url, step, when)
        assert not (folder / "qa.parquet").exists()
        assert batch(folder, url).code == 0
        assert endpoint.state.outcomes["batch"] == 1
        lost_probe = 1 if (step, when) == (1, "after") else 0  # its reply was on its way
        assert sum(n - 1 for n in endpoint.state.served.values()) == lost_probe
    kept, rejected = rows(folder)
    assert len({row.section_id for row in kept} | {row.section_id for row in rejected}) == LIMIT


def test_killed_again_and_again_in_one_folder_it_comes_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    calm = Path(shutil.copytree(folder, tmp_path / "calm"))
    with serving(latency=0.001) as (_, url):
        assert batch(calm, url).code == 0
    with serving(latency=0.001, batch_polls=8) as (endpoint, url):
        for at in range(2, 6):
            assert kill_at(folder, endpoint, url, at, "after")
        assert batch(folder, url).code == 0
        assert endpoint.state.outcomes["batch"] == 1
    assert tables(folder) == tables(calm)


@pytest.mark.parametrize(("config", "said"), [
    ({"auth": "sk-other"}, "401"), ({"models": ["other"]}, "404"), ({"batch_fail": "billing_hard_limit_reached"}, "does not take the batch"),
])  # fmt: skip
def test_a_refusal_is_a_sentence_and_ends_it(config: dict[str, str], said: str, folder: Path) -> None:
    with serving(latency=0.001, **config) as (endpoint, url):
        result = batch(folder, url)
        assert endpoint.state.requests == 1
    assert result.code == 1
    assert said in result.errors[0]


def test_a_batch_that_was_refused_is_sent_anew_by_the_next_call(folder: Path) -> None:
    with serving(latency=0.001, batch_fail="some_fault") as (endpoint, url):
        assert batch(folder, url).code == 1
        endpoint.config = replace(endpoint.config, batch_fail="")
        assert batch(folder, url).code == 0
        assert max(endpoint.state.served.values()) == 1


def test_a_cancelled_batch_keeps_what_it_had_and_the_next_call_sends_the_rest(folder: Path) -> None:
    with serving(latency=0.001, batch_polls=1000) as (endpoint, url):
        assert kill_at(folder, endpoint, url, 7, "before")
        import urllib.request

        urllib.request.urlopen(urllib.request.Request(f"{url}/batches/batch_1/cancel", data=b"")).close()
        result = batch(folder, url)
        assert result.code == 1
        assert "cancelled" in result.errors[0]
        endpoint.config = replace(endpoint.config, batch_polls=1)
        assert batch(folder, url).code == 0
        assert max(endpoint.state.served.values()) == 1
    assert "not_asked" not in {row.reason for row in rows(folder)[1]}


def test_files_are_cut_to_the_protocols_limits(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        book = BatchBook(ledger)
        requests = [ChatRequest("m", (("user", f"{'x' * at} \ud800 \u2028"),), 10, stop=("\n",)) for at in range(25)]
        for request in requests:
            book.want(request.key(), json.dumps(json.loads(request.canonical())))
        (tmp_path / "batches").mkdir()
        (tmp_path / "batches" / "stray.jsonl").write_text("of a run that was killed")
        write_files(book, tmp_path / "batches", {"seed"}, most=10, largest=2000)
        batches = book.open()
    lines = [(tmp_path / "batches" / one.name).read_bytes().split(b"\n")[:-1] for one in batches]
    told = [json.loads(line) for file in lines for line in file]
    assert len(told) == 25
    assert {f"chat1:{line['custom_id']}" for line in told} == {request.key() for request in requests}
    assert all(len(file) <= 10 and sum(len(line) + 1 for line in file) <= 2000 for file in lines)
    assert len(lines) > 3
    assert all("seed" not in line["body"] and line["url"] == "/v1/chat/completions" for line in told)
    assert len(list((tmp_path / "batches").iterdir())) == len(lines)


def test_a_full_queue_means_smaller_files(folder: Path) -> None:
    with serving(latency=0.001, max_lines=60, full_above=60) as (endpoint, url):
        result = run("create_qa", "--data", folder, "--base-url", url, "--model", "m", "--batch", "--json")
        assert endpoint.state.outcomes["batch"] > 6
        assert max(endpoint.state.served.values()) == 1
    assert result.code == 0


def test_a_cap_holds_for_batches_too(folder: Path) -> None:
    with serving(latency=0.001) as (endpoint, url):
        result = batch(folder, url, "--max-total-tokens", "4000")
        assert endpoint.state.tokens_in + endpoint.state.tokens_out <= 4000 * 1.2
    assert result.code == 1
    assert "--max-total-tokens" in result.errors[0]
    assert {row.reason for row in rows(folder)[1]} == {"not_asked"}


def test_the_embedded_model_has_no_batches(folder: Path) -> None:
    result = run("create_qa", "--data", folder, "--model", "embedded", "--batch")
    assert result.code == 1
    assert "--batch" in result.errors[0]
