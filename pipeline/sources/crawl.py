"""A crawl: breadth-first from a topic's seeds over the links that it admits.

The order in which pages are met depends on the wiki alone, the order in which they arrive on nobody:
each is stored as it comes (`fetched.py`), and what was stored before is not asked for again while the
wiki names the same revision. Killed at any moment and begun again, a crawl ends with the same pages.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.errors import PageRefused, SourceError, SourceStopped
from pipeline.records import Page, derived_page_id
from pipeline.sources.answers import ApiPage
from pipeline.sources.wikipedia import BATCH, Wiki, batches, tidy_title, title_fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

    from pipeline.settings import Topic
    from pipeline.sources.answers import Described, WikiInfo
    from pipeline.sources.fetched import FetchedPages

_FAILED_IN_A_ROW = 3
"""So many pages that could not be had one after the other mean that the wiki, not the page, is in trouble."""


@dataclass(slots=True)
class Progress:
    """What a crawl tells the one who watches: how many titles are known, and each page that is done."""

    known: Callable[[int], None] = lambda _n: None
    done: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Crawl:
    """One crawl. `pages` holds every page met, by title, also after an error."""

    wiki: Wiki
    topic: Topic
    store: FetchedPages
    max_pages: int | None = None
    anew: bool = False
    """whether pages are fetched again that are stored already"""
    progress: Progress = field(default_factory=Progress)
    pages: dict[str, Page] = field(default_factory=dict)
    fetched: int = 0
    failures: dict[str, SourceError] = field(default_factory=dict)
    _info: WikiInfo = field(init=False)
    _resolved: dict[str, tuple[Page, ...]] = field(default_factory=dict)
    """by the title that was asked about: the redirects on the way, and the page at their end"""
    _seen: set[str] = field(default_factory=set)
    _kept: int = 0
    _in_a_row: int = 0

    async def run(self) -> None:
        """Crawl to the end.

        Raises SourceError if the wiki does not answer, or if single pages could not be had (after all others).
        """
        self._info = await self.wiki.info()
        if self.anew:  # only now: the wiki answers
            self.store.begin_anew()
        frontier = await self._seeds()
        self._seen.update(frontier)
        if self.max_pages is None:  # ask about all that an earlier crawl met, in full batches
            await self._describe(self.store.titles())
        while frontier and not self._full():
            self.progress.known(max(len(self._seen), len(self.pages)))
            frontier = await self._level(frontier)
            self._seen.update(frontier)
        self.store.forget(page.title for page in self.pages.values() if page.status != "kept")
        if self.failures:
            title, cause = next(iter(self.failures.items()))
            what = f"{len(self.failures)} of {self._kept} pages, first {title!r}: {cause.what}: {cause.value}"
            do = "run the same command again: only they are asked for; what never comes, leave out with title_excludes"
            raise SourceError("some pages could not be fetched", what, do)

    def _full(self) -> bool:
        return self.max_pages is not None and self._kept >= self.max_pages

    async def _seeds(self) -> list[str]:
        """Return the topic's seed titles, and the articles of its categories."""
        seeds = [tidy_title(seed) for seed in self.topic.seeds]
        level, seen, depth = [category for category in self.topic.categories if category.strip()], set[str](), 0
        while level and depth <= self.topic.category_depth:
            depth += 1
            below: list[str] = []
            for category in level:
                articles, subcategories = await self.wiki.members(category)
                if not articles and not subcategories:
                    self.pages[category] = _unkept(category, "missing", "the category has no members", self._info)
                seeds += [title for title in articles if admits(self.topic, title)]
                below += subcategories
            seen.update(level)
            level = [category for category in dict.fromkeys(below) if category not in seen]
        return list(dict.fromkeys(seeds))

    async def _level(self, frontier: Sequence[str]) -> list[str]:
        """Meet the pages of one level, fetch those that are kept, and return the new titles that they link to, in the level's order."""
        kept: list[str] = []
        tasks: list[asyncio.Task[None]] = []
        try:
            async for titles in self._in_batches(frontier):
                tasks = [task for task in tasks if not _is_over(task)]
                for page in self._met(titles):
                    kept.append(page.title)
                    tasks.append(asyncio.create_task(self._fetch(page)))
                if self._full():
                    break
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return list(dict.fromkeys(title for page in kept for title in self._links(page)))

    def _links(self, title: str) -> Iterator[str]:
        """Yield the titles that a fetched page links to and that are new and admitted."""
        page = self.pages.get(title)
        stored = self.store.get(title, page.revision_id) if page and page.revision_id else None
        for link in stored.links if stored else ():
            if link not in self._seen and admits(self.topic, link):
                yield link

    async def _in_batches(self, titles: Sequence[str]) -> AsyncIterator[list[str]]:
        """Yield titles, a batch at a time, once the wiki has described them; the next batch is asked about meanwhile."""
        asked: deque[tuple[list[str], asyncio.Task[None]]] = deque()
        try:
            for start in range(0, len(titles), BATCH):
                batch = list(titles[start : start + BATCH])
                asked.append((batch, asyncio.create_task(self._describe(batch))))
                if len(asked) > 1:
                    yield await _first(asked)
            while asked:
                yield await _first(asked)
        finally:
            for _, task in asked:
                task.cancel()
            await asyncio.gather(*(task for _, task in asked), return_exceptions=True)

    async def _describe(self, titles: Iterable[str]) -> None:
        for batch in batches([title for title in titles if title not in self._resolved and not title_fault(title)]):
            for title, described in (await self.wiki.describe(batch)).items():
                self._resolved[title] = self._behind(described)

    def _met(self, titles: Sequence[str]) -> list[Page]:
        """Record what a level's titles are; return the pages among them that are to be kept and were not met before."""
        kept: list[Page] = []
        for title in titles:
            if self._full():
                break
            fault = title_fault(title)
            for page in (_unkept(title, "missing", fault, self._info),) if fault else self._resolved[title]:
                if page.title in self.pages:
                    continue  # by another way
                self.pages[page.title] = page
                if page.status == "kept":
                    self._kept += 1
                    kept.append(page)
                else:
                    self.progress.done()
        return kept

    def _behind(self, described: Described) -> tuple[Page, ...]:
        pages = tuple(_unkept(at, "redirect", f"to {to}", self._info) for at, to in described.hops)
        if described.page is None:
            return tuple(replace(page, reason=f"{page.reason}, in a circle") for page in pages)
        return (*pages, _judged(described.page, self.topic, self._info, redirected=bool(pages)))

    async def _fetch(self, page: Page) -> None:
        """Fetch a page if this revision of it is not stored. A failure is noted, not raised."""
        if page.revision_id is None:
            return self._failed(page, SourceError("the wiki names no revision", page.title, "leave the page out with title_excludes"))
        stored = self.store.get(page.title, page.revision_id)
        if stored is None:
            try:
                parsed = await self.wiki.parse(page.revision_id)
            except PageRefused as error:
                return self._gone(page, error)
            except SourceStopped:
                raise
            except SourceError as error:
                return self._failed(page, error)
            now = parsed.retrieved_at or datetime.now(UTC).isoformat(timespec="seconds")
            self.store.put(page.title, page.revision_id, now, parsed.links, parsed.html)
            self.fetched += 1
        else:
            now = stored.retrieved_at
        self._in_a_row = 0
        self.pages[page.title] = replace(page, retrieved_at=now)
        return self.progress.done()

    def _gone(self, page: Page, error: PageRefused) -> None:
        """A page that was there when the batch was asked about, and is not now, is missing like any other."""
        self.pages[page.title] = replace(page, status="missing", reason=f"gone during the crawl: {error.value}")
        self.progress.done()

    def _failed(self, page: Page, error: SourceError) -> None:
        self._in_a_row += 1
        self.failures[page.title] = error
        del self.pages[page.title]  # neither kept nor anything else: the next run decides
        if self._in_a_row >= _FAILED_IN_A_ROW:
            raise error


