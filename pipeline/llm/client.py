"""One client for every model: OpenAI's SDK against any compatible endpoint, through the ledger.

A reply is in the ledger, raw, before it is read; the same request is never sent twice from one run
folder. The SDK retries what is worth retrying (408, 409, 429, 5xx, time-outs, Retry-After up to two
minutes); what no retry mends becomes a sentence here.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from pipeline.errors import EndpointError, EndpointRefused, InputError, RequestRefused
from pipeline.ledger import Entry

if TYPE_CHECKING:
    import openai

    from pipeline.ledger import Ledger
    from pipeline.llm.prompts import Message

LEDGER_KIND = "chat"
_RETRIES = 4
_MALFORMED_RETRIES = 2
_DISPENSABLE = ("response_format", "max_tokens", "temperature", "seed", "stop")


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """Everything that a reply depends on. `schema` is JSON text; `sample` tells deliberate repeats apart."""

    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    schema: str | None = None
    stop: tuple[str, ...] = ()
    sample: int = 0

    def canonical(self) -> str:
        """Return the request as JSON with sorted keys: the same text for the same request, always."""
        fields = {
            "model": self.model, "messages": self.messages, "max_tokens": self.max_tokens, "temperature": self.temperature,
            "seed": self.seed, "schema": self.schema, "stop": self.stop, "sample": self.sample,
        }  # fmt: skip
        return json.dumps(fields, sort_keys=True, ensure_ascii=False)

    def key(self) -> str:
        """Return the ledger's key: a tagged SHA-256 of the canonical request."""
        return f"chat1:{hashlib.sha256(self.canonical().encode('utf-8', 'surrogatepass')).hexdigest()}"


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What a model said, what it cost, and whether it was paid for now or earlier."""

    text: str
    tokens_in: int
    tokens_out: int
    attempts: int
    from_ledger: bool


@dataclass(slots=True)
class Spent:
    """What went through a client so far."""

    calls: int = 0
    from_ledger: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(slots=True)
class ChatClient:
    """Chat completions from one endpoint; at most `concurrency` calls in flight."""

    ledger: Ledger
    model: str
    base_url: str | None
    api_key: str
    concurrency: int
    timeout: float
    spent: Spent = field(default_factory=Spent)
    refused: set[str] = field(default_factory=set)
    """parameters that the endpoint does not take; learnt from its refusals"""
    _sdk: openai.AsyncOpenAI = field(init=False)
    _slots: asyncio.Semaphore = field(init=False)
    _probe: asyncio.Lock = field(init=False)
    _answers: bool = False
    _refusal: EndpointRefused | None = None

    async def __aenter__(self) -> Self:
        import openai

        _check_address(self.base_url)
        self._sdk = openai.AsyncOpenAI(base_url=self.base_url, api_key=self.api_key, timeout=self.timeout, max_retries=_RETRIES)
        self._probe = asyncio.Lock()
        self._slots = asyncio.Semaphore(self.concurrency)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._sdk.close()

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Return the model's reply, from the ledger if it is there.

        Raises EndpointRefused where going on is pointless (key, model, address), EndpointError where
        this one request failed for good.
        """
        stored = self.ledger.get(request.key())
        if stored is not None:
            self.spent.from_ledger += 1
            return _reply(stored, from_ledger=True)
        entry = await self._probed(request)
        self.ledger.put(request.key(), LEDGER_KIND, request.canonical(), entry)
        self.spent.calls += 1
        self.spent.tokens_in += entry.tokens_in
        self.spent.tokens_out += entry.tokens_out
        return _reply(entry, from_ledger=False)

    async def _probed(self, request: ChatRequest) -> Entry:
        """Send requests one by one until the first has come back well: where the endpoint refuses, one finds out for all.

        What fails before anything has succeeded is a refusal, whatever it is: an address that is wrong,
        a page that is no API.
        """
        if not self._answers:
            async with self._probe:
                entry = await self._first(request)
            if entry is not None:
                return entry
        async with self._slots:
            return await self._paid(request)

    async def _first(self, request: ChatRequest) -> Entry | None:
        """Be the probe, unless another request has been it meanwhile."""
        if self._refusal is not None:
            raise self._refusal
        if self._answers:
            return None
        try:
            entry = await self._paid(request)
        except RequestRefused:
            raise  # says nothing of the others
        except EndpointError as error:
            self._refusal = EndpointRefused(error.what, error.value, error.do)
            raise self._refusal from error
        self._answers = True
        return entry

    async def _paid(self, request: ChatRequest) -> Entry:
        tried = 0
        for attempt in range(1 + _MALFORMED_RETRIES):
            if attempt:
                await asyncio.sleep(0.5 * 2 ** (attempt - 1))
            body, attempts = await self._send(request)
            tried += attempts
            fault, usage = _fault(body)
            if not fault:
                return Entry(body, _whole(usage.get("prompt_tokens")), _whole(usage.get("completion_tokens")), tried)
        value = f"{self._where()}: {fault}: {self._safe(body)[:120]!r}"
        raise EndpointError("the endpoint's answer is no chat completion", value, "check --base-url (it usually ends in /v1)")

    async def _send(self, request: ChatRequest) -> tuple[str, int]:
        """Send one request; return the raw body and the number of attempts the SDK made."""
        import openai

        body = self._body(request)
        try:
            raw: Any = await self._sdk.chat.completions.with_raw_response.create(**body)
        except openai.BadRequestError as error:
            refused = next((name for name in _DISPENSABLE if name in body and name in str(error)), None)
            if refused:  # an old or small server, or a new model with other names: ask without, and read what comes
                self.refused.add(refused)
                return await self._send(request)
            raise self._wrapped(error) from error
        except openai.OpenAIError as error:
            raise self._wrapped(error) from error
        except json.JSONDecodeError as error:  # the SDK reads the body before we do
            return error.doc, 1
        except RecursionError:
            return "", 1
        text = raw.text
        body = text() if callable(text) else text
        return body, int(getattr(raw, "retries_taken", 0) or 0) + 1

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": request.model, "messages": [{"role": role, "content": content} for role, content in request.messages],
            "max_tokens": request.max_tokens, "temperature": request.temperature, "seed": request.seed,
        }  # fmt: skip
        if "max_tokens" in self.refused:
            body["max_completion_tokens"] = request.max_tokens
        if request.stop:
            body["stop"] = list(request.stop)
        if request.schema:
            named = {"name": "reply", "strict": True, "schema": json.loads(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return {name: value for name, value in body.items() if name not in self.refused}

    def _where(self) -> str:
        return str(self._sdk.base_url)

    def _safe(self, text: str) -> str:
        """Some endpoints repeat the key in their errors: it goes no further."""
        return " ".join((text.replace(self.api_key, "[key]") if self.api_key else text).split())[:300]

    def _wrapped(self, error: openai.OpenAIError) -> EndpointError:  # noqa: PLR0911 (a table of causes)
        import openai

        said = self._safe(str(getattr(error, "message", None) or error))
        value = f"{self._where()}: {said}"
        if isinstance(error, openai.AuthenticationError):
            return EndpointRefused("the endpoint does not accept the key (401)", value, "check OPENAI_API_KEY")
        if isinstance(error, openai.PermissionDeniedError):
            return EndpointRefused("the key may not use this model (403)", value, "check the key's rights and --model")
        if isinstance(error, openai.NotFoundError):
            return EndpointRefused("the endpoint knows no such model or path (404)", value, f"check --model {self.model} and --base-url")
        if isinstance(error, openai.APITimeoutError):
            return EndpointError("the endpoint did not answer in time", f"{value} ({self.timeout:g} s)", "try again, or raise --timeout")
        if isinstance(error, openai.APIConnectionError):
            cause = type(error.__cause__).__name__ if error.__cause__ else said
            return EndpointError("the endpoint cannot be reached", f"{self._where()}: {cause}", "check --base-url and the network")
        if isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
            return RequestRefused("the endpoint refuses this request", value, "see what it says")
        return EndpointError("the endpoint refused the request", value, "see what it says, then run the same command again")


def key_from_environment() -> str:
    """Return OPENAI_API_KEY; endpoints that need no key get a word that says so.

    Raises InputError, without showing the key, if it can't be sent in a header.
    """
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not (key.isascii() and (key.isprintable() or not key)):
        raise InputError("the key cannot be sent", "OPENAI_API_KEY has characters that no key has", "copy it again, without line breaks")
    return key or "no-key-needed"


def _check_address(base_url: str | None) -> None:
    try:
        parts = urlsplit(base_url or "https://api.openai.com/v1")
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise EndpointRefused("the endpoint's address is no URL", base_url or "", "write --base-url like http://127.0.0.1:8000/v1")


def _fault(body: str) -> tuple[str, dict[str, Any]]:
    """Return what is wrong with a body as a chat completion (or nothing), and its usage."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return "no JSON" if body.strip() else "an empty body", {}
    try:
        content = parsed["choices"][0]["message"].get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        return "no choices[0].message", {}
    usage = parsed.get("usage")
    fault = "" if content is None or isinstance(content, str) else "content is no text"
    return fault, usage if isinstance(usage, dict) else {}


def _whole(value: object) -> int:
    """Return a count as the ledger can hold it; what is no count is 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else 0


def _reply(entry: Entry, *, from_ledger: bool) -> ChatReply:
    content = json.loads(entry.reply)["choices"][0]["message"].get("content") or ""
    content = content.encode("utf-8", "replace").decode("utf-8")  # lone surrogates could be sent nowhere
    return ChatReply(content, entry.tokens_in, entry.tokens_out, entry.attempts, from_ledger)
