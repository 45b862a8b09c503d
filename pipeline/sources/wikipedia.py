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
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlsplit

import httpx
import tenacity
import wikipediaapi
from aiolimiter import AsyncLimiter

from pipeline.errors import InputError, PageRefused, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BATCH = 50  # titles a query, the API's limit for clients without special rights
AT_ONCE = 3  # Wikimedia's rule for clients like this one
WIKIMEDIA_RATE = 200.0  # requests a minute, likewise
MAX_LAG = 5  # seconds, as Wikimedia asks of non-interactive clients
LONGEST_TITLE = 255  # bytes in UTF-8
_LONGEST_QUERY = 6000  # characters of encoded titles: servers refuse addresses above 8 KB
_TRANSIENT = frozenset({"maxlag", "ratelimited", "readonly", "internal_api_error_DBQueryError", "internal_api_error_DBConnectionError"})
_OF_THE_PAGE = frozenset({"missingtitle", "nosuchrevid", "nosuchpageid", "permissiondenied", "pagecannotexist", "invalidtitle"})
_ATTEMPTS = 9
_LONGEST_BACKOFF = 60.0
_LONGEST_WAIT = 600.0  # seconds that a Retry-After may ask for; beyond, stopping and saying so is kinder
_TIMEOUT = 60.0


class _Busy(Exception):
    """The wiki asks for patience, or sent half an answer; `wait` is what its Retry-After says, in seconds."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class WikiInfo:
    """What a wiki says of itself: its name and the licence of its text."""

    name: str
    licence: str
    licence_url: str


@dataclass(frozen=True, slots=True)
class Described:
    """What a wiki says of one title: the redirects it goes through, and the page at their end (None: they go in a circle)."""

    hops: tuple[tuple[str, str], ...]
    page: dict[str, Any] | None


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
        answer = await self._client.ask({"action": "query", "meta": "siteinfo", "siprop": "general|rightsinfo"})
        query = _object(answer.get("query"))
        general, rights = _object(query.get("general")), _object(query.get("rightsinfo"))
        return WikiInfo(str(general.get("sitename", "")), str(rights.get("text", "")), str(rights.get("url", "")))

    async def describe(self, titles: Sequence[str]) -> dict[str, Described]:
        """Ask about up to 50 titles: redirects, missing pages, disambiguation pages, addresses, revisions.

        Raises SourceError if the wiki does not answer, or leaves a title out.
        """
        params = {
            "action": "query", "titles": "|".join(titles), "prop": "info|revisions|pageprops", "inprop": "url", "rvprop": "ids|timestamp",
            "ppprop": "disambiguation", "redirects": "1",
        }  # fmt: skip
        query = _object((await self._client.ask(params)).get("query"))
        return {title: _described(query, title) for title in titles}

    async def parse(self, revision_id: int) -> dict[str, Any]:
        """Ask for a revision of a page: HTML and links.

        Raises PageRefused if this very page can't be had (it was deleted meanwhile), SourceError if the wiki does not answer.
        """
        wanted = {"prop": "text|links|revid", "disableeditsection": "1", "disablelimitreport": "1", "disabletoc": "1"}
        answer = await self._client.ask({"action": "parse", "oldid": str(revision_id), **wanted})
        parse = answer.get("parse")
        if not isinstance(parse, dict) or not isinstance(parse.get("text"), str):
            raise SourceError("the wiki sent no page", f"revision {revision_id}", "try again; if it stays so, leave the page out with title_excludes")
        return parse

    async def members(self, category: str) -> tuple[list[str], list[str]]:
        """Return the articles and the subcategories of a category, sorted. Without a namespace, `Category:` is meant: all wikis know it."""
        page = self._client.page(category if ":" in category else f"Category:{category}", ns=wikipediaapi.Namespace.CATEGORY)
        try:
            found = await page.categorymembers
        except (AttributeError, KeyError, TypeError) as error:  # what the library does with an answer of another shape
            raise SourceError("the wiki's answer has an unknown shape", f"{category}: {error}", "check --api-url") from error
        by_namespace: dict[int, list[str]] = {}
        for title, member in found.items():
            by_namespace.setdefault(member.ns, []).append(title)
        return sorted(by_namespace.get(wikipediaapi.Namespace.MAIN, [])), sorted(by_namespace.get(wikipediaapi.Namespace.CATEGORY, []))


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
    if "|" in title or not title.isprintable():
        return "the title has a character that no title has"
    if len(title.encode("utf-8", "replace")) > LONGEST_TITLE:
        return f"the title is longer than {LONGEST_TITLE} bytes"
    return ""


def tidy_title(title: str) -> str:
    """Return a title as MediaWiki would write it: NFC, blanks for underscores."""
    return " ".join(unicodedata.normalize("NFC", title).replace("_", " ").split())


def _described(query: dict[str, Any], title: str) -> Described:
    renamed = {str(o.get("from")): str(o.get("to")) for key in ("normalized", "converted") for o in _objects(query.get(key))}
    redirects = {str(o.get("from")): str(o.get("to")) for o in _objects(query.get("redirects"))}
    pages = {str(page.get("title")): page for page in _objects(query.get("pages"))}
    elsewhere = {str(o.get("title")): {"title": o.get("title"), "missing": True, "invalidreason": "lies on another wiki"}
                 for o in _objects(query.get("interwiki"))}  # fmt: skip
    hops: list[tuple[str, str]] = []
    at = title
    while at in renamed and at not in redirects and renamed[at] != at:
        at = renamed[at]
    while at in redirects:
        if at in dict(hops):
            return Described(tuple(hops), None)
        hops.append((at, redirects[at]))
        at = redirects[at]
    page = pages.get(at) or elsewhere.get(at)
    if page is None:
        raise SourceError("the wiki's answer leaves a title out", title, "check --api-url, then run it again")
    return Described(tuple(hops), page)


class _Client(wikipediaapi.AsyncWikipedia):  # type: ignore[misc]  # no type information
    """wikipedia-api's client for any MediaWiki's API address, with manners and checks."""

    def __init__(self, api_url: str, rate: float | None, user_agent: str, language: str, transport: httpx.AsyncBaseTransport | None) -> None:
        options: dict[str, Any] = {"timeout": _TIMEOUT, "event_hooks": {"response": [_heed]}}
        if transport is not None:
            options["transport"] = transport
        super().__init__(user_agent, language=language, max_retries=0, **options)
        self._build_url = lambda _language: api_url
        self._api_url = api_url
        # a bucket of three seconds' worth: short bursts, and never more than the rate over a minute
        self._limit = AsyncLimiter(max(1.0, rate / 20), max(3.0, 60 / rate)) if rate else None
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._resume_at = 0.0  # by the loop's clock: before, the wiki asked for silence
        self._answered = False
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
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS), retry=tenacity.retry_if_exception_type(_Busy), reraise=True, wait=_wait
        )
        try:
            return await retrying(self._once, language, {**params, "maxlag": str(MAX_LAG)})
        except _Busy as error:
            raise SourceError("the wiki is busy", str(error), "run the same command again later: what was fetched is kept") from error

    async def _once(self, language: str, params: dict[str, Any]) -> dict[str, Any]:
        async with self._slots:
            await self._silence()
            if self._limit:
                await self._limit.acquire()
            self.requests += 1
            try:
                answer: object = await super()._get(language, params)
                checked = _checked(answer)
            except _Busy as error:
                self._obey(error)
                raise
            except wikipediaapi.WikipediaException as error:
                raise self._translated(error) from error
        self._answered = True
        return checked

    async def _silence(self) -> None:
        clock = asyncio.get_running_loop()
        while (left := self._resume_at - clock.time()) > 0:  # noqa: ASYNC110 (the end may have moved meanwhile)
            await asyncio.sleep(left)

    def _obey(self, error: _Busy) -> None:
        """Let all requests pause for as long as the wiki asks."""
        if error.wait is None:
            return
        if error.wait > _LONGEST_WAIT:
            what = f"{error}; it asks to wait {error.wait:.0f} seconds"
            raise SourceError("the wiki is busy", what, "run the same command again after that: what was fetched is kept") from error
        self._resume_at = max(self._resume_at, asyncio.get_running_loop().time() + error.wait)

    def _translated(self, error: wikipediaapi.WikipediaException) -> Exception:
        """Return what one of the library's exceptions means: patience, or a sentence."""
        status = getattr(error, "status_code", None)
        value = f"{self._api_url}: {f'HTTP {status}' if status else _cause(error)}"
        if isinstance(error, wikipediaapi.WikiInvalidJsonError):  # a proxy's page, or a body cut off
            return _Busy("the answer is no JSON")
        if isinstance(error, wikipediaapi.WikiRateLimitError) or (status and status >= httpx.codes.INTERNAL_SERVER_ERROR):
            return _Busy(f"HTTP {status or httpx.codes.TOO_MANY_REQUESTS}")
        if status is None and not self._answered and isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout):
            return SourceError("the wiki cannot be reached", value, "check the network and --api-url")
        if status is None:
            return _Busy(_cause(error))
        if status == httpx.codes.FORBIDDEN:
            return SourceError("the wiki refuses this client", value, "give a --contact that its operators can use")
        return SourceError("the wiki does not answer", value, "check --api-url: it ends in /api.php")


