"""Metrics as lines for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def table_of(metrics: Mapping[str, Any], folder: Path, split: str = "test") -> list[str]:
    """Return the metrics of a split as lines for a terminal, the baseline beside."""
    base = metrics[split]["idf_overlap"]
    judged = metrics[split]["discriminator"].get("all", {}).get("auroc") is not None
    seen = "pages not seen in training" if split == "test" else "on which its threshold was chosen, so a little flattering"
    lines = [f"discriminator on {kind_count(metrics, split)} {split} examples, {seen} → {folder}"]
    lines.append(
        f"  {'negatives':<16}{'n':>5}{'accuracy':>10}{'precision':>11}{'recall':>8}{'F1':>7}{'AUROC':>8}{'AUPRC':>8}   IDF overlap: F1  AUROC"
    )
    for kind, row in metrics[split]["discriminator"].items():
        shown = [row[name] for name in ("accuracy", "precision", "recall", "f1", "auroc", "auprc")]
        cells = "".join(f"{figure(v):>{w}}" for v, w in zip(shown, (10, 11, 8, 7, 8, 8), strict=True))
        lines.append(f"  {kind:<16}{row['n_negative']:>5}{cells}   {figure(base[kind]['f1']):>15}{figure(base[kind]['auroc']):>7}")
    if not judged:
        lines.append(f"  nothing was measured: the {split} split lacks answerable questions or negatives; more pages with questions are needed")
    return lines


def kind_count(metrics: Mapping[str, Any], split: str = "test") -> int:
    """Return how many examples a split has."""
    row = metrics[split]["discriminator"].get("all")
    return int(row["n_positive"] + row["n_negative"]) if row else 0


def listed(measures: Mapping[str, float | None]) -> str:
    """Return measures by name as one line."""
    return ", ".join(f"{name.replace('_', ' ')} {figure(value)}" for name, value in measures.items())


def figure(value: float | None) -> str:
    """Return a figure to three places, a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"
