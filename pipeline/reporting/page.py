"""The page: what was gathered, put into one file that needs no network and in which no text of strangers can run."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict, dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from pipeline import __version__
from pipeline.reporting import charts, compared, curves, judged, overview, rows

if TYPE_CHECKING:
    from pipeline.reporting.charts import Chart
    from pipeline.reporting.gathered import Gathered

MOST_BYTES = 5_000_000
_SCRIPTS = ("plot.js", "charts.js", "review.js", "rows.js")
_RANKED = 1_000
"""questions that are searched for, at most: a share is known to 3 % then"""
_MEASURES = ("accuracy", "precision", "recall", "f1", "auroc", "auprc")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page; the first column is its rows' names."""

    caption: str
    heads: tuple[str, ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Made:
    """A finished page, and what it shows."""

    html: str
    rows_shown: int
    rows_of: int
    charts: int


def page(gathered: Gathered, seed: int, audit_width: float | None, other: Gathered | None) -> Made:
    """Return the page: at most 5 MB, rows being sampled if need be."""
    import jinja2

    audit = judged.audit(gathered, audit_width, seed) if audit_width else None
    drawn = [*charts.charts(gathered), *_search(gathered, seed), *curves.curves(gathered)]
    comparison = compared.compared(gathered, other) if other else None
    beside = [compared.separability(gathered, other)] if other else []
    scripts = {name: _asset(name) for name in _SCRIPTS}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.reporting", "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = _shown
    template = environment.get_template("report.html.jinja")
    run = {"id": rows.run_id(gathered), "name": gathered.name, "audit": asdict(audit) | {"ids": []} if audit else None}
    parts: dict[str, Any] = {
        "name": gathered.name, "version": __version__, "policy": _policy(scripts), "style": _asset("report.css"),
        "scripts": list(scripts.values()), "warnings": overview.warnings(gathered), "flow": overview.flow(gathered),
        "sources": overview.sources(gathered), "machinery": overview.machinery(gathered), "charts": drawn, "beside": [c for c in beside if c.points],
        "tables": tables(gathered), "judged": judged.judged(gathered), "audit": audit, "comparison": comparison, "run": run,
        "drawn": as_data(charts.for_drawing([*drawn, *beside])), "run_data": as_data(run),
    }  # fmt: skip
    empty = template.render(**parts, rows=rows.Rows([], [], [], 0, 0), packed="")
    found = rows.fitting(gathered, audit.ids if audit else (), MOST_BYTES - len(empty.encode("utf-8", "replace")) - 1_000, seed)
    html = template.render(**parts, rows=found, packed=found.packed())
    return Made(html, len(found.rows), found.of, len(drawn) + len(beside))


def as_data(value: object) -> str:
    """Return JSON that may stand in a script element: nothing in it can end the element or begin another."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _asset(name: str) -> str:
    return resources.files("pipeline.reporting").joinpath("page", name).read_text("utf-8")


def _policy(scripts: dict[str, str]) -> str:
    """Return the Content-Security-Policy (W3C, CSP level 3): our scripts run, known by their hashes, and nothing else; nothing is fetched."""
    known = (base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") for text in scripts.values())
    run = " ".join(f"'sha256-{digest}'" for digest in known)
    return f"default-src 'none'; script-src {run}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def _shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() and abs(value) > 1 else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _search(gathered: Gathered, seed: int) -> list[Chart]:
    """Return the picture of where a search finds each question's own section."""
    import random

    from pipeline.retrieval.bm25 import Bm25

    places = {section.section_id: at for at, section in enumerate(gathered.sections)}
    asked = [row for row in gathered.qa if row.section_id in places]
    asked = asked if len(asked) <= _RANKED else random.Random(f"{seed}/ranks").sample(asked, _RANKED)
    if not asked:
        return []
    found = Bm25([section.context for section in gathered.sections]).search([row.question for row in asked], 20)
    own = [places[row.section_id] for row in asked]
    return [charts.ranks([ranked.index(at) + 1 if at in ranked else None for at, ranked in zip(own, found, strict=True)])]


def tables(gathered: Gathered) -> list[Table]:
    """Return the measures of the discriminator and of its baseline, and of each evaluation."""
    made = []
    for split in ("test", "validation"):
        for scorer, label in (("discriminator", "Discriminator"), ("idf_overlap", "Baseline: IDF overlap, no model")):
            found = gathered.metrics.get(split, {}).get(scorer)
            if found:
                made.append(_measures(f"{label}, {split} split, by kind of negative", "positives against", found))
    sources = {source: found["all"] for source, found in gathered.metrics.get("test", {}).get("by_source", {}).items() if found.get("all")}
    if len(sources) > 1:
        made.append(_measures("Discriminator, test split, by source of the question", "source", sources))
    return made + [table for evaluation in gathered.evaluations for table in _systems(evaluation.name, evaluation.metrics.get("systems", {}))]


def _measures(caption: str, first: str, found: dict[str, dict[str, Any]]) -> Table:
    cells = [(kind, row["n_positive"], row["n_negative"], *(row.get(name) for name in _MEASURES)) for kind, row in found.items()]
    return Table(caption, (first, "positives", "negatives", "accuracy", "precision", "recall", "F1", "AUROC", "AUPRC"), cells)


def _systems(name: str, systems: dict[str, dict[str, Any]]) -> list[Table]:
    """Return what an evaluation measured of each system."""
    cells = []
    for system, found in systems.items():
        squad, whole = found.get("squad", {}), found.get("abstention", {}).get("all", {})
        ranked = found.get("discriminator", {}).get("all", {})
        cells.append(
            (system, squad.get("exact"), squad.get("f1"), whole.get("precision"), whole.get("recall"), whole.get("f1"), whole.get("over_refusal"),
             ranked.get("auroc"))
        )  # fmt: skip
    heads = ("system", "exact, %", "F1, %", "abstention: precision", "recall", "F1", "over-refusal", "AUROC")
    return [Table(f"Evaluation {name}: answers and abstention", heads, cells)] if cells else []
