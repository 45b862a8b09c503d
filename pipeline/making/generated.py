"""Rows that a model makes of the run's sections, laid on the bench as they come: by calls side by side, or in batches."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from typing import TYPE_CHECKING

from pipeline.engines.calls import Calls, connected, heeding_interrupts, progress_of
from pipeline.engines.local import run_jobs
from pipeline.errors import Interrupted
from pipeline.ledger import Ledger
from pipeline.qa.drafts import NO_REPLY, Plan
from pipeline.qa.generate import section_rows
from pipeline.records import QA, Section, stable_id
from pipeline.sources.given import each_section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.cli import Run
    from pipeline.errors import PipelineError
    from pipeline.llm.client import ChatClient
    from pipeline.qa.drafts import Ask, Outcome
    from pipeline.workbench import Workbench

JOBS_A_CALL = 8  # sections in work for each call in flight: one that waits to be sent again holds up no other


def generate(run: Run, plan: Plan, limit: int | None, calls: Calls, bench: Workbench) -> PipelineError | None:
    """Have rows made for each section that is asked about, and lay them on the bench; return why not for all, where that is so.

    Raises KeyboardInterrupt after Ctrl-C, once what was in flight is there.
    """
    return _in_batches(run, plan, limit, calls, bench) if calls.batch else _side_by_side(run, plan, limit, calls, bench)


def sections_asked(run: Run, limit: int | None) -> Iterator[Section]:
    """Yield the sections that are asked about, in the file's order: `limit` of them, the same ones for the same run, spread over the pages."""
    path = run.folder.sections
    if limit is None:
        yield from each_section(path)
        return
    hashed = ((stable_id("draw", section.section_id), section.section_id) for section in each_section(path) if not section.duplicate_of)
    wanted = {section_id for _, section_id in heapq.nsmallest(limit, hashed)}
    yield from (section for section in each_section(path) if section.section_id in wanted)


def _side_by_side(run: Run, plan: Plan, limit: int | None, calls: Calls, bench: Workbench) -> PipelineError | None:
    with Ledger(run.folder.ledger) as ledger, connected(ledger, plan.model, calls, run.say) as client:
        asyncio.run(_ask_all(run, client, plan, limit, bench))
    if isinstance(client.stopped, Interrupted):
        raise KeyboardInterrupt
    return client.stopped


def _in_batches(run: Run, plan: Plan, limit: int | None, calls: Calls, bench: Workbench) -> PipelineError | None:
    """Ask through the Batch API: a round goes through all sections, and what they lack of replies goes into the next batch."""
    from pipeline.engines.batches import ask_in_batches
    from pipeline.llm.client import ChatClient, key_from_environment

    search = _search(run, plan)
    _know_sections(run, limit, bench)

    def one_round(ask: Ask) -> None:
        async def work(job: tuple[int, Section]) -> None:
            _lay_down(bench, *job, await section_rows(job[1], plan, ask, search))

        bench.clear()
        asyncio.run(run_jobs(enumerate(sections_asked(run, limit)), work, 1, lambda _: None))

    with Ledger(run.folder.ledger) as ledger:
        probe = ChatClient(ledger, plan.model, calls.base_url, key_from_environment(), 1, calls.timeout, calls.budget, say=run.say)
        return ask_in_batches(probe, run.folder.root / "batches", one_round, run.say)


def _lay_down(bench: Workbench, place: int, section: Section, rows: list[Outcome]) -> None:
    bench.put(place, rows)
    if any(isinstance(row, QA) or row.reason not in NO_REPLY for row in rows):
        bench.reach(section.section_id)


async def _ask_all(run: Run, client: ChatClient, plan: Plan, limit: int | None, bench: Workbench) -> None:
    """Ask side by side: sections are read as places become free, rows laid down as they come."""
    search = _search(run, plan)
    total = _know_sections(run, limit, bench)
    kept: Counter[bool] = Counter()
    with run.progress(total, "sections", "section") as bar:

        async def work(job: tuple[int, Section]) -> tuple[int, Section, list[Outcome]]:
            return *job, await section_rows(job[1], plan, client.complete, search)

        def done(result: tuple[int, Section, list[Outcome]]) -> None:
            place, section, rows = result
            _lay_down(bench, place, section, rows)
            kept.update(isinstance(row, QA) for row in rows)
            bar.step(1, kept=kept[True], rejected=kept[False], **progress_of(client.budget))

        async with client:
            with heeding_interrupts(client, run.say):
                # the embedded model's slots each remember one section: no more of them at once than there are slots
                at_once = client.concurrency * (1 if plan.small else JOBS_A_CALL)
                await run_jobs(enumerate(sections_asked(run, limit)), work, at_once, done)


def _know_sections(run: Run, limit: int | None, bench: Workbench) -> int:
    """Lay the run's sections on the bench, by name; return how many are to be asked about."""
    counted: Counter[bool] = Counter()

    def named() -> Iterator[tuple[str, str, str]]:
        for section in each_section(run.folder.sections):
            counted[bool(section.duplicate_of)] += 1
            yield section.section_id, section.title, section.heading

    bench.know(named())
    return counted.total() if limit is None else min(limit, counted[False])


def _search(run: Run, plan: Plan) -> Callable[[str, int], list[str]]:
    """Return a search over all sections of the run, which must fit into memory; one that finds nothing where the plan does not search."""
    from pipeline.retrieval.bm25 import Bm25

    if plan.style != "answer-first":
        return lambda _question, _k: []
    ids: list[str] = []

    def contexts() -> Iterator[str]:
        for section in each_section(run.folder.sections):
            ids.append(section.section_id)
            yield section.context

    index = Bm25(list(contexts()))
    return lambda question, k: [ids[at] for at in index.search([question], k)[0]]
