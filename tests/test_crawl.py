"""A crawl meets every page once, asks politely, and goes on where it stopped; a wiki's faults are patience or a sentence."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest

from pipeline.errors import InputError, SourceError, StorageError
from pipeline.settings import Topic, bundled, load_topic
from pipeline.sources.answers import WikiInfo
from pipeline.sources.crawl import Crawl, admits
from pipeline.sources.fetched import FetchedPages
from pipeline.sources.sample import API_URL, SampleTransport
from pipeline.sources.wikipedia import BATCH, Wiki, batches

if TYPE_CHECKING:
    from pipeline.records import Page

TOPIC = Topic("test", "en", ("2020 A",), ("2020",), ("^List of",), ("See also", "NOTES"), 40, 1500)
WIKI = "https://w.example/api.php"
AT_MOST = 3  # requests at once, by Wikimedia's rules
T = TypeVar("T")
Fault = Callable[[], httpx.Response]


@dataclass
class MediaWiki(httpx.AsyncBaseTransport):
    """A wiki in memory: title → titles it links to. It answers in an order that differs from one to the next."""

    links: dict[str, list[str]]
    redirects: dict[str, str] = field(default_factory=dict)
    disambiguations: set[str] = field(default_factory=set)
    categories: dict[str, list[str]] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    order: int = 0
    asked: list[httpx.Request] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        for _ in range(20):
            await asyncio.sleep(0)  # let the other requests come in
        self.in_flight -= 1
        return self.faults.pop(0)() if self.faults else httpx.Response(200, json=self.answer(dict(request.url.params)))

    def answer(self, params: dict[str, str]) -> dict[str, Any]:
        if "meta" in params:
            rights = {"text": "CC BY-SA", "url": "https://licence.example"}
            return {"query": {"general": {"sitename": "Test wiki"}, "rightsinfo": rights}}
        if params.get("list") == "categorymembers":
            return {"query": {"categorymembers": [self.member(title) for title in self.categories[params["cmtitle"]]]}}
        if params["action"] == "parse":
            titles = [title for title in self.links if str(self.revision(title)) == params["oldid"]]
            return self.parse(titles[0]) if titles else {"error": {"code": "nosuchrevid", "info": params["oldid"]}}
        return {"query": self.query(params["titles"].split("|"))}

    def member(self, title: str) -> dict[str, Any]:
        return {"pageid": 1, "ns": 14 if title.startswith("Category:") else 0, "title": title}

    def revision(self, title: str) -> int:
        return 1000 * self.revisions.get(title, 1) + list(self.links).index(title)

    def parse(self, title: str) -> dict[str, Any]:
        links = [{"ns": 0, "title": to, "exists": to in self.links or to in self.redirects} for to in self.links[title]]
        links.append({"ns": 10, "title": "Template:2020", "exists": True})
        text = f"<p>{title} {self.revisions.get(title, 1)}</p>"
        return {"parse": {"title": title, "revid": self.revision(title), "text": text, "links": self.shuffled(links)}}

    def query(self, titles: list[str]) -> dict[str, Any]:
        assert len(titles) <= 50, "toomanyvalues"
        followed, ends = [], []
        for title in titles:
            at = title
            while at in self.redirects and {"from": at, "to": self.redirects[at]} not in followed:
                followed.append({"from": at, "to": self.redirects[at]})
                at = self.redirects[at]
            ends += [at] if at not in self.redirects else []
        return {"pages": self.shuffled([self.page(title) for title in dict.fromkeys(ends)]), "redirects": self.shuffled(followed)}

    def page(self, title: str) -> dict[str, Any]:
        if title not in self.links:
            return {"title": title, "ns": 0, "missing": True}
        props = {"pageprops": {"disambiguation": ""}} if title in self.disambiguations else {}
        revisions = [{"revid": self.revision(title), "timestamp": f"202{self.revisions.get(title, 1)}-01-01T00:00:00Z"}]
        namespace = 1 if title.startswith("Talk:") else 0
        return {
            "pageid": 1 + list(self.links).index(title), "ns": namespace, "title": title, "canonicalurl": f"https://w.example/{title}",
            "revisions": revisions, **props,
        }  # fmt: skip

    def shuffled(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return random.Random(self.order).sample(items, len(items))

    def parsed(self) -> list[str]:
        """The revisions that were asked for, in order."""
        return [request.url.params["oldid"] for request in self.asked if request.url.params["action"] == "parse"]


@dataclass
class Crawled:
    pages: dict[str, Page]
    html: dict[str, str]
    error: SourceError | None
    fetched: int

    def met(self) -> dict[str, str]:
        return {title: page.status for title, page in self.pages.items()}

    def kept(self) -> list[str]:
        return [title for title, page in self.pages.items() if page.status == "kept"]


async def using(transport: httpx.AsyncBaseTransport, use: Callable[[Wiki], Awaitable[T]], api_url: str = WIKI) -> T:
    wiki = Wiki("abstention-pipeline-tests/1 (nobody@example.org)", "en", api_url, None, transport)
    try:
        return await use(wiki)
    finally:
        await wiki.close()


@pytest.fixture(name="crawled")
def _crawled(tmp_path: Path) -> Callable[..., Crawled]:
    """Crawl a wiki; what was fetched stays in the test's folder for the next crawl."""

    def crawled(
        transport: httpx.AsyncBaseTransport,
        topic: Topic = TOPIC,
        max_pages: int | None = None,
        folder: str = "",
        api_url: str = WIKI,
        anew: bool = False,
    ) -> Crawled:
        with FetchedPages(tmp_path / f"crawl{folder}.sqlite", api_url) as store:

            async def use(wiki: Wiki) -> Crawled:
                crawl, error = Crawl(wiki, topic, store, max_pages, anew), None
                try:
                    await crawl.run()
                except SourceError as raised:
                    error = raised
                html = {title: store.html(title) for title, page in crawl.pages.items() if page.retrieved_at}
                return Crawled(crawl.pages, html, error, crawl.fetched)

            return asyncio.run(using(transport, use, api_url))

    return crawled


