"""What a crawl of a real wiki makes of its pages, and how it asks for them."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote
from urllib.request import urlopen

import pytest
from build_sample import WRITTEN

from integration.fixtures import ARABIC, JAPANESE, LINKS, MEMBERS, QUOTES, SPECIAL
from integration.rig import CONTACT, Crawl, RealWiki, Request, Row, collect, crawl, pages, sections, titles, write_topic
from integration.rig import rows as rows_of

pytestmark = pytest.mark.integration

LONG = "Long " * 60 + "title"  # over 255 bytes
AWRY = ["", LONG, "Gold|Silver", "Brackets[in]it", "Nowhere at all"]
ELSEWHERE = ["Special:Version", "Media:Flag.png", "wikipedia:Tokyo"]


# --- the sample -------------------------------------------------------------------------------------


def test_sections_of_the_real_wiki_equal_those_of_the_bundled_sample(sample_crawl: Crawl, collected: Path) -> None:
    def told(folder: Path) -> dict[str, list[tuple[str, str]]]:
        return {title: [(row["heading_path"], row["content"]) for row in found] for title, found in sections(folder).items()}

    here, bundled = told(sample_crawl.folder), told(collected)
    assert here.keys() == bundled.keys()
    assert [title for title in bundled if here[title] != bundled[title]] == []


def test_the_same_pages_are_kept_as_of_the_bundled_sample(sample_crawl: Crawl, collected: Path) -> None:
    for status in ("kept", "redirect", "disambiguation", "filtered"):
        assert titles(sample_crawl.folder, status) == titles(collected, status)


def test_each_kept_page_bears_revision_licence_and_time_as_the_wiki_states_them(sample_crawl: Crawl) -> None:
    for page in (page for page in pages(sample_crawl.folder).values() if page["status"] == "kept"):
        assert page["revision_id"] > 0
        assert page["revision_timestamp"] == WRITTEN
        assert "Creative Commons Attribution-ShareAlike 4.0" in page["licence"]
        assert "https://creativecommons.org/licenses/by-sa/4.0/" in page["licence"]
        assert page["retrieved_at"]


def test_the_attribution_names_the_licence_and_each_page_with_its_address_and_revision(sample_crawl: Crawl) -> None:
    text = (sample_crawl.folder / "ATTRIBUTION.md").read_text("utf-8").replace("\\", "")
    lines = text.splitlines()
    assert "Creative Commons Attribution-ShareAlike 4.0" in text
    for title, page in pages(sample_crawl.folder).items():
        named = [line for line in lines if title in line and page["url"] in line and re.search(rf"\b{page['revision_id']}\b", line)]
        assert bool(named) == (page["status"] == "kept"), title


def test_each_sections_address_leads_to_its_heading(sample_crawl: Crawl) -> None:
    found = sections(sample_crawl.folder)["2020 Summer Olympics"]
    address = pages(sample_crawl.folder)["2020 Summer Olympics"]["url"]
    html = fetch(address)
    assert len(found) > 3
    for row in found[1:]:
        at, _, anchor = row["url"].partition("#")
        assert at == address
        assert f'id="{unquote(anchor)}"' in html


def test_a_page_costs_one_request_and_the_rest_are_a_few_batches(sample_crawl: Crawl) -> None:
    asked = [request.page for request in sample_crawl.requests]
    kept = titles(sample_crawl.folder)
    assert sorted(page for page in asked if page) == sorted(kept)
    assert len(asked) <= len(kept) + 10


# --- odd pages --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd(server: RealWiki, tmp_path_factory: pytest.TempPathFactory) -> Crawl:
    """A crawl that meets every kind of page; its topic admits all but what is out of bounds."""
    folder = tmp_path_factory.mktemp("odd")
    server.forget()
    topic = write_topic(folder / "topic.toml", seeds=["Odd start", "odd_start", "Talk:Odd start"], title_excludes=["^Out of"])
    return Crawl(crawl(server, folder / "run", topic), server.requests())


def test_a_page_of_each_kind_has_its_status_and_a_reason_if_it_is_not_kept(odd: Crawl) -> None:
    met = pages(odd.folder)
    expected = {
        "Odd start": "kept", "Target": "kept", "Empty page": "kept", SPECIAL: "kept", QUOTES: "kept", JAPANESE: "kept", ARABIC: "kept",
        "Plain redirect": "redirect", "Double redirect": "redirect", "Section redirect": "redirect", "Broken redirect": "redirect",
        "Redirect out of bounds": "redirect", "Odd (disambiguation)": "disambiguation", "No such page": "missing", "Never written": "missing",
        "Talk:Odd start": "filtered",
    }  # fmt: skip
    assert {title: met[title]["status"] if title in met else "not met" for title in expected} == expected
    assert [title for title, page in met.items() if page["status"] != "kept" and not page["reason"]] == []


@pytest.mark.parametrize("title", ["Loop one", "Loop two", "Loop of itself"])
def test_a_redirect_that_leads_to_itself_is_said_not_followed(odd: Crawl, title: str) -> None:
    assert pages(odd.folder)[title]["status"] in {"redirect", "missing"}


def test_a_title_in_another_spelling_is_the_same_page(odd: Crawl) -> None:
    assert {"odd_start", "odd start", "Odd_start"} & titles(odd.folder) == set()
    assert [request.page for request in odd.requests].count("Odd start") == 1


def test_every_red_link_of_a_page_with_more_than_500_is_met_and_missing(odd: Crawl) -> None:
    met = pages(odd.folder)
    assert [title for title in LINKS if title not in met or met[title]["status"] != "missing"] == []


def test_what_the_topic_does_not_admit_is_not_fetched_nor_are_its_links_or_a_disambiguations(odd: Crawl) -> None:
    assert "kept" not in {page["status"] for title, page in pages(odd.folder).items() if title in {"Out of bounds", "Behind the bounds"}}
    fetched = {request.page for request in odd.requests}
    assert fetched & {"Out of bounds", "Behind the bounds", "Odd (disambiguation)", "Talk:Odd start"} == set()


def test_each_kept_pages_address_leads_to_that_page(odd: Crawl) -> None:
    for title, page in pages(odd.folder).items():
        if page["status"] == "kept":
            assert f'"wgArticleId":{page["page_id"]},' in fetch(page["url"]), title


def test_text_of_any_script_and_headings_with_special_characters_come_as_they_are(odd: Crawl) -> None:
    told = {title: [(row["heading"], row["content"]) for row in found] for title, found in sections(odd.folder).items()}
    assert told[ARABIC][1] == ("تاريخ", "بدأت الألعاب عام 1896.")
    assert told[JAPANESE][1] == ("概要", "33競技339種目が行われた。")
    assert told[SPECIAL][1] == ('R&D? 50% + "more"', "Text of that section.")


def test_an_empty_page_is_kept_without_a_section_and_its_emptiness_is_said(odd: Crawl) -> None:
    assert pages(odd.folder)["Empty page"]["n_sections"] == 0
    assert "Empty page" not in sections(odd.folder)
    dropped = {row["title"]: row["reason"] for row in rows_of(odd.folder, "dropped_sections")}
    assert dropped["Empty page"] == "empty"


# --- seeds that are no pages -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seeds(server: RealWiki, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    """The pages met from one good seed among seeds that can be no page of this wiki."""
    folder = tmp_path_factory.mktemp("seeds")
    topic = write_topic(folder / "topic.toml", seeds=[*AWRY, *ELSEWHERE, "Thing zero"])
    return pages(crawl(server, folder / "run", topic))


@pytest.mark.parametrize("title", AWRY)
def test_a_seed_that_can_be_no_page_is_missing_with_a_reason(seeds: dict[str, Row], title: str) -> None:
    assert seeds[title]["status"] == "missing"
    assert seeds[title]["reason"]


@pytest.mark.parametrize("title", ELSEWHERE)
def test_a_seed_that_is_no_page_of_this_wiki_is_not_kept(seeds: dict[str, Row], title: str) -> None:
    assert seeds[title]["status"] in {"filtered", "missing"}
    assert seeds[title]["reason"]


def test_a_good_seed_among_bad_ones_is_kept(seeds: dict[str, Row]) -> None:
    assert seeds["Thing zero"]["status"] == "kept"


# --- categories and filters -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (0, {"Thing zero", "Thing one", "Thing two"}),
        (1, {"Thing zero", "Thing one", "Thing two", "Thing three"}),
        (9, {"Thing zero", "Thing one", "Thing two", "Thing three", "Thing four"}),  # the categories go in a circle
    ],
)
def test_a_category_gives_its_members_down_to_the_depth_asked_for(wiki: RealWiki, tmp_path: Path, depth: int, expected: set[str]) -> None:
    topic = write_topic(
        tmp_path / "t.toml", seeds=["Thing zero"], categories=["Category:Things"], category_depth=depth, title_matches=["^Thing ", "^Nothing"]
    )
    assert titles(crawl(wiki, tmp_path / "run", topic)) == expected


def test_a_category_of_more_than_500_is_read_to_its_end(wiki: RealWiki, tmp_path: Path) -> None:
    topic = write_topic(
        tmp_path / "t.toml", seeds=["Thing zero"], categories=["Category:Crowd"], category_depth=0, title_matches=["zero$", f"^{MEMBERS[-1]}$"]
    )
    assert titles(crawl(wiki, tmp_path / "run", topic)) == {"Thing zero", MEMBERS[-1]}


def test_a_title_must_match_a_pattern_and_none_of_the_excluded(wiki: RealWiki, tmp_path: Path) -> None:
    topic = write_topic(tmp_path / "t.toml", seeds=["Orbit 1"], title_matches=["[1-6]$", "9$"], title_excludes=["[45]$"])
    assert titles(crawl(wiki, tmp_path / "run", topic)) == {f"Orbit {n}" for n in (1, 2, 3, 6, 9)}
    assert set(wiki.fetched()) == {f"Orbit {n}" for n in (1, 2, 3, 6, 9)}


@pytest.mark.parametrize("n", [1, 3])
def test_max_pages_is_how_many_are_kept_and_fetched_and_the_rest_can_follow(wiki: RealWiki, tmp_path: Path, n: int) -> None:
    topic = write_topic(tmp_path / "t.toml", seeds=["Orbit 1"])
    folder = crawl(wiki, tmp_path / "run", topic, "--max-pages", n)
    assert len(titles(folder)) == n
    assert sum(wiki.fetched().values()) == n
    crawl(wiki, folder, topic)
    assert wiki.fetched() == {f"Orbit {k}": 1 for k in range(1, 10)}
    assert len(titles(folder)) == 9


def test_a_topic_without_a_page_is_an_error_that_says_so(wiki: RealWiki, tmp_path: Path) -> None:
    result = collect(wiki, tmp_path / "run", write_topic(tmp_path / "t.toml", seeds=["Nowhere at all"]))
    assert result.code == 1
    assert len(result.errors) == 1


# --- manners ----------------------------------------------------------------------------------------


def test_every_request_bears_the_contact_takes_gzip_and_gives_way_under_lag(sample_crawl: Crawl, odd: Crawl) -> None:
    requests = [*sample_crawl.requests, *odd.requests]
    assert len(requests) > 49
    for request in requests:
        assert CONTACT in request.agent
        assert "abstention-pipeline/" in request.agent
        assert "gzip" in request.encoding
        assert request.params["maxlag"] == "5"


def test_never_more_than_three_requests_are_under_way(wiki: RealWiki, tmp_path: Path) -> None:
    wiki.faults({"match": "action=parse", "sleep": 0.3, "times": 99})
    crawl(wiki, tmp_path / "run", write_topic(tmp_path / "t.toml", seeds=["Orbit 1"]))
    assert 1 < most_at_once(wiki.requests()) <= 3


def most_at_once(requests: list[Request]) -> int:
    moments = sorted([(request.began, 1) for request in requests] + [(request.ended, -1) for request in requests])
    now = most = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


def test_no_title_is_asked_about_twice(odd: Crawl) -> None:
    asked = sorted(title for request in odd.requests for title in request.params.get("titles", "").split("|") if title)
    assert [a for a, b in pairwise(asked) if a == b] == []


def fetch(address: str) -> str:
    assert address.startswith("http://127.0.0.1:")
    with urlopen(address, timeout=60) as answer:
        text: str = answer.read().decode("utf-8")
        return text