def _is_over(task: asyncio.Task[None]) -> bool:
    """Tell whether a task has ended; raise what ended it, if that was an error."""
    return task.done() and task.result() is None


async def _first(asked: deque[tuple[list[str], asyncio.Task[None]]]) -> list[str]:
    """Wait for the batch that was asked about first, and return it."""
    await asked[0][1]
    return asked.popleft()[0]


def admits(topic: Topic, title: str) -> bool:
    """Tell whether a title passes the topic's filters."""
    folded = title.casefold()
    return (
        all(part.casefold() in folded for part in topic.title_contains)
        and (not topic.title_matches or any(re.search(pattern, title) for pattern in topic.title_matches))
        and not any(re.search(pattern, title) for pattern in topic.title_excludes)
    )


def _judged(page: ApiPage, topic: Topic, info: WikiInfo, *, redirected: bool) -> Page:
    """Return the page that a title stands for, with its status."""
    if page.missing:
        return _page(page, "missing", page.missing, info)
    if page.namespace != 0:
        return _page(page, "filtered", f"no article: it lies in namespace {page.namespace}", info)
    if page.disambiguation:
        return _page(page, "disambiguation", "lists pages of like names", info)
    if not admits(topic, page.title):
        led = "a redirect led here; " if redirected else ""
        return _page(page, "filtered", f"{led}the topic does not admit the title", info)
    return _page(page, "kept", "", info)


def _unkept(title: str, status: str, reason: str, info: WikiInfo) -> Page:
    return _page(ApiPage(title), status, reason, info)


def _page(page: ApiPage, status: str, reason: str, info: WikiInfo) -> Page:
    licence = " ".join(part for part in (info.licence, info.licence_url) if part)
    page_id = derived_page_id(page.title) if page.page_id is None else page.page_id
    return Page(page_id, page.title, page.url, page.revision_id, page.revision_timestamp, "", licence, 0, status, reason)
