"""Pictures, as data: each has a title, units, a sentence on how to read it, and its figures as a table. page/charts.js draws them."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.records import KINDS, SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.reporting.gathered import Gathered

MOST_BARS = 12
_RANKS = ((1, "1"), (3, "2–3"), (5, "4–5"), (10, "6–10"), (20, "11–20"))

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Axis:
    """What stands beside an axis; `top` is where it must at least end, `share` says that its figures are shares of one."""

    label: str
    top: float | None = None
    share: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture. `points` are (x, y, series); bars lie, their x is the count and their y the name; columns stand, their x is a range."""

    chart_id: str
    kind: str
    """bars, columns, dots or lines"""
    title: str
    note: str
    x: Axis
    y: Axis
    points: list[tuple[Cell, Cell, str]]
    heads: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    series: tuple[str, ...] = ()
    reference: str = ""
    """diagonal: from (0, 0) to (1, 1); chance: x = 0.5"""
    edges: list[float] = field(default_factory=list)
    """of columns over numbers: where each begins, and the last ends"""


def charts(gathered: Gathered) -> list[Chart]:
    """Return the pictures that the run's files have figures for."""
    found = [
        _tokens(gathered), _questions(gathered), _rejected(gathered), _kinds(gathered), _separability(gathered),
    ]  # fmt: skip
    return [chart for chart in found if chart and chart.points]


def _tokens(gathered: Gathered) -> Chart | None:
    tokens = [section.tokens for section in gathered.sections]
    if not tokens:
        return None
    edges = _edges(tokens)
    counts = [sum(1 for n in tokens if low <= n < high) for low, high in itertools.pairwise(edges)]
    names = [f"{low:,}–{high - 1:,}" for low, high in itertools.pairwise(edges)]
    ordered = sorted(tokens)
    note = f"Half of the {len(tokens):,} sections have {ordered[len(ordered) // 2]:,} tokens or more; the longest has {ordered[-1]:,}."
    return Chart(
        "tokens", "columns", "Tokens a section", note, Axis("tokens"), Axis("sections"), [(n, c, "") for n, c in zip(names, counts, strict=True)],
        ("tokens", "sections"), list(zip(names, counts, strict=True)), edges=[float(edge) for edge in edges],
    )  # fmt: skip


def _edges(values: Sequence[int]) -> list[int]:
    """Return round edges of 10 to 25 ranges that hold all values (whole numbers, 0 or more)."""
    rough = max(max(values) - min(values) + 1, 1) / 16
    power = 10 ** math.floor(math.log10(rough)) if rough >= 1 else 1
    step = max(1, next(int(power * m) for m in (1, 2, 2.5, 5, 10) if power * m >= rough and power * m == int(power * m)))
    first = min(values) // step * step
    return list(range(first, max(values) + step + 1, step))


def _questions(gathered: Gathered) -> Chart | None:
    if not gathered.qa:
        return None
    by_section = Counter(row.section_id for row in gathered.qa)
    spread = Counter(by_section[section.section_id] for section in gathered.sections)
    names = [(str(n), spread[n]) for n in range(max(spread) + 1)] if spread else []
    if len(names) > MOST_BARS:
        names = [*names[: MOST_BARS - 1], (f"{MOST_BARS - 1} or more", sum(n for _, n in names[MOST_BARS - 1 :]))]
    without = spread[0]
    note = f"{without:,} of {len(gathered.sections):,} sections have no question; they can still be the context of a negative."
    return Chart(
        "questions", "columns", "Questions a section", note, Axis("questions"), Axis("sections"), [(name, n, "") for name, n in names],
        ("questions", "sections"), list(names),
    )  # fmt: skip


def _rejected(gathered: Gathered) -> Chart | None:
    reasons = Counter(row.reason for row in gathered.rejected)
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) > MOST_BARS:
        ordered = [*ordered[: MOST_BARS - 1], ("other reasons", sum(n for _, n in ordered[MOST_BARS - 1 :]))]
    note = f"{len(gathered.rejected):,} candidates and replies did not become a question; {len(gathered.qa):,} did."
    return Chart(
        "rejected", "bars", "Questions rejected, by reason", note, Axis("candidates"), Axis(""), [(n, reason.replace("_", " "), "") for reason, n in ordered],
        ("reason", "candidates"), list(ordered),
    )  # fmt: skip


