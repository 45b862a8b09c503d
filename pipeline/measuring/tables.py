"""The figures of an evaluation as counts for the manifest, and as lines for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_INTERVALS = ("f1", "abstention_f1", "over_refusal", "answered_when_insufficient", "auroc")


def counts_of(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chief figures of what is judged."""
    judged = metrics["systems"]["judged"]
    everything = judged["abstention"]["all"]
    return {
        **metrics["dataset"], "exact": judged["squad"]["exact"], "f1": judged["squad"]["f1"], "has_answer_f1": judged["squad"].get("HasAns_f1"),
        "abstention_f1": everything["f1"], "over_refusal": everything["over_refusal"],
        "answered_when_insufficient": everything["answered_when_insufficient"], "accuracy": judged["accuracy"],
        "auroc": judged["discriminator"]["all"]["auroc"], "ece": metrics["calibration"]["ece"], "refused_by_endpoint": metrics["refused_by_endpoint"],
    }  # fmt: skip


def table_of(metrics: Mapping[str, Any]) -> list[str]:
    """Return the figures as lines: a row a system, then what is judged by kind of question, then how sure they are."""
    told, sure = metrics["dataset"], metrics["intervals"]
    listed = ", ".join(f"{what} {_span(sure['shares_of_one'][what])}" for what in _INTERVALS)
    return [
        f"{told['questions']} questions of {told['name']}, {told['answerable']} answerable; threshold {metrics['threshold']:.2f} ({metrics['threshold_chosen_on']})",
        f"  {'':<26}{'exact':>7}{'F1':>7}{'HasAns F1':>11}{'declined: P':>13}{'R':>7}{'F1':>7}{'over-refusal':>14}{'answered wrongly':>18}{'AUROC':>8}",
        *(_row(name, found) for name, found in metrics["systems"].items()),
        *_by_kind(metrics["systems"]["judged"]),
        f"  {sure['level']} % intervals: {listed}; calibration error {_figure(metrics['calibration']['ece'])}",
    ]


def _row(name: str, found: Mapping[str, Any]) -> str:
    squad, declined = found["squad"], found["abstention"]["all"]
    cells = (
        (squad["exact"], 7, 1), (squad["f1"], 7, 1), (squad.get("HasAns_f1"), 11, 1), (declined["precision"], 13, 3), (declined["recall"], 7, 3),
        (declined["f1"], 7, 3), (declined["over_refusal"], 14, 3), (declined["answered_when_insufficient"], 18, 3), (_auroc(found, "all"), 8, 3),
    )  # fmt: skip
    return f"  {name:<26}" + "".join(f"{_figure(value, digits):>{width}}" for value, width, digits in cells)


def _by_kind(judged: Mapping[str, Any]) -> Iterator[str]:
    for kind, found in judged["abstention"].items():
        if kind != "all":
            answered = _figure(found["answered_when_insufficient"])
            yield f"  {kind}: {found['n_unanswerable']} questions, {answered} answered all the same, AUROC {_figure(_auroc(judged, kind))}"


def _auroc(found: Mapping[str, Any], kind: str) -> float | None:
    value: float | None = found.get("discriminator", {}).get(kind, {}).get("auroc")
    return value


def _figure(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _span(value: tuple[float, float] | None) -> str:
    return "–" if value is None else f"{value[0]:.3f} to {value[1]:.3f}"
