"""A crawl that is run again later fetches what changed, and says what it was."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from integration.rig import Crawl, RealWiki, Request, Row, collect, crawl, pages, sections, sections_bytes, titles, write_topic

pytestmark = pytest.mark.integration


def without_times(folder: Path) -> dict[str, Row]:
    return {title: {key: value for key, value in page.items() if key != "retrieved_at"} for title, page in pages(folder).items()}


# --- an unchanged wiki ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def again(server: RealWiki, sample_crawl: Crawl, tmp_path_factory: pytest.TempPathFactory) -> Crawl:
    """The sample's crawl, run again on the unchanged wiki."""
    folder = tmp_path_factory.mktemp("again") / "run"
    shutil.copytree(sample_crawl.folder, folder)
    server.forget()
    return Crawl(crawl(server, folder), server.requests())


def test_an_unchanged_wiki_is_asked_for_no_page_and_little_else(again: Crawl) -> None:
    assert [request.uri for request in again.requests if request.params["action"] == "parse"] == []
    assert len(again.requests) <= 2 + math.ceil(len(pages(again.folder)) / 50)


def test_an_unchanged_wiki_gives_the_same_rows_byte_for_byte(again: Crawl, sample_crawl: Crawl) -> None:
    assert sections_bytes(again.folder) == sections_bytes(sample_crawl.folder)
    assert without_times(again.folder) == without_times(sample_crawl.folder)


# --- a wiki that went on ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Refresh:
    """A crawl before and after the wiki was edited."""

    topic: Path
    before: Path
    after: Path
    changes: dict[str, list[str]]
    requests: list[Request]


@pytest.fixture(scope="module")
def refresh(server: RealWiki, tmp_path_factory: pytest.TempPathFactory) -> Refresh:
    """Crawl; edit two pages, make one a redirect, create, delete and move one each; crawl again."""
    folder = tmp_path_factory.mktemp("refresh")
    topic = write_topic(folder / "t.toml", seeds=["Refresh start"])
    server.forget()
    before = crawl(server, folder / "before", topic)
    shutil.copytree(before, folder / "after")
    server.edit("Refresh start", "Begins with [[Refresh stays]], [[Refresh edited]], [[Refresh deleted]], [[Refresh moved]] and [[Refresh turned]].")
    server.edit("Refresh edited", "As it is now.\n\n== Part ==\nA section that stays.")
    server.edit("Refresh turned", "#REDIRECT [[Refresh stays]]")
    server.edit("Refresh created", "New.")
    server.delete("Refresh deleted")
    server.move("Refresh moved", "Refresh moved away")
    server.forget()
    result = collect(server, folder / "after", topic)
    assert result.code == 0, result.err
    return Refresh(topic, before, folder / "after", result.json.get("changes", {}), server.requests())


def test_what_was_added_changed_and_removed_is_said(refresh: Refresh) -> None:
    assert {kind: sorted(titles) for kind, titles in refresh.changes.items()} == {
        "added": ["Refresh created"],
        "changed": ["Refresh edited", "Refresh moved away", "Refresh start"],  # a page that moves stays the page that it is
        "removed": ["Refresh deleted", "Refresh turned", "Refresh unlinked"],
    }


def test_pages_created_deleted_moved_and_turned_have_their_new_status(refresh: Refresh) -> None:
    expected = {
        "Refresh start": "kept", "Refresh stays": "kept", "Refresh edited": "kept", "Refresh created": "kept", "Refresh moved away": "kept",
        "Refresh deleted": "missing", "Refresh moved": "redirect", "Refresh turned": "redirect",
    }  # fmt: skip
    assert {title: page["status"] for title, page in pages(refresh.after).items()} == expected


def test_only_what_changed_is_fetched(refresh: Refresh) -> None:
    fetched = [request.page for request in refresh.requests if request.page]
    assert len(fetched) == len(set(fetched))
    assert {"Refresh start", "Refresh edited", "Refresh created"} <= set(fetched)
    assert set(fetched) <= {"Refresh start", "Refresh edited", "Refresh created", "Refresh moved away"}


def test_rows_of_an_unchanged_page_stay_as_they_were(refresh: Refresh) -> None:
    assert sections(refresh.after)["Refresh stays"] == sections(refresh.before)["Refresh stays"]
    assert pages(refresh.after)["Refresh stays"]["revision_id"] == pages(refresh.before)["Refresh stays"]["revision_id"]


def test_rows_of_an_edited_page_have_its_new_text_and_revision(refresh: Refresh) -> None:
    before, after = (pages(folder)["Refresh edited"]["revision_id"] for folder in (refresh.before, refresh.after))
    assert after > before
    found = sections(refresh.after)["Refresh edited"]
    assert [row["content"] for row in found] == ["As it is now.", "A section that stays."]
    assert {row["revision_id"] for row in found} == {after}
    assert str(after) in (refresh.after / "ATTRIBUTION.md").read_text("utf-8")


def test_a_crawl_gone_on_with_equals_a_new_one(refresh: Refresh, wiki: RealWiki, tmp_path: Path) -> None:
    new = crawl(wiki, tmp_path / "new", refresh.topic)
    assert sections_bytes(new) == sections_bytes(refresh.after)
    assert without_times(new) == without_times(refresh.after)
    assert titles(new) == {"Refresh start", "Refresh stays", "Refresh edited", "Refresh created", "Refresh moved away"}
