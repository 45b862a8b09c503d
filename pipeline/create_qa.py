"""python -m pipeline.create_qa [--model NAME] [--base-url URL] [--import NOTEBOOK_CSV] [--limit N] [--data DIR]

Sections → questions and answers, each with the sentence that proves it; every reply that did not become
a row is kept with its reason.

Examples
  python -m pipeline.create_qa --limit 40
      the embedded model: small, free, here; says truthfully how little it can do
  OPENAI_API_KEY=… python -m pipeline.create_qa --model gpt-5-mini
      OpenAI
  python -m pipeline.create_qa --base-url http://127.0.0.1:8000/v1 --model qwen3-8b
      vLLM, llama.cpp, Ollama: any OpenAI-compatible endpoint
  python -m pipeline.create_qa --import olympics_qa.csv
      add the numbered questions and answers of a notebook's file

Writes, in the run folder
  qa.parquet        question, answer, evidence (a verbatim span of the section), model, cost
  rejected.parquet  the same with the reason, for each that did not pass
  ledger.sqlite     every reply, raw: a second run pays for nothing that has been paid
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline import cli, settings
from pipeline.errors import EndpointError, InputError, PipelineError
from pipeline.records import QA, Rejected, RejectedQA, Section, stable_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.cli import Run
    from pipeline.qa.generate import Draft, Outcome, Plan

ENDPOINTS_FAULT = "endpoint_error"


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
def main(
    run: Run, import_csv: Path | None, model: str | None, base_url: str | None, questions_per_section: int, style: str | None,
    round_trip: float | None, limit: int | None, concurrency: int, timeout: float,
) -> cli.Outcome:  # fmt: skip
    """Sections → questions and answers, each with the sentence that proves it."""
    from pipeline.llm.prompts import VERSION as PROMPTS
    from pipeline.sources.given import read_sections
    from pipeline.store import sha256_of

    run.require("collect")
    model, embedded = _which_model(model, base_url) if import_csv is None else ("", False)
    style = style or ("answer-first" if embedded else "question-first")
    round_trip = round_trip if round_trip is not None else (0.6 if style == "answer-first" else 0.0)
    if import_csv is not None and not import_csv.is_file():
        raise InputError("there is no such file", import_csv, "check --import")
    chosen = {
        "import": sha256_of(import_csv) if import_csv else None, "model": model, "style": style, "per_section": questions_per_section,
        "round_trip": round_trip, "limit": limit, "prompts": PROMPTS,
    }  # fmt: skip
    inputs = {"sections": sha256_of(run.folder.sections)}
    passes = _passes(run, inputs)
    label = f"import {chosen['import']}" if import_csv else "generate"
    entry = run.is_current(inputs, {"passes": passes}) if passes.get(label) == chosen else None
    if entry:
        return _outcome(run, entry["counts"], "create_qa: nothing to do, the rows are there already (--force does it anew)")
    sections = read_sections(run.folder.sections)
    before = _carried_over(run, sections)
    if import_csv is not None:
        kept, rejected, failure = _imported(import_csv, sections)
        spent: dict[str, int] = {}
    else:
        if embedded:
            run.say(f"create_qa: no key and no endpoint named – using the embedded model {model} (small: expect few rows)")
        from pipeline.qa.generate import Plan

        plan = Plan(model, style, questions_per_section, round_trip)
        asked = _sample(sections, limit)
        kept, rejected, spent, failure = _generated(run, asked, sections, plan, base_url, embedded, concurrency, timeout)
    if failure and not kept and not rejected:
        raise failure  # nothing came of it: what was there before stays as it is, and stays finished
    outcome = _write(run, sections, (kept, rejected), before, label, failure)
    if outcome.finish:
        cli.finish(run, outcome, inputs, {"passes": {**passes, label: chosen}}, spent)
    return outcome


def _which_model(model: str | None, base_url: str | None) -> tuple[str, bool]:
    """Return the model's name and whether it is the embedded one. Nobody's money is spent unasked."""
    from pipeline.llm.embedded import MODEL_NAME, require_weights

    paid = "--base-url" if base_url else next((name for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL") if os.environ.get(name)), "")
    if model is None and paid:
        raise InputError("which model?", f"{paid} is set, and no --model", "add --model NAME, or --model embedded")
    if model is None or model == settings.EMBEDDED_MODEL:
        require_weights()
        return MODEL_NAME, True
    if not base_url and not os.environ.get("OPENAI_API_KEY") and not os.environ.get("OPENAI_BASE_URL"):
        raise InputError("there is no key", "OPENAI_API_KEY is not set", "set it, or name an endpoint with --base-url")
    return model, False


def _passes(run: Run, inputs: dict[str, str]) -> dict[str, Any]:
    """Return what earlier calls (imports, generation) have put into the rows of these very sections."""
    entry = run.folder.stages().get("create_qa", {})
    if run.force or entry.get("inputs") != inputs:
        return {}
    return dict(entry.get("settings", {}).get("passes", {}))


def _carried_over(run: Run, sections: list[Section]) -> tuple[list[QA], list[RejectedQA]]:
    """Return the rows of earlier passes; those whose section is gone come back as rejected."""
    from pipeline.sources.given import read_qa
    from pipeline.store import read_rows

    folder = run.folder
    if run.force or not folder.qa.is_file():
        return [], []
    known = {section.section_id for section in sections}
    old = read_qa(folder.qa)
    rejected = read_rows(folder.rejected, RejectedQA) if folder.rejected.is_file() else []
    gone = [_as_rejected(row, Rejected("section_gone"), None) for row in old if row.section_id not in known]
    return [row for row in old if row.section_id in known], [*rejected, *gone]


def _as_rejected(row: QA, why: Rejected, section: Section | None) -> RejectedQA:
    title, heading = (section.title, section.heading) if section else ("", "")
    return RejectedQA(
        stable_id("rej", row.qa_id, why.reason), row.section_id, title, heading, row.question, row.answer, row.evidence, row.source,
        row.style, row.round_trip_f1, row.model, row.prompt_version, row.tokens_in, row.tokens_out, why.reason, why.detail, "", 0,
    )  # fmt: skip


def _sample(sections: list[Section], limit: int | None) -> list[Section]:
    """Return `limit` sections, the same ones for the same run, spread over the pages by their ids' hashes."""
    if limit is None or limit >= len(sections):
        return sections
    drawn = sorted((s for s in sections if not s.duplicate_of), key=lambda s: stable_id("draw", s.section_id))[:limit]
    wanted = {section.section_id for section in drawn}
    return [section for section in sections if section.section_id in wanted]


