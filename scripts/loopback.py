"""An OpenAI-compatible endpoint on loopback, for tests and measurements: faults on demand, rate limits, the Batch API.

python scripts/loopback.py [--port PORT]     prints its address; POST /_config sets what it does, GET /_stats tells what it saw

It answers from the context in the prompt (a sentence as evidence, its first words as the answer), after a
fixed latency. Faults are drawn from a hash of seed, request and attempt: every client meets the same ones.
Shares: p429 (with `retry_after`), p500, pbad (a completion whose content is cut or empty), phang (never
answers), pdrop (the connection closes in the middle of the body). `rpm`: requests a minute, a bucket with
`x-ratelimit-*` headers. `auth`: the only key it takes. `models`: the only models it knows.

The Batch API keeps the protocol's rules: files of purpose `batch`, at most 50,000 lines and 200 MB, one model, distinct
`custom_id`s; states validating → in_progress → finalizing → completed, or failed, expired, cancelled; output and
error files. It takes `batch_polls` looks at a batch until it is done; `batch_expire` of its lines are not answered in time.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINES, MAX_BYTES = 50_000, 200 * 1024 * 1024
ITEMS = 3
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n")


@dataclass
class Config:
    """What the endpoint does."""

    latency: float = 0.1
    p429: float = 0.0
    p500: float = 0.0
    pbad: float = 0.0
    phang: float = 0.0
    pdrop: float = 0.0
    retry_after: float = 1.0
    seed: int = 0
    rpm: float = 0.0
    burst: float = 10.0
    auth: str = ""
    models: list[str] = field(default_factory=list)
    batch_polls: int = 1
    batch_expire: float = 0.0
    batch_fail: str = ""
    batch_error: float = 0.0
    max_lines: int = MAX_LINES
    full_above: int = 0
    """lines of a batch above which the queue of tokens is full"""
    hold_at: int = 0
    """the request (counted from 1, whatever it asks) after which nothing is answered any more"""
    declines: float = 0.0
    """share of the questions asked about a context that are declined, drawn by their text"""
    hold: str = "before"
    """before: that request is not carried out; after: it is, and nobody hears of it"""


@dataclass
class State:
    """What the endpoint has seen."""

    steps: int = 0
    held: bool = False
    requests: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    first: float = 0.0
    last: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    bodies: Counter[str] = field(default_factory=Counter)
    served: Counter[str] = field(default_factory=Counter)
    seconds: Counter[int] = field(default_factory=Counter)
    tokens: float = 0.0
    filled: float = 0.0
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)


def reply_to(body: dict[str, Any], declines: float = 0.0) -> str:
    """Return what the model says: questions about the context, or the answer to the one that is asked (none, for a share of them)."""
    text = body["messages"][-1]["content"]
    context = text.partition("<context>\n")[2].partition("\n</context>")[0]
    above, _, content = context.partition("\n\n")
    title = " ".join(above.split())
    sentences = [s.strip() for s in _SENTENCE.split(content) if len(s.split()) > ITEMS] or [content.strip() or "nothing"]
    if "<question>" in text:
        asked = text.partition("<question>\n")[2].partition("\n</question>")[0]
        if int(_digest(text), 16) / 16**8 < declines:
            return json.dumps({"answer": "No sufficient context for answering the question", "evidence": ""})
        found = next((s for s in sentences if _digest(s) in asked), sentences[0])
        return json.dumps({"answer": _first_words(found), "evidence": found})
    items = [
        {"question": f"What does entry {_digest(s)} of {title[:60]} say at first?", "answer": _first_words(s), "evidence": s}
        for s in sentences[:ITEMS]
    ]
    return json.dumps({"items": items})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]


def _first_words(sentence: str) -> str:
    return " ".join(sentence.split()[:4]).rstrip(".,;:")


def completion(body: dict[str, Any], content: str) -> dict[str, Any]:
    """Return a completion in OpenAI's form; four characters are a token here."""
    tokens_in, tokens_out = max(1, len(json.dumps(body, ensure_ascii=False)) // 4), max(1, len(content) // 4)
    return {
        "id": "chatcmpl-loopback", "object": "chat.completion", "created": 1, "model": body.get("model", ""),
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out},
    }  # fmt: skip