async def _heed(response: httpx.Response) -> None:
    """Raise _Busy where the wiki says how long to wait; wikipedia-api reads that header on some answers only."""
    code = response.headers.get("mediawiki-api-error", "")
    wait = _retry_after(response.headers.get("retry-after", ""))
    overloaded = response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR
    if wait is not None and (overloaded or code in _TRANSIENT):
        raise _Busy(code or f"HTTP {response.status_code}", wait)


def _retry_after(value: str) -> float | None:
    """Return the seconds that a Retry-After header asks for, given in seconds or as a date (RFC 9110, section 10.2.3)."""
    if value.strip().isdigit():
        return float(value)
    with suppress(ValueError):
        when = parsedate_to_datetime(value)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0.0, (when - datetime.now(UTC)).total_seconds())
    return None


_backoff = tenacity.wait_exponential_jitter(initial=0.5, max=_LONGEST_BACKOFF)


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
    code, said = str(fault.get("code", "")), str(fault.get("info", ""))
    if code in _TRANSIENT:
        raise _Busy(f"{code}: {said}"[:300])
    if code in _OF_THE_PAGE:
        raise PageRefused("the wiki refuses the page", f"{code}: {said}"[:300], "run the same command again")
    raise SourceError("the wiki refuses", f"{code}: {said}"[:300], "check the topic's titles and --api-url")


def _cause(error: BaseException) -> str:
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {cause}"[:200]


def _host(api_url: str) -> str:
    try:
        parts = urlsplit(api_url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise InputError("the wiki's address is no URL", api_url, "write --api-url like https://en.wikipedia.org/w/api.php")
    return str(parts.hostname)


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _object(value: object) -> dict[str, Any]:
    """Return an answer's part that must be an object; what is left out is an empty one.

    Raises SourceError if it is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SourceError("the wiki's answer has an unknown shape", repr(value)[:100], "check --api-url")
    return value


def _objects(value: object) -> list[dict[str, Any]]:
    """Return an answer's part that must be a list of objects."""
    if value is not None and not isinstance(value, list):
        raise SourceError("the wiki's answer has an unknown shape", repr(value)[:100], "check --api-url")
    return [_object(item) for item in value or []]
