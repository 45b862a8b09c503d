"""Rows of a notebook's CSV, laid on the bench, with the sections that the run lacks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pipeline import settings
from pipeline.database import scratch_database
from pipeline.errors import InputError
from pipeline.qa.notebook import Places
from pipeline.records import Page, Section
from pipeline.sources.attribution import attribution
from pipeline.sources.given import read_sections
from pipeline.sources.notebook import read_csv_rows
from pipeline.store import read_rows, sha256_of, write_csv, write_rows, write_text
from pipeline.text.duplicates import NearDuplicates
from pipeline.text.tokens import token_counter

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.cli import Run
    from pipeline.errors import PipelineError
    from pipeline.workbench import Workbench


def read_notebook(run: Run, path: Path, bench: Workbench) -> tuple[int, PipelineError | None]:
    """Lay a notebook's rows on the bench and take its new sections in; return how many these are, and a fault in the middle of the file.

    Raises InputError if nothing came before the fault.
    """
    sections = read_sections(run.folder.sections)
    topic = settings.load_topic(settings.bundled("topics", "olympics-2020.toml"))
    at, failure = 0, None
    with scratch_database() as database:
        places = Places(sections, topic, token_counter("cl100k_base"), NearDuplicates(database))
        try:
            for at, row in enumerate(read_csv_rows(path, ("title", "heading", "questions", "answers")), 1):
                bench.put(at, places.rows(row))
        except InputError as error:
            if not at:
                raise
            failure = error
    if places.adopted:
        _adopt(run, sections, places.adopted)
    bench.know((section.section_id, section.title, section.heading) for section in (*sections, *places.adopted))
    return len(places.adopted), failure


def _adopt(run: Run, sections: list[Section], new: list[Section]) -> None:
    """Write the run's sections with new ones among them, in reading order, and their pages; a finished collect stays finished."""
    folder = run.folder
    rows = sorted([*sections, *new], key=lambda section: (section.page_id, section.position, section.part))
    pages = _with_pages_of(new, read_rows(folder.pages, Page) if folder.pages.is_file() else [])
    entry = folder.stages().get("collect")
    table = folder.sections.with_suffix(".csv")
    write_rows(folder.sections, Section, rows)
    write_csv(table, Section, rows)
    write_rows(folder.pages, Page, pages)
    write_text(folder.attribution, attribution(pages))
    run.say(f"create_qa: {len(new)} sections that this run did not have came with the rows")
    if entry:
        written = (folder.sections, table, folder.pages, folder.attribution)
        outputs = {**entry.get("outputs", {}), **{path.name: sha256_of(path) for path in written}}
        folder.finish("collect", {**entry, "outputs": outputs})


def _with_pages_of(sections: list[Section], pages: list[Page]) -> list[Page]:
    """Return pages and, for sections whose page is not among them, a page of which nothing is known but its title."""
    known = {page.page_id for page in pages}
    counted = Counter((section.page_id, section.title) for section in sections if section.page_id not in known)
    came = [Page(page_id, title, "", None, "", "", "", n, "kept", "came with imported rows") for (page_id, title), n in counted.items()]
    return sorted([*pages, *came], key=lambda page: (page.page_id, page.title))
