"""A MediaWiki's API, asked politely, its answers checked.

The client is wikipedia-api's: its User-Agent, transport, category members. Whatever it asks goes through
`_Client._get`, where the manners are (a few requests at once, a rate, `maxlag`, Retry-After, patience) and
where what the library lets through is caught: errors inside a 200, answers that are no JSON or cut off.
Two kinds of requests make a crawl: a batch of titles tells which are redirects, missing or
disambiguation pages, and each page's revision; one `action=parse` a revision gives all of it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlsplit

import httpx
import tenacity
import wikipediaapi
from aiolimiter import AsyncLimiter

from pipeline.errors import InputError, PageRefused, SourceError, SourceStopped
from pipeline.sources.answers import line, read_described, read_info, read_parsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.sources.answers import Described, Parsed, WikiInfo

BATCH = 50  # titles a query, the API's limit for clients without special rights
AT_ONCE = 3  # Wikimedia's rule for clients like this one
WIKIMEDIA_RATE = 200.0  # requests a minute, likewise
MAX_LAG = 5  # seconds, as Wikimedia asks of non-interactive clients
LONGEST_TITLE = 255  # bytes in UTF-8
_LONGEST_QUERY = 6000  # characters of encoded titles: servers refuse addresses above 8 KB
_TRANSIENT = frozenset({"maxlag", "ratelimited", "readonly", "internal_api_error_DBQueryError", "internal_api_error_DBConnectionError"})
_OF_THE_PAGE = frozenset({"missingtitle", "nosuchrevid", "nosuchpageid", "permissiondenied", "pagecannotexist", "invalidtitle"})
_ATTEMPTS, _PATIENT_ATTEMPTS = 9, 30  # at one request: after faults, and where the wiki itself asks to wait
_LONGEST_BACKOFF = 60.0
_FOREIGN_ATTEMPTS = 3  # where what answers is no wiki: a proxy's page may go away in a second, a wrong address does not
_SHOWN = 80  # characters of such an answer
_LONGEST_WAIT = 600.0  # seconds that a Retry-After may ask for; beyond, stopping and saying so is kinder
_TIMEOUT, _LONGEST_ANSWER = 60.0, 300.0  # seconds of silence, and of a whole answer
_LARGEST_ANSWER = 64 * 2**20  # bytes, unpacked; MediaWiki's own limit is 2 MB of wikitext a page
_BURST = 3  # requests that may go out at once although the rate is spread over the minute
_MOST_CONTINUED = 2000  # answers of 500 members each that a list may come in


class _Busy(Exception):
    """The wiki asks for patience, or sent half an answer; `wait` is what its Retry-After says, in seconds."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.wait = wait


class _Foreign(_Busy):
    """Nothing has been a wiki's answer yet, and this one is none either."""


