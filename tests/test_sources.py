"""Pages come from a wiki, or from files, whole and in order; what is left out is said."""

from __future__ import annotations

import asyncio
import gzip
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError, SourceError, StorageError
from pipeline.records import Page
from pipeline.settings import Topic, bundled, load_topic
from pipeline.sources.notebook import read_csv_rows
from pipeline.sources.sample import SampleTransport
from pipeline.sources.sectioning import RawSection, Sectioner
from pipeline.sources.wikipedia import AT_ONCE, BATCH, Visit, Wiki, WikiInfo, admits, crawl
from pipeline.text.tokens import token_counter

TOPIC = Topic("test", "en", ("2020 A",), ("2020",), ("^List of",), ("See also", "NOTES"), 40, 1500)
SHIPPED = bundled("topics", "olympics-2020.toml")
T = TypeVar("T")
Fault = Callable[[], httpx.Response]


@dataclass
class MediaWiki(httpx.AsyncBaseTransport):
    """A wiki in memory: title → titles it links to. It answers in an order that differs from one to the next."""

    links: dict[str, list[str]]
    redirects: dict[str, str] = field(default_factory=dict)
    disambiguations: set[str] = field(default_factory=set)
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
        return {"parse": self.parse(params["page"])} if params["action"] == "parse" else {"query": self.query(params["titles"].split("|"))}

    def parse(self, title: str) -> dict[str, Any]:
        links = [{"ns": 0, "title": to, "exists": to in self.links or to in self.redirects} for to in self.links[title]]
        links.append({"ns": 10, "title": "Template:2020", "exists": True})
        return {"title": title, "revid": 7, "text": f"<p>{title}</p>", "links": self.shuffled(links)}

    def query(self, titles: list[str]) -> dict[str, Any]:
        assert len(titles) <= 50, "toomanyvalues"
        followed = [{"from": title, "to": self.redirects[title]} for title in titles if title in self.redirects]
        pages = [self.page(title) for title in dict.fromkeys(self.redirects.get(title, title) for title in titles)]
        return {"pages": self.shuffled(pages), "redirects": self.shuffled(followed)}

    def page(self, title: str) -> dict[str, Any]:
        if title not in self.links:
            return {"title": title, "missing": True}
        props = {"pageprops": {"disambiguation": ""}} if title in self.disambiguations else {}
        revisions = [{"revid": 7, "timestamp": "2021-01-01T00:00:00Z"}]
        return {
            "pageid": len(title) * 1000 + ord(title[-1]),
            "title": title,
            "canonicalurl": f"https://w.example/{title}",
            "revisions": revisions,
            **props,
        }

    def shuffled(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return random.Random(self.order).sample(items, len(items))


async def using(transport: httpx.AsyncBaseTransport, use: Callable[[Wiki], Awaitable[T]]) -> T:
    wiki = Wiki("abstention-pipeline-tests/1 (nobody@example.org)", "en", "https://w.example/api.php", None, transport)
    try:
        return await use(wiki)
    finally:
        await wiki.close()


def visits(transport: httpx.AsyncBaseTransport, topic: Topic = TOPIC, max_pages: int | None = None) -> list[Visit]:
    async def use(wiki: Wiki) -> list[Visit]:
        return [visit async for visit in crawl(wiki, topic, max_pages)]

    return asyncio.run(using(transport, use))


def met(transport: httpx.AsyncBaseTransport, topic: Topic = TOPIC, max_pages: int | None = None) -> list[tuple[str, str]]:
    return [(visit.page.title, visit.page.status) for visit in visits(transport, topic, max_pages)]


def says(code: str) -> Fault:
    return lambda: httpx.Response(200, json={"error": {"code": code, "info": "said the wiki"}})


# --- the crawl --------------------------------------------------------------------------------------


def test_pages_are_met_breadth_first_over_the_links_that_the_topic_admits() -> None:
    wiki = MediaWiki(
        {
            "2020 A": ["2020 C", "2020 B", "1999 X", "List of 2020", "2020 red link"],
            "2020 B": ["2020 D", "2020 A"],
            "2020 C": [],
            "2020 D": ["2020 B"],
            "1999 X": [],
            "List of 2020": [],
        }
    )
    assert met(wiki) == [("2020 A", "kept"), ("2020 B", "kept"), ("2020 C", "kept"), ("2020 D", "kept")]


def test_redirects_missing_disambiguation_and_filtered_pages_are_each_said_once() -> None:
    links = {"2020 A": ["2020 R", "2020 S", "2020 U", "2020 D"], "2020 T": [], "Elsewhere": [], "2020 D": ["2020 never"], "2020 never": []}
    wiki = MediaWiki(links, {"2020 R": "2020 T", "2020 S": "2020 T", "2020 U": "Elsewhere"}, {"2020 D"})
    topic = replace(TOPIC, seeds=("2020 A", "2020 gone"))
    expected = {
        ("2020 A", "kept"), ("2020 gone", "missing"), ("2020 R", "redirect"), ("2020 S", "redirect"), ("2020 T", "kept"), ("2020 U", "redirect"),
        ("Elsewhere", "filtered"), ("2020 D", "disambiguation"),
    }  # fmt: skip
    found = visits(wiki, topic)
    assert {(v.page.title, v.page.status) for v in found} == expected
    assert len(found) == len(expected)
    assert {v.page.title: v.page.reason for v in found if v.page.status == "redirect"} == {
        "2020 R": "to 2020 T",
        "2020 S": "to 2020 T",
        "2020 U": "to Elsewhere",
    }
    assert {v.page.title for v in found if v.html} == {"2020 A", "2020 T"}


def test_a_seed_that_the_topic_does_not_admit_is_filtered_without_blaming_a_redirect() -> None:
    (visit,) = visits(MediaWiki({"Tokyo": []}), replace(TOPIC, seeds=("Tokyo",)))
    assert visit.page.status == "filtered"
    assert "redirect" not in visit.page.reason


def test_the_order_does_not_depend_on_the_order_of_the_wikis_answers() -> None:
    names = [f"2020 {letter}" for letter in "ABCDEFGHIJ"]
    links = dict.fromkeys(names[:5], names) | {name: ["2020 A"] for name in names[5:]}
    orders = [met(MediaWiki(links, {"2020 R": "2020 A"}, {"2020 J"}, order=order), replace(TOPIC, seeds=("2020 R", "2020 B"))) for order in range(4)]
    assert orders.count(orders[0]) == 4
    assert len(orders[0]) == 11
    many = [f"2020 {i:03}" for i in range(2 * BATCH + 1)]
    wiki = MediaWiki({"2020 A": many, **{name: [] for name in many}})
    assert [title for title, _ in met(wiki)] == ["2020 A", *many]


@pytest.mark.parametrize("n", [1, 2, 4, 5])
def test_max_pages_counts_kept_pages_and_fetches_no_more(n: int) -> None:
    links = {f"2020 {letter}": [f"2020 {other}" for other in "BCDEFG"] for letter in "ABCDEFG"}
    wiki = MediaWiki(links, disambiguations={"2020 B"})
    kept = [title for title, status in met(wiki, max_pages=n) if status == "kept"]
    assert kept == ["2020 A", "2020 C", "2020 D", "2020 E", "2020 F"][:n]
    assert sum(request.url.params["action"] == "parse" for request in wiki.asked) == n


def test_titles_are_asked_about_in_batches_and_pages_a_few_at_once() -> None:
    names = [f"2020 {i:03}" for i in range(2 * BATCH + 1)]
    wiki = MediaWiki({name: [] for name in names})
    assert met(wiki, replace(TOPIC, seeds=tuple(names))) == [(name, "kept") for name in names]
    assert sum("titles" in request.url.params for request in wiki.asked) == 3
    assert wiki.most_in_flight == AT_ONCE


def test_each_request_names_the_client_and_asks_to_be_put_off_under_lag() -> None:
    wiki = MediaWiki({"2020 A": []})
    met(wiki)
    assert {request.url.params["maxlag"] for request in wiki.asked} == {"5"}
    assert all("abstention-pipeline-tests/1 (nobody@example.org)" in request.headers["user-agent"] for request in wiki.asked)


def test_a_kept_page_bears_its_revision_address_and_the_wikis_licence() -> None:
    (visit,) = visits(MediaWiki({"2020 A": []}))
    page = visit.page
    assert (page.page_id, page.url, page.revision_id, page.revision_timestamp) == (6065, "https://w.example/2020 A", 7, "2021-01-01T00:00:00Z")
    assert (page.licence, visit.html) == ("CC BY-SA https://licence.example", "<p>2020 A</p>")
    assert page.retrieved_at


def test_a_page_edited_between_the_two_requests_bears_the_texts_revision_and_no_older_time() -> None:
    class Edited(MediaWiki):
        def parse(self, title: str) -> dict[str, Any]:
            return {**super().parse(title), "revid": 8}

    (visit,) = visits(Edited({"2020 A": []}))
    assert (visit.page.revision_id, visit.page.revision_timestamp) == (8, "")


def test_a_title_is_admitted_if_it_contains_all_parts_in_any_case_and_matches_no_exclusion() -> None:
    topic = replace(TOPIC, title_contains=("2020", "OLYMPI"), title_excludes=(r"medal table$",))
    titles = ["2020 Summer Olympics", "2016 Olympics", "2020 olympics medal table", "2020 Olympics medal tables"]
    assert [admits(topic, title) for title in titles] == [True, False, False, True]


# --- a wiki that does not answer as it should -------------------------------------------------------

PASSING: dict[str, Fault] = {
    "maxlag": says("maxlag"), "ratelimited": says("ratelimited"), "readonly": says("readonly"),
    "a proxy's page": lambda: httpx.Response(200, text="<html>busy</html>"), "a body cut off": lambda: httpx.Response(200, text='{"query": {"gen'),
    "no object": lambda: httpx.Response(200, json=[]), "no text": lambda: httpx.Response(200, content=b"\xff\xfe"),
    "429": lambda: httpx.Response(429, headers={"Retry-After": "0"}), "503": lambda: httpx.Response(503),
}  # fmt: skip


def test_what_passes_is_asked_again_until_the_answer_comes() -> None:
    wikis = {name: MediaWiki({}, faults=[fault]) for name, fault in PASSING.items()}

    async def all_at_once() -> list[WikiInfo]:  # each waits 1 to 2 seconds before it asks again
        return await asyncio.gather(*(using(transport, Wiki.info) for transport in wikis.values()))

    assert asyncio.run(all_at_once()) == [WikiInfo("Test wiki", "CC BY-SA", "https://licence.example")] * len(wikis)
    assert {name: len(transport.asked) for name, transport in wikis.items()} == dict.fromkeys(wikis, 2)


@pytest.mark.parametrize(
    ("fault", "said"),
    [(says("readapidenied"), "the wiki refuses – readapidenied: said the wiki"), (lambda: httpx.Response(404), "the wiki does not answer – .*404")],
)
def test_a_refusal_is_an_error_at_once(fault: Fault, said: str) -> None:
    wiki = MediaWiki({"2020 A": []}, faults=[fault])
    with pytest.raises(SourceError, match=said):
        met(wiki)
    assert len(wiki.asked) == 1


def test_a_page_refused_in_the_midst_leaves_the_pages_before_it() -> None:
    class Vanishing(MediaWiki):
        def answer(self, params: dict[str, str]) -> dict[str, Any]:
            return {"error": {"code": "missingtitle", "info": "gone"}} if params.get("page") == "2020 B" else super().answer(params)

    before: list[str] = []

    async def use(wiki: Wiki) -> None:
        async for visit in crawl(wiki, TOPIC, None):
            before.append(visit.page.title)  # noqa: PERF401 (what came before the error is the point)

    with pytest.raises(SourceError, match="missingtitle: gone"):
        asyncio.run(using(Vanishing({"2020 A": ["2020 B", "2020 C"], "2020 B": [], "2020 C": []}), use))
    assert before == ["2020 A"]


@pytest.mark.parametrize(
    "answer",
    [{"parse": {}}, {"parse": []}, {"parse": {"text": {"*": "x"}}}, {"query": []}, {"query": {"general": [], "rightsinfo": []}}, {"query": {"pages": {"1": {}}}}, {"query": {"pages": ["x"]}}],
)  # fmt: skip
@pytest.mark.parametrize("to", ["meta", "titles", "page"])
def test_json_of_another_shape_is_no_bare_exception(to: str, answer: dict[str, Any]) -> None:
    class Odd(MediaWiki):
        def answer(self, params: dict[str, str]) -> dict[str, Any]:
            return answer if to in params else super().answer(params)

    with suppress(SourceError):  # or read as an answer that says nothing
        assert ("2020 A", "kept") not in met(Odd({"2020 A": []})) or to == "meta"


# --- sections that count ----------------------------------------------------------------------------


def raw(heading: str, content: str, *above: str) -> RawSection:
    return RawSection(heading, (*above, heading), 2 + len(above), heading.replace(" ", "_"), content)


def count_words(text: str) -> int:
    return len(text.split())


PAGE = Page(5, "Title", "https://w.example/Title", 7, "", "", "", 0, "kept", "")


def test_a_section_counts_from_40_tokens_of_its_whole_context() -> None:
    kept, dropped = Sectioner(TOPIC, count_words).sections(PAGE, [raw("H", "w " * 38), raw("H", "w " * 37), raw("H", " \n")])
    assert [(s.position, s.tokens) for s in kept] == [(0, 40)]
    assert [(d.position, d.tokens, d.reason) for d in dropped] == [(1, 39, "short"), (2, 2, "empty")]


def test_a_section_above_1500_tokens_is_split_with_nothing_lost() -> None:
    count = token_counter("cl100k_base")
    whole, long = "Some words here. " * 370, "".join(f"Runner {i} finished the race in {i * 7} seconds. " for i in range(400))
    kept, dropped = Sectioner(TOPIC, count).sections(PAGE, [raw("Whole", whole), raw("Long", long)])
    parts = [s for s in kept if s.heading == "Long"]
    assert ([s.content for s in kept if s.heading == "Whole"], dropped) == ([whole], [])
    assert "".join(s.content for s in parts) == long
    assert [s.part for s in parts] == list(range(len(parts)))
    assert all(40 <= s.tokens <= 1500 and s.tokens == count(s.context) for s in parts)


SECTIONS = st.lists(
    st.tuples(
        st.sampled_from(["H", "I", "Notes"]),
        st.lists(st.sampled_from(["w ", "w. ", "x\n"]), max_size=12).flatmap(lambda bits: st.integers(0, 40).map(lambda n: "".join(bits * n))),
    ),
    max_size=8,
)


@given(SECTIONS)
def test_what_goes_in_comes_out_kept_or_dropped(given_sections: list[tuple[str, str]]) -> None:
    topic = replace(TOPIC, min_tokens=5, max_tokens=60)
    kept, dropped = Sectioner(topic, count_words).sections(PAGE, [raw(*item) for item in given_sections])
    texts = {d.position: d.content for d in dropped}
    for section in kept:
        texts[section.position] = texts.get(section.position, "") + section.content
    assert [texts[position] for position in range(len(given_sections))] == [content for _, content in given_sections]
    assert len({s.section_id for s in kept}) == len(kept)
    assert max((s.tokens for s in kept), default=0) <= 60


def test_a_heading_of_low_information_drops_what_stands_below_it_too_in_any_case() -> None:
    long = "w " * 50
    kept, dropped = Sectioner(TOPIC, count_words).sections(PAGE, [raw("SEE ALSO", long), raw("Sub", long, "Notes"), raw("Notes on style", long)])
    assert [s.heading for s in kept] == ["Notes on style"]
    assert [(d.heading, d.reason) for d in dropped] == [("SEE ALSO", "low_information"), ("Sub", "low_information")]


def test_a_text_met_before_names_the_first_on_this_page_or_another() -> None:
    sectioner = Sectioner(TOPIC, count_words)
    (first, again), _ = sectioner.sections(PAGE, [raw("H", "w " * 50), raw("H", "w\n" * 50)])
    (elsewhere, other), _ = sectioner.sections(replace(PAGE, page_id=6), [raw("J", "w " * 50), raw("J", "v " * 50)])
    assert (first.duplicate_of, other.duplicate_of) == ("", "")
    assert (again.duplicate_of, elsewhere.duplicate_of) == (first.section_id, first.section_id)


def test_a_sections_row_bears_its_path_and_address_and_the_same_id_each_time() -> None:
    section = raw("Men's 100 m", "w " * 50, "Events")
    (one,), _ = Sectioner(TOPIC, count_words).sections(PAGE, [section])
    (two,), _ = Sectioner(TOPIC, count_words).sections(PAGE, [raw("Empty", ""), section])
    assert (one.heading_path, one.url) == ("Events > Men's 100 m", "https://w.example/Title#Men%27s_100_m")
    assert (one.section_id, one.position, two.position) == (two.section_id, 0, 1)


# --- files ------------------------------------------------------------------------------------------


def rows_of(path: Path, content: bytes) -> tuple[list[dict[str, str]], str]:
    path.write_bytes(content)
    found: list[dict[str, str]] = []
    try:
        found.extend(row for row in read_csv_rows(path, ("title", "heading", "content")))
    except InputError as error:
        return found, str(error)
    return found, ""


HEADER = b"title,heading,content\n"
ROW = {"title": "NA", "heading": "", "content": "1\n2"}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda content: b"\xef\xbb\xbf" + content])
def test_a_csv_plain_packed_or_with_a_bom_gives_texts_as_they_stand(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    assert rows_of(tmp_path / "any", pack(HEADER + b'NA,,"1\n2"\n')) == ([ROW], "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"), (b"title,content\na,b\n", "heading"), (HEADER + b"a,b,\xff\n", "not UTF-8"), (HEADER + b'a,b,"c\n', "not a well-formed CSV"),
        (gzip.compress(HEADER)[:-9], "damaged or cut off"), (HEADER + b"a,b,c,d\n", "not a well-formed CSV"),
    ],
)  # fmt: skip
def test_a_csv_that_cannot_be_read_is_an_error_that_says_why_and_names_it(tmp_path: Path, content: bytes, said: str) -> None:
    rows, error = rows_of(tmp_path / "bad.csv", content)
    assert rows == []
    assert said in error
    assert "bad.csv" in error