def says(code: str, **headers: str) -> Fault:
    return lambda: httpx.Response(200, json={"error": {"code": code, "info": "said the wiki"}}, headers=headers)


# --- what is met ------------------------------------------------------------------------------------


def test_pages_are_met_breadth_first_over_the_links_that_the_topic_admits(crawled: Callable[..., Crawled]) -> None:
    links = {"2020 A": ["2020 C", "2020 B", "1999 X", "List of 2020"], "2020 B": ["2020 D", "2020 A"], "2020 C": [], "2020 D": ["2020 B"]}
    found = crawled(MediaWiki({**links, "1999 X": [], "List of 2020": []}))
    assert list(found.met().items()) == [("2020 A", "kept"), ("2020 B", "kept"), ("2020 C", "kept"), ("2020 D", "kept")]
    assert found.html["2020 D"] == "<p>2020 D 1</p>"


def test_redirects_missing_disambiguation_and_filtered_pages_are_each_said_once_with_the_reason(crawled: Callable[..., Crawled]) -> None:
    links = {
        "2020 A": ["2020 R", "2020 S", "2020 U", "2020 D", "2020 red link"],
        "2020 T": [],
        "Elsewhere": [],
        "2020 D": ["2020 never"],
        "2020 never": [],
        "Talk:2020": [],
    }
    wiki = MediaWiki(links, {"2020 R": "2020 S", "2020 S": "2020 T", "2020 U": "Elsewhere", "2020 L": "2020 M", "2020 M": "2020 L"}, {"2020 D"})
    found = crawled(wiki, replace(TOPIC, seeds=("2020_A", "2020 gone", "2020 L", "Talk:2020", "", "2020 | B", "2020 " + "ü" * 130)))
    assert found.error is None
    assert found.met() == {
        "2020 A": "kept", "2020 gone": "missing", "2020 L": "redirect", "2020 M": "redirect", "Talk:2020": "filtered", "": "missing",
        "2020 | B": "missing", "2020 " + "ü" * 130: "missing", "2020 D": "disambiguation", "2020 R": "redirect", "2020 S": "redirect", "2020 T": "kept",
        "2020 U": "redirect", "Elsewhere": "filtered", "2020 red link": "missing",
    }  # fmt: skip
    reasons = {title: page.reason for title, page in found.pages.items()}
    assert (reasons["2020 R"], reasons["2020 L"]) == ("to 2020 S", "to 2020 M, in a circle")
    assert reasons["Elsewhere"] == "a redirect led here; the topic does not admit the title"
    assert "namespace 1" in reasons["Talk:2020"]
    assert ("empty" in reasons[""], "character" in reasons["2020 | B"], "longer than 255" in reasons["2020 " + "ü" * 130]) == (True, True, True)
    assert set(found.html) == {"2020 A", "2020 T"}


