"""The result file of a fine-tuning service, brought to the columns of OpenAI's guide of 2021.

A service writes `step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy` (OpenAI's fine-tuning guide of 2023),
`train_mean_token_accuracy`, `validation_mean_token_accuracy`, `full_valid_loss` and `full_valid_mean_token_accuracy`
(Azure, "Analyze your customized model"), or the guide's own columns, as in 2021. OpenAI sends it in base 64, others as it is. Pure.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import math
from typing import TYPE_CHECKING, TypeGuard

from pipeline.errors import InputError
from pipeline.trainers.results import TRAINING, VALIDATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.trainers.results import Line

WHOLE_VALIDATION = ("full_validation_loss", "full_validation_token_accuracy")
"""measured on the whole of validation at the end of an epoch, where the guide's columns are of a batch"""
_CLASSIFICATION = "classification/"
_NAMES = {
    "train_loss": "training_loss", "train_accuracy": "training_token_accuracy", "train_mean_token_accuracy": "training_token_accuracy",
    "valid_loss": "validation_loss", "valid_accuracy": "validation_token_accuracy", "valid_mean_token_accuracy": "validation_token_accuracy",
    "validation_mean_token_accuracy": "validation_token_accuracy", "full_valid_loss": "full_validation_loss",
    "full_valid_mean_token_accuracy": "full_validation_token_accuracy",
}  # fmt: skip
_STEPS_END = 1 << 53
_NOT_MEASURED = -1.0
"""Azure's files have it where a step was not validated; no loss and no share is below nothing"""


def text_of(content: bytes) -> str:
    """Return a result file as the table it is, out of base 64 if it came in it.

    Raises InputError if it is neither.
    """
    text = _decoded(content)
    if text is not None and _is_table(text):
        return text
    try:
        text = _decoded(base64.b64decode(b"".join(content.split()), validate=True))
    except binascii.Error:
        text = None
    if text is None or not _is_table(text):
        raise InputError("the result file is no table of steps", repr(content[:60]), "look at it in the service's own pages")
    return text


def _decoded(content: bytes) -> str | None:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _is_table(text: str) -> bool:
    return "step" in [name.strip() for name in text.partition("\n")[0].split(",")]


def lines_of(text: str, batch_size: int | None = None) -> list[Line]:
    """Return the steps of a result file in the guide's terms, in their order.

    `batch_size` (rows a step), where it is known, tells how many examples had been seen; what else the service does not
    say is empty.

    Of a step that comes twice the last word counts. Raises InputError naming the row that is no step, or if the file is no CSV.
    """
    found: dict[int, Line] = {}
    try:
        for number, row in enumerate(csv.DictReader(io.StringIO(text, newline="")), 2):
            line = _line(row, number, batch_size)
            step = int(line["step"] or 0)
            found[step] = found.get(step, {}) | {name: value for name, value in line.items() if value is not None}
    except csv.Error as error:
        raise InputError("the result file is no table of steps", str(error), "look at it in the service's own pages") from error
    return [found[step] for step in sorted(found)]


def _line(row: Mapping[str | None, str | None], number: int, batch_size: int | None) -> Line:
    values = {name_of(name): _value(value) for name, value in row.items() if name is not None and isinstance(value, str)}
    step = values.get("step")
    if step is None or step != int(step) or not 0 <= step < _STEPS_END:
        raise InputError("a row of the result file has no step", f"row {number}: {row.get('step')!r}", "look at it in the service's own pages")
    if batch_size and values.get("elapsed_examples") is None:
        values["elapsed_examples"] = int(step) * batch_size
    return {**values, "step": int(step)}


def name_of(column: str) -> str:
    """Return what the guide calls a column; a beta of F is written as here: classification/f1, not f1.0."""
    column = column.strip()
    if column.startswith(_CLASSIFICATION + "f"):
        return column.removesuffix(".0")
    return _NAMES.get(column, column)


def _value(text: str) -> float | int | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value) or value == _NOT_MEASURED:
        return None
    return int(value) if value.is_integer() and text.strip().lstrip("+-").isdigit() else value


def columns_of(lines: Sequence[Line]) -> tuple[str, ...]:
    """Return the columns to write: the guide's, measures of classes, and of the whole validation where there are any."""
    there = {name for line in lines for name, value in line.items() if value is not None}
    classes = sorted(name for name in there if name.startswith(_CLASSIFICATION))
    return (*TRAINING, *VALIDATION, *(name for name in WHOLE_VALIDATION if name in there), *classes)


def from_events(metrics: Iterable[Mapping[str, object]], batch_size: int | None = None) -> list[Line]:
    """Return the steps that a job's events told of (their `data`), for a service that has no result file; the last word on a step counts."""
    found: dict[int, Line] = {}
    for one in metrics:
        step = one.get("step")
        if _is_measure(step) and step == int(step) and 0 <= step < _STEPS_END:
            told = {name_of(name): value for name, value in one.items() if _is_measure(value)}
            examples = {"elapsed_examples": int(step) * batch_size} if batch_size else {}
            found[int(step)] = {**found.get(int(step), {}), **examples, **told, "step": int(step)}
    return [found[step] for step in sorted(found)]


def _is_measure(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def last_of(lines: Sequence[Line], *names: str) -> float | None:
    """Return the last value that was measured under the first of these names that has any."""
    for name in names:
        measured = [float(value) for line in lines if (value := line.get(name)) is not None]
        if measured:
            return measured[-1]
    return None
