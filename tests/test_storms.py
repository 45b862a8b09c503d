"""create_qa against an endpoint that fails in every way there is: nothing is lost, nothing paid twice, and it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, environment, run
from loopback import Loopback, serving

from pipeline.errors import EndpointError, EndpointRefused, NotAsked, PipelineError
from pipeline.ledger import Ledger
from pipeline.llm.budget import Budget
from pipeline.llm.chat import ChatReply, ChatRequest
from pipeline.llm.client import ChatClient
from pipeline.records import QA, RejectedQA, Section
from pipeline.store import read_rows

KEY = "sk-secret-123"
FAULTS = {"p429": 0.1, "p500": 0.05, "pbad": 0.03, "pdrop": 0.02, "retry_after": 0.05}


@pytest.fixture
def folder(collected: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(collected, tmp_path / "run"))


def rows(folder: Path) -> tuple[list[QA], list[RejectedQA]]:
    return read_rows(folder / "qa.parquet", QA), read_rows(folder / "rejected.parquet", RejectedQA)


def without_cost(kept: list[QA]) -> set[tuple[str, str, str, str]]:
    return {(row.qa_id, row.question, row.answer, row.evidence) for row in kept}


@pytest.fixture(scope="module")
def calm(collected: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that met no fault. Not to be written to."""
    folder = Path(shutil.copytree(collected, tmp_path_factory.mktemp("calm") / "run"))
    with serving(latency=0.01) as (_, url):
        assert run("create_qa", "--data", folder, "--base-url", url, "--model", "m").code == 0
    return folder


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_faults_cost_attempts_and_not_a_single_row(seed: int, folder: Path, calm: Path) -> None:
    with serving(latency=0.01, seed=seed, **FAULTS) as (endpoint, url):
        assert run("create_qa", "--data", folder, "--base-url", url, "--model", "m").code == 0
        assert all(endpoint.state.outcomes[fault] for fault in ("429", "500", "drop", "bad"))
        assert max(endpoint.state.served.values()) == 1
    assert without_cost(rows(folder)[0]) == without_cost(rows(calm)[0])
    assert {row.reason for row in rows(folder)[1]} == {row.reason for row in rows(calm)[1]}


def test_a_hung_call_is_cut_and_sent_again(folder: Path) -> None:
    with serving(latency=0.01, phang=0.1) as (endpoint, url):
        assert run("create_qa", "--data", folder, "--base-url", url, "--model", "m", "--limit", "60", "--timeout", "1").code == 0
        assert endpoint.state.outcomes["hang"]
        assert endpoint.state.outcomes["ok"] == 60