def test_a_seed_that_the_topic_does_not_admit_is_filtered_without_blaming_a_redirect(crawled: Callable[..., Crawled]) -> None:
    (page,) = crawled(MediaWiki({"Tokyo": []}), replace(TOPIC, seeds=("Tokyo",))).pages.values()
    assert page.status == "filtered"
    assert "redirect" not in page.reason


def test_the_members_of_categories_are_seeds_down_to_the_depth_asked_for(crawled: Callable[..., Crawled]) -> None:
    categories = {
        "Category:Top": ["2020 A", "1999 X", "Category:Sub"],
        "Category:Sub": ["2020 B", "Category:Deep", "Category:Top"],
        "Category:Deep": ["2020 C"],
    }
    wiki = MediaWiki({"2020 A": [], "2020 B": [], "2020 C": []}, categories=categories)
    topic = replace(TOPIC, seeds=(), categories=("Category:Top",))
    assert "1999 X" not in crawled(wiki, topic).pages
    assert [crawled(wiki, replace(topic, category_depth=depth)).kept() for depth in (0, 1, 2**63)] == [
        ["2020 A"],
        ["2020 A", "2020 B"],
        ["2020 A", "2020 B", "2020 C"],
    ]


def test_the_order_does_not_depend_on_the_order_of_the_wikis_answers(crawled: Callable[..., Crawled]) -> None:
    names = [f"2020 {letter}" for letter in "ABCDEFGHIJ"]
    links = dict.fromkeys(names[:5], names) | {name: ["2020 A"] for name in names[5:]}
    topic = replace(TOPIC, seeds=("2020 R", "2020 B"))
    orders = [list(crawled(MediaWiki(links, {"2020 R": "2020 A"}, {"2020 J"}, order=n), topic, folder=str(n)).met().items()) for n in range(4)]
    assert orders.count(orders[0]) == 4
    assert len(orders[0]) == 11
    many = [f"2020 {i:03}" for i in range(2 * BATCH + 1)]
    assert list(crawled(MediaWiki({"2020 A": many, **{name: [] for name in many}}), folder="many").met()) == ["2020 A", *many]


@pytest.mark.parametrize("n", [1, 2, 4, 5])
def test_max_pages_counts_kept_pages_and_fetches_no_more(n: int, crawled: Callable[..., Crawled]) -> None:
    links = {f"2020 {letter}": [f"2020 {other}" for other in "BCDEFG"] for letter in "ABCDEFG"}
    wiki = MediaWiki(links, disambiguations={"2020 B"})
    assert crawled(wiki, max_pages=n).kept() == ["2020 A", "2020 C", "2020 D", "2020 E", "2020 F"][:n]
    assert len(wiki.parsed()) == n


def test_a_kept_page_bears_its_revision_address_and_the_wikis_licence(crawled: Callable[..., Crawled]) -> None:
    page = crawled(MediaWiki({"2020 A": []})).pages["2020 A"]
    assert (page.page_id, page.url, page.revision_id, page.revision_timestamp) == (1, "https://w.example/2020 A", 1000, "2021-01-01T00:00:00Z")
    assert page.licence == "CC BY-SA https://licence.example"
    assert page.retrieved_at


@pytest.mark.parametrize("title", ["بازی\u200cهای المپیک 2020", "2020 ශ්\u200dරී ලංකාව", "2020 \U0001fae8", "2020 \U00031350", "2020 a\u00adb"])
def test_titles_of_any_script_are_asked_about(title: str, crawled: Callable[..., Crawled]) -> None:
    assert crawled(MediaWiki({title: []}), replace(TOPIC, seeds=(title,))).kept() == [title]


def test_a_seed_may_name_a_section_and_a_category_without_members_is_said(crawled: Callable[..., Crawled]) -> None:
    wiki = MediaWiki({"2020 A": []}, categories={"Category:None": []})
    found = crawled(wiki, replace(TOPIC, seeds=("2020_A#Part", "#"), categories=("None",)))
    assert found.met() == {"Category:None": "missing", "2020 A": "kept", "": "missing"} or found.met() == {
        "None": "missing",
        "2020 A": "kept",
        "": "missing",
    }


def test_a_title_is_admitted_if_it_contains_all_parts_in_any_case_matches_a_pattern_and_no_exclusion() -> None:
    topic = replace(TOPIC, title_contains=("2020", "OLYMPI"), title_excludes=(r"medal table$",))
    titles = ["2020 Summer Olympics", "2016 Olympics", "2020 olympics medal table", "2020 Olympics medal tables"]
    assert [admits(topic, title) for title in titles] == [True, False, False, True]
    assert [admits(replace(topic, title_matches=("Summer", "tables$")), title) for title in titles] == [True, False, False, True]
    assert [admits(replace(topic, title_contains=(), title_matches=("^2016",)), title) for title in titles] == [False, True, False, False]


