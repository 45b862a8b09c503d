"""One client for every model: chat completions of any OpenAI-compatible endpoint, through the ledger.

A reply is in the ledger, raw, before it is read; the same request is never sent twice from one run
folder. The wire is aiohttp: 0.15 ms of CPU a call, where the SDK takes 0.9 over aiohttp and 1.2 over its
own transport. How many calls are in flight and how long each may take is `pace.py`'s business, what an
answer means is `faults.py`'s; here is what happens then: again (tenacity), given up, or everything stops.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urlsplit

from pipeline import __version__
from pipeline.errors import EndpointError, EndpointRefused, InputError, NotAsked, PipelineError, RequestRefused
from pipeline.llm.budget import Budget
from pipeline.llm.chat import DISPENSABLE, LEDGER_KIND, ChatReply, ChatRequest, entry_of, fault_of, key_of, reply_of, wire
from pipeline.llm.faults import ANEW, BUSY, BUSY_STATUS, FAULT, GARBLED, HANG, TRIES, Passing, Where, fault_for
from pipeline.llm.pace import Limit, Patience, Slots, quota_of
from pipeline.settings import USER_AGENT_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiohttp
    from tenacity import RetryCallState

    from pipeline.ledger import Entry, Ledger
    from pipeline.llm.budget import Spent

OPENAI = "https://api.openai.com/v1"
_CONNECT_SECONDS = 7.0
_LONGEST_WAIT = 3600.0  # a Retry-After beyond this is not waited for
_WAIT_FOR_ALL = 5.0  # a Retry-After from here on concerns more than the one request
_SAID_FROM = 10.0
_FAILURES_TO_STOP, _REFUSALS_TO_STOP = 10, 20
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Answer(NamedTuple):
    """What came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: str
    seconds: float


@dataclass(slots=True)
class Tries:
    """The attempts at one request so far."""

    kinds: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    last: EndpointError | None = None

    def over(self, state: RetryCallState) -> bool:
        """Tell tenacity whether the request is given up."""
        passing = _failed(state)
        return passing is None or self.kinds[passing.kind] >= TRIES[passing.kind]

    def wait(self, state: RetryCallState) -> float:
        """Tell tenacity how long to wait: what the endpoint asks for, not at all after a hung call, else longer each time."""
        from tenacity import wait_random_exponential

        passing = _failed(state)
        if passing is None or passing.kind in (HANG, ANEW):
            return 0.0
        if passing.after is not None:
            return passing.after
        return wait_random_exponential(multiplier=0.5, max=20)(state)


def _failed(state: RetryCallState) -> Passing | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, Passing) else None


