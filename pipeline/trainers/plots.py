"""The curves of a training as PNG: loss, accuracy, and the measures of the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.store import whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_COLOURS = ("#1f4e79", "#c55a11", "#2e7d32", "#7b1fa2", "#b71c1c", "#616161")
_SMOOTHED = 0.05  # of the steps


def draw(lines: Sequence[Mapping[str, float | None]], folder: Path) -> list[Path]:
    """Write loss.png, accuracy.png and, where classes were measured, classification.png; return their paths."""
    plots = {
        "loss.png": ("Loss", ("training_loss", "validation_loss")),
        "accuracy.png": (
            "Accuracy",
            ("training_token_accuracy", "training_sequence_accuracy", "validation_token_accuracy", "validation_sequence_accuracy"),
        ),
        "classification.png": ("On the whole of validation", tuple(n for n in (lines[0] if lines else {}) if n.startswith("classification/"))),
    }
    return [_plot(lines, title, names, folder / file) for file, (title, names) in plots.items() if _any(lines, names)]


def _any(lines: Sequence[Mapping[str, float | None]], names: Sequence[str]) -> bool:
    return any(line.get(name) is not None for line in lines for name in names)


def _plot(lines: Sequence[Mapping[str, float | None]], title: str, names: Sequence[str], path: Path) -> Path:
    from matplotlib.figure import Figure  # without pyplot: no window, no state

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for name, colour in zip(names, _COLOURS, strict=False):
        points = [(float(line["step"] or 0), float(value)) for line in lines if (value := line.get(name)) is not None]
        if points:
            _curve(axes, points, name.replace("classification/", "").replace("_", " "), colour)
    axes.set(title=title, xlabel="step", ylabel="cross-entropy" if "loss" in names[0] else "share")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.get_major_locator().set_params(integer=True)
    if "loss" not in names[0]:
        axes.set_ylim(-0.02, 1.02)
    axes.legend(frameon=False)
    with whole_file(path, "wb") as file:
        figure.savefig(file, format="png", metadata={"Software": None})
    return path


def _curve(axes: Any, points: Sequence[tuple[float, float]], label: str, colour: str) -> None:
    steps, values = [p[0] for p in points], [p[1] for p in points]
    if not label.startswith("training"):
        axes.plot(steps, values, color=colour, marker="o", markersize=4, label=label)
        return
    width = max(1, round(_SMOOTHED * len(values)))
    smooth = [sum(values[max(0, at - width) : at + width + 1]) / len(values[max(0, at - width) : at + width + 1]) for at in range(len(values))]
    axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
    axes.plot(steps, smooth, color=colour, label=f"{label} (smoothed)")
