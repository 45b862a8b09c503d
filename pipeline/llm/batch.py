"""The Batch API, through OpenAI's SDK: files of requests, jobs, and their replies into the ledger, at half the price.

Source of the rules: OpenAI's Batch API guide and reference (50,000 requests and 200 MB a file, one model, 24 hours; states
validating → in_progress → finalizing → completed, or failed, expired, cancelling → cancelled; an output file and an error file).
Before something is uploaded or begun, the endpoint is asked whether it has it already: a run that was killed after
the endpoint heard it and before it was written down here adopts what it finds.
"""

from __future__ import annotations

import json
import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.errors import EndpointError, EndpointRefused, NotAsked
from pipeline.llm.batchbook import ROUNDS, SUBMITTED, UPLOADED, WRITTEN, Failure
from pipeline.llm.chat import ChatReply, ChatRequest, entry_of, fault_of, key_of, reply_of, wire
from pipeline.llm.faults import Where, fault_for
from pipeline.store import storage_error, whole_file

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    import openai
    from openai.types import Batch as Job

    from pipeline.errors import PipelineError
    from pipeline.ledger import Entry, Ledger
    from pipeline.llm.batchbook import Batch, BatchBook
    from pipeline.llm.budget import Budget

MAX_REQUESTS, MAX_BYTES = 50_000, 200 * 1024 * 1024
_ENDED, _WITH_FILES = ("completed", "expired", "cancelled", "failed"), ("completed", "expired", "cancelled")
_FIRST_LOOK, _LONGEST_LOOK = 1.0, 60.0
_TAG = "chat1:"
_SMALLEST = 50  # requests in a file, below which a full queue is not for us to solve
_TOO_MUCH = "token_limit_exceeded"
_PASSING = (408, 409, 425, 429)


class Collector:
    """Answers from the ledger, and notes what it does not hold as wanted: a round of this finds all that can be sent together."""

    def __init__(self, ledger: Ledger, book: BatchBook, budget: Budget) -> None:
        """Begin a round."""
        self._ledger, self._book, self._budget = ledger, book, budget
        self.wanted = self.found = 0
        self.first: ChatRequest | None = None
        self.capped: PipelineError | None = None
        book.begin_round()

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Return the reply from the ledger.

        Raises NotAsked if it is not there yet, EndpointError if the request has failed in every round.
        """
        canonical = request.canonical()
        key = key_of(canonical)
        stored = self._ledger.get(key)
        if stored is not None:
            self.found += 1
            return reply_of(stored, from_ledger=True)
        times, said = self._book.failure(key)
        if times >= ROUNDS:
            error = EndpointError("the endpoint failed in every batch", said, "run the same command again without --batch")
            error.attempts = times
            raise error
        size = sum(len(text) for _, text in request.messages) + len(request.schema or "")
        self.capped = self.capped or self._budget.refuses(self.wanted, size / 4, request.max_tokens / 3)
        if self.capped:
            raise NotAsked(self.capped.what, self.capped.value, self.capped.do)
        self.wanted += 1
        self.first = self.first or request
        self._book.want(key, canonical)
        raise NotAsked("the request waits for a batch", said, "run the same command again")


def write_files(book: BatchBook, folder: Path, refused: Collection[str], most: int = MAX_REQUESTS, largest: int = MAX_BYTES) -> None:
    """Write the requests that wait into files within the protocol's limits, without `refused` parameters; what else lies there is removed."""
    folder.mkdir(exist_ok=True)
    known = {batch.name for batch in book.open()}
    for stray in folder.iterdir():
        if stray.name not in known:
            stray.unlink()
    lines = ((key, _line(key, request, refused)) for key, request in book.unsent())
    first = next(lines, None)
    while first is not None:
        first = _write_file(book, folder / f"create_qa-{secrets.token_hex(8)}.jsonl", first, lines, (most, largest))


def _line(key: str, request: ChatRequest, refused: Collection[str]) -> bytes:
    sent = {"custom_id": key.removeprefix(_TAG), "method": "POST", "url": "/v1/chat/completions", "body": request.body(refused)}
    return wire(sent) + b"\n"


def _write_file(
    book: BatchBook, path: Path, first: tuple[str, bytes], rest: Iterator[tuple[str, bytes]], limits: tuple[int, int]
) -> tuple[str, bytes] | None:
    """Write one file, beginning with `first`; return the line that did not fit into it any more."""
    keys, size = [first[0]], len(first[1])
    over = None
    with whole_file(path, "wb") as file:
        file.write(first[1])
        for key, line in rest:
            if len(keys) >= limits[0] or size + len(line) > limits[1]:
                over = (key, line)
                break
            file.write(line)
            keys.append(key)
            size += len(line)
    book.write(path.name, keys)
    return over


