"""collect's own work – HTML → sections → token counts – against reading the same pages with BeautifulSoup's get_text alone.

    python scripts/bench_collect.py [PASSES]

Prints milliseconds a page, the ratio, and peak memory for one and for ten times the pages.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

from bs4 import BeautifulSoup

from pipeline.database import scratch_database
from pipeline.records import Page
from pipeline.settings import bundled, load_topic
from pipeline.sources.sectioning import RawSection, Sectioner
from pipeline.text.duplicates import NearDuplicates
from pipeline.text.tokens import token_counter
from pipeline.wiki.sections import split_sections

if TYPE_CHECKING:
    from collections.abc import Callable


def timed(work: Callable[[str], object], pages: list[str]) -> float:
    """Return milliseconds a page."""
    start = time.perf_counter()
    for html in pages:
        work(html)
    return (time.perf_counter() - start) * 1000 / len(pages)


def main(passes: int) -> None:
    """Measure side by side, several times, and print medians."""
    pages = [json.loads(path.read_text("utf-8"))["parse"]["text"] for path in sorted(bundled("sample", "pages").glob("*.json"))]
    topic, count = load_topic(bundled("topics", "olympics-2020.toml")), token_counter("cl100k_base")

    def ours(html: str) -> object:
        raw = [RawSection(s.heading, s.path, s.level, s.anchor, s.content) for s in split_sections(html)]
        with scratch_database() as database:
            return Sectioner(topic, count, NearDuplicates(database)).sections(Page(1, "A page", "", None, "", "", "", 0, "kept", ""), raw)

    floor = median(timed(lambda html: BeautifulSoup(html, "lxml").get_text(), pages) for _ in range(passes))
    own = median(timed(ours, pages) for _ in range(passes))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    timed(ours, pages * 10)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{len(pages)} pages: get_text {floor:.2f} ms a page, collect {own:.2f} ms a page, ratio {own / floor:.2f}")
    print(f"peak memory {before} MB, after ten times the pages {after} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