def test_a_body_that_trickles_in_is_cut_by_the_timeout(tmp_path: Path) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not reader.at_eof():
            writer.write(b" ")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await reader.read(65536)
        writer.close()

    async def ask() -> list[ChatReply | BaseException]:
        server = await asyncio.start_server(trickle, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        replies = await asked(tmp_path, url, 1, longest=0.3)
        server.close()
        await asyncio.sleep(0.1)  # the handlers see that the client is gone
        return replies

    (reply,) = asyncio.run(ask())
    assert isinstance(reply, EndpointError)
    assert "in time" in str(reply)


async def asked(
    tmp_path: Path, url: str, n: int, *, longest: float = 30.0, quiet: float = 120.0, budget: Budget | None = None, at_once: int = 8
) -> list[ChatReply | BaseException]:  # fmt: skip
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        client = ChatClient(ledger, "m", url, KEY, at_once, longest, budget or Budget(), quiet=quiet)
        async with client:
            requests = [ChatRequest("m", (("user", f"<context>\nA\nB\n\nEntry {at} says something here.\n</context>"),), 10) for at in range(n)]
            return await asyncio.gather(*map(client.complete, requests), return_exceptions=True)


@pytest.mark.parametrize("fault", ["p429", "p500", "pdrop"])
def test_a_storm_that_does_not_end_ends_the_run_and_nothing_is_stored(fault: str, tmp_path: Path) -> None:
    with serving(latency=0.001, retry_after=0.01, **{fault: 1.0}) as (_, url):
        replies = asyncio.run(asked(tmp_path, url, 40, quiet=0.5))
    assert all(isinstance(reply, EndpointError) for reply in replies)
    assert any(isinstance(reply, NotAsked) for reply in replies)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.count("chat") == 0


def test_a_storm_after_a_good_beginning_keeps_what_came_and_names_what_did_not(folder: Path) -> None:
    with serving(latency=0.005) as (endpoint, url):

        def turn() -> None:
            wait_for(endpoint, 50)
            endpoint.config = replace(endpoint.config, p429=1.0, retry_after=4000)

        turning = threading.Thread(target=turn)
        turning.start()
        result = run("create_qa", "--data", folder, "--base-url", url, "--model", "m", "--json")
        turning.join()
        arrived = endpoint.state.outcomes["ok"]
    kept, rejected = rows(folder)
    lost = [row for row in rejected if row.reason == "not_asked"]
    assert result.code == 1
    assert len(result.errors) == 1
    assert len({row.section_id for row in kept} | {row.section_id for row in rejected}) == result.json["counts"]["asked_for_now"] // 3
    assert all(row.title and row.heading and row.detail for row in lost)
    askable = sum(not section.duplicate_of for section in read_rows(folder / "sections.parquet", Section))
    with serving(latency=0.001) as (endpoint, url):
        assert run("create_qa", "--data", folder, "--base-url", url, "--model", "m").code == 0
        assert endpoint.state.outcomes["ok"] == len({row.section_id for row in lost}) == askable - arrived
    assert "not_asked" not in {row.reason for row in rows(folder)[1]}


def test_a_rate_limit_is_kept_to(tmp_path: Path) -> None:
    with serving(latency=0.01, rpm=6000, burst=20, retry_after=0.3) as (endpoint, url):
        replies = asyncio.run(asked(tmp_path, url, 200, at_once=64))
        assert endpoint.state.outcomes["429"] < 100
    assert all(isinstance(reply, ChatReply) for reply in replies)


@pytest.mark.parametrize(("config", "said", "do"), [
    ({"auth": "sk-other"}, "(401)", "OPENAI_API_KEY"), ({"models": ["other"]}, "(404)", "--model m"),
])  # fmt: skip
def test_a_wrong_key_and_an_unknown_model_cost_one_request(config: dict[str, object], said: str, do: str, folder: Path) -> None:
    with serving(**config) as (endpoint, url):
        result = run("create_qa", "--data", folder, "--base-url", url, "--model", "m", OPENAI_API_KEY=KEY)
        assert (result.code, endpoint.state.requests) == (1, 1)
    assert said in result.errors[0]
    assert do in result.errors[0]
    assert not (folder / "qa.parquet").exists()


def refuses(tmp_path: Path, status: int, body: dict[str, object]) -> tuple[PipelineError, int]:
    """Ask an endpoint that answers everything so; return the first error and how many requests it took for ten."""
    from aiohttp import web

    async def ask() -> tuple[PipelineError, int]:
        seen = []

        async def answer(request: web.Request) -> web.Response:
            seen.append(request)
            return web.json_response(body, status=status)

        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        replies = await asked(tmp_path, f"http://127.0.0.1:{runner.addresses[0][1]}/v1", 10)
        await runner.cleanup()
        assert isinstance(replies[0], PipelineError)
        return replies[0], len(seen)

    return asyncio.run(ask())


@pytest.mark.parametrize(("status", "error", "said"), [
    (429, {"message": "You exceeded your current quota", "code": "insufficient_quota"}, "no credit"), (402, {"message": "pay"}, "no credit"),
    (400, {"message": "model 'm' does not exist"}, "no such model"), (301, {}, "moved"), (403, {"message": "no"}, "may not use"),
])  # fmt: skip
def test_what_every_request_would_meet_ends_the_run_after_one(status: int, error: dict[str, object], said: str, tmp_path: Path) -> None:
    refused, sent = refuses(tmp_path, status, {"error": error})
    assert isinstance(refused, EndpointRefused)
    assert said in str(refused)
    assert (sent, refused.attempts) == (1, 1)


def test_equal_requests_in_flight_together_are_paid_once(tmp_path: Path) -> None:
    async def ask(url: str) -> list[ChatReply]:
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            async with ChatClient(ledger, "m", url, KEY, 8, 30.0) as client:
                request = ChatRequest("m", (("user", "the same"),), 10)
                return await asyncio.gather(*[client.complete(request) for _ in range(5)])

    with serving(latency=0.05) as (endpoint, url):
        replies = asyncio.run(ask(url))
        assert endpoint.state.requests == 1
    assert len({reply.text for reply in replies}) == 1
    assert sorted(reply.from_ledger for reply in replies) == [False, True, True, True, True]


@pytest.mark.parametrize("cap", ["--max-total-tokens", "--max-cost"])
def test_a_cap_ends_the_run_cleanly_and_raising_it_goes_on(cap: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text('[models."m"]\ninput = 1\noutput = 1\n')
    more = ("--model", "m", "--prices", tmp_path / "prices.toml", "--concurrency", 4)
    with serving(latency=0.01) as (endpoint, url):
        result = run("create_qa", "--data", folder, "--base-url", url, *more, cap, "20000" if "tokens" in cap else "0.02", "--json")
        spent, calls = endpoint.state.tokens_in + endpoint.state.tokens_out, endpoint.state.requests
        assert result.code == 1
        assert cap in result.errors[0]
        assert "tokens=" in result.err
        assert "usd=" in result.err
        assert spent <= 20_000 + 4 * 20_000 / calls
        assert spent > 20_000 * 0.6
        assert "create_qa" not in json.loads((folder / "manifest.json").read_text())
        kept, rejected = rows(folder)
        assert kept
        assert {row.reason for row in rejected} >= {"not_asked"}
        assert run("create_qa", "--data", folder, "--base-url", url, *more).code == 0
        assert max(endpoint.state.bodies.values()) == 1


def test_an_endpoint_on_this_machine_is_asked_past_any_proxy(folder: Path) -> None:
    with serving(latency=0.001) as (_, url):
        proxy = "http://127.0.0.1:9"
        assert run("create_qa", "--data", folder, "--base-url", url, "--model", "m", "--limit", "2", HTTP_PROXY=proxy, http_proxy=proxy).code == 0


def test_a_cap_in_money_needs_a_price(folder: Path) -> None:
    with serving() as (endpoint, url):
        result = run("create_qa", "--data", folder, "--base-url", url, "--model", "unheard-of", "--max-cost", "1")
        assert (result.code, endpoint.state.requests) == (1, 0)
    assert "--prices" in result.errors[0]


def test_a_dry_run_sends_nothing_and_is_near_to_what_it_takes(folder: Path) -> None:
    line = ("create_qa", "--data", folder, "--model", "gpt-5-mini", "--json")
    with serving(latency=0.001) as (endpoint, url):
        told = run(*line, "--base-url", url, "--dry-run").json["counts"]
        assert endpoint.state.requests == 0
        assert not (folder / "qa.parquet").exists()
        assert run(*line, "--base-url", url).code == 0
        state = endpoint.state
        assert told["calls"] == state.requests
        assert told["tokens_in"] == pytest.approx(state.tokens_in, rel=0.15)
        assert told["cost_usd"] > 0
        assert run(*line, "--base-url", url, "--dry-run", "--force").json["counts"]["calls"] == 0
    assert run(*line, "--dry-run").code == 0, "an estimate needs no key"


def test_ctrl_c_waits_for_what_is_in_flight_and_the_next_run_does_not_pay_it_again(folder: Path) -> None:
    def heed() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with serving(latency=0.3) as (endpoint, url):
        line = [sys.executable, "-m", "pipeline.create_qa", "--data", str(folder), "--base-url", url, "--model", "m"]
        with subprocess.Popen(line, cwd=ROOT, env=environment(), text=True, preexec_fn=heed, stderr=subprocess.PIPE) as process:  # noqa: PLW1509 (no threads)
            wait_for(endpoint, 20)
            process.send_signal(signal.SIGINT)
            assert process.stderr
            said = process.stderr.read()
            assert process.wait(60) == 130
        assert "in flight" in said
        assert "run the same command again" in said
        assert endpoint.state.outcomes["ok"] == endpoint.state.requests
        assert run("create_qa", "--data", folder, "--base-url", url, "--model", "m").code == 0
        assert max(endpoint.state.bodies.values()) == 1


def wait_for(endpoint: Loopback, requests: int) -> None:
    import time

    while endpoint.state.requests < requests:
        time.sleep(0.01)


def test_killed_again_and_again_it_comes_to_the_same_bytes_and_pays_no_arrived_reply_twice(folder: Path, calm: Path) -> None:
    at_once = 8
    with serving(latency=0.02) as (endpoint, url):
        more = ("--data", str(folder), "--base-url", url, "--model", "m", "--concurrency", str(at_once), "--quiet")
        for stop_at in (30, 90, 200):
            with subprocess.Popen([sys.executable, "-m", "pipeline.create_qa", *more], cwd=ROOT, env=environment()) as process:
                wait_for(endpoint, stop_at)
                process.kill()
        assert run("create_qa", *more).code == 0
        assert sum(n - 1 for n in endpoint.state.bodies.values()) <= 3 * at_once
    names = ("qa.parquet", "rejected.parquet")
    assert [(folder / name).read_bytes() for name in names] == [(calm / name).read_bytes() for name in names]
