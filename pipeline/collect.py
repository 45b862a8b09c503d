"""python -m pipeline.collect [--source wikipedia|sample|csv] [--data DIR] [--topic FILE] [--contact MAIL_OR_URL]

Wiki pages → sections, each with its revision, licence and token count.

Examples
  python -m pipeline.collect --source sample
      the bundled sample wiki (written for this project, CC0): no network, a second
  python -m pipeline.collect --contact you@example.org
      the live Wikipedia, from the topic's seeds over the links that match its filters; at most 3 requests at once, 200 a minute
  python -m pipeline.collect --api-url https://wiki.example.org/w/api.php --topic mine.toml --contact you@example.org
      another wiki, another topic
  python -m pipeline.collect --source csv --file olympics_sections.csv
      what the notebooks saved

Writes, in the run folder
  pages.parquet             every page met: kept, or redirect, disambiguation, missing, filtered
  sections.parquet, .csv    a row a section, in reading order
  dropped_sections.parquet  sections that do not count, with the reason
  ATTRIBUTION.md            licence and sources, to be published with the data
  crawl.sqlite              the pages as the wiki sent them: killed, the same command goes on; run again later, it asks
                            which have a new revision, fetches those, and says what was added, changed and removed
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipeline import cli, settings
from pipeline.errors import InputError, PipelineError, SourceError
from pipeline.records import QA, DroppedSection, Page, Section, derived_page_id
from pipeline.settings import bundled, load_topic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

    from pipeline.cli import Outcome, Run
    from pipeline.settings import Topic
    from pipeline.sources.fetched import FetchedPages
    from pipeline.sources.sectioning import RawSection
    from pipeline.sources.wikipedia import Wiki


@dataclass(slots=True)
class Found:
    """What a source gave: every page met, how to read a kept one's sections, and what went wrong, if anything did."""

    pages: list[Page]
    read: Callable[[Page], list[RawSection]]
    failure: PipelineError | None = None
    cost: dict[str, int] = field(default_factory=dict)
    store: FetchedPages | None = None
    """where the pages of a wiki lie, and what was there the last time"""


@cli.stage("collect")
@settings.topic
@settings.source
@settings.file
@settings.api_url
@settings.max_pages
@settings.contact
@settings.rate
@settings.encoding
def main(
    run: Run, topic: Path, source: str, file: Path | None, api_url: str | None, max_pages: int | None, contact: str | None,
    rate: float | None, encoding: str,
) -> Outcome:  # fmt: skip
    """Wiki pages → sections, each with its revision, licence and token count."""
    rules = load_topic(topic)
    run.folder.prepare()
    chosen = {"source": source, "api_url": api_url, "max_pages": max_pages, "encoding": encoding}
    inputs = _inputs(topic, source, file)
    if file is not None:
        entry = run.is_current(inputs, chosen)
        if entry:
            return _outcome(run, entry["counts"], "collect: nothing to do, sections are there already (--force does it anew)")
        return _concluded(run, rules, _from_file(source, file), inputs, chosen)
    with ExitStack() as opened:
        wiki, store = _wiki(run, rules, source, api_url, contact, rate, opened)
        found = _from_wiki(run, rules, wiki, store, max_pages)
        return _concluded(run, rules, found, {**inputs, "pages": _digest(found.pages)}, chosen)


def _inputs(topic: Path, source: str, file: Path | None) -> dict[str, str]:
    """Return hashes of what decides the outcome besides a wiki's pages: topic, sample or file.

    Raises InputError if --source and --file do not go together.
    """
    from pipeline.sources.files import READERS
    from pipeline.store import sha256_of

    if file is not None and source not in READERS:
        goes_with = " or ".join(f"--source {name}" for name in READERS)
        raise InputError(f"--file goes with {goes_with}", f"--source {source}", f"add {goes_with}, or leave --file out")
    named = {"topic": topic}
    if source == "sample":
        named["sample"] = bundled("sample", "wiki.json")
    elif source in READERS:
        if file is None:
            raise InputError(f"--source {source} needs a file", "--file is missing", f"name the {source.upper()} with --file")
        if not file.is_file():
            raise InputError("there is no such file", file, "check --file")
        named["file"] = file
    return {name: sha256_of(path) for name, path in named.items()}