def test_rows_before_a_fault_come_before_the_error(tmp_path: Path) -> None:
    rows, error = rows_of(tmp_path / "bad.csv", HEADER + b"a,b,c\n" * 3 + b"a,b,c,d\n")
    assert "line 5" in error
    assert len(rows) == 3


def test_a_csv_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file – .*gone\.csv"):
        list(read_csv_rows(tmp_path / "gone.csv", ()))


def test_the_sample_gives_49_kept_pages_with_text_in_the_same_order_each_time() -> None:
    topic = load_topic(SHIPPED)
    first, second = (visits(SampleTransport(bundled("sample")), topic) for _ in range(2))
    assert sum(visit.page.status == "kept" and "<" in visit.html for visit in first) == 49
    assert {visit.page.status for visit in first} >= {"kept", "redirect", "disambiguation", "filtered"}
    assert first == second


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_sample_that_is_not_whole_is_an_error_that_names_the_file(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "wiki.json").write_text(content)
    with pytest.raises(StorageError, match=r"wiki\.json"):
        SampleTransport(tmp_path)


# --- topic files ------------------------------------------------------------------------------------


def test_the_shipped_topic_is_read() -> None:
    topic = load_topic(SHIPPED)
    assert (topic.language, topic.seeds, topic.title_contains) == ("en", ("2020 Summer Olympics",), ("2020", "olympi"))
    assert (topic.min_tokens, topic.max_tokens, "See also" in topic.low_information) == (40, 1500, True)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("min_tokens = 40", "", "lacks a key – .*: min_tokens"),
        ("min_tokens = 40", "min_tokens = 40\nmintokens = 40", "unknown key – .*: mintokens"),
        ("min_tokens = 40", "min_tokens = '40'", "wrong type – .*: min_tokens"),
        ("min_tokens = 40", "min_tokens = true", "wrong type – .*: min_tokens"),
        ('seeds = ["2020 Summer Olympics"]', 'seeds = "2020 Summer Olympics"', "wrong type – .*: seeds"),
        ('seeds = ["2020 Summer Olympics"]', "seeds = [2020]", "wrong type – .*: seeds"),
        ("title_excludes = []", 'title_excludes = ["("]', "title_excludes"),
        ('language = "en"', 'language = ""', "language"),
        ("min_tokens = 40", "min_tokens = ", "not TOML – .*line"),
    ],
)
def test_a_fault_in_a_topic_file_is_an_error_that_names_the_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    path = tmp_path / "topic.toml"
    path.write_text(SHIPPED.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(InputError, match=key):
        load_topic(path)


def test_a_topic_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read – .*none\.toml"):
        load_topic(tmp_path / "none.toml")
