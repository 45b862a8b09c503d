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

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from pipeline import cli, settings
from pipeline.engines.calls import Calls, budget_for, which_model
from pipeline.errors import EndpointError, InputError, PipelineError
from pipeline.records import QA, RejectedQA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.cli import Run
    from pipeline.llm.budget import Budget
    from pipeline.qa.drafts import Plan
    from pipeline.workbench import Workbench


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
    from pipeline.qa.drafts import Plan

    run.require("collect")
    model, embedded = which_model(model, base_url, paid=not dry_run)
    style = style or ("answer-first" if embedded else "question-first")
    round_trip = round_trip if round_trip is not None else (0.6 if style == "answer-first" else 0.0)
    plan = Plan(model, style, questions_per_section, round_trip, small=embedded)
    if embedded and batch:
        raise InputError("--batch is for endpoints with a Batch API", f"--model {settings.EMBEDDED_MODEL}", "name a model of such an endpoint")
    budget = budget_for(model, prices, max_cost, max_total_tokens, embedded=embedded, batch=batch)
    if dry_run:
        return _estimated(run, plan, limit, budget)
    return _generate(run, plan, limit, Calls(base_url, embedded, batch, concurrency, timeout, budget))


def _estimated(run: Run, plan: Plan, limit: int | None, budget: Budget) -> cli.Outcome:
    from pipeline.ledger import Ledger
    from pipeline.making.generated import sections_asked
    from pipeline.qa.estimate import estimate
    from pipeline.text.tokens import token_counter

    count = token_counter("cl100k_base")
    if run.folder.ledger.is_file():
        with Ledger(run.folder.ledger) as ledger:
            found = estimate(sections_asked(run, limit), plan, count, lambda key: ledger.get(key) is not None)
    else:
        found = estimate(sections_asked(run, limit), plan, count, lambda _: False)
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
    from pipeline.making.generated import generate
    from pipeline.store import sha256_of
    from pipeline.workbench import Workbench

    chosen = {**asdict(plan), "limit": limit, "prompts": VERSION}
    inputs = {"sections": sha256_of(run.folder.sections)}
    passes = _passes(run, inputs)
    entry = run.is_current(inputs, {"passes": passes}) if passes.get("generate") == chosen else None
    if entry:
        return _outcome(run, entry["counts"], "create_qa: nothing to do, the rows are there already (--force does it anew)")
    if calls.embedded:
        run.say(f"create_qa: no key and no endpoint named – using the embedded model {plan.model} (small: read what it writes before you trust it)")
    with Workbench(QA, RejectedQA) as bench:
        failure = generate(run, plan, limit, calls, bench)
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


def _import(run: Run, path: Path) -> cli.Outcome:
    """Add the rows of a notebook's CSV, with sections that the run lacks; what came before a fault in the file is kept."""
    from pipeline.making.imported import read_notebook
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
        adopted, failure = read_notebook(run, path, bench)
        outcome = _write(run, bench, lambda row: run.force and row.source != "generated", failure)
    if adopted:
        inputs, passes = {"sections": sha256_of(run.folder.sections)}, {name: made for name, made in passes.items() if name != "generate"}
    if outcome.finish:
        kept = {name: made for name, made in passes.items() if not (run.force and name.startswith("import "))}
        cli.finish(run, outcome, inputs, {"passes": {**kept, label: chosen}}, {})
    return outcome


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
    from pipeline.qa.drafts import NO_REPLY

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