def test_the_sample_gives_49_kept_pages_with_text_the_same_each_time(crawled: Callable[..., Crawled]) -> None:
    topic = load_topic(bundled("topics", "olympics-2020.toml"))
    first, second = (crawled(SampleTransport(bundled("sample")), topic, folder=name, api_url=API_URL) for name in "ab")
    assert len(first.kept()) == 49
    assert all("<" in first.html[title] for title in first.kept())
    assert set(first.met().values()) == {"kept", "redirect", "disambiguation", "filtered", "missing"}
    assert first == second


# --- manners ----------------------------------------------------------------------------------------


def test_titles_are_asked_about_in_batches_and_pages_a_few_at_once(crawled: Callable[..., Crawled]) -> None:
    names = [f"2020 {i:03}" for i in range(2 * BATCH + 1)]
    wiki = MediaWiki({name: [] for name in names})
    assert crawled(wiki, replace(TOPIC, seeds=tuple(names))).kept() == names
    assert len(wiki.asked) == 1 + 3 + len(names)
    assert wiki.most_in_flight == AT_MOST


def test_a_batch_of_long_titles_is_cut_before_the_address_is_too_long_for_a_server(crawled: Callable[..., Crawled]) -> None:
    names = [f"2020 {'東京オリンピック' * 8} {i}" for i in range(20)]
    wiki = MediaWiki({name: [] for name in names})
    assert crawled(wiki, replace(TOPIC, seeds=tuple(names))).kept() == names
    assert max(len(str(request.url)) for request in wiki.asked) < 8000
    assert [title for batch in batches(names) for title in batch] == names


def test_each_request_names_the_client_and_asks_to_be_put_off_under_lag(crawled: Callable[..., Crawled]) -> None:
    wiki = MediaWiki({"2020 A": []}, categories={"Category:C": ["2020 A"]})
    crawled(wiki, replace(TOPIC, categories=("Category:C",)))
    assert len(wiki.asked) == 4
    assert {request.url.params["maxlag"] for request in wiki.asked} == {"5"}
    assert all("abstention-pipeline-tests/1 (nobody@example.org)" in request.headers["user-agent"] for request in wiki.asked)
    assert all("gzip" in request.headers["accept-encoding"] for request in wiki.asked)


def test_requests_go_out_at_the_rate_asked_for_and_none_in_the_silence_that_the_wiki_wants() -> None:
    @dataclass
    class Timed(MediaWiki):
        at: list[float] = field(default_factory=list)

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.at.append(asyncio.get_running_loop().time())
            return await super().handle_async_request(request)

    wiki = Timed({}, faults=[*[lambda: httpx.Response(200, json={"query": {}})] * 6, lambda: httpx.Response(429, headers={"Retry-After": "2"})])

    async def twelve() -> None:
        asking = Wiki("abstention-pipeline-tests/1 (nobody@example.org)", "en", WIKI, 600.0, wiki)
        await asyncio.gather(*(asking.info() for _ in range(12)))
        await asking.close()

    asyncio.run(twelve())
    gaps = [later - earlier for earlier, later in zip(wiki.at, wiki.at[1:], strict=False)]
    assert wiki.at[5] - wiki.at[0] >= 0.25  # three at once, then one in a tenth of a second
    assert len(wiki.at) == 13
    assert max(gaps) >= 1.5
    refused = gaps.index(max(gaps))
    assert refused <= 6 + AT_MOST  # those on their way when the refusal came


def test_the_rate_of_wikimedia_holds_for_every_wiki_but_one_on_this_machine() -> None:
    def limited(api_url: str | None, rate: float | None = None) -> float | None:
        return Wiki("abstention-pipeline-tests/1 (nobody@example.org)", "en", api_url, rate).rate

    assert [limited(None), limited("https://wiki.example.org/w/api.php"), limited("https://wiki.example.org/w/api.php", 30)] == [200, 200, 30]
    assert [limited(f"http://{host}:8080/w/api.php") for host in ("127.0.0.1", "localhost", "[::1]", "127.9.9.9")] == [None] * 4


# --- going on, and coming again ---------------------------------------------------------------------