def _generated(
    run: Run, asked: list[Section], sections: list[Section], plan: Plan, base_url: str | None, embedded: bool, concurrency: int, timeout: float
) -> tuple[list[QA], list[RejectedQA], dict[str, int], PipelineError | None]:  # fmt: skip
    from pipeline.ledger import Ledger
    from pipeline.llm.client import ChatClient, key_from_environment
    from pipeline.llm.embedded import SLOTS

    rows: list[Outcome] = []
    failure: PipelineError | None = None
    with Ledger(run.folder.ledger) as ledger, _endpoint(base_url, embedded) as (url, key):
        at_once = min(concurrency, SLOTS) if embedded else concurrency
        client = ChatClient(ledger, plan.model, url, key or key_from_environment(), at_once, timeout if not embedded else 600.0)
        try:
            asyncio.run(_ask_all(run, client, asked, sections, plan, rows, at_once))
        except EndpointError as error:
            failure = error
        spent = {
            "calls": client.spent.calls,
            "from_ledger": client.spent.from_ledger,
            "tokens_in": client.spent.tokens_in,
            "tokens_out": client.spent.tokens_out,
        }
    kept = [row for row in rows if isinstance(row, QA)]
    return kept, [row for row in rows if isinstance(row, RejectedQA)], spent, failure


