"""One real wiki for all of these tests, and one crawl of the sample on it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from build_sample import export, sources

from integration.fixtures import PAGES
from integration.rig import Crawl, RealWiki, WikiScriptError, crawl, free_port, script


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealWiki]:
    """A MediaWiki with the sample's pages and ours. It ends with the tests, however they end."""
    folder = tmp_path_factory.mktemp("wiki")
    dump = folder / "dump.xml"
    dump.write_text(export({**sources(), **PAGES}), "utf-8")
    try:
        api_url = script("start", folder, free_port(), dump, STOP_WITH=str(os.getpid())).strip()
    except WikiScriptError as error:
        pytest.exit(f"no wiki to test against, so nothing was tested\n{error}", returncode=1)
    yield RealWiki(folder, api_url)
    script("stop", folder)


@pytest.fixture
def wiki(server: RealWiki) -> RealWiki:
    """The wiki, with an empty log and no faults."""
    server.forget()
    return server


@pytest.fixture(scope="session")
def sample_crawl(server: RealWiki, tmp_path_factory: pytest.TempPathFactory) -> Crawl:
    """The shipped topic, collected from the wiki. Not to be written to: copy it."""
    server.forget()
    folder = crawl(server, tmp_path_factory.mktemp("sample_crawl") / "run")
    return Crawl(folder, server.requests())