def test_what_was_fetched_is_not_fetched_again_while_its_revision_is_the_same(crawled: Callable[..., Crawled]) -> None:
    names = [f"2020 {i:03}" for i in range(BATCH - 1)]
    wiki = MediaWiki({"2020 A": names, **{name: [] for name in names}})
    first = crawled(wiki)
    before = len(wiki.asked)
    second = crawled(wiki)
    assert (second.pages, second.html, second.fetched) == (first.pages, first.html, 0)
    assert len(wiki.asked) - before == 2  # the wiki itself, and all 50 titles in one batch


def test_a_page_that_changed_is_fetched_and_the_others_stay_as_they_were(crawled: Callable[..., Crawled]) -> None:
    wiki = MediaWiki({"2020 A": ["2020 B", "2020 C", "2020 new"], "2020 B": [], "2020 C": []})
    first = crawled(wiki)
    assert first.met()["2020 new"] == "missing"
    wiki.links["2020 new"] = []  # a red link turns blue: the page that has it is as it was
    wiki.revisions["2020 B"] = 2
    wiki.asked.clear()
    second = crawled(wiki)
    assert sorted(wiki.parsed()) == ["1003", "2001"]
    assert second.html["2020 B"] == "<p>2020 B 2</p>"
    assert second.pages["2020 B"].revision_timestamp == "2022-01-01T00:00:00Z"
    assert [second.pages[title] for title in ("2020 A", "2020 C")] == [first.pages[title] for title in ("2020 A", "2020 C")]


def test_a_crawl_that_failed_goes_on_with_what_is_missing(crawled: Callable[..., Crawled]) -> None:
    class Failing(MediaWiki):
        def parse(self, title: str) -> dict[str, Any]:
            return {"error": {"code": "readapidenied", "info": "no"}} if title == "2020 B" and self.order == 0 else super().parse(title)

    wiki = Failing({"2020 A": ["2020 B", "2020 C"], "2020 B": ["2020 D"], "2020 C": [], "2020 D": []})
    first = crawled(wiki)
    assert first.error is not None
    assert "1 of 3 pages, first '2020 B'" in str(first.error)
    assert (first.kept(), "2020 B" in first.pages) == (["2020 A", "2020 C"], False)
    wiki.order = 1
    wiki.asked.clear()
    assert crawled(wiki).kept() == ["2020 A", "2020 B", "2020 C", "2020 D"]
    assert wiki.parsed() == ["1001", "1003"]


def test_pages_that_fail_now_and_then_do_not_end_the_crawl(crawled: Callable[..., Crawled]) -> None:
    class Moody(MediaWiki):
        def parse(self, title: str) -> dict[str, Any]:
            return {"error": {"code": "readapidenied", "info": "no"}} if title.endswith("3") else super().parse(title)

    names = [f"2020 {i:02}" for i in range(60)]
    found = crawled(Moody({"2020 A": names, **{name: [] for name in names}}))
    assert "6 of 61 pages" in str(found.error)
    assert len(found.html) == 55


def test_a_crawl_anew_fetches_everything_once_also_if_it_is_interrupted(crawled: Callable[..., Crawled], tmp_path: Path) -> None:
    wiki = MediaWiki({"2020 A": ["2020 B", "2020 C"], "2020 B": [], "2020 C": []})
    crawled(wiki)
    wiki.asked.clear()
    first = crawled(wiki, max_pages=2, anew=True)  # as if it had been stopped there
    assert (first.fetched, crawled(wiki, anew=True).fetched) == (2, 1)
    with FetchedPages(tmp_path / "crawl.sqlite", WIKI) as store:
        store.finish([(1, "2020 A", 1000)])
        assert store.collected() == [(1, "2020 A", 1000)]
    assert crawled(wiki, anew=True).fetched == 3


def test_a_wiki_that_is_not_there_costs_nothing_that_was_fetched(crawled: Callable[..., Crawled]) -> None:
    wiki = MediaWiki({"2020 A": []})
    crawled(wiki)
    assert crawled(MediaWiki({}, faults=[lambda: httpx.Response(404)]), anew=True).error
    assert crawled(wiki).fetched == 0


def test_a_page_that_is_gone_from_the_wiki_is_gone_from_the_store(crawled: Callable[..., Crawled], tmp_path: Path) -> None:
    wiki = MediaWiki({"2020 A": ["2020 B"], "2020 B": []})
    crawled(wiki)
    wiki.links.pop("2020 B")
    crawled(wiki)
    with FetchedPages(tmp_path / "crawl.sqlite", WIKI) as store:
        assert store.titles() == ["2020 A"]