@contextmanager
def _endpoint(base_url: str | None, embedded: bool) -> Iterator[tuple[str | None, str]]:
    if not embedded:
        yield base_url, ""
        return
    from pipeline.llm.embedded import serve

    with serve() as endpoint:
        yield endpoint.base_url, endpoint.api_key


async def _ask_all(run: Run, client: Any, asked: list[Section], sections: list[Section], plan: Plan, rows: list[Outcome], at_once: int) -> None:
    from pipeline.engines.local import run_jobs
    from pipeline.qa.generate import section_rows
    from pipeline.retrieval.bm25 import Bm25

    index = Bm25([section.context for section in sections])
    ids = [section.section_id for section in sections]

    def search(question: str, k: int) -> list[str]:
        return [ids[at] for at in index.search([question], k)[0]]

    kept: Counter[bool] = Counter()
    with run.progress(len(asked), "sections", "section") as bar:

        def done(outcomes: list[Outcome]) -> None:
            rows.extend(outcomes)
            kept.update(isinstance(row, QA) for row in outcomes)
            bar.step(kept=kept[True], rejected=kept[False], tokens=f"{client.spent.tokens_in + client.spent.tokens_out:,}")

        async with client:
            await run_jobs(asked, lambda section: section_rows(section, plan, client.complete, search), at_once, done)


def _imported(path: Path, sections: list[Section]) -> tuple[list[QA], list[RejectedQA], PipelineError | None]:
    """Return the rows of a notebook's CSV; what came before a fault in the file is kept."""
    from pipeline.qa.generate import Draft, Plan
    from pipeline.qa.notebook import pairs
    from pipeline.sources.notebook import read_csv_rows

    by_place: dict[tuple[str, str], list[Section]] = {}
    for known in sections:
        by_place.setdefault((known.title, known.heading), []).append(known)
    kept: list[QA] = []
    rejected: list[RejectedQA] = []
    plan = Plan("", "imported", 0, 0.0)
    try:
        for row in read_csv_rows(path, ("title", "heading", "questions", "answers")):
            places = by_place.get((row["title"], row["heading"]), [])
            for number, question, answer, evidence in pairs(row["questions"], row["answers"], row.get("evidence", "")):
                section = _place(places, row.get("content", ""), evidence, answer)
                stub = section or Section("", 0, 0, 0, row["title"], row["heading"], "", 0, "", 0, None, "", "")
                source = "written" if row.get("source") == "written" else "imported"  # never "generated": those are replaced
                checked = _check_import(Draft(stub, plan, number, question, answer, evidence, source=source), found=section is not None)
                (kept if isinstance(checked, QA) else rejected).append(checked)  # type: ignore[arg-type]
    except InputError as error:
        return kept, rejected, error
    return kept, rejected, None


def _place(places: list[Section], content: str, evidence: str, answer: str) -> Section | None:
    """Return the section that an imported row is about: of several with one heading, the one that holds its text."""
    from pipeline.text.compare import find_verbatim, mentions, plain

    same = [s for s in places if content and plain(s.content) == plain(content)]
    if same or len(places) == 1:
        return (same or places)[0]
    # several sections of one heading, or parts of a long one: the one that holds the evidence, or else the answer
    holding = [s for s in places if (find_verbatim(evidence, s.content) if evidence else mentions(s.content, answer))]
    return holding[0] if holding else next(iter(places), None)


def _check_import(draft: Draft, *, found: bool) -> QA | RejectedQA:
    from pipeline.qa.generate import checked

    if not found:
        return draft.rejected(Rejected("section_not_in_run"))
    draft, why = checked(draft, evidence_needed=False)
    return draft.rejected(why) if why else draft.kept()


