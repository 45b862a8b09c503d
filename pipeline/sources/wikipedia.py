"""Pages of a MediaWiki, crawled breadth-first over the links that a topic admits.

Two kinds of requests: a batch of up to 50 titles tells which are redirects, missing, disambiguation
pages, and each one's revision; then one `action=parse` a page gives all of it. The client is
wikipedia-api's (its User-Agent, retries and transport); what it lets through is checked here: errors
inside a 200, answers that are no JSON, pages that are not what was asked for.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import tenacity
import wikipediaapi
from aiolimiter import AsyncLimiter

from pipeline.errors import SourceError
from pipeline.records import Page, derived_page_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from pipeline.settings import Topic

BATCH = 50  # titles a query, the API's limit for clients without special rights
AT_ONCE = 3  # Wikimedia's rule for clients like this one
MAX_LAG = 5  # seconds, as Wikimedia asks of non-interactive clients
_TRANSIENT = {"maxlag", "ratelimited", "readonly", "internal_api_error_DBQueryError"}
_ATTEMPTS = 5
_LONGEST_WAIT = 60.0


class _Busy(Exception):
    """The wiki asks for patience, or sent half an answer."""


@dataclass(frozen=True, slots=True)
class WikiInfo:
    """What a wiki says of itself: its name and the licence of its text."""

    name: str
    licence: str
    licence_url: str


@dataclass(frozen=True, slots=True)
class Visit:
    """A page as the crawl met it; `html` is empty unless the page is kept."""

    page: Page
    html: str


class Wiki:
    """A MediaWiki's API, asked politely."""

    def __init__(
        self, user_agent: str, language: str, api_url: str | None, rate: float | None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """Prepare a client; no request is sent.

        `rate` is requests a minute (None: no limit); `transport` stands in for the network.
        """
        options: dict[str, Any] = {"timeout": 60.0, "extra_api_params": {"maxlag": MAX_LAG}}
        if transport is not None:
            options["transport"] = transport
        self._client = _Client(api_url, user_agent, language=language, max_retries=4, retry_wait=1.0, **options)
        self._language = language
        # a bucket of three seconds' worth: short bursts, and never more than the rate over a minute
        self._limit = AsyncLimiter(max(1.0, rate / 20), max(3.0, 60 / rate)) if rate else None
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.requests = 0

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def info(self) -> WikiInfo:
        """Ask for the wiki's name and licence (`siprop=rightsinfo`)."""
        answer = await self._ask({"action": "query", "meta": "siteinfo", "siprop": "general|rightsinfo"})
        query = _object(answer.get("query"))
        general, rights = _object(query.get("general")), _object(query.get("rightsinfo"))
        return WikiInfo(str(general.get("sitename", "")), str(rights.get("text", "")), str(rights.get("url", "")))

    async def describe(self, titles: Sequence[str]) -> dict[str, Any]:
        """Ask about up to 50 titles: redirects, missing pages, page properties, revisions."""
        params = {
            "action": "query", "titles": "|".join(titles), "prop": "info|revisions|pageprops", "inprop": "url", "rvprop": "ids|timestamp",
            "redirects": "1",
        }  # fmt: skip
        return _object((await self._ask(params)).get("query"))

    async def parse(self, title: str) -> dict[str, Any]:
        """Ask for a page: HTML, links, revision."""
        answer = await self._ask({"action": "parse", "page": title, "prop": "text|links|revid|displaytitle"})
        parse = answer.get("parse")
        if not isinstance(parse, dict) or not isinstance(parse.get("text"), str):
            raise SourceError("the wiki sent no page", title, "try again; if it stays so, leave the page out with title_excludes")
        return parse

    async def _ask(self, params: dict[str, Any]) -> dict[str, Any]:
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS), retry=tenacity.retry_if_exception_type(_Busy), reraise=True,
            wait=tenacity.wait_exponential_jitter(1.0, _LONGEST_WAIT),
        )  # fmt: skip
        try:
            return await retrying(self._ask_once, {**params, "format": "json", "formatversion": "2", "maxlag": str(MAX_LAG)})
        except _Busy as error:
            raise SourceError("the wiki is busy", str(error), "run the same command again later: what was fetched is kept") from error
        except (wikipediaapi.WikipediaException, httpx.HTTPError) as error:
            what = f"{type(error).__name__}: {error}"[:300]
            raise SourceError("the wiki does not answer", what, "check the network and --api-url, then run it again") from error

    async def _ask_once(self, params: dict[str, Any]) -> dict[str, Any]:
        async with self._slots:
            if self._limit:
                await self._limit.acquire()
            self.requests += 1
            try:
                answer: object = await self._client.get(self._language, params)
            except wikipediaapi.WikiInvalidJsonError as error:  # a proxy's page, or a body cut off
                raise _Busy("the answer is no JSON") from error
        if not isinstance(answer, dict):
            raise _Busy("the answer is no object")
        fault = answer.get("error")
        if isinstance(fault, dict):
            code, said = str(fault.get("code", "")), str(fault.get("info", ""))
            if code in _TRANSIENT:
                raise _Busy(f"{code}: {said}")
            raise SourceError("the wiki refuses", f"{code}: {said}"[:300], "check the title and --api-url")
        return answer


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


