"""A QA model that words the answer: one trained here, the embedded one, or one at an endpoint; its replies are in the ledger.

It is asked with the messages that QA models are trained on (`dataset.formats.chat`), the context first. A reply that is the sentence that
declines, or nothing, is no answer.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.dataset.formats.chat import qa_asked
from pipeline.errors import EndpointError, InputError, RequestRefused
from pipeline.llm.answering import small_request
from pipeline.llm.chat import ChatRequest
from pipeline.records import NO_ANSWER
from pipeline.settings import EMBEDDED_MODEL
from pipeline.text.compare import normalise_answer
from pipeline.trainers.hosted import address_of, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from pipeline.llm.client import ChatClient
    from pipeline.run_folder import RunFolder

LONGEST_ANSWER = 128  # tokens
_OWN_TIMEOUT = 600.0
_TIMEOUT = 120.0
_AT_ONCE = 64
_DECLINES = normalise_answer(NO_ANSWER)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A QA model: its name for the ledger, its folder if the run has one, the endpoint that has it if it is elsewhere."""

    name: str
    folder: Path | None = None
    base_url: str | None = None
    bare: bool = False
    """the embedded model as it was before any adapter"""

    @property
    def here(self) -> bool:
        """Whether it runs inside this process."""
        return self.base_url is None

    @property
    def small(self) -> bool:
        """Whether it is the embedded model with the adapter that is shipped."""
        return self.here and self.folder is None and not self.bare


def chosen(run_folder: RunFolder, name: str, base_url: str | None) -> Chosen:
    """Return the model that `--qa` and `--base-url` name.

    A model that was trained here has a hash of its files in its name: trained anew, it is another one.

    Raises InputError if there is none, or it answers no questions.
    """
    if base_url:
        return Chosen(name, None, base_url)
    if name == EMBEDDED_MODEL:
        from pipeline.llm.embedded import MODEL_NAME

        return Chosen(MODEL_NAME)
    folder = run_folder.require_model(name)
    elsewhere = settings_of(folder)
    if elsewhere is not None:
        return Chosen(*_at_its_service(elsewhere, folder))
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".gguf", ".safetensors") or path.name == "adapter_config.json"):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return Chosen(f"{folder.name}@{digest.hexdigest()[:12]}", folder)


def _at_its_service(settings: dict[str, Any], folder: Path) -> tuple[str, Path, str]:
    """Return name, folder and address of a model that a service has.

    Raises InputError if it answers no questions.
    """
    if settings.get("target") != "qa":
        raise InputError("that model answers no questions", f"{folder}: {settings.get('target', 'no target')}", "train one with --target qa")
    model, base_url = address_of(settings, folder)
    return model, folder, base_url


def request_for(model: Chosen, context: str, question: str) -> ChatRequest:
    """Return what a model is asked: the embedded one by the turn that it was trained on, every other one by a chat."""
    return small_request(model.name, context, question) if model.small else ChatRequest(model.name, qa_asked(context, question), LONGEST_ANSWER)


def answer_in(reply: str) -> str:
    """Return the answer that a reply gives; nothing if it declines."""
    text = " ".join(reply.split())
    return "" if _DECLINES in normalise_answer(text) else text


@contextmanager
def reader(run_folder: RunFolder, model: Chosen, say: Callable[[str], None]) -> Iterator[Reader]:
    """Open a model for questions while the block runs; replies go through the run's ledger.

    Raises ExtraMissing if what runs it is not installed, InputError if the folder holds no QA model.
    """
    from pipeline.ledger import Ledger
    from pipeline.llm.client import ChatClient, key_from_environment
    from pipeline.llm.embedded import SLOTS

    with ExitStack() as stack:
        url, key = _served(stack, model)
        at_once = SLOTS if model.here else _AT_ONCE
        ledger = stack.enter_context(Ledger(run_folder.ledger))
        timeout = _OWN_TIMEOUT if model.here else _TIMEOUT
        client = ChatClient(ledger, model.name, url, key or key_from_environment(), at_once, timeout, steady=model.here, say=say)
        runner = stack.enter_context(asyncio.Runner())
        yield Reader(model, client, runner, at_once)


def _served(stack: ExitStack, model: Chosen) -> tuple[str | None, str]:
    if not model.here:
        return model.base_url, ""
    if model.folder is None:
        from pipeline.llm.embedded import serve

        endpoint = stack.enter_context(serve(None, chatting=True) if model.bare else serve())
    else:
        from pipeline.llm.served import serve_model

        endpoint = stack.enter_context(serve_model(model.folder))
    return endpoint.base_url, endpoint.api_key


@dataclass(frozen=True, slots=True)
class Reader:
    """An open model."""

    model: Chosen
    client: ChatClient
    runner: asyncio.Runner
    at_once: int

    def answer(self, context: str, question: str) -> str:
        """Return the answer to one question; nothing if the model declines.

        Raises PipelineError if the endpoint does not answer, or refuses the request: that is not the model's declining.
        """
        found: list[str] = []
        for error in self.answers([(context, question)], lambda _, text: found.append(text)).values():
            raise error
        return found[0]

    def answers(self, asked: Iterable[tuple[str, str]], done: Callable[[int, str], None]) -> dict[int, RequestRefused]:
        """Have many (context, question) answered side by side; each answer goes to `done` with its number as it comes.

        A request that the endpoint refuses (too long for the model, say) goes there as declined, and is returned by its number: who
        counts refusals must tell these. One that fails holds up no other.

        Raises PipelineError if the endpoint failed any; what came is in the ledger, and the same call goes on from there.
        """
        failed: list[EndpointError] = []
        refused: dict[int, RequestRefused] = {}
        self.runner.run(self._all(asked, done, failed, refused))
        if self.client.stopped is not None:
            raise self.client.stopped
        if failed:
            raise EndpointError(f"the endpoint failed {len(failed)} of the questions", failed[-1], "run the same command again: only these are asked")
        return refused

    async def _all(
        self, asked: Iterable[tuple[str, str]], done: Callable[[int, str], None], failed: list[EndpointError], refused: dict[int, RequestRefused]
    ) -> None:  # fmt: skip
        from pipeline.engines.local import run_jobs

        async def work(job: tuple[int, tuple[str, str]]) -> tuple[int, str]:
            number, (context, question) = job
            try:
                reply = await self.client.complete(request_for(self.model, context, question))
            except RequestRefused as error:
                refused[number] = error
                return number, ""
            except EndpointError as error:
                failed.append(error)
                return number, ""
            return number, "" if reply.refusal else answer_in(reply.text)

        async with self.client:
            await run_jobs(enumerate(asked), work, self.at_once, lambda result: done(*result))
