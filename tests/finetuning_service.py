"""A fine-tuning service on loopback that keeps OpenAI's protocol strictly and trains for real, by this project's own trainer.

    python -m tests.finetuning_service [--port PORT] [--folder DIR] [--base NAME=MODEL]     prints its address

It lives in the tests and is no product: a service that other people listen to would need queues, quotas, users and their keys, and whoever wants
to train on their own machine has `train --trainer local`, on the very same files. Here it stands in for OpenAI, so that the whole road – upload, job,
events, results, use – is walked in a test, with a kill of either side wherever a test wants one.

What it keeps of the protocol: files with purposes, bytes and expiry; jobs in their states (validating_files, queued, running, then succeeded,
failed or cancelled; paused and resumed); events and checkpoints in pages, the newest first; result files; models that answer chat completions.
Each request is checked against the SDK's own types, each answer is made as the SDK's (`finetuning_rules` has the rules and words). Training
and answering happen in processes of their own (`finetuning_worker`), which end with the server. All state lies in `folder`: a server that is started
on it again has every file, job and event, and goes on with the job that was running, from its last checkpoint.

Bases are names for what trains here: `tiny` (two layers, drawn at random) or what `train --model` takes. `gpt-5-mini` is known and not tunable.
What is asked for the learning rate is taken as OpenAI's multiplier of a rate of the service's own. Rows are cut to 1,024 tokens from their beginning.

A test sets switches (`service.switches`, POST /_switches), and reads every request that came (`service.log`, GET /_log).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import functools
import hashlib
import json
import math
import os
import random
import re
import secrets
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(path) for path in (HERE, HERE.parent / "scripts") if str(path) not in sys.path]  # as pytest has them, for `python -m`

import finetuning_rules as rules  # noqa: E402
from aiohttp import web  # noqa: E402
from finetuning_rules import Problem, Refused  # noqa: E402
from loopback import listening  # noqa: E402
from openai.types import FileDeleted, FileObject, Model, ModelDeleted  # noqa: E402
from openai.types.chat import ChatCompletion  # noqa: E402
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent  # noqa: E402
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint  # noqa: E402

from pipeline.store import write_json  # noqa: E402

KEY, ORGANISATION = "sk-loopback", "loopback"
BASES = {"gpt-4.1-nano-2025-04-14": "tiny", "gpt-4o-mini-2024-07-18": "tiny", "smollm2-135m": "embedded"}
UNTUNABLE = ("gpt-5-mini",)
OPEN, OVER = ("validating_files", "queued", "running", "paused"), ("succeeded", "failed", "cancelled")
KEPT_CHECKPOINTS = 3
ENTRY: web.RequestKey[dict[str, Any]] = web.RequestKey("entry", dict)
"""a request's line of the log"""
COLUMNS = {
    # of OpenAI's guide (https://platform.openai.com/docs/guides/fine-tuning, "Analyzing your fine-tuned model")
    "today": {"step": "step", "train_loss": "training_loss", "train_accuracy": "training_token_accuracy", "valid_loss": "validation_loss",
              "valid_mean_token_accuracy": "validation_token_accuracy"},
    # the same with the columns of reinforcement fine-tuning, which are empty here
    "rewards": {"step": "step", "train_loss": "training_loss", "train_accuracy": "training_token_accuracy", "valid_loss": "validation_loss",
                "valid_mean_token_accuracy": "validation_token_accuracy", "train_mean_reward": "", "full_validation_mean_reward": ""},
    # of Azure's (https://learn.microsoft.com/azure/ai-services/openai/how-to/fine-tuning, "Analyze your fine-tuned model")
    "azure": {"step": "step", "train_loss": "training_loss", "train_mean_token_accuracy": "training_token_accuracy", "valid_loss": "validation_loss",
              "validation_mean_token_accuracy": "validation_token_accuracy", "full_valid_loss": "full_valid_loss",
              "full_valid_mean_token_accuracy": "full_valid_mean_token_accuracy"},
    # of the guide of 2021
    "legacy": {name: name for name in ("step", "elapsed_tokens", "elapsed_examples", "training_loss", "training_sequence_accuracy",
                                       "training_token_accuracy", "validation_loss", "validation_sequence_accuracy", "validation_token_accuracy")},
}  # fmt: skip


@dataclass
class Switches:
    """What a test has the service do."""

    key: str = KEY
    closed: bool = False
    """no new jobs for this organisation"""
    faults: list[dict[str, Any]] = field(default_factory=list)
    """{"status": 404, 429 or 500, "times": N, "method": "POST", "path": "/v1/files" (how it begins), "ends": "/content", "retry_after": seconds}, each until it is used up"""
    hold_at: int = 0
    """the request (counted from 1) from which on nothing is answered"""
    hold: str = "before"
    """before: that request is not carried out; after: it is, and nobody hears of it"""
    stay: str = ""
    """the status in which jobs stay until this is changed: validating_files, queued, or running (at its next step)"""
    strange: bool = False
    """show a status and a type of event that the SDK does not know"""
    columns: str = "today"
    encoding: str = "base64"
    """of the result file: base64, as OpenAI sends it, or plain"""
    garbled: list[str] = field(default_factory=list)
    """METHOD PATH (how it begins): what is asked is carried out, and answered with a proxy's page"""
    cut_files: int = 0
    """result files that are cut off in their middle"""
    slow_files: int = 0
    """looks at a file until it is processed; no job takes it before"""
    clock: float = 0.0
    """seconds by which this service's clock is ahead"""