def test_pages_of_another_wiki_are_not_taken_for_this_ones(crawled: Callable[..., Crawled]) -> None:
    crawled(MediaWiki({"2020 A": []}))
    other = MediaWiki({"2020 A": []})
    assert crawled(other, api_url="https://other.example/api.php").fetched == 1


def test_a_page_deleted_while_the_crawl_ran_is_missing_and_ends_nothing(crawled: Callable[..., Crawled]) -> None:
    class Vanishing(MediaWiki):
        def parse(self, title: str) -> dict[str, Any]:
            return {"error": {"code": "nosuchrevid", "info": "gone"}} if title == "2020 B" else super().parse(title)

    found = crawled(Vanishing({"2020 A": ["2020 B", "2020 C"], "2020 B": [], "2020 C": []}))
    assert found.error is None
    assert found.met() == {"2020 A": "kept", "2020 B": "missing", "2020 C": "kept"}
    assert "gone during the crawl" in found.pages["2020 B"].reason


def test_a_file_of_fetched_pages_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "crawl.sqlite").write_bytes(b"no database at all, but long enough to be taken for one" * 30)
    with pytest.raises(StorageError, match=r"crawl\.sqlite"):
        FetchedPages(tmp_path / "crawl.sqlite", WIKI)


# --- a wiki that does not answer as it should -------------------------------------------------------


def retry_after(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def cut_off() -> httpx.Response:
    raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


def timed_out() -> httpx.Response:
    raise httpx.ReadTimeout("too slow")


PASSING: dict[str, Fault] = {
    "maxlag": says("maxlag"), "ratelimited": says("ratelimited"), "readonly": says("readonly"),
    "maxlag with a time": says("maxlag", **{"Retry-After": "1", "MediaWiki-API-Error": "maxlag"}),
    "a proxy's page": lambda: httpx.Response(200, text="<html>busy</html>"), "a body cut off": lambda: httpx.Response(200, text='{"query": {"gen'),
    "a connection cut off": cut_off, "a timeout": timed_out,
    "no object": lambda: httpx.Response(200, json=[]), "no text": lambda: httpx.Response(200, content=b"\xff\xfe"),
    "429": lambda: httpx.Response(429, headers={"Retry-After": "0"}), "503": lambda: httpx.Response(503),
    "503 with a date": lambda: httpx.Response(503, headers={"Retry-After": retry_after(1)}),
    "429 with an odd time": lambda: httpx.Response(429, headers={"Retry-After": "soon"}),
    "429 with a time that is no number": lambda: httpx.Response(429, headers=[(b"Retry-After", b"\xb2")]),
}  # fmt: skip


def test_what_passes_is_asked_again_until_the_answer_comes() -> None:
    wikis = {name: MediaWiki({}, faults=[fault]) for name, fault in PASSING.items()}

    async def all_at_once() -> list[WikiInfo]:  # each waits a second or so before it asks again
        return await asyncio.gather(*(using(transport, Wiki.info) for transport in wikis.values()))

    assert asyncio.run(all_at_once()) == [WikiInfo("Test wiki", "CC BY-SA", "https://licence.example")] * len(wikis)
    assert {name: len(transport.asked) for name, transport in wikis.items()} == dict.fromkeys(wikis, 2)


@pytest.mark.parametrize(
    "fault",
    [
        lambda: httpx.Response(429, headers={"Retry-After": "2"}),
        lambda: httpx.Response(503, headers={"Retry-After": retry_after(3)}),
        says("maxlag", **{"Retry-After": "2", "MediaWiki-API-Error": "maxlag"}),
    ],
)
def test_nothing_is_asked_before_the_time_that_the_wiki_names(fault: Fault) -> None:
    @dataclass
    class Timed(MediaWiki):
        at: list[float] = field(default_factory=list)

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.at.append(asyncio.get_running_loop().time())
            return await super().handle_async_request(request)

    wiki = Timed({"2020 A": []}, faults=[fault])

    async def two(asking: Wiki) -> None:
        first = asyncio.create_task(asking.info())
        await asyncio.sleep(0.3)
        await asyncio.gather(first, asking.describe(["2020 A"]))

    asyncio.run(using(wiki, two))
    assert len(wiki.at) == 3
    assert min(wiki.at[1:]) - wiki.at[0] >= 1.9


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (says("readapidenied"), "the wiki refuses – readapidenied: said the wiki"),
        (lambda: httpx.Response(404), "the wiki does not answer – .*HTTP 404 – check --api-url"),
        (lambda: httpx.Response(403), "the wiki refuses this client – .*HTTP 403 – give a --contact"),
        (lambda: httpx.Response(429, headers={"Retry-After": "3600"}), "the wiki is busy – .*3600 seconds"),
    ],
)
def test_a_refusal_is_an_error_at_once(fault: Fault, said: str, crawled: Callable[..., Crawled]) -> None:
    wiki = MediaWiki({"2020 A": []}, faults=[fault])
    with pytest.raises(SourceError, match=said):
        raise crawled(wiki).error or AssertionError("no error")
    assert len(wiki.asked) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: httpx.Response(200, html=f"<title>Welcome</title>{'x' * 200}"), r"HTTP 200, text/html; .*begins '<title>Welcome</title>x{58}' – check --api-url"),
        (lambda: httpx.Response(200, json=["no", "wiki"]), r"HTTP 200, application/json, begins '\[\"no\",\"wiki\"\]' – check --api-url"),
        (lambda: httpx.Response(200, text="pong"), "text/plain; .*begins 'pong'"),
    ],
)  # fmt: skip
def test_what_answers_and_is_no_wiki_is_told_after_a_few_answers(answer: Fault, said: str) -> None:
    wiki = MediaWiki({}, faults=[answer] * 9)
    with pytest.raises(SourceError, match=f"what answers is no wiki's API – {WIKI}: .*{said}"):
        asyncio.run(using(wiki, Wiki.info))
    assert len(wiki.asked) == 3


