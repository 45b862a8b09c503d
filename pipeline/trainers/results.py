"""results.csv: a row a step, in the columns of OpenAI's fine-tuning guide of 2021."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TRAINING = ("step", "elapsed_tokens", "elapsed_examples", "training_loss", "training_sequence_accuracy", "training_token_accuracy")
VALIDATION = ("validation_loss", "validation_sequence_accuracy", "validation_token_accuracy")
_DIGITS = 6

Line = dict[str, "float | int | None"]


def columns(classification: Sequence[str]) -> tuple[str, ...]:
    """Return the columns: training, validation, and for what decides between classes the names of its measures."""
    return (*TRAINING, *VALIDATION, *(f"classification/{name}" for name in classification))


def line_of(names: Sequence[str], values: Mapping[str, float | None]) -> str:
    """Return one row of the file; what was not measured at that step is empty."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(["" if values.get(n) is None else _shown(values[n]) for n in names])
    return out.getvalue()


def _shown(value: float | None) -> str:
    return str(value) if isinstance(value, int) else f"{value:.{_DIGITS}g}"


def table(names: Sequence[str], lines: Sequence[Mapping[str, float | None]]) -> str:
    """Return the whole file."""
    return ",".join(names) + "\n" + "".join(line_of(names, line) for line in lines)


def parse(text: str) -> list[Line]:
    """Return the rows of a results file, cut off at its first incomplete one (the process was killed while it wrote)."""
    if not text.strip():
        return []
    reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
    found: list[Line] = []
    for row in reader:
        if None in row or None in row.values():
            break
        found.append({name: _number(value) for name, value in row.items()})
    return found


def _number(text: str) -> float | int | None:
    if not text:
        return None
    return int(text) if text.lstrip("-").isdigit() else float(text)


def up_to(lines: Sequence[Line], step: int) -> list[Line]:
    """Return the rows of the steps that a checkpoint has behind it."""
    return [line for line in lines if (line["step"] or 0) <= step]