def _kinds(gathered: Gathered) -> Chart | None:
    found = Counter((example.kind, example.split) for example in gathered.examples)
    kinds = sorted({kind for kind, _ in found}, key=lambda kind: (KINDS.index(kind) if kind in KINDS else len(KINDS), kind))
    points: list[tuple[Cell, Cell, str]] = [(found[kind, split], kind, split) for kind in kinds for split in SPLITS]
    rows: list[tuple[Cell, ...]] = [(kind, *(found[kind, split] for split in SPLITS), sum(found[kind, split] for split in SPLITS)) for kind in kinds]
    note = "Positives answer; every other kind is a context that does not. A page is in one split alone."
    return Chart(
        "kinds", "bars", "Examples, by kind and split", note, Axis("examples"), Axis(""), points, ("kind", *SPLITS, "all"), rows, SPLITS
    )  # fmt: skip


def _separability(gathered: Gathered) -> Chart | None:
    test = gathered.metrics.get("test", {})
    ours, words = test.get("discriminator", {}), test.get("idf_overlap", {})
    names = {"discriminator": ours, "counting words (IDF overlap)": words}
    points: list[tuple[Cell, Cell, str]] = [
        (row["auroc"], kind, name) for name, rows in names.items() for kind, row in rows.items() if row.get("auroc") is not None
    ]
    rows: list[tuple[Cell, ...]] = [
        (kind, row["n_positive"], row["n_negative"], row["auroc"], words.get(kind, {}).get("auroc")) for kind, row in ours.items()
    ]
    note = "How well positives are told from each kind, on pages not seen in training: 0.5 is chance, 1 is perfect. Where counting words is far right, the kind is easy."
    return Chart(
        "separability", "dots", "Told apart, by kind of negative", note, Axis("AUROC, test split", 1.0), Axis(""), points,
        ("kind", "positives", "negatives", "discriminator", "counting words"), rows, tuple(names), "chance",
    )  # fmt: skip


def ranks(found: Sequence[int | None]) -> Chart:
    """Return the picture of at which place BM25 finds each question's own section (None: not among the first twenty)."""
    counts = Counter(next(name for last, name in _RANKS if rank <= last) if rank else "later" for rank in found)
    names = [(name, counts[name]) for _, name in _RANKS] + [("later", counts["later"])]
    first = counts["1"] / len(found) if found else 0
    note = f"Where a search by words (BM25) finds the section that a question was asked about: of {len(found):,} questions {100 * first:.0f} % at the first place."
    rows: list[tuple[Cell, ...]] = [(name, n, f"{n / len(found):.1%}" if found else "–") for name, n in names]
    return Chart(
        "ranks", "columns", "Place of a question's own section", note, Axis("place in the search"), Axis("questions"),
        [(name, n, "") for name, n in names], ("place", "questions", "share"), rows,
    )  # fmt: skip


def lines(
    chart_id: str, title: str, note: str, x: Axis, y: Axis, curves: Mapping[str, Iterable[tuple[float, float]]], reference: str = ""
) -> Chart:  # fmt: skip
    """Return a picture of curves, a series each, with all of their points as its table."""
    points: list[tuple[Cell, Cell, str]] = [(a, b, name) for name, curve in curves.items() for a, b in curve]
    rows: list[tuple[Cell, ...]] = [(name, a, b) for a, b, name in points]
    return Chart(chart_id, "lines", title, note, x, y, points, ("curve", x.label, y.label), rows, tuple(curves), reference)


def for_drawing(found: Sequence[Chart]) -> list[dict[str, Any]]:
    """Return what charts.js needs of each."""
    return [
        {
            "id": chart.chart_id, "kind": chart.kind, "title": chart.title, "note": chart.note, "points": chart.points, "series": chart.series,
            "x": {"label": chart.x.label, "top": chart.x.top, "share": chart.x.share},
            "y": {"label": chart.y.label, "top": chart.y.top, "share": chart.y.share}, "reference": chart.reference, "edges": chart.edges,
        }
        for chart in found
    ]  # fmt: skip