def test_an_empty_or_cut_off_answer_and_a_proxys_page_amid_a_crawl_are_asked_again_more_often() -> None:
    halves: list[Fault] = [lambda: httpx.Response(200, text='{"query": {"gen'), lambda: httpx.Response(200, text="")] * 2
    wiki = MediaWiki({}, faults=list(halves))
    assert asyncio.run(using(wiki, Wiki.info)).name == "Test wiki"
    assert len(wiki.asked) == 5

    async def twice(opened: Wiki) -> WikiInfo:
        await opened.info()
        wiki.faults += [lambda: httpx.Response(200, html="<html>busy</html>")] * 4
        return await opened.info()

    assert asyncio.run(using(wiki, twice)).name == "Test wiki"


def test_a_wiki_that_is_not_there_is_an_error_at_once() -> None:
    async def ask() -> None:
        wiki = Wiki("abstention-pipeline-tests/1 (nobody@example.org)", "en", "http://127.0.0.1:9/api.php", None)
        try:
            await wiki.info()
        finally:
            await wiki.close()

    with pytest.raises(SourceError, match=r"the wiki cannot be reached – http://127.0.0.1:9/api.php"):
        asyncio.run(ask())


def test_an_address_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(InputError, match="holds a password") as raised:
        Wiki("abstention-pipeline-tests/1 (nobody@example.org)", "en", "https://me:secret@w.example/api.php", None)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("address", ["", "w.example/api.php", "ftp://w.example/api.php", "http://", "http://w:x/"])
def test_an_address_that_is_no_url_is_said_before_anything_is_sent(address: str) -> None:
    with pytest.raises(InputError, match="the wiki's address is no URL"):
        Wiki("abstention-pipeline-tests/1 (nobody@example.org)", "en", address or "http:///", None)


def test_a_wiki_that_refuses_page_after_page_is_not_asked_for_all_of_them(crawled: Callable[..., Crawled]) -> None:
    class Refusing(MediaWiki):
        def parse(self, title: str) -> dict[str, Any]:
            return super().parse(title) if title == "2020 A" else {"error": {"code": "readapidenied", "info": "no"}}

    names = [f"2020 {i:03}" for i in range(30)]
    wiki = Refusing({"2020 A": names, **{name: [] for name in names}})
    found = crawled(wiki)
    assert "readapidenied" in str(found.error)
    assert found.kept()[0] == "2020 A"
    assert found.html == {"2020 A": "<p>2020 A 1</p>"}
    assert len(wiki.parsed()) < 10


SHAPES: list[Any] = [None, 5, 2**70, -1, True, 1.5, "x", "7", [], [1], {}, {"1": {}}, float("nan"), "a\ud800\n\x1b]0;"]


