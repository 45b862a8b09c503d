"""python -m pipeline.create_qa [--model NAME] [--base-url URL] [--import NOTEBOOK_CSV] [--limit N] [--max-cost USD] [--data DIR]

Sections → questions and answers, each with the sentence that proves it; every reply that did not become
a row is kept with its reason.

Examples
  python -m pipeline.create_qa --model embedded --limit 40
      the embedded model: small, free, here; says truthfully how little it can do
  python -m pipeline.create_qa --model gpt-5-mini --dry-run
      what it would take: calls, tokens, US dollars; nothing is sent
  OPENAI_API_KEY=… python -m pipeline.create_qa --model gpt-5-mini --max-cost 5
      OpenAI, and no more than that
  OPENAI_API_KEY=… python -m pipeline.create_qa --model gpt-5-mini --batch
      the same through the Batch API: half the price, within a day
  python -m pipeline.create_qa --base-url http://127.0.0.1:8000/v1 --model qwen3-8b
      vLLM, llama.cpp, Ollama: any OpenAI-compatible endpoint
  python -m pipeline.create_qa --import olympics_qa.csv
      add the numbered questions and answers of a notebook's file, with the sections that the run lacks

A call of it replaces the generated rows of the sections that it asks about and adds to all others; --force drops all that
were generated (or, with --import, imported) before. What failed is asked again by the same command, what is there is not.

Writes, in the run folder
  qa.parquet        question, answer, evidence (a verbatim span of the section), model, tokens
  rejected.parquet  the same with the reason, for each that did not pass
  ledger.sqlite     every reply, raw: a second run pays for nothing that has been paid
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from pipeline import cli, settings
from pipeline.engines.calls import Calls, budget_for, connected, heeding_interrupts, progress_of, which_model
from pipeline.errors import EndpointError, InputError, Interrupted, PipelineError
from pipeline.records import QA, Page, RejectedQA, Section, stable_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.cli import Run
    from pipeline.llm.budget import Budget
    from pipeline.llm.client import ChatClient
    from pipeline.qa.generate import Ask, Outcome, Plan
    from pipeline.workbench import Workbench

NO_REPLY = ("endpoint_error", "not_asked")
"""reasons of rows that another call of the command may bring"""
JOBS_A_CALL = 8  # sections in work for each call in flight: one that waits to be sent again holds up no other


@cli.stage("create_qa")
@settings.import_csv
@settings.model
@settings.base_url
@settings.questions_per_section
@settings.style
@settings.round_trip
@settings.limit
@settings.concurrency
@settings.timeout
@settings.max_cost
@settings.max_total_tokens
@settings.prices
@settings.batch
@settings.dry_run
def main(
    run: Run, import_csv: Path | None, model: str | None, base_url: str | None, questions_per_section: int, style: str | None,
    round_trip: float | None, limit: int | None, concurrency: int, timeout: float, max_cost: float | None, max_total_tokens: int | None,
    prices: Path | None, batch: bool, dry_run: bool,
) -> cli.Outcome:  # fmt: skip
    """Sections → questions and answers, each with the sentence that proves it."""
    if import_csv is not None:
        return _import(run, import_csv)
    from pipeline.qa.generate import Plan

    run.require("collect")
    model, embedded = which_model(model, base_url, paid=not dry_run)
    style = style or ("answer-first" if embedded else "question-first")
    round_trip = round_trip if round_trip is not None else (0.6 if style == "answer-first" else 0.0)
    plan = Plan(model, style, questions_per_section, round_trip)
    if embedded and batch:
        raise InputError("--batch is for endpoints with a Batch API", f"--model {settings.EMBEDDED_MODEL}", "name a model of such an endpoint")
    budget = budget_for(model, prices, max_cost, max_total_tokens, embedded=embedded, batch=batch)
    if dry_run:
        return _estimated(run, plan, limit, budget)
    return _generate(run, plan, limit, Calls(base_url, embedded, batch, concurrency, timeout, budget))


def _asked(run: Run, limit: int | None) -> Iterator[Section]:
    """Yield the sections that are asked about, in the file's order: `limit` of them, the same ones for the same run, spread over the pages."""
    from pipeline.sources.given import each_section

    path = run.folder.sections
    if limit is None:
        yield from each_section(path)
        return
    hashed = ((stable_id("draw", section.section_id), section.section_id) for section in each_section(path) if not section.duplicate_of)
    wanted = {section_id for _, section_id in heapq.nsmallest(limit, hashed)}
    yield from (section for section in each_section(path) if section.section_id in wanted)


