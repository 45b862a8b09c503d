"""python -m pipeline.collect [--source wikipedia|sample|csv] [--data DIR] [--topic FILE] [--contact MAIL_OR_URL]

Wiki pages → sections, each with its revision, licence and token count.

Examples
  python -m pipeline.collect --source sample
      the bundled sample wiki (written for this project, CC0): no network, a second
  python -m pipeline.collect --contact you@example.org
      the live Wikipedia, from the topic's seed titles over the links that match its filters
  python -m pipeline.collect --source csv --file olympics_sections.csv
      what the notebooks saved

Writes, in the run folder
  pages.parquet             every page met: kept, or redirect, disambiguation, missing, filtered
  sections.parquet, .csv    a row a section, in reading order
  dropped_sections.parquet  sections that do not count, with the reason
  ATTRIBUTION.md            licence and sources, to be published with the data
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline import cli, settings
from pipeline.errors import InputError, PipelineError
from pipeline.records import DroppedSection, Page, Section, derived_page_id
from pipeline.settings import bundled, load_topic

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from pipeline.cli import Outcome, Run
    from pipeline.settings import Topic
    from pipeline.sources.sectioning import RawSection, Sectioner

Collected = tuple[list[Page], list[Section], list[DroppedSection]]


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
    rate: float, encoding: str,
) -> Outcome:  # fmt: skip
    """Wiki pages → sections, each with its revision, licence and token count."""
    from pipeline.sources.sectioning import Sectioner
    from pipeline.text.tokens import token_counter

    rules = load_topic(topic)
    run.folder.prepare()
    chosen = {"source": source, "api_url": api_url, "max_pages": max_pages, "encoding": encoding}
    inputs = _inputs(topic, source, file)
    entry = run.is_current(inputs, chosen)
    if entry:
        return _outcome(run, entry["counts"], "collect: nothing to do, sections are there already (--force does it anew)")
    sectioner = Sectioner(rules, token_counter(encoding))
    finished_before = "collect" in run.folder.stages()
    failure: PipelineError | None = None
    collected: Collected = ([], [], [])
    try:
        if source == "csv":
            _from_csv(run, file, sectioner, collected)
        else:
            user_agent = _user_agent(contact, source)
            transport, url = _sample_wiki() if source == "sample" else (None, api_url)
            asyncio.run(_from_wiki(run, rules, url, user_agent, rate if source == "wikipedia" else None, transport, max_pages, sectioner, collected))
        if not collected[1]:
            raise InputError("no section was found", f"{len(collected[0])} pages met", "check the source and the topic's filters")
    except PipelineError as error:
        if finished_before:
            raise  # what an earlier collect brought to its end is worth more than half of a new one
        failure = error
    run.folder.unfinish("collect", "create_qa", "train", "report")
    outcome = _write(run, collected, failure)
    if not failure:
        cli.finish(run, outcome, inputs, chosen, {})
    return outcome


def _inputs(topic: Path, source: str, file: Path | None) -> dict[str, str]:
    from pipeline.store import sha256_of

    if file is not None and source != "csv":
        raise InputError("--file goes with --source csv", f"--source {source}", "add --source csv, or leave --file out")
    named = {"topic": topic}
    if source == "sample":
        named["sample"] = bundled("sample", "wiki.json")
    elif source == "csv":
        if file is None:
            raise InputError("--source csv needs a file", "--file is missing", "name the CSV with --file")
        if not file.is_file():
            raise InputError("there is no such file", file, "check --file")
        named["file"] = file
    return {name: sha256_of(path) for name, path in named.items()}


def _sample_wiki() -> tuple[httpx.AsyncBaseTransport, str]:
    from pipeline.sources.sample import API_URL, SampleTransport

    return SampleTransport(bundled("sample")), API_URL


def _user_agent(contact: str | None, source: str) -> str:
    from pipeline import __version__

    if source == "sample":
        return f"{settings.USER_AGENT_NAME}/{__version__} (no network)"
    contact = contact or _remembered_contact()
    if not contact or not contact.isprintable() or not contact.isascii():
        raise InputError(
            "the wiki's rules ask for your contact", f"--contact {contact or 'is missing'}",
            "add --contact YOU@EXAMPLE.ORG (or a URL), or set PIPELINE_CONTACT",
        )  # fmt: skip
    return f"{settings.USER_AGENT_NAME}/{__version__} ({contact})"


def _remembered_contact() -> str:
    """Return the contact given earlier; on a terminal, ask for it once and remember it. It is an address, not a secret."""
    import sys

    import click
    import platformdirs

    path = platformdirs.user_config_path(settings.USER_AGENT_NAME, appauthor=False) / "contact"
    if path.is_file():
        return path.read_text("utf-8").strip()
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return ""
    said: str = click.prompt("The wiki's rules ask how its operators can reach you (mail address or URL)", err=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(said.strip() + "\n", "utf-8")
    return said.strip()


async def _from_wiki(
    run: Run, topic: Topic, api_url: str | None, user_agent: str, rate: float | None, transport: httpx.AsyncBaseTransport | None,
    max_pages: int | None, sectioner: Sectioner, into: Collected,
) -> None:  # fmt: skip
    from pipeline.sources.sectioning import RawSection
    from pipeline.sources.wikipedia import Wiki, crawl
    from pipeline.wiki.sections import split_sections

    wiki = Wiki(user_agent, topic.language, api_url, rate, transport)
    try:
        with run.progress(None, "pages", "page") as bar:
            async for visit in crawl(wiki, topic, max_pages, bar.expect):
                raw = [RawSection(s.heading, s.path, s.level, s.anchor, s.content) for s in split_sections(visit.html)] if visit.html else []
                _add(visit.page, raw, sectioner, into)
                bar.step(sections=len(into[1]))
    finally:
        await wiki.close()


def _from_csv(run: Run, file: Path | None, sectioner: Sectioner, into: Collected) -> None:
    from pipeline.sources.notebook import read_csv_rows
    from pipeline.sources.sectioning import RawSection

    pages: dict[str, list[RawSection]] = {}
    failure: PipelineError | None = None
    try:
        for row in read_csv_rows(file, ("title", "heading", "content")) if file else ():
            section = RawSection(row["heading"], (row["heading"],), 1 if row["heading"] == "Summary" else 2, "", row["content"])
            pages.setdefault(row["title"], []).append(section)
    except InputError as error:  # what came before the fault is good
        failure = error
    with run.progress(len(pages), "pages", "page") as bar:
        for title, raw in pages.items():
            _add(Page(derived_page_id(title), title, "", None, "", "", "", 0, "kept", ""), raw, sectioner, into)
            bar.step()
    if failure:
        raise failure


def _add(page: Page, raw: list[RawSection], sectioner: Sectioner, into: Collected) -> None:
    pages, sections, dropped = into
    kept, gone = sectioner.sections(page, raw)
    pages.append(replace(page, n_sections=len(kept)))
    sections.extend(kept)
    dropped.extend(gone)


def _write(run: Run, collected: Collected, failure: PipelineError | None) -> Outcome:
    from pipeline.store import write_csv, write_rows, write_text

    pages, sections, dropped = collected
    if failure and not sections:
        raise failure
    pages.sort(key=lambda p: (p.page_id, p.title))
    sections.sort(key=lambda s: (s.page_id, s.position, s.part))
    dropped.sort(key=lambda d: (d.page_id, d.position))
    folder = run.folder
    write_rows(folder.pages, Page, pages)
    write_rows(folder.sections, Section, sections)
    write_csv(folder.sections.with_suffix(".csv"), Section, sections)
    write_rows(folder.dropped_sections, DroppedSection, dropped)
    write_text(folder.attribution, attribution(pages))
    met = sum(1 for s in sections if s.part == 0) + len(dropped)
    counts = {
        "pages": len(pages), "pages_by_status": dict(sorted(Counter(p.status for p in pages).items())), "sections_met": met,
        "sections": len(sections), "sections_split_further": len(sections) - (met - len(dropped)), "sections_dropped": len(dropped),
        "dropped_by_reason": dict(sorted(Counter(d.reason for d in dropped).items())), "tokens": sum(s.tokens for s in sections),
    }  # fmt: skip
    outcome = _outcome(run, counts, "collect: " + _sentence(counts))
    outcome.failure = failure
    if failure:
        outcome.lines = (outcome.lines[0] + " – kept, but the stage is not complete",)
        outcome.then = ""
    return outcome


def _sentence(counts: dict[str, object]) -> str:
    statuses = ", ".join(f"{n} {name}" for name, n in counts["pages_by_status"].items())  # type: ignore[attr-defined]
    reasons = ", ".join(f"{n} {name}" for name, n in counts["dropped_by_reason"].items())  # type: ignore[attr-defined]
    gone = f"; {counts['sections_dropped']} dropped ({reasons})" if counts["sections_dropped"] else ""
    return f"{counts['pages']} pages met ({statuses}) → {counts['sections']} sections, {counts['tokens']} tokens{gone}"


def _outcome(run: Run, counts: dict[str, object], line: str) -> Outcome:
    folder = run.folder
    outputs = (folder.pages, folder.sections, folder.sections.with_suffix(".csv"), folder.dropped_sections, folder.attribution)
    return cli.Outcome(counts, folder.sections, outputs, (f"{line} → {folder.sections}",), f"python -m pipeline.create_qa {folder.flag}")


def attribution(pages: list[Page]) -> str:
    """Return a page in Markdown that names each kept page with its revision and licence."""
    kept = [page for page in pages if page.status == "kept"]
    licences = sorted({page.licence for page in kept if page.licence})
    lines = ["# Sources and licence", "", f"Text of {len(kept)} wiki pages."]
    lines += [f"Licence, as the wiki states it: {licence}." for licence in licences] or ["The source named no licence."]
    lines += ["Each page's authors are listed in its history. Text was cut into sections; tables were written out as rows.", ""]
    lines += [
        f"- {_escaped(page.title)}" + (f" – {page.url}" if page.url else "") + (f" – revision {page.revision_id}" if page.revision_id else "")
        for page in kept
    ]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\`*_[]<>#|" else c for c in text)


if __name__ == "__main__":
    main()
