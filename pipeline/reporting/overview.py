"""What stands at the top of the page: what to know first, the run as a flow with its losses, what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.reporting.gathered import Gathered

FEW_POSITIVES = 100
EASY = 0.8
"""AUROC of word counting from which on negatives are easy: where it is enough, a model learns to count words"""
MUCH_REFUSED = 0.1
LOSSES_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Step:
    """One station of the flow: how many there are, of what, what was lost on the way there and why."""

    n: int
    what: str
    notes: tuple[str, ...] = ()
    lost: int = 0
    lost_what: str = "lost"
    losses: list[tuple[int, str]] = field(default_factory=list)
    """the largest first; the smaller ones together at the end"""
    cost: tuple[str, ...] = ()


def warnings(gathered: Gathered) -> list[str]:
    """Return what a reader should know before trusting the figures below."""
    counts = {name: gathered.counts(name) for name in ("create_qa", "train")}
    return [*_of_rows(counts), *_of_metrics(gathered.metrics), *_of_leaks(gathered.statistics)]


def _of_rows(counts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    said = []
    kept, rejected = counts["create_qa"].get("kept", 0), counts["create_qa"].get("rejected", 0)
    generated = counts["create_qa"].get("kept_by_source", {}).get("generated", 0)
    if rejected > kept:
        said.append(f"More candidates were rejected ({rejected:,}) than kept ({kept:,}); {generated:,} of the kept rows were generated.")
    missing = counts["train"].get("not_available")
    if missing:
        kinds = counts["train"].get("not_available_by_kind", {})
        of = ", ".join(f"{n:,} {kind}" for kind, n in sorted(kinds.items(), key=lambda item: -item[1]))
        said.append(f"{missing:,} of {counts['train']['negatives_asked_for']:,} negatives asked for could not be made{of and f' ({of})'}.")
    return said


def _of_metrics(metrics: Mapping[str, Any]) -> list[str]:
    """Return what of the discriminator's figures calls for a warning: too few rows, too much refused, no better than counting words."""
    if not metrics:
        return []
    said = []
    row = metrics.get("test", {}).get("discriminator", {}).get("all") or {}
    baseline = metrics.get("test", {}).get("idf_overlap", {}).get("all") or {}
    n = row.get("n_positive", 0)
    if n < FEW_POSITIVES:
        said.append(f"The test split has only {n} answerable questions: its figures are rough.")
    if row.get("recall") is not None and 1 - row["recall"] > MUCH_REFUSED:
        said.append(
            f"The discriminator refuses {1 - row['recall']:.1%} of the answerable questions of the test split: a model learns to refuse too much."
        )
    if (baseline.get("auroc") or 0) > EASY:
        said.append(f"Counting words separates these negatives from the positives with AUROC {baseline['auroc']:.3f}: they are easy.")
    if row.get("f1") is not None and baseline.get("f1") is not None and row["f1"] <= baseline["f1"]:
        said.append(
            f"At its threshold the discriminator (F1 {row['f1']:.3f}) is no better than counting words (F1 {baseline['f1']:.3f}) on these negatives."
        )
    return said


def _of_leaks(statistics: Mapping[str, Any]) -> list[str]:
    return [
        f"Leak between splits: {leak['what']}, {leak['found']:,} of {leak['of']:,}. On test a model will look better than it is."
        for leak in statistics.get("leaks", ()) if leak["found"]
    ]  # fmt: skip