def _digest(pages: list[Page]) -> str:
    """Return a hash of what the wiki holds: pages, their revisions and what became of them, whenever they were fetched."""
    known = [(p.page_id, p.title, p.url, p.revision_id, p.licence, p.status, p.reason) for p in sorted(pages, key=_by_id)]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _by_id(page: Page) -> tuple[int, str]:
    return page.page_id, page.title


def _wiki(
    run: Run, rules: Topic, source: str, api_url: str | None, contact: str | None, rate: float | None, opened: ExitStack
) -> tuple[Wiki, FetchedPages]:
    """Return the wiki to ask, and the file of its pages."""
    from pipeline.sources.fetched import FetchedPages
    from pipeline.sources.wikipedia import Wiki

    transport: httpx.AsyncBaseTransport | None = None
    if source == "sample":
        from pipeline.sources.sample import API_URL, SampleTransport

        api_url, transport = API_URL, SampleTransport(bundled("sample"))
    wiki = Wiki(_user_agent(contact, source), rules.language, api_url, rate, transport)
    return wiki, opened.enter_context(FetchedPages(run.folder.crawl, wiki.api_url))


def _user_agent(contact: str | None, source: str) -> str:
    from pipeline import __version__

    if source == "sample":
        return f"{settings.USER_AGENT_NAME}/{__version__} (no network)"
    contact = (contact or _remembered_contact()).strip()
    fault = _contact_fault(contact)
    if fault:
        do = "add --contact YOU@EXAMPLE.ORG (or a URL), or set PIPELINE_CONTACT"
        raise InputError("the wiki's rules ask for your contact", f"--contact {fault}", do)
    return f"{settings.USER_AGENT_NAME}/{__version__} ({contact})"


def _contact_fault(contact: str) -> str:
    """Return why a contact is none that can be sent in a header, or nothing."""
    if not contact:
        return "is missing"
    return "" if contact.isprintable() and contact.isascii() else f"{contact!a} is not plain ASCII"


def _remembered_contact() -> str:
    """Return the contact given earlier; on a terminal, ask for it once and remember it. It is an address, not a secret."""
    import sys

    import click
    import platformdirs

    path = platformdirs.user_config_path(settings.USER_AGENT_NAME, appauthor=False) / "contact"
    if path.is_file():
        return path.read_text("utf-8", "replace").strip()
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return ""
    said = ""
    while _contact_fault(said):
        said = click.prompt("The wiki's rules ask how its operators can reach you (mail address or URL, plain ASCII)", err=True).strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(said + "\n", "utf-8")
    return said


def _from_wiki(run: Run, rules: Topic, wiki: Wiki, store: FetchedPages, max_pages: int | None) -> Found:
    from pipeline.sources.crawl import Crawl, Progress
    from pipeline.sources.sectioning import RawSection
    from pipeline.wiki.sections import split_sections

    def read(page: Page) -> list[RawSection]:
        sections = split_sections(store.html(page.title), facts=rules.facts)
        return [RawSection(s.heading, s.path, s.level, s.anchor, s.content, "\n".join(s.left_out)) for s in sections]

    async def crawled() -> PipelineError | None:
        try:
            await crawl.run()
        except SourceError as error:  # what came before is kept
            return error
        finally:
            await wiki.close()
        return None

    with run.progress(None, "pages", "page") as bar:
        crawl = Crawl(wiki, rules, store, max_pages, run.force, Progress(bar.expect, bar.step))
        failure = asyncio.run(crawled())
    pages = [page for page in crawl.pages.values() if page.status != "kept" or page.retrieved_at]
    return Found(pages, read, failure, {"requests": wiki.requests, "pages_fetched": crawl.fetched}, store)


def _from_file(source: str, file: Path) -> Found:
    from pipeline.sources import files

    sections, failure = files.read(source, file)
    pages = [Page(derived_page_id(title), title, "", None, "", "", "", 0, "kept", "") for title in sections]
    return Found(pages, lambda page: sections[page.title], failure)


