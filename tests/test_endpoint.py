"""create_qa against a real HTTP endpoint on loopback: good replies, every fault, resume, and a key that shows up nowhere."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Result, environment, run

from pipeline.errors import EndpointError, EndpointRefused
from pipeline.ledger import Ledger
from pipeline.llm.chat import ChatReply, ChatRequest
from pipeline.llm.client import ChatClient
from pipeline.llm.faults import FAULT, TRIES
from pipeline.qa.question_first import SAMPLES
from pipeline.records import QA, RejectedQA, Section
from pipeline.store import read_rows, sha256_of

KEY = "sk-secret-123"
PER_SECTION = 3
Body = dict[str, Any]
Answer = Callable[[Body], tuple[int, str]]


class Endpoint(ThreadingHTTPServer):
    """Answers /v1/chat/completions with what `answer` says, and remembers each request."""

    daemon_threads = True
    answer: Answer

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[Body] = []
        self.keys: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no fault of the server's."""


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Endpoint)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(body)
        self.server.keys.add(self.headers["authorization"])
        status, text = self.server.answer(body) if self.path == "/v1/chat/completions" else (404, "")
        raw = text.encode("utf-8", "surrogatepass")
        self.send_response(status)
        self.send_header("content-type", "text/html" if text.startswith("<") else "application/json")
        self.send_header("content-length", str(len(raw)))
        self.send_header("retry-after-ms", "10")
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def serving(answer: Answer) -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        endpoint.answer = answer
        thread = threading.Thread(target=endpoint.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield endpoint
        finally:
            endpoint.shutdown()
            thread.join()


def completion(content: str | None, **more: object) -> str:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    usage = {"prompt_tokens": 300, "completion_tokens": 30, "total_tokens": 330}
    return json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "stub", "choices": [choice], "usage": usage, **more})


def context_of(body: Body) -> str:
    text: str = body["messages"][-1]["content"]
    return text.partition("<context>\n")[2].partition("\n</context>")[0]


def written(body: Body, n: int = PER_SECTION) -> str:
    """Ask for words of the context, with evidence whose white space and quotes are not quite the context's."""
    words = context_of(body).partition("\n\n")[2].replace("’", "'").split()
    spans = [words[5 * at : 5 * at + 5] for at in range(n)]
    title = " ".join(context_of(body).partition("\n\n")[0].split())[:80]
    asked = [f"Which words are number {at + 1} of {title} on Wikipedia, with {' '.join(words[40:44])}?" for at in range(n)]
    items = [{"question": q, "answer": " ".join(w[:3]), "evidence": "\n".join(w)} for q, w in zip(asked, spans, strict=True)]
    return json.dumps({"items": items})


def good(body: Body) -> tuple[int, str]:
    return 200, completion(written(body))


def by_section(answers: list[Answer]) -> Answer:
    """Give the first section met the first answer, the second the second … whenever it is asked about again."""
    order: dict[str, int] = {}
    lock = threading.Lock()

    def answer(body: Body) -> tuple[int, str]:
        with lock:
            at = order.setdefault(context_of(body), len(order))
        return answers[at % len(answers)](body)

    return answer


def error(status: int, message: str) -> Answer:
    return lambda _: (status, json.dumps({"error": {"message": message, "type": "t", "code": "c"}}))


@pytest.fixture
def folder(collected: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(collected, tmp_path / "run"))


def arguments(folder: Path, url: str, limit: int, *more: object) -> tuple[str, ...]:
    return ("--data", str(folder), "--base-url", url, "--model", "stub", "--limit", str(limit), *map(str, more))