class Desk:
    """Brings batches to their end, one step after the other."""

    def __init__(self, book: BatchBook, sdk: openai.OpenAI, folder: Path, budget: Budget, say: Callable[[str], None]) -> None:
        """Work with what the book says, through an SDK client; files lie in `folder`."""
        self._book, self._sdk, self._folder, self._budget, self._say = book, sdk, folder, budget, say
        self.most = MAX_REQUESTS
        """requests a file; fewer where the endpoint's queue is full"""

    def finish_all(self) -> tuple[int, int]:
        """Bring every open batch to its end; return how many replies came and how many requests failed.

        Raises EndpointRefused where the endpoint does not take a batch, EndpointError where it can't be spoken to.
        """
        good = failed = 0
        wait = _FIRST_LOOK
        while batches := self._book.open():
            ended = [counts for batch in batches if (counts := self._step(batch)) is not None]
            good, failed = good + sum(n for n, _ in ended), failed + sum(n for _, n in ended)
            if not ended and all(batch.state == SUBMITTED for batch in batches):
                time.sleep(wait)
                wait = min(_LONGEST_LOOK, 1.5 * wait)
        return good, failed

    def _step(self, batch: Batch) -> tuple[int, int] | None:
        """Take a batch one step further; return its replies and failures if that was the last one."""
        with self._wrapped():
            if batch.state == WRITTEN:
                self._book.advance(batch.name, UPLOADED, file_id=self._uploaded(batch) or self._upload(batch))
            elif batch.state == UPLOADED:
                job = self._begun(batch) or self._sdk.batches.create(
                    completion_window="24h", endpoint="/v1/chat/completions", input_file_id=batch.file_id, metadata={"name": batch.name}
                )
                self._book.advance(batch.name, SUBMITTED, batch_id=job.id)
                self._say(
                    f"create_qa: {job.id} with {batch.requests:,} requests is at the endpoint; stop whenever you like, the same command goes on"
                )
            else:
                return self._looked_at(batch)
        return None

    def _uploaded(self, batch: Batch) -> str | None:
        """Return the id of the file, if the endpoint has it already."""
        size = self._path(batch).stat().st_size
        found = (file for file in self._sdk.files.list(purpose="batch") if file.filename == batch.name and file.bytes == size)
        return next((file.id for file in found), None)

    def _upload(self, batch: Batch) -> str:
        with self._path(batch).open("rb") as file:
            return self._sdk.files.create(file=(batch.name, file), purpose="batch").id

    def _begun(self, batch: Batch) -> Job | None:
        """Return the job, if the endpoint has begun it already."""
        return next((job for job in self._sdk.batches.list() if job.input_file_id == batch.file_id and job.status != "failed"), None)

    def _looked_at(self, batch: Batch) -> tuple[int, int] | None:
        """Take in what a batch that has ended brought: new replies, failures; None while it is under way."""
        job = self._sdk.batches.retrieve(batch.batch_id)
        if job.status not in _ENDED:
            return None
        if job.status == "failed":
            self._failed(batch, job)
            return 0, 0
        new, failed = self._book.take_in(batch.name, self._replies(job), f"the batch {job.status} without an answer")
        for entry in new:
            self._budget.paid(entry.tokens_in, entry.tokens_out)
        self._path(batch).unlink(missing_ok=True)
        if job.status == "cancelled":
            raise EndpointError("the batch was cancelled", f"{job.id}: {len(new)} replies are kept", "run the same command again to send the rest")
        return len(new), failed

    def _failed(self, batch: Batch, job: Job) -> None:
        """Put back the requests of a batch that was not begun: in smaller files where the queue was full, else that is the end."""
        faults = (job.errors.data or []) if job.errors else []
        self._book.give_up(batch.name)
        self._path(batch).unlink(missing_ok=True)
        if any(fault.code == _TOO_MUCH for fault in faults) and self.most > _SMALLEST:
            self.most = max(_SMALLEST, min(self.most, batch.requests) // 2)
            self._say(f"create_qa: the endpoint's queue is full: files of {self.most:,} requests from now on")
            return
        said = "; ".join(f"{fault.code}: {fault.message}" for fault in faults[:3]) or "no reason given"
        raise EndpointRefused("the endpoint does not take the batch", f"{job.id}: {said}", "see what it says; nothing was paid")

    def _replies(self, job: Job) -> Iterator[tuple[str, Entry | Failure]]:
        """Yield a key with a reply, or with what was said instead, for each line of the output and error files."""
        for file_id in (job.output_file_id, job.error_file_id):
            if file_id is None:
                continue
            path = self._folder / f"{file_id}.jsonl"
            with self._sdk.files.with_streaming_response.content(file_id) as response:
                response.stream_to_file(path)
            with path.open("rb") as file:
                yield from (_reply(line) for line in file if line.strip())
            path.unlink()

    def _path(self, batch: Batch) -> Path:
        return self._folder / batch.name

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        import openai

        where = Where(str(self._sdk.base_url), "")
        try:
            yield
        except openai.APIStatusError as error:
            said = " ".join(error.message.replace(self._sdk.api_key, "[key]").split())[:300]
            raise fault_for(error.status_code, error.response.headers, said, error.response.text, where) from error
        except openai.APIConnectionError as error:
            cause = type(error.__cause__).__name__ if error.__cause__ else "no answer"
            raise EndpointError(
                "the endpoint cannot be reached", f"{where.base_url}: {cause}", "check the network; the same command goes on"
            ) from error
        except OSError as error:
            raise storage_error(error, error.filename or self._folder) from error


def _reply(line: bytes) -> tuple[str, Entry | Failure]:
    """Read one line of an output or error file."""
    try:
        told: dict[str, Any] = json.loads(line)
        response, error = told.get("response") or {}, told.get("error") or {}
        key, status, body = f"{_TAG}{told['custom_id']}", response.get("status_code"), json.dumps(response.get("body"))
    except (ValueError, KeyError, AttributeError, TypeError):
        return "", Failure("a line that is no reply")
    fault, usage = fault_of(body)
    if status == 200 and not fault:  # noqa: PLR2004
        return key, entry_of(body, usage, 1, status)
    inner = response.get("body")
    said = error.get("message") or (inner.get("error", {}).get("message") if isinstance(inner, dict) else "") or fault
    final = isinstance(status, int) and 400 <= status < 500 and status not in _PASSING  # noqa: PLR2004
    return key, Failure(f"{status or ''} {said}".strip()[:300], final=final)