def _concluded(run: Run, rules: Topic, found: Found, inputs: dict[str, str], chosen: dict[str, Any]) -> Outcome:
    """Write the sections of what was found, unless they are there already; after a fault, what there is, and the fault."""
    from pipeline.sources.counts import changes, told_of

    finished = run.folder.stages().get("collect")
    if found.failure and (finished or not found.pages):
        raise found.failure  # what an earlier collect brought to its end is worth more than half of a new one
    entry = None if found.failure else run.is_current(inputs, chosen)
    if entry:
        outcome = _outcome(run, entry["counts"], f"collect: nothing has changed, {entry['counts']['sections']} sections are there already")
    else:
        outcome = _outcome(run, *_written(run, rules, found, chosen["encoding"]))
    outcome.facts = dict(found.cost)
    earlier = found.store.collected() if found.store else []
    if earlier:
        different = changes(earlier, found.pages, whole=chosen["max_pages"] is None)
        outcome.facts["changes"] = different
        outcome.lines += tuple(told_of(different))
    if found.failure:
        outcome.failure, outcome.then = found.failure, ""
        outcome.lines = (f"{outcome.lines[0]} – kept, but the stage is not complete",)
        return outcome
    if not entry:
        cli.finish(run, outcome, inputs, chosen, found.cost)
    if found.store:
        found.store.finish((page.page_id, page.title, page.revision_id) for page in found.pages if page.status == "kept")
    return outcome


def _written(run: Run, rules: Topic, found: Found, encoding: str) -> tuple[dict[str, Any], str]:
    """Cut every page into sections and write them as they come, in reading order; return the counts, and a sentence of them."""
    from pipeline.database import scratch_database
    from pipeline.sources.attribution import attribution
    from pipeline.sources.counts import Counts, sentence_of
    from pipeline.sources.sectioning import Sectioner
    from pipeline.store import csv_file, rows_file, write_rows, write_text
    from pipeline.text.duplicates import NearDuplicates
    from pipeline.text.tokens import token_counter

    folder, counts, pages = run.folder, Counts(), list[Page]()
    with ExitStack() as opened:
        sectioner = Sectioner(rules, token_counter(encoding), NearDuplicates(opened.enter_context(scratch_database())))
        add_section = opened.enter_context(rows_file(folder.sections, Section))
        add_to_csv = opened.enter_context(csv_file(folder.sections.with_suffix(".csv"), Section))
        add_dropped = opened.enter_context(rows_file(folder.dropped_sections, DroppedSection))
        bar = opened.enter_context(run.progress(len(found.pages), "sections", "page"))
        for page in sorted(found.pages, key=_by_id):
            kept, dropped = sectioner.sections(page, found.read(page)) if page.status == "kept" else ([], [])
            for section in kept:
                add_section(section)
                add_to_csv(section)
            for gone in dropped:
                add_dropped(gone)
            pages.append(replace(page, n_sections=len(kept)))
            counts.add(page, kept, dropped)
            bar.step(sections=counts.sections)
        if not counts.sections:
            met = "; ".join(f"{page.title}: {page.reason or 'no section'}" for page in pages[:3]) or "no page was met"
            raise found.failure or InputError("no section was found", met, "check the source, and the topic's seeds and filters")
        folder.unfinish("collect")
    write_rows(folder.pages, Page, pages)
    write_text(folder.attribution, attribution(pages))
    _unfinish_what_follows(run)
    named = counts.named()
    return named, f"collect: {sentence_of(named)}{_orphans(run)}"


def _orphans(run: Run) -> str:
    """Return a warning if questions of the run belong to sections that are no longer in it."""
    from pipeline.store import read_columns

    if not run.folder.qa.is_file():
        return ""
    ids = {row["section_id"] for row in read_columns(run.folder.sections, Section, ("section_id",))}
    asked = [row["section_id"] in ids for row in read_columns(run.folder.qa, QA, ("section_id",))]
    gone = asked.count(False)
    return f"\nwarning: {gone} of the {len(asked)} questions in {run.folder.qa} belong to sections that are no longer here" if gone else ""


def _unfinish_what_follows(run: Run) -> None:
    """Take the later stages out of the manifest if they were made from other sections."""
    from pipeline.store import sha256_of

    made_from = run.folder.stages().get("create_qa", {}).get("inputs", {}).get("sections")
    if made_from != sha256_of(run.folder.sections):
        run.folder.unfinish("create_qa", "train", "report")


def _outcome(run: Run, counts: dict[str, Any], line: str) -> Outcome:
    folder = run.folder
    outputs = (folder.pages, folder.sections, folder.sections.with_suffix(".csv"), folder.dropped_sections, folder.attribution)
    first, *warnings = line.split("\n")
    return cli.Outcome(counts, folder.sections, outputs, (f"{first} → {folder.sections}", *warnings), folder.command("create_qa"))


if __name__ == "__main__":
    main()