def parts(answer: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every value in an answer."""
    inside = answer.items() if isinstance(answer, dict) else enumerate(answer) if isinstance(answer, list) else ()
    return [path, *(found for key, value in inside for found in parts(value, (*path, key)))]


def altered(answer: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """An answer with one value exchanged."""
    if not path:
        return value
    copy: Any = dict(answer) if isinstance(answer, dict) else list(answer)
    copy[path[0]] = altered(copy[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("to", ["meta", "titles", "oldid", "cmtitle"])
def test_whatever_value_of_an_answer_is_of_another_kind_there_is_no_bare_exception(to: str, tmp_path: Path) -> None:
    class Odd(MediaWiki):
        at: tuple[str | int, ...] = ()
        put: Any = None
        seen: Any = None

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            answer = self.answer(dict(request.url.params))
            if to in request.url.params:
                self.seen, answer = answer, altered(answer, self.at, self.put)
            return httpx.Response(200, content=json.dumps(answer), request=request)

    topic = replace(TOPIC, seeds=("2020 A", "2020 R"), categories=("Category:C",))
    wiki = Odd({"2020 A": ["2020 B"], "2020 B": []}, {"2020 R": "2020 A"}, {"2020 B"}, {"Category:C": ["2020 A"]})

    async def use(asking: Wiki) -> None:
        for at, value in [((), None), *((at, value) for at in known for value in SHAPES if at)]:
            wiki.at, wiki.put = at, value if at else wiki.answer(dict(example))
            with FetchedPages(tmp_path / "crawl.sqlite", WIKI) as store, suppress(SourceError):
                store.begin_anew()
                await Crawl(asking, topic, store).run()
                store.finish(())

    example = {"meta": {"meta": "siteinfo"}, "titles": {"action": "query", "titles": "2020 A|2020 R"}, "oldid": {"action": "parse", "oldid": "1000"},
               "cmtitle": {"list": "categorymembers", "cmtitle": "Category:C"}}[to]  # fmt: skip
    known = parts(wiki.answer(dict(example)))
    assert len(known) > 4
    asyncio.run(using(wiki, use))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"parse": {"title": "2020 A", "revid": 999, "text": "<p>another page</p>", "links": []}}, "did not send the page: revision 1000: got 999"),
        ({"parse": {"title": "2020 A", "revid": 1000, "links": []}}, "did not send the page: revision 1000"),
    ],
)
def test_an_answer_about_another_revision_is_not_taken_for_this_one(answer: dict[str, Any], said: str, crawled: Callable[..., Crawled]) -> None:
    class Mistaken(MediaWiki):
        def parse(self, title: str) -> dict[str, Any]:
            return answer

    found = crawled(Mistaken({"2020 A": []}))
    assert said in str(found.error)
    assert found.html == {}


def test_names_that_go_in_a_circle_and_lists_that_do_not_end_are_left(crawled: Callable[..., Crawled]) -> None:
    class Endless(MediaWiki):
        def answer(self, params: dict[str, str]) -> dict[str, Any]:
            answer = super().answer(params)
            if "titles" in params:
                answer["query"]["normalized"] = [{"from": "2020 A", "to": "2020 B"}, {"from": "2020 B", "to": "2020 A"}]
            return {**answer, "continue": {"cmcontinue": "again", "continue": "-||"}} if "list" in params else answer

    assert "leaves a title out" in str(crawled(Endless({"2020 A": [], "2020 B": []})).error)
    topic = replace(TOPIC, categories=("Category:C",))
    assert "does not end" in str(crawled(Endless({"2020 A": []}, categories={"Category:C": ["2020 A"]}), topic, folder="list").error)


def test_titles_and_licence_are_one_line_without_control_characters(crawled: Callable[..., Crawled]) -> None:
    class Forging(MediaWiki):
        def answer(self, params: dict[str, str]) -> dict[str, Any]:
            answer = super().answer(params)
            if "meta" in params:
                answer["query"]["rightsinfo"]["text"] = "CC\n- forged\x1b]0;owned\x07"
            return answer

    pages = crawled(Forging({"2020 A": ["2020 B\n\n- forged entry"]})).pages
    assert not [title for title in pages if "\n" in title]
    assert {page.licence for page in pages.values()} == {"CC - forged ]0;owned https://licence.example"}


def test_an_answer_larger_than_any_page_is_a_sentence_however_small_it_is_packed() -> None:
    bomb = gzip.compress(b'{"query":"' + b" " * 2**27 + b'"}', 1)

    class Bomb(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(bomb))

    with pytest.raises(SourceError, match="too large – more than 64 MB"):
        asyncio.run(using(Bomb(), Wiki.info))


def test_json_deeper_than_python_can_read_is_waited_out_like_any_that_is_broken() -> None:
    deep = MediaWiki({}, faults=[lambda: httpx.Response(200, text="[" * 200_000)])
    assert asyncio.run(using(deep, Wiki.info)).name == "Test wiki"
