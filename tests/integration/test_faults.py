"""A wiki that is busy, broken or slow, and a crawl that is killed, end in the same bytes."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from integration.rig import ALWAYS, Crawl, Fault, RealWiki, Request, collect, crawl, interrupted, sections_bytes, titles, write_topic

pytestmark = pytest.mark.integration

JSON = "application/json; charset=utf-8"
PAGES = {f"Orbit {n}": 1 for n in range(1, 10)}
RATELIMITED = json.dumps({"error": {"code": "ratelimited", "info": "You've exceeded your rate limit. Please wait some time and try again."}})
READONLY = json.dumps({"error": {"code": "readonly", "info": "The wiki is currently in read-only mode."}})

FAULTS: dict[str, Fault] = {
    "429 without a word": {"status": 429},
    "500": {"status": 500},
    "503 without a word": {"status": 503},
    "a proxy's page": {"body": "<html><body>Busy</body></html>"},
    "an empty answer": {"body": "", "type": JSON},
    "cut off": {"body": '{"parse": {"title": "Orbit 1", "text": "<p>', "type": JSON, "length": 5000},
    "half of the JSON": {"body": '{"parse": {"title": "Orbit 1", "text": "<p>', "type": JSON},
    "closed": {"close": True},
    "ratelimited inside a 200": {"body": RATELIMITED, "type": JSON},
    "readonly inside a 200": {"body": READONLY, "type": JSON},
    "slow": {"sleep": 2},
}


@pytest.fixture(scope="module")
def topic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_topic(tmp_path_factory.mktemp("topic") / "t.toml", seeds=["Orbit 1"])


@pytest.fixture(scope="module")
def undisturbed(server: RealWiki, topic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the topic gives when nothing goes wrong."""
    server.forget()
    return crawl(server, tmp_path_factory.mktemp("undisturbed") / "run", topic)


# --- faults that pass -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAULTS)
def test_after_a_fault_the_bytes_are_the_same_and_each_page_was_given_once(
    wiki: RealWiki, topic: Path, undisturbed: Path, tmp_path: Path, name: str
) -> None:
    fault = FAULTS[name]
    wiki.faults({"match": "action=parse", "skip": 1, "times": 2, **fault}, {"match": "action=query", "skip": 1, **fault})
    folder = crawl(wiki, tmp_path / "run", topic)
    assert sections_bytes(folder) == sections_bytes(undisturbed)
    assert wiki.fetched() == PAGES
    assert all(left.get("times") == 0 for left in json.loads((wiki.folder / "faults.json").read_text("utf-8")))


@pytest.mark.parametrize(
    ("fault", "at_least"),
    [
        ({"status": 429, "retry_after": "3"}, 3),
        ({"status": 503, "retry_after": "3"}, 3),
        ({"status": 503, "retry_after_date": 4}, 3),
        ({"lag": 6}, 5),
    ],
    ids=["429 with seconds", "503 with seconds", "503 with a date", "maxlag"],
)
def test_who_is_told_when_to_come_back_does_not_come_before(
    wiki: RealWiki, topic: Path, undisturbed: Path, tmp_path: Path, fault: Fault, at_least: float
) -> None:
    wiki.faults({"match": "action=parse", "skip": 1, **fault})
    folder = crawl(wiki, tmp_path / "run", topic)
    assert sections_bytes(folder) == sections_bytes(undisturbed)
    assert wiki.fetched() == PAGES
    put_off, again = times_asked(wiki.requests())
    assert put_off.status == fault.get("status", 200)
    assert again.began - put_off.ended >= at_least


def times_asked(requests: list[Request]) -> list[Request]:
    """Return the requests for the page that was asked for more than once."""
    by_page: dict[str, list[Request]] = {}
    for request in requests:
        if request.params["action"] == "parse":
            by_page.setdefault(request.uri, []).append(request)
    (repeated,) = (found for found in by_page.values() if len(found) > 1)
    return repeated


def quiet(wiki: RealWiki) -> None:
    """Wait until the wiki has answered what a client that is gone had asked."""
    before = -1
    while before != len(wiki.requests()):
        before = len(wiki.requests())
        time.sleep(0.3)


# --- faults that stay -------------------------------------------------------------------------------


@pytest.mark.parametrize("patience", ["1", "7200"])
def test_a_wiki_that_stops_answering_ends_in_an_error_and_the_next_run_goes_on(
    wiki: RealWiki, topic: Path, undisturbed: Path, tmp_path: Path, patience: str
) -> None:
    wiki.faults({"match": "action=parse", "status": 503, "retry_after": patience, "skip": 4, "times": ALWAYS})
    result = collect(wiki, tmp_path / "run", topic)
    assert result.code == 1
    assert len(result.errors) == 1
    assert "503" in result.errors[0]
    quiet(wiki)
    assert sum(wiki.fetched().values()) == 4
    wiki.faults()
    folder = crawl(wiki, tmp_path / "run", topic)
    assert sections_bytes(folder) == sections_bytes(undisturbed)
    assert wiki.fetched().keys() == PAGES.keys()
    assert sum(wiki.fetched().values()) <= len(PAGES) + 2  # two others may have been under way when the error came


def test_a_wiki_that_refuses_is_an_error_with_its_own_words_and_not_asked_again(wiki: RealWiki, topic: Path, tmp_path: Path) -> None:
    refusal = json.dumps({"error": {"code": "readapidenied", "info": "You need read permission to use this module."}})
    wiki.faults({"match": "", "body": refusal, "type": JSON, "times": ALWAYS})
    result = collect(wiki, tmp_path / "run", topic)
    assert result.code == 1
    assert len(result.errors) == 1
    assert "You need read permission" in result.errors[0]
    assert len(wiki.requests()) == 1


# --- kills ------------------------------------------------------------------------------------------


def test_killed_at_several_moments_the_crawl_goes_on_to_the_same_bytes(wiki: RealWiki, sample_crawl: Crawl, tmp_path: Path) -> None:
    n = len(titles(sample_crawl.folder))
    moments = (1, 7, n // 2, n)
    for moment in moments:
        code, said = interrupted(wiki, tmp_path / "run", None, signal.SIGKILL, lambda moment=moment: len(wiki.fetched()) >= moment)  # type: ignore[misc]
        assert code in {-signal.SIGKILL, 0}, said
        quiet(wiki)
    folder = crawl(wiki, tmp_path / "run")
    assert sections_bytes(folder) == sections_bytes(sample_crawl.folder)
    fetched = wiki.fetched()
    assert set(fetched) == titles(sample_crawl.folder)
    assert sum(times - 1 for times in fetched.values()) <= 3 * len(moments)


def test_interrupted_it_says_so_and_goes_on(wiki: RealWiki, topic: Path, undisturbed: Path, tmp_path: Path) -> None:
    wiki.faults({"match": "action=parse", "skip": 3, "sleep": 1, "times": ALWAYS})
    code, said = interrupted(wiki, tmp_path / "run", topic, signal.SIGINT, lambda: len(wiki.fetched()) >= 3)
    assert code == 130
    assert "run the same command again" in said
    assert "Traceback" not in said
    quiet(wiki)
    wiki.faults()
    folder = crawl(wiki, tmp_path / "run", topic)
    assert sections_bytes(folder) == sections_bytes(undisturbed)
    assert sum(wiki.fetched().values()) <= len(PAGES) + 3