def _estimated(run: Run, plan: Plan, limit: int | None, budget: Budget) -> cli.Outcome:
    from pipeline.ledger import Ledger
    from pipeline.qa.estimate import estimate
    from pipeline.text.tokens import token_counter

    count = token_counter("cl100k_base")
    if run.folder.ledger.is_file():
        with Ledger(run.folder.ledger) as ledger:
            found = estimate(_asked(run, limit), plan, count, lambda key: ledger.get(key) is not None)
    else:
        found = estimate(_asked(run, limit), plan, count, lambda _: False)
    price = budget.price
    cost = round(price.cost(found.tokens_in, found.tokens_out), 4) if price else None
    money = f"about {cost:,.2f} USD (prices of {price.as_of})" if price else "no price is known for this model (--prices names a table)"
    line = (
        f"create_qa: {found.calls:,} calls for {found.sections:,} sections, about {found.tokens_in:,.0f} tokens in and {found.tokens_out:,.0f} out;"
        f" {money}; {found.in_ledger:,} replies are here already; nothing was sent"
    )
    counts = {
        "calls": found.calls, "in_ledger": found.in_ledger, "sections": found.sections, "sections_passed_over": found.passed_over,
        "tokens_in": round(found.tokens_in), "tokens_out": round(found.tokens_out), "cost_usd": cost,
    }  # fmt: skip
    return cli.Outcome(counts, run.folder.qa, result=(line,), finish=False)


def _generate(run: Run, plan: Plan, limit: int | None, calls: Calls) -> cli.Outcome:
    from pipeline.llm.prompts import VERSION
    from pipeline.store import sha256_of
    from pipeline.workbench import Workbench

    chosen = {**asdict(plan), "limit": limit, "prompts": VERSION}
    inputs = {"sections": sha256_of(run.folder.sections)}
    passes = _passes(run, inputs)
    entry = run.is_current(inputs, {"passes": passes}) if passes.get("generate") == chosen else None
    if entry:
        return _outcome(run, entry["counts"], "create_qa: nothing to do, the rows are there already (--force does it anew)")
    if calls.embedded:
        run.say(f"create_qa: no key and no endpoint named – using the embedded model {plan.model} (small: expect few rows)")
    with Workbench(QA, RejectedQA) as bench:
        failure = (_ask_in_batches if calls.batch else _ask)(run, plan, limit, calls, bench)
        spent = calls.budget.spent
        if failure and not spent.calls and not spent.from_ledger:
            raise failure  # nothing came of it: what was there before stays as it is, and stays finished
        outcome = _write(run, bench, lambda row: row.source == "generated" and (run.force or bench.reached(row.section_id)), failure)
    if outcome.finish:
        cost = {"calls": spent.calls, "from_ledger": spent.from_ledger, "tokens_in": spent.tokens_in, "tokens_out": spent.tokens_out}
        money = {} if calls.budget.cost is None else {"usd": round(calls.budget.cost, 6)}
        cli.finish(run, outcome, inputs, {"passes": {**passes, "generate": chosen}}, {**cost, **money})
    return outcome


def _passes(run: Run, inputs: dict[str, str]) -> dict[str, Any]:
    """Return what earlier calls (imports, generation) have put into the rows of these very sections."""
    entry = run.folder.stages().get("create_qa", {})
    return dict(entry.get("settings", {}).get("passes", {})) if entry.get("inputs") == inputs else {}


def _ask(run: Run, plan: Plan, limit: int | None, calls: Calls, bench: Workbench) -> PipelineError | None:
    """Have rows made for each section that is asked about, and lay them on the bench; return why not for all, where that is so."""
    from pipeline.ledger import Ledger

    with Ledger(run.folder.ledger) as ledger, connected(ledger, plan.model, calls, run.say) as client:
        asyncio.run(_ask_all(run, client, plan, limit, bench, client.concurrency))
    if isinstance(client.stopped, Interrupted):
        raise KeyboardInterrupt
    return client.stopped