def new_id(prefix: str, length: int = 22) -> str:
    return prefix + "".join(random.choices(string.ascii_letters + string.digits, k=length))


class Worker:
    """A process that carries out orders, one at a time; started when there is one."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._alone = folder, asyncio.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._ended: list[subprocess.Popen[str]] = []

    @property
    def busy(self) -> bool:
        return self._alone.locked()

    async def ask(self, order: dict[str, Any], hear: Callable[[dict[str, Any]], None]) -> bool:
        """Give an order, and hand each thing that is said to `hear`; return False if the process ended before it was done."""
        async with self._alone:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(order) + "\n")
                process.stdin.flush()
            while line := await asyncio.to_thread(process.stdout.readline):
                said = json.loads(line)
                hear(said)
                if said.keys() & {"done", "failed", "answered"}:
                    return True
            return False

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is not None:
            self.end()
        if self._process is None:
            place = os.pathsep.join([str(HERE.parent), str(HERE)])
            with (self._folder / "worker.log").open("a", encoding="utf-8") as log:
                self._process = subprocess.Popen(
                    [sys.executable, str(HERE / "finetuning_worker.py")], env={**os.environ, "PYTHONPATH": place, "HF_HUB_OFFLINE": "1"},
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                )  # fmt: skip
        return self._process

    def end(self) -> None:
        """Kill the process; the next order starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            self._ended.append(process)

    def close(self) -> None:
        """Close the pipes of what has ended; nobody may be reading them any more."""
        for process in self._ended:
            for pipe in (process.stdin, process.stdout):
                with suppress(BrokenPipeError):
                    assert pipe is not None
                    pipe.close()