@dataclass(slots=True)
class ChatClient:
    """Chat completions from one endpoint; at most `concurrency` calls in flight, as many as it bears."""

    ledger: Ledger
    model: str
    base_url: str | None
    api_key: str
    concurrency: int
    timeout: float
    """seconds that no call may exceed"""
    budget: Budget = field(default_factory=Budget)
    steady: bool = False
    """an endpoint of our own: no call is cut before the time-out"""
    quiet: float = 120.0
    """seconds without any good answer after which the run is stopped"""
    say: Callable[[str], None] = lambda _: None
    """tells the person who watches that the endpoint is waited for"""
    refused: set[str] = field(default_factory=set)
    """parameters that the endpoint does not take; learnt from its refusals"""
    stopped: PipelineError | None = None
    """why nothing is sent any more"""
    slots: Slots = field(init=False)
    _url: str = field(init=False)
    _patience: Patience = field(init=False)
    _session: aiohttp.ClientSession = field(init=False)
    _halted: asyncio.Event = field(init=False)
    _flying: dict[str, asyncio.Future[Entry]] = field(default_factory=dict)
    _open: dict[asyncio.Timeout, tuple[float, int]] = field(default_factory=dict)
    _last_good: float = 0.0
    _asked_to_wait: float = 0.0
    _failed: int = 0
    _refusals: int = 0

    async def __aenter__(self) -> Self:
        import aiohttp

        self._url = address(self.base_url)
        host = urlsplit(self._url).hostname
        self.slots = Slots(Limit(self.concurrency), time.monotonic)
        self._patience = Patience(self.timeout, self.steady)
        self._halted = asyncio.Event()
        self._last_good = time.monotonic()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), headers=_headers(self.api_key), raise_for_status=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS), trust_env=host not in _LOOPBACK,
        )  # fmt: skip
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._session.close()

    @property
    def spent(self) -> Spent:
        """What went through this client so far."""
        return self.budget.spent

    def halt(self, why: PipelineError) -> None:
        """Send nothing any more; calls in flight come to their end and are kept."""
        self.stopped = self.stopped or why
        self._halted.set()
        self.slots.close()

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Return the model's reply, from the ledger if it is there.

        Raises NotAsked if the run has been stopped, RequestRefused where this request can't be answered,
        EndpointError where all attempts at it failed; each with the number of attempts.
        """
        canonical = request.canonical()
        key = key_of(canonical)
        stored = self.ledger.get(key)
        if stored is not None:
            self.spent.from_ledger += 1
            return reply_of(stored, from_ledger=True)
        if key in self._flying:  # an equal request is on its way: paid once
            return reply_of(await asyncio.shield(self._flying[key]), from_ledger=True)
        return reply_of(await self._flown(request, key, canonical), from_ledger=False)

    async def _flown(self, request: ChatRequest, key: str, canonical: str) -> Entry:
        landing: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()
        self._flying[key] = landing
        try:
            entry = await self._paid(request)
            self.ledger.put(key, LEDGER_KIND, canonical, entry)
            self.budget.paid(entry.tokens_in, entry.tokens_out)
            landing.set_result(entry)
        except PipelineError as error:
            landing.set_exception(error)
            landing.exception()  # nobody else need wait for it
            raise
        finally:
            landing.cancel()
            del self._flying[key]
        return entry

    async def _paid(self, request: ChatRequest) -> Entry:
        """Send a request until it is answered, refused or given up."""
        import tenacity

        tries = Tries()
        again = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Passing), stop=tries.over, wait=tries.wait, sleep=self._rest, reraise=True
        )
        try:
            return await again(self._once, request, tries)
        except EndpointError as error:
            error.attempts = tries.sent
            if isinstance(error, Passing) and not self.slots.open:  # what fails before anything has succeeded fails for all
                self.halt(EndpointRefused(error.what, error.value, error.do))
            raise

    async def _rest(self, seconds: float) -> None:
        """Wait before the next attempt; no longer than the run goes on."""
        if seconds > _LONGEST_WAIT:
            self.halt(EndpointError("the endpoint asks to wait very long", f"{self._url}: {seconds:,.0f} s", "run the same command again then"))
        try:
            async with asyncio.timeout(seconds):
                await self._halted.wait()
        except TimeoutError:
            pass

    async def _once(self, request: ChatRequest, tries: Tries) -> Entry:
        """Make one attempt, in a place among the calls in flight.

        Raises Passing where another may succeed, EndpointError where none would.
        """
        await self.slots.take(first=tries.sent > 0)
        window, began, sent, good = self.slots.limit.window, time.monotonic(), False, False
        try:
            self._may_send(request, tries)
            tries.sent, sent = tries.sent + 1, True
            body = request.body(self.refused)
            answer = await self._exchanged(body, tries.kinds[HANG])
            good = answer.status < 500 and answer.status not in BUSY_STATUS  # noqa: PLR2004
            return self._judged(answer, body, request, tries)
        except Passing as passing:
            self._note_failure(passing, tries)
            raise
        except RequestRefused as error:
            self._note_refusal(error)
            raise
        except EndpointRefused as error:
            self.halt(error)
            raise
        finally:
            if sent:
                self._note_end(window, time.monotonic() - began, good=good)
            self.slots.give()

    def _note_end(self, window: int, seconds: float, *, good: bool) -> None:
        pause = self.slots.limit.came(window, time.monotonic(), good=good, seconds=seconds, starved=self.slots.starved)
        self._pause(pause)

    def _pause(self, seconds: float) -> None:
        """Send nothing for a while, and say so if it is a long one."""
        if seconds > 0 and self.slots.pause(min(seconds, _LONGEST_WAIT)) and seconds >= _SAID_FROM:
            self.say(f"the endpoint is busy or asks for patience: nothing is sent for {seconds:,.0f} s")

    def _may_send(self, request: ChatRequest, tries: Tries) -> None:
        if self.stopped is None:
            size = sum(len(text) for _, text in request.messages) + len(request.schema or "")
            cap = self.budget.refuses(self.slots.in_flight - 1, size / 4, request.max_tokens / 2)
            if cap:
                self.halt(cap)
        if self.stopped is not None:
            raise NotAsked(self.stopped.what, tries.last or self.stopped.value, self.stopped.do)

    async def _exchanged(self, body: dict[str, Any], cuts: int) -> Answer:
        """Send one request and read the whole answer, within the patience there is.

        Raises Passing if that fails, EndpointRefused if nobody can be reached and nobody has been.
        """
        import aiohttp

        data = wire(body)
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._patience.after(cuts)) as limit:
                self._open[limit] = (asyncio.get_running_loop().time(), cuts)
                try:
                    async with self._session.post(f"{self._url}/chat/completions", data=data, allow_redirects=False) as response:
                        raw = await response.read()
                finally:
                    del self._open[limit]
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise self._unreachable(error) from error
        except TimeoutError as error:
            waited = f"{self._url}: {time.monotonic() - started:.0f} s"
            raise Passing(HANG, "the endpoint did not answer in time", waited, "run the same command again, or raise --timeout") from error
        except (aiohttp.ClientError, OSError) as error:
            value = f"{self._url}: {self._safe(repr(error))}"
            raise Passing(FAULT, "the endpoint broke the connection off", value, "run the same command again") from error
        return Answer(response.status, response.headers, raw.decode("utf-8", "replace"), time.monotonic() - started)

    def _unreachable(self, error: Exception) -> EndpointError:
        said = ("the endpoint cannot be reached", f"{self._url}: {self._safe(str(error))}", "check --base-url and the network")
        return Passing(FAULT, *said) if self.slots.open else EndpointRefused(*said)

    def _judged(self, answer: Answer, body: dict[str, Any], request: ChatRequest, tries: Tries) -> Entry:
        """Return a good answer as the ledger keeps it.

        Raises Passing, RequestRefused or EndpointRefused otherwise.
        """
        self._heed_quota(answer.headers, request)
        said = self._safe(answer.body)
        if answer.status == 200:  # noqa: PLR2004
            fault, usage = fault_of(answer.body)
            if fault:
                value = f"{self._url}: {fault}: {said[:120]!r}"
                raise Passing(GARBLED, "the endpoint's answer is no chat completion", value, "check --base-url (it usually ends in /v1)")
            self._note_success(answer.seconds)
            return entry_of(answer.body, usage, tries.sent, answer.status)
        if answer.status == 400:  # noqa: PLR2004
            self._learn(said, body)
        fault_found = fault_for(answer.status, answer.headers, said, answer.body, Where(self._url, request.model))
        if isinstance(fault_found, EndpointRefused) and self.slots.open and answer.status in (403, 404):
            raise RequestRefused(fault_found.what, fault_found.value, fault_found.do)  # others were answered: it is about this one
        raise fault_found

    def _heed_quota(self, headers: Mapping[str, str], request: ChatRequest) -> None:
        if "x-ratelimit-remaining-requests" in headers or "x-ratelimit-remaining-tokens" in headers:
            tokens = self.spent.tokens / self.spent.calls if self.spent.calls else float(request.max_tokens)
            pause, spacing = quota_of(headers, tokens, self.slots.limit.value)
            self.slots.space(spacing)
            self._pause(pause)

    def _learn(self, said: str, sent: dict[str, Any]) -> None:
        """Find out from a refusal that a parameter is not taken; the request is sent anew without it.

        An old or small server, or a new model with other names.
        """
        refused = next((name for name in DISPENSABLE if name in sent and name in said), None)
        if refused:
            self.refused.add(refused)
            raise Passing(ANEW, "the endpoint refuses a parameter", f"{self._url}: {said}", "see what it says")

    def _note_success(self, seconds: float) -> None:
        self._last_good, self._asked_to_wait, self._failed, self._refusals = time.monotonic(), 0.0, 0, 0
        if not self.slots.open:
            self.slots.opened()
        if self._patience.saw(seconds):
            for limit, (began, cuts) in self._open.items():
                if not limit.expired():
                    limit.reschedule(began + self._patience.after(cuts))

    def _note_failure(self, passing: Passing, tries: Tries) -> None:
        """Count a failed attempt; stop the run if nothing but these has come for too long."""
        tries.kinds[passing.kind] += 1
        tries.last = passing
        if passing.kind == ANEW:
            return
        self._failed += 1
        after = min(passing.after or 0.0, _LONGEST_WAIT)
        self._asked_to_wait = max(self._asked_to_wait, after)
        if passing.kind == BUSY and after >= _WAIT_FOR_ALL:
            self._pause(after)
        silence = time.monotonic() - self._last_good
        if self._failed >= _FAILURES_TO_STOP and silence > self.quiet + self._asked_to_wait:
            do = "run the same command again later: only what is missing is asked for"
            self.halt(EndpointError(f"the endpoint has given no good answer for {silence:.0f} s", passing.value, do))

    def _note_refusal(self, error: RequestRefused) -> None:
        self._refusals += 1
        if self._refusals >= _REFUSALS_TO_STOP:
            self.halt(EndpointRefused(f"the endpoint refuses every request ({self._refusals} in a row)", error.value, error.do))

    def _safe(self, text: str) -> str:
        """Some endpoints repeat the key in their errors: it goes no further."""
        return " ".join((text[:20_000].replace(self.api_key, "[key]") if self.api_key else text[:20_000]).split())[:300]


def _headers(api_key: str) -> dict[str, str]:
    named = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
    more = {header: os.environ.get(variable, "") for header, variable in named.items()}
    return {
        "Authorization": f"Bearer {api_key}", "Content-Type": "application/json", "User-Agent": f"{USER_AGENT_NAME}/{__version__}",
        **{header: value for header, value in more.items() if value and value.isascii() and value.isprintable()},
    }  # fmt: skip


def key_from_environment() -> str:
    """Return OPENAI_API_KEY; endpoints that need no key get a word that says so.

    Raises InputError, without showing the key, if it can't be sent in a header.
    """
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not (key.isascii() and (key.isprintable() or not key)):
        raise InputError("the key cannot be sent", "OPENAI_API_KEY has characters that no key has", "copy it again, without line breaks")
    return key or "no-key-needed"


def address(base_url: str | None) -> str:
    """Return the endpoint's address: the one given, or that of the environment, or OpenAI's.

    Raises EndpointRefused if it is no address.
    """
    url = (base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI).rstrip("/")
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise EndpointRefused("the endpoint's address is no URL", url, "write --base-url like http://127.0.0.1:8000/v1")
    return url