def problem(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an error in OpenAI's form."""
    return web.json_response({"error": {"message": message, "type": code, "param": None, "code": code}}, status=status, headers=headers)


class Loopback:
    """The endpoint: its configuration, what it has seen, and its routes."""

    def __init__(self) -> None:
        self.config, self.state = Config(), State()
        self.ending = asyncio.Event()

    def app(self) -> web.Application:
        """Return the routes."""
        app = web.Application(client_max_size=2 * MAX_BYTES, middlewares=[self.gate])
        app.add_routes(
            [
                web.post("/v1/chat/completions", self.chat), web.get("/_stats", self.stats), web.post("/_config", self.configure),
                web.post("/v1/files", self.upload), web.get("/v1/files", self.list_files), web.get("/v1/files/{id}/content", self.download),
                web.post("/v1/batches", self.create_batch), web.get("/v1/batches", self.list_batches), web.get("/v1/batches/{id}", self.batch),
                web.post("/v1/batches/{id}/cancel", self.cancel_batch),
            ]
        )  # fmt: skip
        return app

    @web.middleware
    async def gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Count each request, and hold the one that is to be held for ever."""
        self.state.steps += not request.path.startswith("/_")
        at = self.state.steps
        holding = self.config.hold_at and at >= self.config.hold_at and not request.path.startswith("/_")
        if not (holding and self.config.hold == "before"):
            response: web.StreamResponse = await handler(request)
            if not holding:
                return response
        self.state.held = True
        await self.ending.wait()
        return web.Response()

    async def configure(self, request: web.Request) -> web.Response:
        """Set what the endpoint does; forget what it saw, unless `keep` is given."""
        new = await request.json()
        if not new.pop("keep", False):
            self.state = State()
        self.config = Config(**{**asdict(Config()), **new})
        return web.json_response(asdict(self.config))

    async def stats(self, request: web.Request) -> web.Response:
        """Tell what was seen."""
        left_out = {"files", "batches", "bodies", "served"}
        told = {f.name: getattr(self.state, f.name) for f in fields(State) if f.name not in left_out}
        sent_again = sum(n - 1 for n in self.state.bodies.values())
        paid_again = sum(n - 1 for n in self.state.served.values())
        return web.json_response({**told, "distinct": len(self.state.bodies), "sent_again": sent_again, "paid_again": paid_again})

    def _refused(self, request: web.Request, model: str) -> web.Response | None:
        if self.config.auth and request.headers.get("Authorization", "") != f"Bearer {self.config.auth}":
            self.state.outcomes["401"] += 1
            return problem(401, "Incorrect API key provided.", "invalid_api_key")
        if self.config.models and model not in self.config.models:
            self.state.outcomes["404"] += 1
            return problem(404, f"The model `{model}` does not exist", "model_not_found")
        return None

    def _limited(self) -> tuple[dict[str, str], bool]:
        """Return the rate limit's headers, and whether this request is over it."""
        rpm, state, now = self.config.rpm, self.state, time.monotonic()
        if not rpm:
            return {}, False
        size = self.config.burst
        state.tokens = min(size, state.tokens + (now - state.filled) * rpm / 60) if state.filled else size
        state.filled = now
        over = state.tokens < 1
        state.tokens -= not over
        reset = f"{(size - state.tokens) * 60 / rpm:.3f}s"
        named = {"limit": f"{size:.0f}", "remaining": f"{int(state.tokens)}", "reset": reset}
        return {f"x-ratelimit-{name}-requests": value for name, value in named.items()}, over

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a chat completion, or fail at it."""
        state, now = self.state, time.time()
        state.requests, state.in_flight = state.requests + 1, state.in_flight + 1
        state.max_in_flight = max(state.max_in_flight, state.in_flight)
        state.first, state.last = state.first or now, now
        try:
            return await self._answered(request)
        finally:
            state.in_flight -= 1

    async def _answered(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw)
        refused = self._refused(request, body.get("model", ""))
        if refused:
            return refused
        named = _digest(raw.decode())
        headers, over = self._limited()
        fault = "429" if over else self._fault(named, self.state.bodies[named])
        self.state.bodies[named] += 1
        self.state.outcomes[fault] += 1
        return await self._respond(request, body, named, fault, headers)

    def _fault(self, named: str, attempt: int) -> str:
        draw = int(hashlib.sha256(f"{self.config.seed}/{named}/{attempt}".encode()).hexdigest()[:12], 16) / 16**12
        for name in ("429", "500", "bad", "hang", "drop"):
            share = getattr(self.config, f"p{name}")
            if draw < share:
                return name
            draw -= share
        return "ok"

    async def _respond(self, request: web.Request, body: dict[str, Any], named: str, fault: str, headers: dict[str, str]) -> web.StreamResponse:
        if fault == "hang":
            await self.ending.wait()
        await asyncio.sleep(self.config.latency)
        if fault == "429":
            return problem(429, "Rate limit reached", "rate_limit_exceeded", {**headers, "Retry-After": f"{self.config.retry_after:g}"})
        if fault == "500":
            return problem(500, "The server had an error", "server_error")
        content = reply_to(body, self.config.declines)
        if fault == "bad":
            content = "" if int(named, 16) % 2 else content[: len(content) // 2]
        answer = completion(body, content)
        if fault == "drop":
            return await _dropped(request, json.dumps(answer).encode())
        self._count(answer, named, fault)
        return web.json_response(answer, headers=headers)

    def _count(self, answer: dict[str, Any], named: str, fault: str) -> None:
        self.state.tokens_in += answer["usage"]["prompt_tokens"]
        self.state.tokens_out += answer["usage"]["completion_tokens"]
        self.state.seconds[int(time.time())] += 1
        if fault == "ok":
            self.state.served[named] += 1

    async def upload(self, request: web.Request) -> web.Response:
        """Take a file of purpose `batch`."""
        refused = self._refused(request, "") if self.config.auth else None
        if refused:
            return refused
        form = await request.post()
        uploaded: Any = form["file"]
        content = uploaded.file.read()
        uploaded.file.close()
        if form.get("purpose") != "batch":
            return problem(400, "Invalid purpose", "invalid_purpose")
        if len(content) > MAX_BYTES:
            return problem(413, "File is too large", "file_too_large")
        self.state.outcomes["upload"] += 1
        return web.json_response(self._file(uploaded.filename, "batch", content))

    def _file(self, name: str, purpose: str, content: bytes) -> dict[str, Any]:
        told: dict[str, Any] = {
            "id": f"file-{len(self.state.files) + 1}", "object": "file", "bytes": len(content), "created_at": int(time.time()), "filename": name,
            "purpose": purpose, "status": "processed",
        }  # fmt: skip
        self.state.files[told["id"]] = {"told": told, "content": content}
        return told

    async def list_files(self, request: web.Request) -> web.Response:
        """List the files, the newest first."""
        found = [f["told"] for f in reversed(self.state.files.values()) if request.query.get("purpose") in (None, f["told"]["purpose"])]
        return _page(found, request)

    async def download(self, request: web.Request) -> web.Response:
        """Return a file's bytes."""
        found = self.state.files.get(request.match_info["id"])
        self.state.outcomes["download"] += 1
        return web.Response(body=found["content"], content_type="application/octet-stream") if found else problem(404, "No such File", "not_found")

    async def create_batch(self, request: web.Request) -> web.Response:
        """Begin a batch."""
        asked: dict[str, Any] = await request.json()
        file = self.state.files.get(asked.get("input_file_id", ""))
        if asked.get("endpoint") != "/v1/chat/completions" or asked.get("completion_window") != "24h" or file is None:
            return problem(400, "Invalid batch", "invalid_request_error")
        self.state.outcomes["batch"] += 1
        name = f"batch_{len(self.state.batches) + 1}"
        batch: dict[str, Any] = {
            "id": name, "object": "batch", "endpoint": asked["endpoint"], "errors": None, "input_file_id": asked["input_file_id"],
            "completion_window": "24h", "status": "validating", "output_file_id": None, "error_file_id": None, "created_at": int(time.time()),
            "metadata": asked.get("metadata"), "request_counts": {"total": 0, "completed": 0, "failed": 0},
        }  # fmt: skip
        self.state.batches[name] = {"told": batch, "looks": 0}
        return web.json_response(batch)

    async def list_batches(self, request: web.Request) -> web.Response:
        """List the batches, the newest first."""
        return _page([b["told"] for b in reversed(self.state.batches.values())], request)

    async def batch(self, request: web.Request) -> web.Response:
        """Return a batch; each look brings it on."""
        held = self.state.batches.get(request.match_info["id"])
        if held is None:
            return problem(404, "No batch found", "not_found")
        self._advance(held)
        return web.json_response(held["told"])

    async def cancel_batch(self, request: web.Request) -> web.Response:
        """Cancel a batch: what it has is kept, the rest is not answered."""
        held = self.state.batches[request.match_info["id"]]
        self._finish(held, "cancelled", 0.5)
        return web.json_response(held["told"])

    def _advance(self, held: dict[str, Any]) -> None:
        batch: dict[str, Any] = held["told"]
        held["looks"] += 1
        if batch["status"] == "validating":
            errors = self._faults_of(self.state.files[batch["input_file_id"]]["content"])
            batch["status"] = "failed" if errors else "in_progress"
            batch["errors"] = {"object": "list", "data": errors} if errors else None
        elif batch["status"] == "in_progress" and held["looks"] > self.config.batch_polls:
            batch["status"] = "finalizing"
        elif batch["status"] == "finalizing":
            self._finish(held, "expired" if self.config.batch_expire else "completed", self.config.batch_expire)

    def _faults_of(self, content: bytes) -> list[dict[str, Any]]:
        """Return what is wrong with an input file by the protocol's rules."""
        lines = [json.loads(line) for line in content.splitlines()]
        faults = []
        if self.config.batch_fail:
            faults.append((self.config.batch_fail, "The batch was refused"))
        if self.config.full_above and len(lines) > self.config.full_above:
            faults.append(("token_limit_exceeded", "Enqueued token limit reached"))
        elif len(lines) > self.config.max_lines:
            faults.append(("too_many_tasks", f"The batch has {len(lines)} requests"))
        if len({line["custom_id"] for line in lines}) != len(lines):
            faults.append(("duplicate_custom_id", "Two requests have the same custom_id"))
        if len({line["body"]["model"] for line in lines}) > 1:
            faults.append(("mismatched_model", "The requests are for several models"))
        if any(line["url"] != "/v1/chat/completions" or line["method"] != "POST" for line in lines):
            faults.append(("invalid_url", "The URL is not the batch's endpoint"))
        return [{"code": code, "message": message, "line": None, "param": None} for code, message in faults]

    def _finish(self, held: dict[str, Any], status: str, unanswered: float) -> None:
        """Write a batch's output and error files."""
        batch, good, bad = held["told"], [], []
        for line in self.state.files[batch["input_file_id"]]["content"].splitlines():
            asked = json.loads(line)
            draw = int(_digest(asked["custom_id"] + batch["id"]), 16) / 16**8
            named = _digest(json.dumps(asked["body"]))
            attempt = self.state.bodies[named]
            self.state.bodies[named] += 1
            if draw < unanswered:
                bad.append(
                    {"custom_id": asked["custom_id"], "response": None, "error": {"code": f"batch_{status}", "message": "not answered in time"}}
                )
            elif draw < unanswered + self.config.batch_error or self._fault(named, attempt) in ("429", "500", "hang", "drop"):
                failed = {"status_code": 500, "request_id": "r", "body": {"error": {"message": "The server had an error"}}}
                bad.append({"custom_id": asked["custom_id"], "response": failed, "error": None})
            else:
                fault = self._fault(named, attempt)
                answer = completion(asked["body"], "" if fault == "bad" else reply_to(asked["body"], self.config.declines))
                self._count(answer, named, fault)
                good.append({"custom_id": asked["custom_id"], "response": {"status_code": 200, "request_id": "r", "body": answer}, "error": None})
        for name, lines in (("output", good), ("error", bad)):
            if lines:
                content = "".join(json.dumps({"id": f"batch_req_{at}", **line}) + "\n" for at, line in enumerate(reversed(lines))).encode()
                batch[f"{name}_file_id"] = self._file(f"{batch['id']}_{name}.jsonl", "batch_output", content)["id"]
        batch["status"] = status
        batch["request_counts"] = {"total": len(good) + len(bad), "completed": len(good), "failed": len(bad)}


def _page(found: list[dict[str, Any]], request: web.Request) -> web.Response:
    """Return one page of a list, as the API's cursors go."""
    after, limit = request.query.get("after"), int(request.query.get("limit", "20"))
    ids = [item["id"] for item in found]
    start = ids.index(after) + 1 if after in ids else 0
    shown = found[start : start + limit]
    told = {"object": "list", "data": shown, "has_more": start + limit < len(found)}
    return web.json_response({**told, "first_id": shown[0]["id"] if shown else None, "last_id": shown[-1]["id"] if shown else None})


async def _dropped(request: web.Request, data: bytes) -> web.StreamResponse:
    """Send half of a body and close the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(data))})
    await response.prepare(request)
    await response.write(data[: len(data) // 2])
    if request.transport:
        request.transport.close()
    return response


@contextmanager
def serving(**config: Any) -> Iterator[tuple[Loopback, str]]:
    """Serve in a thread of this process while the block runs; yield the endpoint and its address."""
    endpoint = Loopback()
    endpoint.config = Config(**config)
    with listening(endpoint.app(), endpoint.ending) as address:
        yield endpoint, address


@contextmanager
def listening(app: web.Application, ending: asyncio.Event) -> Iterator[str]:
    """Serve an application in a thread of this process while the block runs; yield its address. `ending` is set when the block is over."""
    started, loop = threading.Event(), asyncio.new_event_loop()
    address: list[str] = []

    async def run() -> None:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        address.append(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
        started.set()
        await ending.wait()
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    started.wait()
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.close()


async def _serve(port: int) -> None:
    runner = web.AppRunner(Loopback().app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(_serve(parser.parse_args().port))