class Service:
    """The service: its switches, its state, and its routes."""

    def __init__(self, folder: Path, bases: Mapping[str, str] = BASES) -> None:
        self.folder, self.bases, self.switches = folder, dict(bases), Switches()
        self.ending, self.held, self.steps = asyncio.Event(), False, 0
        for name in ("files", "jobs", "bases"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        state = folder / "state.json"
        self.state: dict[str, Any] = json.loads(state.read_text("utf-8")) if state.is_file() else {"files": {}, "jobs": {}, "models": {}}
        log = folder / "log.jsonl"
        self.log: list[dict[str, Any]] = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.is_file() else []
        self.trainer, self.answerer = Worker(folder), Worker(folder)
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._training = ""  # the job that the trainer has
        self._tasks: set[asyncio.Task[None]] = set()

    def app(self) -> web.Application:
        """Return the routes."""
        app = web.Application(client_max_size=2 * rules.LARGEST_FILE, middlewares=[self.gate])
        job = "/v1/fine_tuning/jobs/{id}"
        app.add_routes(
            [
                web.post("/v1/files", self.upload), web.get("/v1/files", self.list_files), web.get("/v1/files/{id}", self.file),
                web.delete("/v1/files/{id}", self.delete_file), web.get("/v1/files/{id}/content", self.content),
                web.post("/v1/fine_tuning/jobs", self.create), web.get("/v1/fine_tuning/jobs", self.list_jobs), web.get(job, self.job),
                web.post(f"{job}/cancel", self.cancel), web.post(f"{job}/pause", self.pause), web.post(f"{job}/resume", self.resume),
                web.get(f"{job}/events", self.events), web.get(f"{job}/checkpoints", self.checkpoints),
                web.get("/v1/models", self.list_models), web.get("/v1/models/{id}", self.model), web.delete("/v1/models/{id}", self.delete_model),
                web.post("/v1/chat/completions", self.chat),
                web.get("/_log", self.tell_log), web.post("/_switches", self.switch),
            ]
        )  # fmt: skip
        app.on_startup.append(self._begin)
        app.on_cleanup.append(self._end)
        return app

    # what is true of every request

    @web.middleware
    async def gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Note each request, refuse the ones without the key, fail as the switches say, and hold the one that is to be held."""
        if request.path.startswith("/_"):
            return await handler(request)  # type: ignore[no-any-return]
        self.steps += 1
        holding = self.switches.hold_at and self.steps >= self.switches.hold_at
        if not (holding and self.switches.hold == "before"):
            response = await self._carried_out(request, handler)
            if not holding:
                return response
        self.held = True
        await self.ending.wait()
        return web.Response()

    async def _carried_out(self, request: web.Request, handler: Any) -> web.StreamResponse:
        entry: dict[str, Any] = {"method": request.method, "path": request.path, "query": dict(request.query)}
        request[ENTRY] = entry
        headers = {"x-request-id": new_id("req_")}
        try:
            self._check(request, headers)
            response: web.StreamResponse = await handler(request)
        except Refused as refused:
            response = web.json_response(refused.problem.body, status=refused.problem.status)
            entry["code"] = refused.problem.code
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as unknown:
            problem = Problem(unknown.status, f"Invalid URL ({request.method} {request.path})", None)
            response = web.json_response(problem.body, status=unknown.status)
        if any(f"{request.method} {request.path}".startswith(asked) for asked in self.switches.garbled):
            response = web.Response(text="<html>Sign in</html>", content_type="text/html")
        response.headers.update(headers)
        entry["status"] = response.status
        self.log.append(entry)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        return response

    def _check(self, request: web.Request, headers: dict[str, str]) -> None:
        if request.headers.get("Authorization", "") != f"Bearer {self.switches.key}":
            raise Refused(rules.WRONG_KEY)
        for fault in self.switches.faults:
            here = (
                fault.get("method", request.method) == request.method
                and request.path.startswith(fault.get("path", "/"))
                and request.path.endswith(fault.get("ends", ""))
            )
            if here and fault.get("times", 1) > 0:
                fault["times"] = fault.get("times", 1) - 1
                if "retry_after" in fault:
                    headers["Retry-After"] = f"{fault['retry_after']:g}"
                if fault["status"] == web.HTTPNotFound.status_code:
                    raise web.HTTPNotFound
                raise Refused(rules.FULL if fault["status"] == rules.FULL.status else rules.BROKEN)

    def _now(self) -> int:
        return int(time.time() + self.switches.clock)

    def _save(self) -> None:
        write_json(self.folder / "state.json", self.state)

    async def tell_log(self, _request: web.Request) -> web.Response:
        """Tell what was asked."""
        return web.json_response({"requests": self.log, "held": self.held, "steps": self.steps})

    async def switch(self, request: web.Request) -> web.Response:
        """Set switches; the others stay."""
        self.set(**await request.json())
        return web.json_response(asdict(self.switches))

    def set(self, **switches: Any) -> None:
        """Set switches; the others stay."""
        self.switches = Switches(**{**asdict(self.switches), **switches})
        for job in self.state["jobs"]:
            hold = self.folder / "jobs" / job / "hold"
            if self.switches.stay != "running":
                hold.unlink(missing_ok=True)
            elif hold.parent.is_dir():
                hold.touch()

    # files

    async def upload(self, request: web.Request) -> web.Response:
        """Take a file."""
        if not request.content_type.startswith("multipart/"):
            raise Refused(Problem(400, "Expected a multipart form with 'file' and 'purpose'.", "invalid_content_type"))
        form = await request.post()
        unknown = sorted(form.keys() - {"file", "purpose", "expires_after[anchor]", "expires_after[seconds]"})
        if unknown:
            raise Refused(Problem(400, f"Unknown parameter: '{unknown[0]}'.", "unknown_parameter", unknown[0]))
        uploaded: Any = form.get("file")
        if not isinstance(uploaded, web.FileField) or "purpose" not in form:
            missing = "purpose" if isinstance(uploaded, web.FileField) else "file"
            raise Refused(Problem(400, f"Missing required parameter: '{missing}'.", "missing_required_parameter", missing))
        content, purpose = uploaded.file.read(), str(form["purpose"])
        uploaded.file.close()
        digest = hashlib.sha256(content).hexdigest()
        request[ENTRY]["body"] = {"purpose": purpose, "filename": uploaded.filename, "bytes": len(content), "sha256": digest}
        rules.check_upload(purpose, content)
        return web.json_response(self._file(uploaded.filename, purpose, content, self._life(form)))

    def _life(self, form: Mapping[str, Any]) -> int | None:
        """Return the seconds that a file lives, None for one that stays."""
        asked = {name: form[f"expires_after[{name}]"] for name in ("anchor", "seconds") if f"expires_after[{name}]" in form}
        if not asked:
            return None
        if str(asked.get("seconds", "")).isdigit():
            asked["seconds"] = int(asked["seconds"])
        seconds = int(rules.checked(rules.EXPIRY, asked)["seconds"])
        if not rules.SHORTEST_LIFE <= seconds <= rules.LONGEST_LIFE:
            what = f"Invalid 'expires_after.seconds': expected a value from {rules.SHORTEST_LIFE} to {rules.LONGEST_LIFE}"
            raise Refused(Problem(400, f"{what}, but got {seconds} instead.", "invalid_value", "expires_after.seconds"))
        return seconds

    def _file(self, name: str, purpose: str, content: bytes, life: int | None = None) -> dict[str, Any]:
        file_id, now = new_id("file-"), self._now()
        (self.folder / "files" / file_id).write_bytes(content)
        slow = self.switches.slow_files if purpose == "fine-tune" else 0
        told = FileObject.model_validate(
            {
                "id": file_id, "object": "file", "bytes": len(content), "created_at": now, "filename": name, "purpose": purpose,
                "status": "uploaded" if slow else "processed", "expires_at": now + life if life else None,
            }
        ).model_dump(mode="json")  # fmt: skip
        self.state["files"][file_id] = {"told": told, "looks": slow}
        self._save()
        return told

    def _found_file(self, file_id: str, param: str = "id") -> dict[str, Any]:
        """Return a file that is there and has not expired.

        Raises Refused.
        """
        held = self.state["files"].get(file_id)
        if held is None or (held["told"]["expires_at"] or self._now() + 1) <= self._now():
            raise Refused(rules.no_file(file_id, param))
        return held  # type: ignore[no-any-return]

    async def file(self, request: web.Request) -> web.Response:
        """Return a file; each look brings a slow one nearer to being processed."""
        held = self._found_file(request.match_info["id"])
        if held["looks"]:
            held["looks"] -= 1
            held["told"]["status"] = "uploaded" if held["looks"] else "processed"
        return web.json_response(held["told"])

    async def list_files(self, request: web.Request) -> web.Response:
        """List the files, the newest first unless `order=asc`."""
        query = _query(request, {"after", "limit", "order", "purpose"})
        found = [held["told"] for held in self.state["files"].values() if (held["told"]["expires_at"] or self._now() + 1) > self._now()]
        found = [told for told in found if query.get("purpose") in (None, told["purpose"])]
        return _page(found if query.get("order") == "asc" else found[::-1], query, default=10_000, most=10_000)

    async def content(self, request: web.Request) -> web.StreamResponse:
        """Return a file's bytes."""
        held = self._found_file(request.match_info["id"])
        content = (self.folder / "files" / held["told"]["id"]).read_bytes()
        if self.switches.cut_files > 0:
            self.switches.cut_files -= 1
            part = web.StreamResponse(headers={"Content-Length": str(len(content))})
            await part.prepare(request)
            await part.write(content[: len(content) // 2])
            if request.transport:
                request.transport.close()
            return part
        return web.Response(body=content, content_type="application/octet-stream")

    async def delete_file(self, request: web.Request) -> web.Response:
        """Delete a file."""
        file_id = self._found_file(request.match_info["id"])["told"]["id"]
        del self.state["files"][file_id]
        (self.folder / "files" / file_id).unlink()
        self._save()
        return web.json_response(FileDeleted(id=file_id, deleted=True, object="file").model_dump())

    # jobs

    async def create(self, request: web.Request) -> web.Response:
        """Begin a job."""
        body = await _json(request)
        asked = rules.checked(rules.JOB, body)
        request[ENTRY]["body"] = asked
        rules.check_job(asked)
        if self.switches.closed:
            raise Refused(rules.CLOSED)
        if asked["model"] not in self.bases and asked["model"] not in self.state["models"]:
            raise Refused(rules.not_tunable(asked["model"]))
        for param in ("training_file", "validation_file"):
            if asked.get(param):
                self._check_file(asked[param], param)
        job_id = new_id("ftjob-")
        self.state["jobs"][job_id] = {"told": self._new_job(job_id, asked), "asked": asked, "events": [], "checkpoints": [], "lines": {}}
        self._event(job_id, f"Created fine-tuning job: {job_id}")
        beside = f" and validation file: {asked['validation_file']}" if asked.get("validation_file") else ""
        self._event(job_id, f"Validating training file: {asked['training_file']}{beside}")
        self._spawn(self._validate(job_id))
        return web.json_response(self._shown(job_id))

    def _check_file(self, file_id: str, param: str) -> None:
        held = self._found_file(file_id, param)
        told = held["told"]
        if told["purpose"] != "fine-tune":
            message = f"File '{file_id}' has purpose '{told['purpose']}', but must have purpose 'fine-tune' to be used for fine-tuning."
            raise Refused(Problem(400, message, "invalid_file_purpose", param))
        if told["status"] != "processed":
            message = f"File '{file_id}' is still being processed and is not ready to be used for fine-tuning. Please try again later."
            raise Refused(Problem(400, message, "file_not_ready", param))

    def _new_job(self, job_id: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        wished = {name: rules.hyperparameters(asked).get(name, "auto") for name in ("n_epochs", "batch_size", "learning_rate_multiplier")}
        kind = (asked.get("method") or {}).get("type", "supervised")
        return FineTuningJob.model_validate(
            {
                "id": job_id, "object": "fine_tuning.job", "created_at": self._now(), "model": asked["model"], "organization_id": f"org-{ORGANISATION}",
                "status": "validating_files", "result_files": [], "seed": asked["seed"] if asked.get("seed") is not None else secrets.randbelow(2**31),
                "training_file": asked["training_file"], "validation_file": asked.get("validation_file"), "hyperparameters": wished,
                "method": {"type": kind, **({"supervised": {"hyperparameters": wished}} if kind == "supervised" else {})},
                "metadata": asked.get("metadata"), "integrations": asked.get("integrations") or [], "user_provided_suffix": asked.get("suffix"),
            }
        ).model_dump(mode="json")  # fmt: skip

    def _shown(self, job_id: str) -> dict[str, Any]:
        """Return a job as the SDK's own model has it (but for a status that it does not know)."""
        told = self.state["jobs"][job_id]["told"]
        shown = FineTuningJob.model_validate({**told, "status": "running" if told["status"] == "paused" else told["status"]}).model_dump(mode="json")
        strange = self.switches.strange and told["status"] == "queued"
        return {**shown, "status": "waiting_for_capacity" if strange else told["status"]}

    def _event(self, job_id: str, message: str, data: dict[str, Any] | None = None, *, kind: str = "message", level: str = "info") -> None:
        known = FineTuningJobEvent.model_validate(
            {
                "id": new_id("ftevent-"), "object": "fine_tuning.job.event", "created_at": self._now(), "level": level, "message": message,
                "data": data or {}, "type": kind if kind in ("message", "metrics") else None,
            }
        ).model_dump(mode="json")  # fmt: skip
        self.state["jobs"][job_id]["events"].append({**known, "type": kind})
        self._save()

    def _found(self, request: web.Request) -> tuple[str, dict[str, Any]]:
        """Return the job that is asked for.

        Raises Refused.
        """
        job_id = request.match_info["id"]
        if job_id not in self.state["jobs"]:
            raise Refused(rules.no_job(job_id))
        return job_id, self.state["jobs"][job_id]

    async def job(self, request: web.Request) -> web.Response:
        """Return a job."""
        return web.json_response(self._shown(self._found(request)[0]))

    async def list_jobs(self, request: web.Request) -> web.Response:
        """List the jobs, the newest first; `metadata[k]=v` picks."""
        wanted = {key[1]: value for name, value in request.query.items() if (key := re.fullmatch(r"metadata\[(.+)\]", name))}
        query = _query(request, {"after", "limit", "metadata", *(f"metadata[{name}]" for name in wanted)})
        found = [self._shown(job_id) for job_id in reversed(self.state["jobs"])]
        if query.get("metadata") == "null":
            found = [job for job in found if not job["metadata"]]
        return _page([job for job in found if wanted.items() <= (job["metadata"] or {}).items()], query)

    async def events(self, request: web.Request) -> web.Response:
        """List a job's events, the newest first."""
        return _page(self._found(request)[1]["events"][::-1], _query(request, {"after", "limit"}))

    async def checkpoints(self, request: web.Request) -> web.Response:
        """List a job's checkpoints, the newest first."""
        found = [checkpoint["told"] for checkpoint in self._found(request)[1]["checkpoints"]]
        return _page(found[::-1], _query(request, {"after", "limit"}), default=10)

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel a job."""
        job_id, held = self._found(request)
        self._require(held, OPEN, "cancel")
        held["told"] |= {"status": "cancelled", "finished_at": self._now(), "estimated_finish": None}
        self._event(job_id, "The job has been cancelled")
        self._leave(job_id)
        return web.json_response(self._shown(job_id))

    async def pause(self, request: web.Request) -> web.Response:
        """Pause a job."""
        job_id, held = self._found(request)
        self._require(held, ("queued", "running"), "pause")
        held["told"] |= {"status": "paused", "estimated_finish": None}
        self._event(job_id, "The job has been paused")
        self._leave(job_id)
        return web.json_response(self._shown(job_id))

    async def resume(self, request: web.Request) -> web.Response:
        """Go on with a job that was paused."""
        job_id, held = self._found(request)
        self._require(held, ("paused",), "resume")
        held["told"]["status"] = "queued"
        self._event(job_id, "The job has been resumed")
        self._queue.put_nowait(job_id)
        return web.json_response(self._shown(job_id))

    def _leave(self, job_id: str) -> None:
        """End the training of a job, if it is that one which is under way."""
        if self._training == job_id:
            self.trainer.end()

    def _require(self, held: Mapping[str, Any], statuses: Sequence[str], verb: str) -> None:
        status = held["told"]["status"]
        if status not in statuses:
            raise Refused(Problem(400, f"Cannot {verb} a job that is {status}.", f"cannot_{verb}_job", "fine_tuning_job_id"))

    # what happens to jobs meanwhile

    async def _begin(self, _app: web.Application) -> None:
        """Take up the jobs that an earlier server left, and work."""
        self.set()
        for job_id, held in self.state["jobs"].items():
            if held["told"]["status"] == "validating_files":
                self._spawn(self._validate(job_id))
            elif held["told"]["status"] in ("queued", "running"):
                self._queue.put_nowait(job_id)
        self._spawn(self._work())

    async def _end(self, _app: web.Application) -> None:
        self.ending.set()
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        self.trainer.end()
        self.answerer.end()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_default_executor()  # the threads that read from the workers
        self.trainer.close()
        self.answerer.close()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stayed(self, job_id: str, status: str) -> bool:
        """Wait while jobs are to stay in a status; return whether this one is still in it."""
        while self.switches.stay == status and self.state["jobs"][job_id]["told"]["status"] == status:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # switches are set from other threads
        return bool(self.state["jobs"][job_id]["told"]["status"] == status)

    async def _validate(self, job_id: str) -> None:
        await asyncio.sleep(0)
        if not await self._stayed(job_id, "validating_files"):
            return
        held = self.state["jobs"][job_id]
        told = held["told"]
        try:
            parts = {param: self._found_file(told[param], param)["told"]["id"] for param in ("training_file", "validation_file") if told[param]}
            contents = {param: (self.folder / "files" / file_id).read_bytes() for param, file_id in parts.items()}
            fault = rules.fault_of_files(told["method"]["type"], told["training_file"], contents)
        except Refused as gone:
            message = f"The job failed due to an invalid training file. {gone.problem.message}"
            fault = {"code": "invalid_training_file", "message": message, "param": gone.problem.param}
        if fault:
            self._fail(job_id, fault)
            return
        folder = self.folder / "jobs" / job_id
        folder.mkdir()
        for param, content in contents.items():  # the job's own: the files may be deleted, or expire
            (folder / f"{param}.jsonl").write_bytes(content)
        told["status"] = "queued"
        self._event(job_id, "Files validated, moving job to queued state")
        if self.switches.strange:
            self._event(job_id, "Moderation checks passed", {"blocked": False}, kind="moderation_checks")
        self._queue.put_nowait(job_id)

    def _fail(self, job_id: str, error: dict[str, Any]) -> None:
        self.state["jobs"][job_id]["told"] |= {"status": "failed", "error": error, "finished_at": self._now(), "estimated_finish": None}
        self._event(job_id, error["message"], {"error_code": error["code"]}, level="error")

    async def _work(self) -> None:
        """Train the jobs of the queue, one at a time."""
        while True:
            job_id = await self._queue.get()
            told = self.state["jobs"][job_id]["told"]
            if told["status"] == "running" or (told["status"] == "queued" and await self._stayed(job_id, "queued")):
                await self._train(job_id)

    async def _train(self, job_id: str) -> None:
        told, self._training = self.state["jobs"][job_id]["told"], job_id
        finished = await self.trainer.ask({"train": self._order(job_id)}, functools.partial(self._hear, job_id))
        self._training = ""
        if not finished and told["status"] in ("queued", "running"):
            self._fail(job_id, {"code": "server_error", "message": "The job failed due to an internal error.", "param": None})

    def _order(self, job_id: str) -> dict[str, Any]:
        held = self.state["jobs"][job_id]
        told, wished = held["told"], rules.hyperparameters(held["asked"])
        wished = {name: None if value == "auto" else value for name, value in wished.items()}
        begin = self.state["models"].get(told["model"])
        folder = self.folder / "jobs" / job_id
        wandb = told["integrations"][0]["wandb"] if told["integrations"] else None
        return {
            "folder": str(folder), "name": job_id, "base": self.bases.get(begin["base"] if begin else told["model"]), "begin": begin and begin["folder"],
            "bases": str(self.folder / "bases"), "train": str(folder / "training_file.jsonl"),
            "validation": str(folder / "validation_file.jsonl") if told["validation_file"] else None,
            "n_epochs": wished.get("n_epochs"), "batch_size": wished.get("batch_size"), "multiplier": wished.get("learning_rate_multiplier"),
            "seed": told["seed"], "wandb": wandb,
        }  # fmt: skip

    def _hear(self, job_id: str, said: dict[str, Any]) -> None:
        """Take in what the worker says of a job."""
        if self.state["jobs"][job_id]["told"]["status"] not in ("queued", "running"):
            return
        for name, take in (("planned", self._started), ("line", self._step), ("checkpoint", self._checkpoint), ("done", self._succeed)):
            if name in said:
                take(job_id, said[name])
        if "failed" in said:
            self._fail(job_id, {"code": "server_error", "message": f"The job failed due to an internal error: {said['failed']}", "param": None})

    def _started(self, job_id: str, plan: dict[str, Any]) -> None:
        held = self.state["jobs"][job_id]
        told = held["told"]
        held["steps"] = plan["steps"]
        if told["status"] == "running":  # by an earlier server
            return
        used = {name: plan[name] for name in ("n_epochs", "batch_size", "learning_rate_multiplier")}
        told |= {"status": "running", "hyperparameters": used}
        held["began"] = self._now()
        told["method"]["supervised"] = {"hyperparameters": used}
        if plan["n_cut"]:
            self._event(job_id, f"{plan['n_cut']} examples are longer than the context and were cut", level="warn")
        self._event(job_id, "Fine-tuning job started")
        if self.switches.stay == "running":
            (self.folder / "jobs" / job_id / "hold").touch()

    def _step(self, job_id: str, line: dict[str, Any]) -> None:
        held = self.state["jobs"][job_id]
        step = str(line["step"])
        if step in held["lines"]:  # told before the kill from which this training goes on
            return
        held["lines"][step] = line
        each = (self._now() - held["began"]) / len(held["lines"])
        held["told"]["estimated_finish"] = self._now() + math.ceil(each * (held["steps"] - line["step"]))
        shown = {
            "train_loss": line["training_loss"], "train_mean_token_accuracy": line["training_token_accuracy"], "valid_loss": line["validation_loss"],
            "valid_mean_token_accuracy": line["validation_token_accuracy"], "full_valid_loss": line.get("full_valid_loss"),
            "full_valid_mean_token_accuracy": line.get("full_valid_mean_token_accuracy"),
        }  # fmt: skip
        data = {"step": line["step"], "total_steps": held["steps"], **{name: value for name, value in shown.items() if value is not None}}
        losses = [f"{words} loss={data[name]:.2f}" for name, words in (("train_loss", "training"), ("valid_loss", "validation"), ("full_valid_loss", "full validation")) if name in data]  # fmt: skip
        self._event(job_id, f"Step {step}/{held['steps']}: {', '.join(losses)}", data, kind="metrics")

    def _checkpoint(self, job_id: str, said: dict[str, Any]) -> None:
        """Keep the checkpoint of an epoch; the last one is the model itself, and has its name."""
        held = self.state["jobs"][job_id]
        if any(checkpoint["told"]["step_number"] == said["step"] for checkpoint in held["checkpoints"]):
            return
        line = held["lines"][str(said["step"])]
        name = self._name(job_id) + ("" if said["step"] == held["steps"] else f":ckpt-step-{said['step']}")
        told = FineTuningJobCheckpoint.model_validate(
            {
                "id": new_id("ftckpt_"), "object": "fine_tuning.job.checkpoint", "created_at": self._now(), "fine_tuning_job_id": job_id,
                "fine_tuned_model_checkpoint": name, "step_number": said["step"],
                "metrics": {
                    "step": said["step"], "train_loss": line["training_loss"], "train_mean_token_accuracy": line["training_token_accuracy"],
                    "valid_loss": line["validation_loss"], "valid_mean_token_accuracy": line["validation_token_accuracy"],
                    "full_valid_loss": said.get("full_valid_loss"), "full_valid_mean_token_accuracy": said.get("full_valid_mean_token_accuracy"),
                },
            }
        ).model_dump(mode="json")  # fmt: skip
        held["checkpoints"] = [*held["checkpoints"], {"told": told, "folder": said["folder"]}][-KEPT_CHECKPOINTS:]
        self._event(job_id, f"Checkpoint created at step {said['step']}")

    def _name(self, job_id: str) -> str:
        """Return what the model of a job is called: ft:BASE:ORGANISATION:SUFFIX:ID."""
        held = self.state["jobs"][job_id]
        base = self.state["models"].get(held["told"]["model"], {}).get("base", held["told"]["model"])
        held.setdefault("short", new_id("", 8))
        return f"ft:{base}:{ORGANISATION}:{held['asked'].get('suffix') or ''}:{held['short']}"

    def _succeed(self, job_id: str, said: dict[str, Any]) -> None:
        held = self.state["jobs"][job_id]
        told, name = held["told"], self._name(job_id)
        lines = [held["lines"][step] for step in sorted(held["lines"], key=int)]
        content = _results(lines, COLUMNS[self.switches.columns])
        result = self._file("step_metrics.csv", "fine-tune-results", base64.b64encode(content) if self.switches.encoding == "base64" else content)
        base = name.split(":")[1]
        folders = {checkpoint["told"]["fine_tuned_model_checkpoint"]: checkpoint["folder"] for checkpoint in held["checkpoints"]}
        for model, folder in {**folders, name: said["folder"]}.items():
            self.state["models"][model] = {"folder": folder, "base": base, "created": self._now()}
        told |= {
            "status": "succeeded", "fine_tuned_model": name, "finished_at": self._now(), "estimated_finish": None, "result_files": [result["id"]],
            "trained_tokens": lines[-1]["elapsed_tokens"],
        }  # fmt: skip
        self._event(job_id, f"New fine-tuned model created: {name}")
        self._event(job_id, "The job has successfully completed")

    # models

    def _model(self, name: str) -> dict[str, Any]:
        if name in self.state["models"]:
            return Model(id=name, object="model", created=self.state["models"][name]["created"], owned_by=f"org-{ORGANISATION}").model_dump(
                mode="json"
            )
        if name in self.bases or name in UNTUNABLE:
            return Model(id=name, object="model", created=1_700_000_000, owned_by="system").model_dump(mode="json")
        raise Refused(rules.no_model(name))

    async def list_models(self, _request: web.Request) -> web.Response:
        """List the models."""
        return web.json_response({"object": "list", "data": [self._model(name) for name in (*self.bases, *UNTUNABLE, *self.state["models"])]})

    async def model(self, request: web.Request) -> web.Response:
        """Return a model."""
        return web.json_response(self._model(request.match_info["id"]))

    async def delete_model(self, request: web.Request) -> web.Response:
        """Delete a fine-tuned model."""
        name = self._model(request.match_info["id"])["id"]
        if name not in self.state["models"]:
            raise Refused(Problem(403, "You have insufficient permissions for this operation.", "insufficient_permissions"))
        del self.state["models"][name]
        self._save()
        return web.json_response(ModelDeleted(id=name, deleted=True, object="model").model_dump())

    async def chat(self, request: web.Request) -> web.Response:
        """Answer as the model that was trained."""
        body = await _json(request)
        asked = rules.checked(rules.CHAT, body)
        request[ENTRY]["body"] = {"model": asked["model"]}
        left = sorted(asked.keys() - rules.ANSWERED)
        if left or asked.get("n", 1) != 1 or asked.get("stream"):
            param = (left or ["stream" if asked.get("stream") else "n"])[0]
            raise Refused(Problem(400, f"Unsupported parameter: '{param}' is not supported with this model.", "unsupported_parameter", param))
        model, base = self._model(asked["model"])["id"], self.state["models"].get(asked["model"])
        if base is None and model not in self.bases:
            raise Refused(rules.no_model(model))
        heard: list[dict[str, Any]] = []
        free = self.answerer if self.trainer.busy else self.trainer  # one that has torch loaded already
        await free.ask({"ask": self._question(asked)}, heard.append)
        if not heard or "answered" not in heard[-1]:
            raise Refused(rules.BROKEN)
        return web.json_response(_completion(model, heard[-1]["answered"], self._now(), logprobs=bool(asked.get("logprobs"))))

    def _question(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        model = self.state["models"].get(asked["model"])
        most = asked.get("max_completion_tokens") or asked.get("max_tokens") or 256
        return {
            "model": model and model["folder"], "base": self.bases[model["base"] if model else asked["model"]], "bases": str(self.folder / "bases"),
            "messages": [{"role": message["role"], "content": message["content"]} for message in asked["messages"]], "max_tokens": most,
            "temperature": asked.get("temperature") if asked.get("temperature") is not None else 1.0,
            "seed": asked.get("seed") or 0, "top_logprobs": asked.get("top_logprobs") or 0,
        }  # fmt: skip


async def _json(request: web.Request) -> Any:
    try:
        return await request.json()
    except ValueError as error:
        message = "We could not parse the JSON body of your request."
        raise Refused(Problem(400, message, None)) from error


def _query(request: web.Request, known: set[str]) -> dict[str, str]:
    """Return a request's query.

    Raises Refused naming a parameter that is not known.
    """
    unknown = sorted(request.query.keys() - known)
    if unknown:
        raise Refused(Problem(400, f"Unknown parameter: '{unknown[0]}'.", "unknown_parameter", unknown[0]))
    return dict(request.query)


def _page(found: Sequence[dict[str, Any]], query: Mapping[str, str], *, default: int = 20, most: int = 100) -> web.Response:
    """Return the page of a list that begins behind `after`.

    Raises Refused if there is no such place, or `limit` is out of bounds.
    """
    ids = [item["id"] for item in found]
    if "after" in query and query["after"] not in ids:
        raise Refused(Problem(400, f"Invalid 'after': there is no '{query['after']}' in this list.", "invalid_value", "after"))
    limit = query.get("limit", str(default))
    if not limit.isdigit() or not 1 <= int(limit) <= most:
        raise Refused(Problem(400, f"Invalid 'limit': expected a value from 1 to {most}, but got {limit} instead.", "invalid_value", "limit"))
    start = ids.index(query["after"]) + 1 if "after" in query else 0
    shown = list(found[start : start + int(limit)])
    ends = {"first_id": shown[0]["id"] if shown else None, "last_id": shown[-1]["id"] if shown else None}
    return web.json_response({"object": "list", "data": shown, "has_more": start + len(shown) < len(found), **ends})


def _results(lines: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> bytes:
    """Return a result file."""
    rows = [",".join("" if (value := line.get(column)) is None else str(value) for column in columns.values()) for line in lines]
    return "\n".join([",".join(columns), *rows, ""]).encode()


def _completion(model: str, said: Mapping[str, Any], now: int, *, logprobs: bool) -> dict[str, Any]:
    usage = {"prompt_tokens": said["tokens_in"], "completion_tokens": said["tokens_out"], "total_tokens": said["tokens_in"] + said["tokens_out"]}
    choice = {
        "index": 0, "finish_reason": "length" if said["cut"] else "stop", "message": {"role": "assistant", "content": said["text"], "refusal": None},
        "logprobs": {"content": said["tokens"], "refusal": None} if logprobs else None,
    }  # fmt: skip
    made = {"id": new_id("chatcmpl-"), "object": "chat.completion", "created": now, "model": model, "choices": [choice], "usage": usage}
    return ChatCompletion.model_validate(made).model_dump(mode="json")


@contextmanager
def serving(folder: Path | None = None, bases: Mapping[str, str] = BASES, **switches: Any) -> Iterator[tuple[Service, str]]:
    """Serve in a thread of this process while the block runs; yield the service and its address."""
    with tempfile.TemporaryDirectory() as place:
        service = Service(folder or Path(place), bases)
        service.set(**switches)
        with listening(service.app(), service.ending) as address:
            yield service, address


@contextmanager
def started(folder: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve in a process of its own while the block runs, unless it is killed; yield the process and its address."""
    line = [sys.executable, "-m", "tests.finetuning_service", "--folder", str(folder), "--port", str(port)]
    process = subprocess.Popen(line, cwd=HERE.parent, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def _serve(service: Service, port: int) -> None:
    runner = web.AppRunner(service.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)  # noqa: T201
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None, help="where its state lies (default: a temporary folder)")
    parser.add_argument("--base", action="append", default=[], metavar="NAME=MODEL", help="a tunable model and what trains in its place")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, suppress(KeyboardInterrupt):
        asyncio.run(_serve(Service(asked.folder or Path(place), {**BASES, **dict(pair.split("=", 1) for pair in asked.base)}), asked.port))


if __name__ == "__main__":
    main()