class _Client(wikipediaapi.AsyncWikipedia):  # type: ignore[misc]  # no type information
    """wikipedia-api's client for any MediaWiki's API address."""

    def __init__(self, api_url: str | None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if api_url:
            self._build_url = lambda _language: api_url

    async def get(self, language: str, params: dict[str, Any]) -> Any:
        return await self._get(language, params)

    async def close(self) -> None:
        await self._client.aclose()


def admits(topic: Topic, title: str) -> bool:
    """Tell whether a title passes the topic's filters."""
    folded = title.casefold()
    return all(part.casefold() in folded for part in topic.title_contains) and not any(re.search(pattern, title) for pattern in topic.title_excludes)


async def crawl(wiki: Wiki, topic: Topic, max_pages: int | None, met: Callable[[int], None] = lambda _n: None) -> AsyncIterator[Visit]:
    """Yield every page met, breadth-first from the topic's seeds, in an order that depends on the wiki alone.

    `met` is told how many pages are known so far, each time more are found.

    Raises SourceError if the wiki does not answer.
    """
    info = await wiki.info()
    frontier = list(dict.fromkeys(topic.seeds))
    seen, kept = set(frontier), 0
    met(len(seen))
    done: set[str] = set()
    while frontier:
        found: list[str] = []
        for start in range(0, len(frontier), BATCH):
            described = await wiki.describe(frontier[start : start + BATCH])
            visits = _triage(described, topic, info, done)
            for visit in visits:
                done.add(visit.page.title)
            wanted = [visit.page for visit in visits if visit.page.status == "kept"]
            wanted = wanted if max_pages is None else wanted[: max_pages - kept]
            kept += len(wanted)
            for visit in visits:
                if visit.page.status != "kept":
                    yield visit
            async for page, parsed in _fetch(wiki, wanted):
                found += _links(parsed)
                yield Visit(page, parsed["text"])
            if max_pages is not None and kept >= max_pages:
                return
        frontier = [title for title in dict.fromkeys(found) if title not in seen and admits(topic, title)]
        seen.update(frontier)
        met(len(seen))


async def _fetch(wiki: Wiki, pages: Iterable[Page]) -> AsyncIterator[tuple[Page, dict[str, Any]]]:
    """Fetch pages, a few at once, and yield them in the order given."""
    pages = list(pages)
    tasks = [asyncio.create_task(wiki.parse(page.title)) for page in pages]
    try:
        for page, task in zip(pages, tasks, strict=True):
            parsed = await task
            yield _with_revision(page, parsed), parsed
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _with_revision(page: Page, parsed: dict[str, Any]) -> Page:
    """The page may have been edited between the two requests: the text's own revision counts."""
    revision = parsed.get("revid")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    same = revision == page.revision_id or not isinstance(revision, int)
    return Page(
        page.page_id, page.title, page.url, page.revision_id if same else revision, page.revision_timestamp if same else "",
        str(parsed.get("retrieved_at") or now), page.licence, 0, "kept", "",
    )  # fmt: skip


def _links(parsed: dict[str, Any]) -> list[str]:
    """Return the article titles that a page links to, sorted (the API's order is its database's)."""
    links = [link for link in parsed.get("links", []) if isinstance(link, dict)]
    return sorted({str(link.get("title", "")) for link in links if link.get("ns") == 0 and link.get("exists")})


def _triage(query: dict[str, Any], topic: Topic, info: WikiInfo, done: set[str]) -> list[Visit]:
    """Sort a batch's titles into pages to fetch and pages that are something else."""
    visits = [_visit({"title": o.get("title")}, "missing", "lies on another wiki", info) for o in _objects(query.get("interwiki"))]
    targets = set()
    for redirect in _objects(query.get("redirects")):
        targets.add(redirect.get("to"))
        source, target = str(redirect.get("from", "")), str(redirect.get("to", ""))
        if source not in done:
            visits.append(_visit({"title": source}, "redirect", f"to {target}", info))
    for page in _objects(query.get("pages")):
        title = str(page.get("title", ""))
        if title in done:
            continue
        if page.get("missing") or page.get("invalid"):
            visits.append(_visit(page, "missing", str(page.get("invalidreason", "no such page")), info))
        elif "disambiguation" in _object(page.get("pageprops")):
            visits.append(_visit(page, "disambiguation", "lists pages of like names", info))
        elif not admits(topic, title):
            visits.append(
                _visit(
                    page,
                    "filtered",
                    "a redirect led here; the topic does not admit the title" if title in targets else "the topic does not admit the title",
                    info,
                )
            )
        else:
            visits.append(_visit(page, "kept", "", info))
    return sorted({visit.page.title: visit for visit in visits}.values(), key=lambda visit: visit.page.title)


def _visit(page: dict[str, Any], status: str, reason: str, info: WikiInfo) -> Visit:
    title = str(page.get("title", ""))
    revision: dict[str, Any] = next(iter(_objects(page.get("revisions"))), {})
    licence = " ".join(part for part in (info.licence, info.licence_url) if part)
    return Visit(
        Page(
            int(page.get("pageid") or derived_page_id(title)), title, str(page.get("canonicalurl", "")), revision.get("revid"),
            str(revision.get("timestamp", "")), "", licence, 0, status, reason,
        ),
        "",
    )  # fmt: skip