def flow(gathered: Gathered) -> list[Step]:
    """Return the stations from pages to models, as far as the run has come."""
    collect, create_qa, train = (gathered.counts(name) for name in ("collect", "create_qa", "train"))
    steps = []
    if collect:
        status = {k: n for k, n in collect.get("pages_by_status", {}).items() if k != "kept"}
        kept = collect.get("pages_by_status", {}).get("kept", 0)
        steps.append(
            Step(kept, "pages", (f"of {collect.get('pages', kept):,} met",), *_lost(status, "pages not kept"), _cost(gathered.stages["collect"]))
        )
    duplicates = sum(1 for section in gathered.sections if section.duplicate_of)
    tokens = sum(section.tokens for section in gathered.sections)
    notes = (f"{tokens:,} tokens", *([f"{duplicates:,} near-duplicates marked"] if duplicates else []))
    steps.append(Step(len(gathered.sections), "sections", notes, *_lost(collect.get("dropped_by_reason", {}), "sections dropped")))
    if gathered.qa:
        sources = ", ".join(f"{n:,} {source}" for source, n in create_qa.get("kept_by_source", {}).items())
        cost = _cost(gathered.stages.get("create_qa", {}))
        steps.append(
            Step(
                len(gathered.qa),
                "questions",
                (sources,) if sources else (),
                *_lost(create_qa.get("rejected_by_reason", {}), "candidates rejected"),
                cost,
            )
        )
    if gathered.examples:
        answerable = sum(1 for example in gathered.examples if example.answerable)
        notes = (f"{answerable:,} answer, {len(gathered.examples) - answerable:,} decline",)
        dropped = {k: n for k, n in train.get("dropped_by_reason", {}).items() if not k.startswith("not_available")}
        steps.append(Step(len(gathered.examples), "examples", notes, *_lost(dropped, "candidates dropped"), _cost(gathered.stages.get("train", {}))))
    names = sorted({*gathered.results, *(["discriminator"] if gathered.metrics else [])})
    if names:
        row = gathered.metrics.get("test", {}).get("discriminator", {}).get("all") or {}
        figures = (f"test AUROC {row['auroc']:.3f}, F1 {row['f1']:.3f}",) if row.get("auroc") is not None else ()
        steps.append(Step(len(names), "model" if len(names) == 1 else "models", (", ".join(names), *figures)))
    return steps


def _lost(reasons: Mapping[str, int], what: str) -> tuple[int, str, list[tuple[int, str]]]:
    """Return how many were lost of what, and the largest reasons with the others together."""
    ordered = sorted(((n, reason.replace("_", " ")) for reason, n in reasons.items()), key=lambda item: (-item[0], item[1]))
    rest = sum(n for n, _ in ordered[LOSSES_SHOWN:])
    return sum(reasons.values()), what, ordered[:LOSSES_SHOWN] + ([(rest, "for other reasons")] if rest else [])


def _cost(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return seconds, requests, calls, tokens and money of a stage, those that it counted."""
    cost, said = entry.get("cost", {}), []
    if cost.get("usd") is not None or cost.get("cost_usd") is not None:
        said.append(f"US$ {cost.get('usd', cost.get('cost_usd')):.4f}")
    said += [f"{cost[name]:,} {what}" for name, what in (("requests", "requests"), ("calls", "model calls")) if cost.get(name)]
    if cost.get("tokens_in") or cost.get("tokens_out"):
        said.append(f"{cost.get('tokens_in', 0):,} tokens in, {cost.get('tokens_out', 0):,} out")
    if entry.get("seconds") is not None:
        said.append(f"{entry['seconds']:,.1f} s")
    return tuple(said)


def sources(gathered: Gathered) -> list[tuple[str, str]]:
    """Return what a reader should know of where the text is from: name and value."""
    kept = [page for page in gathered.pages if page.status == "kept"]
    licences = "; ".join(sorted({page.licence for page in kept if page.licence})) or "none was named"
    said = [("Licence", licences)]
    dated = sorted(page.revision_timestamp[:10] for page in kept if page.revision_timestamp)
    if dated:
        n = sum(1 for page in kept if page.revision_id)
        said.append(("Revisions", f"{n:,} pages as they stood {dated[0]} to {dated[-1]}" if dated[0] != dated[-1] else f"{n:,} pages of {dated[0]}"))
    fetched = sorted(page.retrieved_at[:10] for page in kept if page.retrieved_at)
    if fetched:
        said.append(("Fetched", fetched[0] if fetched[0] == fetched[-1] else f"{fetched[0]} to {fetched[-1]}"))
    models = sorted({row.model for row in gathered.qa if row.model})
    if models:
        said.append(("Questions by", ", ".join(models)))
    return said


def machinery(gathered: Gathered) -> list[tuple[str, str]]:
    """Return settings and versions of each stage, as name and value."""
    rows = []
    for name, entry in gathered.stages.items():
        rows += [(f"{name} – {key}", _short(value)) for key, value in entry.get("settings", {}).items() if value is not None]
        versions = ", ".join(f"{key} {value}" for key, value in entry.get("versions", {}).items())
        rows.append((f"{name} – versions", versions))
    return rows


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_short(part)}" for key, part in value.items())
    return str(value)