def _ask_in_batches(run: Run, plan: Plan, limit: int | None, calls: Calls, bench: Workbench) -> PipelineError | None:
    """Have rows made through the Batch API; return why not for all sections, where that is so."""
    from pipeline.engines.batches import ask_in_batches
    from pipeline.engines.local import run_jobs
    from pipeline.ledger import Ledger
    from pipeline.llm.client import ChatClient, key_from_environment
    from pipeline.qa.generate import section_rows

    search = _search(run) if plan.style == "answer-first" else lambda _question, _k: []
    _know_sections(run, limit, bench)

    def one_round(ask: Ask) -> None:
        async def work(job: tuple[int, Section]) -> None:
            _lay_down(bench, *job, await section_rows(job[1], plan, ask, search))

        bench.clear()
        asyncio.run(run_jobs(enumerate(_asked(run, limit)), work, 1, lambda _: None))

    with Ledger(run.folder.ledger) as ledger:
        probe = ChatClient(ledger, plan.model, calls.base_url, key_from_environment(), 1, calls.timeout, calls.budget, say=run.say)
        return ask_in_batches(probe, run.folder.root / "batches", one_round, run.say)


def _lay_down(bench: Workbench, place: int, section: Section, rows: list[Outcome]) -> None:
    bench.put(place, rows)
    if any(isinstance(row, QA) or row.reason not in NO_REPLY for row in rows):
        bench.reach(section.section_id)


async def _ask_all(run: Run, client: ChatClient, plan: Plan, limit: int | None, bench: Workbench, at_once: int) -> None:
    from pipeline.engines.local import run_jobs
    from pipeline.qa.generate import section_rows

    search = _search(run) if plan.style == "answer-first" else lambda _question, _k: []
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
                await run_jobs(enumerate(_asked(run, limit)), work, at_once * JOBS_A_CALL, done)


def _know_sections(run: Run, limit: int | None, bench: Workbench) -> int:
    """Lay the run's sections on the bench, by name; return how many are to be asked about."""
    from pipeline.sources.given import each_section

    counted: Counter[bool] = Counter()

    def named() -> Iterator[tuple[str, str, str]]:
        for section in each_section(run.folder.sections):
            counted[bool(section.duplicate_of)] += 1
            yield section.section_id, section.title, section.heading

    bench.know(named())
    return counted.total() if limit is None else min(limit, counted[False])


def _search(run: Run) -> Callable[[str, int], list[str]]:
    """Return a search over all sections of the run; these must fit into memory."""
    from pipeline.retrieval.bm25 import Bm25
    from pipeline.sources.given import each_section

    ids: list[str] = []

    def contexts() -> Iterator[str]:
        for section in each_section(run.folder.sections):
            ids.append(section.section_id)
            yield section.context

    index = Bm25(list(contexts()))
    return lambda question, k: [ids[at] for at in index.search([question], k)[0]]


def _import(run: Run, path: Path) -> cli.Outcome:
    """Add the rows of a notebook's CSV, with sections that the run lacks; what came before a fault in the file is kept."""
    from pipeline.store import sha256_of
    from pipeline.workbench import Workbench

    run.require("collect")
    if not path.is_file():
        raise InputError("there is no such file", path, "check --import")
    inputs = {"sections": sha256_of(run.folder.sections)}
    passes = _passes(run, inputs)
    digest = sha256_of(path)
    label, chosen = f"import {digest}", {"import": digest}
    entry = run.is_current(inputs, {"passes": passes}) if passes.get(label) == chosen else None
    if entry:
        return _outcome(run, entry["counts"], "create_qa: nothing to do, the rows are there already (--force does it anew)")
    with Workbench(QA, RejectedQA) as bench:
        adopted, failure = _read_notebook(run, path, bench)
        outcome = _write(run, bench, lambda row: run.force and row.source != "generated", failure)
    if adopted:
        inputs, passes = {"sections": sha256_of(run.folder.sections)}, {name: made for name, made in passes.items() if name != "generate"}
    if outcome.finish:
        kept = {name: made for name, made in passes.items() if not (run.force and name.startswith("import "))}
        cli.finish(run, outcome, inputs, {"passes": {**kept, label: chosen}}, {})
    return outcome


