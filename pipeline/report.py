"""python -m pipeline.report [--data DIR] [--seed N]

One HTML page to look at: what was collected, made and rejected, rows of each kind drawn at random, and what was learnt.
It needs no network; all text of pages and models is shown as text.

Writes, in the run folder
  report.html
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline import __version__, cli, settings
from pipeline.records import KINDS, QA, Example, Page, RejectedQA, Section

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.cli import Run

T = TypeVar("T")
ROWS_OF_A_KIND = 10
FEW_POSITIVES = 100
_BAR_REM = 20.0
_CONTEXT_SHOWN = 4000


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page; `bars` are the lengths (in rem) of a bar behind each row, or nothing."""

    caption: str
    heads: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    bars: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one kind, drawn at random."""

    title: str
    note: str
    rows: list[dict[str, Any]]


@cli.stage("report")
@settings.seed
def main(run: Run, seed: int) -> cli.Outcome:
    """One HTML page to look at: what was collected, made and rejected, and what was learnt."""
    import jinja2

    from pipeline.sources.given import read_qa, read_sections
    from pipeline.store import read_rows, sha256_of, write_text

    folder = run.folder
    stages = {name: run.require(name) for name in ("collect", "create_qa", "train")}
    read = (folder.pages, folder.sections, folder.qa, folder.rejected, folder.examples, folder.discriminator / "metrics.json")
    inputs = {path.name: sha256_of(path) for path in read if path.is_file()}
    chosen = {"seed": seed, "name": folder.root.name, "version": __version__}
    if run.is_current(inputs, chosen):
        return _outcome(run, stages["train"].get("counts", {}).get("examples", 0))
    sections = {s.section_id: s for s in read_sections(folder.sections)}
    pages = read_rows(folder.pages, Page) if folder.pages.is_file() else []
    rejected = read_rows(folder.rejected, RejectedQA) if folder.rejected.is_file() else []
    qa = {row.qa_id: row for row in read_qa(folder.qa)}
    examples = read_rows(folder.examples, Example)
    metrics = _metrics(run) if stages["train"].get("settings", {}).get("trainer") == "local" else {}
    counts = {name: entry.get("counts", {}) for name, entry in stages.items()}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline", "."), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    html = environment.get_template("report.html.jinja").render(
        name=folder.root.name, version=__version__, licences=sorted({p.licence for p in pages if p.status == "kept" and p.licence}),
        warnings=warnings(counts, metrics), flow=_flow(counts, metrics), tables=[*_count_tables(counts), *_metric_tables(metrics)],
        groups=_groups(examples, qa, sections, rejected, seed),
    )  # fmt: skip
    write_text(folder.report, html)
    outcome = _outcome(run, len(examples))
    cli.finish(run, outcome, inputs, chosen, {})
    return outcome


def _outcome(run: Run, examples: int) -> cli.Outcome:
    report = run.folder.report
    return cli.Outcome({"examples": examples, "bytes": report.stat().st_size}, report, (report,), (f"report: {report.resolve()}",))


def _metrics(run: Run) -> dict[str, Any]:
    from pipeline.errors import StorageError

    path = run.folder.discriminator / "metrics.json"
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise StorageError("the metrics cannot be read", f"{path}: {error}", "run `python -m pipeline.train --force`") from error


def warnings(counts: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    """Return what a reader should know before trusting the figures below."""
    said = []
    kept, rejected = counts["create_qa"].get("kept", 0), counts["create_qa"].get("rejected", 0)
    generated = counts["create_qa"].get("kept_by_source", {}).get("generated", 0)
    if rejected > kept:
        said.append(f"More candidates were rejected ({rejected}) than kept ({kept}); {generated} of the kept rows were generated.")
    row = metrics.get("test", {}).get("discriminator", {}).get("all")
    if metrics and (not row or row["n_positive"] < FEW_POSITIVES):
        said.append(f"The test split has only {row['n_positive'] if row else 0} answerable questions: its figures are rough.")
    baseline = metrics.get("test", {}).get("idf_overlap", {}).get("all", {})
    if (baseline.get("auroc") or 0) > 0.8:  # noqa: PLR2004 (where counting words is enough, a model learns to count words)
        said.append(f"Counting words separates these negatives from the positives with AUROC {baseline['auroc']:.3f}: they are easy.")
    if row and baseline.get("f1") is not None and row["f1"] is not None and row["f1"] <= baseline["f1"]:
        said.append(
            f"At its threshold the discriminator (F1 {row['f1']:.3f}) is no better than counting words (F1 {baseline['f1']:.3f}) on these negatives."
        )
    not_available = counts["train"].get("not_available")
    if not_available:
        said.append(f"{not_available} of {counts['train']['negatives_asked_for']} negatives asked for could not be made.")
    return said


def _flow(counts: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[tuple[int, str]]:
    named = (
        ("collect", "pages", "pages met"),
        ("collect", "sections", "sections"),
        ("create_qa", "kept", "questions with answers"),
        ("train", "examples", "examples"),
    )
    steps = [(counts[stage][name], what) for stage, name, what in named if name in counts[stage]]
    return [*steps, (1, "discriminator")] if metrics else steps


def _count_tables(counts: Mapping[str, Any]) -> list[Table]:
    collect, create_qa, train = counts["collect"], counts["create_qa"], counts["train"]
    listed = (
        ("Pages, by what they were", collect.get("pages_by_status")),
        ("Sections dropped, by reason", collect.get("dropped_by_reason")),
        ("Questions kept, by source", create_qa.get("kept_by_source")),
        ("Questions rejected, by reason", create_qa.get("rejected_by_reason")),
        ("Examples, by kind", train.get("by_kind")),
        ("Examples, by split", train.get("by_split")),
        ("Examples, by source of the question", train.get("by_source")),
        ("Candidates for negatives dropped, by reason", train.get("dropped_by_reason")),
    )
    return [_bars(caption, values) for caption, values in listed if values]


def _bars(caption: str, values: Mapping[str, int]) -> Table:
    rows = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    largest = max(values.values())
    return Table(caption, ("", "count", ""), rows, [round(_BAR_REM * n / largest, 2) for _, n in rows])


def _metric_tables(metrics: Mapping[str, Any]) -> list[Table]:
    names = ("accuracy", "precision", "recall", "f1", "auroc", "auprc")
    tables = []
    if metrics:
        for split in ("test", "validation"):
            for scorer, label in (("discriminator", "Discriminator"), ("idf_overlap", "Baseline: IDF overlap, no model")):
                rows = metrics[split][scorer]
                tables.append(_metric_table(f"{label}, {split} split, by kind of negative", "positives against", rows, names))
        by_source = {source: rows["all"] for source, rows in metrics["test"]["by_source"].items()}
        tables.append(_metric_table("Discriminator, test split, by source of the question", "source", by_source, names))
    return tables


def _metric_table(caption: str, first: str, rows: Mapping[str, Any], names: Sequence[str]) -> Table:
    cells = [(kind, row["n_positive"], row["n_negative"], *("–" if row[n] is None else f"{row[n]:.3f}" for n in names)) for kind, row in rows.items()]
    return Table(caption, (first, "positives", "negatives", *names), cells)


def _groups(examples: list[Example], qa: Mapping[str, QA], sections: Mapping[str, Section], rejected: list[RejectedQA], seed: int) -> list[Group]:
    groups = []
    for kind in KINDS:
        rows = [e for e in examples if e.kind == kind]
        shown = [_example_row(e, qa.get(e.qa_id), sections.get(e.context_section_id)) for e in _drawn(rows, seed, kind)]
        groups.append(Group(f"Examples: {kind}", f"{len(shown)} of {len(rows)}, drawn at random", shown))
    sources = Counter(row.source for row in qa.values())
    generated = [row for row in qa.values() if row.source == "generated"]
    groups.append(
        Group(
            "Questions generated by the model",
            f"of {sources['generated']}, drawn at random",
            [_qa_row(r, sections.get(r.section_id)) for r in _drawn(generated, seed, "generated")],
        )
    )
    groups.append(
        Group(
            "Rejected",
            f"{min(ROWS_OF_A_KIND, len(rejected))} of {len(rejected)}, drawn at random",
            [_rejected_row(r) for r in _drawn(rejected, seed, "rejected")],
        )
    )
    return groups


def _drawn(rows: list[T], seed: int, name: str) -> list[T]:
    return random.Random(f"{seed}/{name}").sample(rows, min(ROWS_OF_A_KIND, len(rows)))


def _place(section: Section | None) -> dict[str, Any]:
    if section is None:
        return {"place": "a section that is not in this run", "url": "", "revision": None}
    safe = section.url if section.url.startswith(("https://", "http://")) else ""
    return {"place": f"{section.title} – {section.heading_path}", "url": safe, "revision": section.revision_id}


def _example_row(example: Example, row: QA | None, section: Section | None) -> dict[str, Any]:
    evidence = row.evidence if row and example.answerable else ""
    before, found, after = example.context[:_CONTEXT_SHOWN].partition(evidence) if evidence else (example.context[:_CONTEXT_SHOWN], "", "")
    score = "" if example.verified_score is None else f", score {example.verified_score:.2f}"
    return {
        "question": example.question, "answer": example.answer, "tag": f"{example.source}, {example.split}", "context": True, "before": before,
        "evidence": found, "after": after, "why": f"verified: {example.verified}{score}", **_place(section),
    }  # fmt: skip


def _qa_row(row: QA, section: Section | None) -> dict[str, Any]:
    why = "" if row.round_trip_f1 is None else f"round trip F1 {row.round_trip_f1:.2f}"
    return {
        "question": row.question,
        "answer": row.answer,
        "tag": row.model,
        "context": True,
        "before": "",
        "evidence": row.evidence,
        "after": "",
        "why": why,
        **_place(section),
    }


def _rejected_row(row: RejectedQA) -> dict[str, Any]:
    return {
        "question": row.question or "(no question)", "answer": row.answer or "(no answer)", "tag": row.source, "context": False,
        "why": f"{row.reason}: {row.detail}" if row.detail else row.reason, "place": f"{row.title} – {row.heading}", "url": "", "revision": None,
    }  # fmt: skip


if __name__ == "__main__":
    main()
