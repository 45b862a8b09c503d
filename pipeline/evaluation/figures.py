"""The curves of an evaluation, drawn by matplotlib without a window: reliability, and risk by coverage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

_COLOURS = {"sufficiency": "#1f4e79", "f1": "#c55a11"}
_NAMES = {"sufficiency": "answered though the context is not sufficient", "f1": "1 − F1 of the answer"}


def reliability(found: Mapping[str, Any]) -> Figure:
    """Draw the share of answerable questions by p(answerable), a point a bin, as large as the bin."""
    figure, axes = _empty()
    bins = [row for row in found["bins"] if row["n"]]
    most = max((row["n"] for row in bins), default=1)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    axes.plot([row["mean_p"] for row in bins], [row["share_answerable"] for row in bins], color="#1f4e79", linewidth=0.8)
    axes.scatter(
        [row["mean_p"] for row in bins], [row["share_answerable"] for row in bins], s=[10 + 150 * row["n"] / most for row in bins], color="#1f4e79"
    )
    axes.set(title=f"Reliability, expected calibration error {found['ece']:.3f}", xlabel="p(answerable), mean of a bin", ylabel="share answerable")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure


def risk_coverage(curves: Mapping[str, Any]) -> Figure:
    """Draw the risk of what is answered by the share that is."""
    figure, axes = _empty()
    for name, found in curves.items():
        points = found["curve"]
        axes.plot(
            [p["coverage"] for p in points], [p["risk"] for p in points], color=_COLOURS[name], label=f"{_NAMES[name]} (area {found['area']:.3f})"
        )
    axes.set(
        title="Risk by coverage, the surest first", xlabel="share of the questions answered", ylabel="risk", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02)
    )
    axes.legend(frameon=False)
    return figure


def _empty() -> tuple[Figure, Any]:
    from matplotlib.figure import Figure  # without pyplot: no window, no state

    figure = Figure(figsize=(7, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