def _read_notebook(run: Run, path: Path, bench: Workbench) -> tuple[int, PipelineError | None]:
    """Lay a notebook's rows on the bench and take its new sections in; return how many these are, and a fault in the middle of the file.

    Raises InputError if nothing came before the fault.
    """
    from pipeline.qa.notebook import Places
    from pipeline.sources.given import read_sections
    from pipeline.sources.notebook import read_csv_rows
    from pipeline.store import scratch_database
    from pipeline.text.duplicates import NearDuplicates
    from pipeline.text.tokens import token_counter

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
    from pipeline.sources.attribution import attribution
    from pipeline.store import read_rows, sha256_of, write_csv, write_rows, write_text

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


def _write(run: Run, bench: Workbench, replaced: Callable[[QA | RejectedQA], bool], failure: PipelineError | None) -> cli.Outcome:
    """Settle what was made with what was there (but for what is replaced), and write both files."""
    from pipeline.qa.settle import keep_earlier, keep_earlier_rejected, settle_made
    from pipeline.sources.given import each_qa
    from pipeline.store import read_columns, write_rows

    folder = run.folder
    if folder.qa.is_file():
        keep_earlier(bench, (row for row in each_qa(folder.qa) if not replaced(row)))
    settle_made(bench)
    if folder.rejected.is_file():
        earlier = (RejectedQA(**row) for row in read_columns(folder.rejected, RejectedQA, [column.name for column in fields(RejectedQA)]))
        keep_earlier_rejected(bench, (row for row in earlier if not replaced(row)))
    bare = 0

    def rows() -> Iterator[QA]:
        nonlocal bare
        for row in bench.rows(QA):
            bare += not row.evidence
            yield row

    write_rows(folder.qa, QA, rows())
    write_rows(folder.rejected, RejectedQA, bench.rows(RejectedQA))
    counts = _counts(bench, bare)
    outcome = _outcome(run, counts, f"create_qa: {_sentence(counts)}")
    outcome.failure = failure or _verdict(run, bench, counts)
    outcome.finish = outcome.failure is None
    if outcome.failure:
        outcome.then = ""
        folder.unfinish("create_qa")
    folder.unfinish("train", "report")
    return outcome


def _verdict(run: Run, bench: Workbench, counts: dict[str, Any]) -> PipelineError | None:
    """Return why the exit code must not be 0: the endpoint failed some rows, or no row came out at all."""
    faults = sum(n for reason, n in bench.counts(RejectedQA, fresh=True).items() if reason in NO_REPLY)
    if faults:
        do = "run the same command again: only what is missing is asked for"
        return EndpointError("the endpoint failed", f"{faults} rows have no reply, see {run.folder.rejected}", do)
    if not counts["kept"]:
        return InputError("no row was kept", f"{counts['rejected']} rejected, see {run.folder.rejected}", "try another model, or more sections")
    return None


def _counts(bench: Workbench, bare: int) -> dict[str, Any]:
    by_source, by_reason = bench.counts(QA), bench.counts(RejectedQA)
    kept_now = sum(bench.counts(QA, fresh=True).values())
    return {
        "kept": sum(by_source.values()), "kept_by_source": by_source, "rejected": sum(by_reason.values()), "rejected_by_reason": by_reason,
        "kept_now": kept_now, "asked_for_now": kept_now + sum(bench.counts(RejectedQA, fresh=True).values()),
        "kept_without_evidence": bare, "sections_with_a_row": bench.sections(QA),
    }  # fmt: skip


def _sentence(counts: dict[str, Any]) -> str:
    reasons = sorted(counts["rejected_by_reason"].items(), key=lambda item: -item[1])
    sources = ", ".join(f"{n} {name}" for name, n in counts["kept_by_source"].items())
    listed = ", ".join(f"{n} {name}" for name, n in reasons)
    bare = f", {counts['kept_without_evidence']} of them without evidence" if counts["kept_without_evidence"] else ""
    now = f"{counts['kept_now']} of {counts['asked_for_now']} kept now"
    return f"{now}; {counts['kept']} rows in all{f' ({sources})' if sources else ''}{bare}; {counts['rejected']} rejected" + (
        f" ({listed})" if listed else ""
    )


def _outcome(run: Run, counts: dict[str, Any], line: str) -> cli.Outcome:
    folder = run.folder
    return cli.Outcome(counts, folder.qa, (folder.qa, folder.rejected), (f"{line} → {folder.qa}",), folder.command("train"))


if __name__ == "__main__":
    main()