def _write(
    run: Run, sections: list[Section], new: tuple[list[QA], list[RejectedQA]], before: tuple[list[QA], list[RejectedQA]], label: str,
    failure: PipelineError | None,
) -> cli.Outcome:  # fmt: skip
    from pipeline.store import write_rows

    by_id = {section.section_id: section for section in sections}
    reached = {row.section_id for row in new[0]} | {row.section_id for row in new[1]}

    def stays(row: QA | RejectedQA) -> bool:
        """Imports add; generating again replaces what was generated – where it failed, only for the sections it reached."""
        return label != "generate" or row.source != "generated" or (failure is not None and row.section_id not in reached)

    qa: dict[str, QA] = {row.qa_id: row for row in before[0] if stays(row)}
    gone: dict[str, RejectedQA] = {row.rejected_id: row for row in before[1] if stays(row)}
    twice: list[RejectedQA] = []
    added: set[str] = set()
    for row in new[0]:
        other = qa.get(row.qa_id)
        if row.qa_id in added or (other is not None and other.source != row.source):
            why = Rejected("duplicate_question", f"the same as a row that was {other.source if other else row.source}")
            twice.append(_as_rejected(row, why, by_id.get(row.section_id)))
        else:
            added.add(row.qa_id)
            qa[row.qa_id] = row
    gone |= {row.rejected_id: row for row in _told_apart([*new[1], *twice])}
    rows, rejected = sorted(qa.values(), key=lambda r: r.qa_id), sorted(gone.values(), key=lambda r: r.rejected_id)
    write_rows(run.folder.qa, QA, rows)
    write_rows(run.folder.rejected, RejectedQA, rejected)
    counts = _counts(rows, rejected, (len(added), len(new[0]) + len(new[1])))
    faults = sum(1 for row in new[1] if row.reason == ENDPOINTS_FAULT)
    outcome = _outcome(run, counts, f"create_qa: {_sentence(counts)}")
    outcome.failure = failure or _verdict(run, faults, len(rows), len(rejected))
    outcome.finish = outcome.failure is None
    if outcome.failure:
        outcome.then = ""
    if not outcome.finish:
        run.folder.unfinish("create_qa")
    run.folder.unfinish("train", "report")
    return outcome


def _told_apart(rows: list[RejectedQA]) -> list[RejectedQA]:
    """Give rows that are alike in everything (a file that says the same twice) ids of their own: each is counted."""
    times: Counter[str] = Counter()
    apart = []
    for row in rows:
        times[row.rejected_id] += 1
        n = times[row.rejected_id]
        apart.append(row if n == 1 else replace(row, rejected_id=stable_id("rej", row.rejected_id, n)))
    return apart


def _verdict(run: Run, faults: int, kept: int, rejected: int) -> PipelineError | None:
    """Return why the exit code must not be 0: the endpoint failed some rows, or no row came out at all."""
    if faults:
        do = "run the same command again: only what is missing is asked for"
        return EndpointError("the endpoint failed", f"{faults} rows have no reply, see {run.folder.rejected}", do)
    if not kept:
        return InputError("no row was kept", f"{rejected} rejected, see {run.folder.rejected}", "try another model, or more sections")
    return None


def _counts(rows: list[QA], rejected: list[RejectedQA], new: tuple[int, int]) -> dict[str, Any]:
    return {
        "kept": len(rows), "kept_by_source": dict(sorted(Counter(r.source for r in rows).items())), "rejected": len(rejected),
        "rejected_by_reason": dict(sorted(Counter(r.reason for r in rejected).items())), "kept_now": new[0], "asked_for_now": new[1],
        "kept_without_evidence": sum(1 for r in rows if not r.evidence), "sections_with_a_row": len({r.section_id for r in rows}),
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
    return cli.Outcome(counts, folder.qa, (folder.qa, folder.rejected), (f"{line} → {folder.qa}",), f"python -m pipeline.train {folder.flag}")


if __name__ == "__main__":
    main()