class Wiki:
    """A MediaWiki's API."""

    def __init__(
        self, user_agent: str, language: str, api_url: str | None, rate: float | None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """Prepare a client; no request is sent.

        `rate` is requests a minute (None: 200, or no limit for a wiki on this machine); `transport` stands in for the network.

        Raises InputError if `api_url` is no URL.
        """
        self.api_url = api_url or f"https://{language}.wikipedia.org/w/api.php"
        host = _host(self.api_url)
        if rate is None and transport is None and not _is_loopback(host):
            rate = WIKIMEDIA_RATE
        self.rate = rate
        self._client = _Client(self.api_url, rate, user_agent, language, transport)

    @property
    def requests(self) -> int:
        """How many requests have been sent, repeated ones included."""
        return self._client.requests

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def info(self) -> WikiInfo:
        """Ask for the wiki's name and licence (`siprop=rightsinfo`)."""
        return read_info(await self._client.ask({"action": "query", "meta": "siteinfo", "siprop": "general|rightsinfo"}))

    async def describe(self, titles: Sequence[str]) -> dict[str, Described]:
        """Ask about up to 50 titles: redirects, missing pages, disambiguation pages, addresses, revisions.

        Raises SourceError if the wiki does not answer, or leaves a title out.
        """
        params = {
            "action": "query", "titles": "|".join(titles), "prop": "info|revisions|pageprops", "inprop": "url", "rvprop": "ids|timestamp",
            "ppprop": "disambiguation", "redirects": "1",
        }  # fmt: skip
        return read_described(await self._client.ask(params), list(titles))

    async def parse(self, revision_id: int) -> Parsed:
        """Ask for a revision of a page: HTML and links.

        Raises PageRefused if this very page can't be had (it was deleted meanwhile), SourceError if the wiki does not answer.
        """
        wanted = {"prop": "text|links|revid", "disableeditsection": "1", "disablelimitreport": "1", "disabletoc": "1"}
        return read_parsed(await self._client.ask({"action": "parse", "oldid": str(revision_id), **wanted}), revision_id)

    async def members(self, category: str) -> tuple[list[str], list[str]]:
        """Return the articles and the subcategories of a category, sorted. Without a namespace, `Category:` is meant: all wikis know it.

        Raises SourceError, naming the category, if the wiki knows no such title or does not answer.
        """
        page = self._client.page(category if ":" in category else f"Category:{category}", ns=wikipediaapi.Namespace.CATEGORY)
        try:
            found = await page.categorymembers
            members = sorted((line(title), member.ns) for title, member in found.items())
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # what the library does with an answer of another shape
            raise SourceError("the wiki's answer has an unknown shape", f"{category}: {error}", "check --api-url") from error
        except SourceError as error:
            raise type(error)(error.what, f"{category}: {error.value}", "check the topic's categories, then run it again") from error
        namespaces = (wikipediaapi.Namespace.MAIN, wikipediaapi.Namespace.CATEGORY)
        articles, subcategories = ([title for title, ns in members if ns == wanted] for wanted in namespaces)
        return articles, subcategories


def batches(titles: Sequence[str]) -> Iterator[list[str]]:
    """Cut titles into batches that one query can ask about: by number, and by the length of the address."""
    batch: list[str] = []
    size = 0
    for title in titles:
        more = len(quote_plus(title)) + 3
        if batch and (len(batch) == BATCH or size + more > _LONGEST_QUERY):
            yield batch
            batch, size = [], 0
        batch.append(title)
        size += more
    if batch:
        yield batch


def title_fault(title: str) -> str:
    """Return why a title can't be asked about, or nothing. What else is wrong with one, the wiki says itself."""
    if not title.strip(" _:"):
        return "the title is empty"
    if "|" in title or line(title) != title:
        return "the title has a character that no title has"
    if len(title.encode("utf-8")) > LONGEST_TITLE:
        return f"the title is longer than {LONGEST_TITLE} bytes"
    return ""


def tidy_title(title: str) -> str:
    """Return a title as MediaWiki would write it: NFC, blanks for underscores, without the section behind `#`."""
    return " ".join(unicodedata.normalize("NFC", title.partition("#")[0]).replace("_", " ").split())


class _Client(wikipediaapi.AsyncWikipedia):  # type: ignore[misc]  # no type information
    """wikipedia-api's client for any MediaWiki's API address, with manners and checks."""

    def __init__(self, api_url: str, rate: float | None, user_agent: str, language: str, transport: httpx.AsyncBaseTransport | None) -> None:
        options: dict[str, Any] = {"timeout": _TIMEOUT, "event_hooks": {"response": [_heed]}}
        if transport is not None:
            options["transport"] = transport
        super().__init__(user_agent, language=language, max_retries=0, **options)
        self._build_url = lambda _language: api_url
        self._api_url = api_url
        self._limit = _limiter(rate) if rate else None
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._resume_at = 0.0  # by the loop's clock: before, the wiki asked for silence
        self._answered = False
        self._continued: set[tuple[str, str]] = set()
        self.requests = 0

    async def ask(self, params: dict[str, str]) -> dict[str, Any]:
        """Ask in the API's current format; return the checked answer."""
        return await self._get(self.language, {**params, "format": "json", "formatversion": "2"})

    async def close(self) -> None:
        await self._client.aclose()

    async def _get(self, language: str, params: dict[str, Any]) -> dict[str, Any]:
        """Ask until the answer comes. Every request of the library passes here.

        Raises SourceError where no patience helps.
        """
        self._note_continuation(params)
        retrying = tenacity.AsyncRetrying(stop=_is_enough, retry=tenacity.retry_if_exception_type(_Busy), reraise=True, wait=_wait)
        try:
            return await retrying(self._once, language, {**params, "maxlag": str(MAX_LAG)})
        except _Foreign as error:
            do = "check --api-url: it ends in /api.php; and whether this network asks to log in first"
            raise SourceError("what answers is no wiki's API", f"{self._api_url}: {error}", do) from error
        except _Busy as error:
            raise SourceError("the wiki is busy", str(error), "run the same command again later: what was fetched is kept") from error

    async def _once(self, language: str, params: dict[str, Any]) -> dict[str, Any]:
        async with self._slots:
            await self._turn()
            self.requests += 1
            try:
                checked = _checked(await super()._get(language, params))
            except _Busy as error:
                self._obey(error)
                raise
            except wikipediaapi.WikipediaException as error:
                raise self._translated(error) from error
        self._answered = True
        return checked

    async def _do_get(self, url: str, params: dict[str, Any]) -> Any:
        """Make one request, in place of the library's own, which would take an answer of any size and wait for it as long as it drips."""
        body = bytearray()
        try:
            async with asyncio.timeout(_LONGEST_ANSWER), self._client.stream("GET", url, params=params) as response:
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _LARGEST_ANSWER:
                        what = f"more than {_LARGEST_ANSWER // 2**20} MB"
                        raise SourceError("the wiki's answer is too large", what, "leave the page out with title_excludes")
            if not self._answered and response.is_success:
                _check_native(response, bytes(body))
            return self._process_response(httpx.Response(response.status_code, headers=_plain(response.headers), content=bytes(body)), url)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise wikipediaapi.WikiConnectionError(url) from error
        except (httpx.RequestError, TimeoutError, RecursionError) as error:  # cut off, too slow, or deeper than any answer is
            raise _Busy(_cause(error)) from error

    async def _turn(self) -> None:
        """Wait for this request's turn: by the rate, and until the silence that the wiki asked for is over."""
        clock = asyncio.get_running_loop()
        if self._limit:
            await self._limit.acquire()
        while (left := self._resume_at - clock.time()) > 0:  # noqa: ASYNC110 (the end may have moved meanwhile)
            await asyncio.sleep(left)

    def _note_continuation(self, params: dict[str, Any]) -> None:
        """Raise SourceError where a list of members goes on for ever."""
        if "cmcontinue" in params:
            mark = (str(params.get("cmtitle")), str(params["cmcontinue"]))
            if mark in self._continued or len(self._continued) >= _MOST_CONTINUED:
                raise SourceError("the wiki's list of members does not end", mark[0], "name smaller categories")
            self._continued.add(mark)

    def _obey(self, error: _Busy) -> None:
        """Let all requests pause for as long as the wiki asks."""
        if error.wait is None:
            return
        if error.wait > _LONGEST_WAIT:
            what = f"{error}; it asks to wait {error.wait:.0f} seconds"
            raise SourceStopped("the wiki is busy", what, "run the same command again after that: what was fetched is kept") from error
        self._resume_at = max(self._resume_at, asyncio.get_running_loop().time() + error.wait)

    def _translated(self, error: wikipediaapi.WikipediaException) -> Exception:
        """Return what one of the library's exceptions means: patience, or a sentence."""
        status = getattr(error, "status_code", None)
        value = f"{self._api_url}: {f'HTTP {status}' if status else _cause(error)}"
        if isinstance(error, wikipediaapi.WikiInvalidJsonError):  # a proxy's page, or a body cut off
            return _Busy("the answer is no JSON")
        if isinstance(error, wikipediaapi.WikiRateLimitError) or (status and status >= httpx.codes.INTERNAL_SERVER_ERROR):
            return _Busy(f"HTTP {status or httpx.codes.TOO_MANY_REQUESTS}")
        if status is None and not self._answered:
            return SourceError("the wiki cannot be reached", value, "check the network and --api-url")
        if status is None:  # it was there a moment ago
            return _Busy(_cause(error))
        if status == httpx.codes.FORBIDDEN:
            return SourceError("the wiki refuses this client", value, "give a --contact that its operators can use")
        return SourceError("the wiki does not answer", value, "check --api-url: it ends in /api.php")


def _limiter(rate: float) -> AsyncLimiter:
    """Return a limiter that lets at most `rate` requests out in any minute: a few at once, the rest evenly spread."""
    burst = _BURST if rate > 10 * _BURST else 1
    return AsyncLimiter(burst, burst * 60 / max(rate - burst, rate / 2))


def _check_native(response: httpx.Response, body: bytes) -> None:
    """Raise _Foreign where a whole answer can't be a wiki's: those are JSON objects; one that is empty or cut off may have been one."""
    begins = body[:400].decode("utf-8-sig", "replace").strip()
    if begins and not begins.startswith("{"):
        kind = response.headers.get("content-type", "no content type")
        raise _Foreign(line(f"HTTP {response.status_code}, {kind}, begins {begins[:_SHOWN]!r}"))


def _plain(headers: httpx.Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer that has been unpacked, without the Retry-After that `_heed` has read better than the library would."""
    gone = (b"content-encoding", b"content-length", b"transfer-encoding", b"retry-after")
    return [(name, value) for name, value in headers.raw if name.lower() not in gone]


async def _heed(response: httpx.Response) -> None:
    """Raise _Busy where the wiki says how long to wait; wikipedia-api reads that header on some answers only."""
    code = response.headers.get("mediawiki-api-error", "")
    wait = _retry_after(response.headers.get("retry-after", ""))
    overloaded = response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR
    if wait is not None and (overloaded or code in _TRANSIENT):
        raise _Busy(code or f"HTTP {response.status_code}", wait)


def _retry_after(value: str) -> float | None:
    """Return the seconds that a Retry-After header asks for, given in seconds or as a date (RFC 9110, section 10.2.3)."""
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    with suppress(ValueError, OverflowError):
        when = parsedate_to_datetime(value)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0.0, (when - datetime.now(UTC)).total_seconds())
    return None


_backoff = tenacity.wait_exponential_jitter(initial=0.5, max=_LONGEST_BACKOFF)


def _is_enough(state: tenacity.RetryCallState) -> bool:
    """Tell whether a request is given up; a wiki that says when to come again is asked more often."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _Foreign):
        return state.attempt_number >= _FOREIGN_ATTEMPTS
    return state.attempt_number >= (_PATIENT_ATTEMPTS if isinstance(error, _Busy) and error.wait else _ATTEMPTS)


def _wait(state: tenacity.RetryCallState) -> float:
    """Return 0 where the whole client pauses for the wiki's sake, else a time that doubles."""
    error = state.outcome.exception() if state.outcome else None
    return 0.0 if isinstance(error, _Busy) and error.wait else _backoff(state)


def _checked(answer: object) -> dict[str, Any]:
    """Return an answer that is one; the API says its errors inside a 200."""
    if not isinstance(answer, dict):
        raise _Busy("the answer is no object")
    fault = answer.get("error")
    if not isinstance(fault, dict):
        return answer
    code, said = line(str(fault.get("code", ""))), line(str(fault.get("info", "")))
    if code in _TRANSIENT:
        raise _Busy(f"{code}: {said}"[:300])
    if code in _OF_THE_PAGE:
        raise PageRefused("the wiki refuses the page", f"{code}: {said}"[:300], "run the same command again")
    raise SourceError("the wiki refuses", f"{code}: {said}"[:300], "check the topic's titles and --api-url")


def _cause(error: BaseException) -> str:
    cause = error.__cause__ or error
    return line(f"{type(cause).__name__}: {cause}"[:200])


def _host(api_url: str) -> str:
    try:
        parts = urlsplit(api_url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if good and (parts.username or parts.password):
        raise InputError("the wiki's address holds a password", f"--api-url of {parts.hostname}", "leave it out: it would be written into files")
    if not good:
        raise InputError("the wiki's address is no URL", api_url, "write --api-url like https://en.wikipedia.org/w/api.php")
    return str(parts.hostname)


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