def create(folder: Path, url: str, limit: int, *more: object) -> Result:
    """Run create_qa, and hold it to what must be true of every run."""
    result = run("create_qa", *arguments(folder, url, limit, "--json", *more), OPENAI_API_KEY=KEY)
    assert KEY not in result.out + result.err
    assert not [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert len(result.errors) == result.code
    return result


def kept(folder: Path) -> list[QA]:
    return read_rows(folder / "qa.parquet", QA)


def rejected(folder: Path) -> list[RejectedQA]:
    return read_rows(folder / "rejected.parquet", RejectedQA)


def tables(folder: Path) -> list[str]:
    return [sha256_of(folder / name) for name in ("qa.parquet", "rejected.parquet")]


def test_good_replies_become_rows_whose_evidence_stands_word_for_word_in_the_section(folder: Path) -> None:
    with serving(good) as endpoint:
        result = create(folder, endpoint.url, 4)
    contents = {section.section_id: section.content for section in read_rows(folder / "sections.parquet", Section)}
    assert (result.code, len(kept(folder)), rejected(folder)) == (0, 4 * PER_SECTION, [])
    assert all(row.evidence and row.evidence in contents[row.section_id] for row in kept(folder))
    assert {(row.model, row.tokens_in, row.tokens_out) for row in kept(folder)} == {("stub", 100, 10)}
    assert len(endpoint.requests) == 4
    assert endpoint.keys == {f"Bearer {KEY}"}
    assert all(body["model"] == "stub" and body["response_format"]["type"] == "json_schema" for body in endpoint.requests)


def test_a_second_run_and_a_forced_one_send_nothing_and_give_the_same_bytes(folder: Path) -> None:
    with serving(by_section([good, lambda _: (200, completion("no list"))])) as endpoint:
        create(folder, endpoint.url, 4)
        first, sent = tables(folder), len(endpoint.requests)
        assert create(folder, endpoint.url, 4).code == 0
        assert tables(folder) == first
        assert create(folder, endpoint.url, 4, "--force", "--concurrency", 1).code == 0
        assert tables(folder) == first
        assert (sent, len(endpoint.requests)) == (2 + 2 * SAMPLES, 2 + 2 * SAMPLES)
    assert Counter(row.reason for row in rejected(folder)) == {"malformed_reply": 2 * PER_SECTION}


@pytest.mark.parametrize(("status", "what", "do"), [(401, "401", "OPENAI_API_KEY"), (403, "403", "--model"), (404, "404", "--base-url")])
def test_a_refusal_costs_one_request_and_is_a_sentence_without_the_key(status: int, what: str, do: str, folder: Path) -> None:
    with serving(error(status, f"Incorrect key or model: {KEY}")) as endpoint:
        result = create(folder, endpoint.url, 8)
    assert (result.code, len(endpoint.requests)) == (1, 1)
    assert what in result.errors[0]
    assert do in result.errors[0]
    assert "create_qa" not in json.loads((folder / "manifest.json").read_text())


def test_a_refusal_costs_one_request_in_answer_first_too(folder: Path) -> None:
    with serving(error(401, "no")) as endpoint:
        assert create(folder, endpoint.url, 8, "--style", "answer-first").code == 1
    assert len(endpoint.requests) == 1


def test_a_refusal_takes_away_no_row_that_was_made_before(folder: Path) -> None:
    with serving(good) as endpoint:
        create(folder, endpoint.url, 2)
        before = kept(folder)
        endpoint.answer = error(401, "no")
        assert create(folder, endpoint.url, 20).code == 1
    assert {row.qa_id for row in before} <= {row.qa_id for row in kept(folder)}


def test_bodies_that_are_no_completion_are_rejected_and_the_others_kept(folder: Path) -> None:
    html: Answer = lambda _: (200, f"<html>Please log in, {KEY}</html>")  # noqa: E731
    faults: list[Answer] = [good, html, lambda _: (200, ""), lambda body: (200, completion(written(body))[:-40]), lambda _: (200, "[]")]
    with serving(by_section(faults)) as endpoint:
        result = create(folder, endpoint.url, 5)
    lost = rejected(folder)
    assert (result.code, len(kept(folder)), {row.reason for row in lost}) == (1, PER_SECTION, {"endpoint_error"})
    assert len(lost) == 4 * PER_SECTION
    faults_seen = {word for word in ("no JSON", "an empty body", "no choices") for row in lost if word in row.detail}
    assert faults_seen == {"no JSON", "an empty body", "no choices"}
    with serving(good) as endpoint:
        assert create(folder, endpoint.url, 5).code == 0
        assert len(endpoint.requests) == 4
    assert (len(kept(folder)), rejected(folder)) == (5 * PER_SECTION, [])


CUT = '{"items": [{"question": "Who won in Tokyo?", "answer": "Ja'


@pytest.mark.parametrize(("content", "reason"), [(CUT, "malformed_reply"), (None, "empty_reply"), ("", "empty_reply")])
def test_a_completion_that_holds_no_item_rejects_every_question_and_keeps_the_reply(content: str | None, reason: str, folder: Path) -> None:
    with serving(lambda _: (200, completion(content))) as endpoint:
        result = create(folder, endpoint.url, 1)
    assert (result.code, kept(folder)) == (1, [])
    assert [(row.reason, row.reply) for row in rejected(folder)] == [(reason, content or "")] * PER_SECTION
    assert "no row was kept" in result.errors[0]


def refuses_schema(body: Body) -> tuple[int, str]:
    return error(400, "response_format is not supported")(body) if "response_format" in body else good(body)


def test_an_endpoint_that_knows_no_schema_is_asked_again_without_and_is_not_asked_twice(folder: Path) -> None:
    with serving(refuses_schema) as endpoint:
        assert create(folder, endpoint.url, 3).code == 0
    assert len(kept(folder)) == 3 * PER_SECTION
    assert ["response_format" in body for body in endpoint.requests] == [True, False, False, False]


def test_rows_that_fail_for_ever_are_named_and_the_others_kept(folder: Path) -> None:
    with serving(by_section([good, good, error(500, f"overloaded, {KEY}")])) as endpoint:
        result = create(folder, endpoint.url, 6)
    assert (result.code, len(kept(folder)), len(rejected(folder))) == (1, 4 * PER_SECTION, 2 * PER_SECTION)
    assert {row.reason for row in rejected(folder)} == {"endpoint_error"}
    assert len({row.section_id for row in rejected(folder)}) == 2
    assert all("overloaded" in row.detail and row.title and row.heading for row in rejected(folder))
    assert f"{2 * PER_SECTION} rows" in result.errors[0]
    assert max(Counter(map(context_of, endpoint.requests)).values()) == TRIES[FAULT]
    assert {row.attempts for row in rejected(folder)} == {TRIES[FAULT]}


def test_every_question_asked_for_is_kept_or_rejected_whatever_the_replies_hold(folder: Path) -> None:
    less: Answer = lambda body: (200, completion(written(body, 1)))  # noqa: E731
    prose: Answer = lambda _: (200, completion("1. Who won gold in Tokyo?\n2. Short?\nI hope this helps!"))  # noqa: E731
    items = [{"question": "Who is \ud800 in Tokyo?", "answer": "\ud800"}, 7, {"question": ""}]
    odd: Answer = lambda _: (200, completion(json.dumps({"items": items})))  # noqa: E731
    with serving(by_section([good, less, prose, odd, error(422, "no")])) as endpoint:
        create(folder, endpoint.url, 10)
    by_id = Counter([row.section_id for row in kept(folder)] + [row.section_id for row in rejected(folder)])
    assert (len(by_id), set(by_id.values())) == (10, {PER_SECTION})


def test_a_lone_surrogate_in_a_question_does_not_stop_the_run(folder: Path) -> None:
    with serving(by_section([lambda _: (200, completion("1. Who won \ud800 gold in Tokyo?")), good])) as endpoint:
        create(folder, endpoint.url, 2)
    assert len(kept(folder)) + len(rejected(folder)) == 2 * PER_SECTION


def test_after_a_kill_no_reply_that_had_arrived_is_asked_for_again(folder: Path) -> None:
    fourth, free = threading.Event(), threading.Event()

    def stuck(body: Body) -> tuple[int, str]:
        if len(endpoint.requests) >= 4:
            fourth.set()
            free.wait(60)
        return good(body)

    with serving(stuck) as endpoint:
        line = [sys.executable, "-m", "pipeline.create_qa", *arguments(folder, endpoint.url, 6, "--concurrency", 1, "--quiet")]
        with subprocess.Popen(line, cwd=ROOT, env=environment(OPENAI_API_KEY=KEY)) as process:
            assert fourth.wait(60)
            process.kill()
        assert process.returncode == -9
        assert not (folder / "qa.parquet").exists()
        arrived = {context_of(body) for body in endpoint.requests[:3]}
        endpoint.requests.clear()
        free.set()
        endpoint.answer = good
        assert create(folder, endpoint.url, 6).code == 0
        assert len(endpoint.requests) == 3
        assert not arrived & set(map(context_of, endpoint.requests))
    assert len(kept(folder)) == 6 * PER_SECTION


def test_a_port_where_nobody_listens_is_a_sentence(folder: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: refused, and nobody else's
        taken.bind(("127.0.0.1", 0))
        result = create(folder, f"http://127.0.0.1:{taken.getsockname()[1]}/v1", 1)
    assert result.code == 1
    assert len(result.errors) == 1
    assert "cannot be reached" in result.errors[0]


@pytest.mark.parametrize("key", ["sk-ключ", "sk-a\nb"])
def test_a_key_that_no_header_can_hold_is_a_sentence(key: str, folder: Path) -> None:
    with serving(good) as endpoint:
        result = run("create_qa", *arguments(folder, endpoint.url, 1), OPENAI_API_KEY=key)
    assert (result.code, endpoint.requests, len(result.errors)) == (1, [], 1)
    assert "OPENAI_API_KEY" in result.errors[0]
    assert key not in result.err


def ask_all(tmp_path: Path, answer: Answer, n: int, schema: str | None = None) -> list[ChatReply | BaseException]:
    """Send n different requests at once through a client of this process."""

    async def all_of_them(url: str) -> list[ChatReply | BaseException]:
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            async with ChatClient(ledger, "stub", url, KEY, n, 30.0) as client:
                if n > 1:
                    await client.complete(ChatRequest("stub", (("user", "the probe, which goes alone"),), 10))
                requests = [ChatRequest("stub", (("user", str(at)),), 10, schema=schema) for at in range(n)]
                return await asyncio.gather(*map(client.complete, requests), return_exceptions=True)

    with serving(answer) as endpoint:
        return asyncio.run(all_of_them(endpoint.url))


def test_many_requests_whose_schema_is_refused_at_once_are_all_asked_again(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def answer(body: Body) -> tuple[int, str]:
        if "response_format" not in body:
            return 200, completion("plain")
        together.wait(30)
        return error(400, "response_format is not supported")(body)

    assert [getattr(reply, "text", reply) for reply in ask_all(tmp_path, answer, 4, schema="{}")] == ["plain"] * 4


@pytest.mark.parametrize("usage", [None, {}, "many", [1], {"prompt_tokens": "5"}, {"prompt_tokens": 2**70}, {"prompt_tokens": True}])
def test_a_reply_with_odd_token_counts_is_taken_and_counts_none(usage: object, tmp_path: Path) -> None:
    assert ask_all(tmp_path, lambda _: (200, completion("hello", usage=usage)), 1) == [ChatReply("hello", 0, 0, 1, from_ledger=False)]


def test_a_body_nested_too_deep_is_an_error_of_the_endpoint(tmp_path: Path) -> None:
    (reply,) = ask_all(tmp_path, lambda _: (200, "[" * 100_000), 1)
    assert isinstance(reply, EndpointError)


def test_a_request_goes_through_a_hiccup_and_counts_its_attempts(tmp_path: Path) -> None:
    said = iter([(503, "{}"), (429, "{}"), (200, completion("hello"))])
    assert ask_all(tmp_path, lambda _: next(said), 1) == [ChatReply("hello", 300, 30, 3, from_ledger=False)]


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    async def ask() -> None:
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            async with ChatClient(ledger, "stub", "http://127.0.0.1:port/v1", KEY, 1, 5.0) as client:
                await client.complete(ChatRequest("stub", (), 10))

    with pytest.raises(EndpointRefused):
        asyncio.run(ask())


def test_requests_that_differ_in_anything_have_keys_of_their_own_and_equal_ones_share_theirs() -> None:
    base = ChatRequest("m", (("user", "q"),), 10)
    others = [
        replace(base, model="n"), replace(base, messages=(("user", "p"),)), replace(base, messages=(("system", "q"),)), replace(base, max_tokens=11),
        replace(base, temperature=1.0), replace(base, seed=1), replace(base, schema="{}"), replace(base, stop=("x",)), replace(base, sample=1),
    ]  # fmt: skip
    assert len({request.key() for request in [base, *others]}) == 10
    assert base.key() == ChatRequest("m", (("user", "q"),), 10).key()
