"""The terms of OpenAI's fine-tuning guide of 2021 that users know: batch size, multiplier, names, hints.

(platform.openai.com/docs/guides/legacy-fine-tuning, "Hyperparameters".) Pure: nothing is opened, no clock is looked at.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

N_EPOCHS = 4
_SHARE, _MOST, _FEWEST = 0.002, 256, 8
_MULTIPLIERS = ((32, 0.05), (128, 0.1))
_LARGEST_MULTIPLIER = 0.2
BASE_RATES = {"causal": 0.02, "encoder": 0.002}
"""What the multiplier multiplies. LoRA of rank 16 at batches of 8 learns best near 1e-3 = 0.05 * 0.02, a whole small encoder near 1e-4."""
LONGEST_SUFFIX, LONGEST_AT_SERVICES = 40, 64
_SUFFIX = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
_MUCH_SMALLER = 0.25
_NAMED = 3


def batch_size(rows: int, asked: int | None) -> int:
    """Return how many rows make a step: 0.2 % of them, at most 256; here not under 8, for a smaller batch saves nothing."""
    return asked or max(_FEWEST, min(_MOST, round(rows * _SHARE)))


def multiplier(batch: int, asked: float | None) -> float:
    """Return the learning-rate multiplier: 0.05, 0.1 or 0.2, the larger the batch."""
    return asked or next((value for below, value in _MULTIPLIERS if batch < below), _LARGEST_MULTIPLIER)


def learning_rate(kind: str, multiplied_by: float) -> float:
    """Return the highest learning rate for a kind of model (causal by LoRA, encoder as a whole)."""
    return BASE_RATES[kind] * multiplied_by


def checked_suffix(suffix: str | None, longest: int = LONGEST_SUFFIX) -> str | None:
    """Return the suffix of a model's name; of `longest` characters at most.

    Raises InputError if it is too long or has other characters than a name takes.
    """
    if suffix is None:
        return None
    if len(suffix) > longest:
        raise InputError("--suffix is too long", f"{suffix}: {len(suffix)} characters", f"at most {longest}")
    if not _SUFFIX.fullmatch(suffix):
        raise InputError(
            "--suffix is no name", repr(suffix), "use letters, figures, dots, dashes and underscores, and begin and end with a letter or figure"
        )
    return suffix


def model_name(base: str, suffix: str, when: datetime) -> str:
    """Return the name of a fine-tuned model: smollm2-135m:ft-SUFFIX-2026-11-22-16-40-00."""
    return f"{base}:ft-{suffix}-{when:%Y-%m-%d-%H-%M-%S}"


def hint_for_less_data(rows: int, rows_before: int | None, multiplied_by: float) -> str | None:
    """Return what the guide says of going on from a fine-tune with much less data; nothing if that is not so."""
    if not rows_before or rows >= _MUCH_SMALLER * rows_before:
        return None
    lower, upper = multiplied_by / 4, multiplied_by / 2
    return (
        f"hint: {rows} rows are far fewer than the {rows_before} of the model that this goes on from: "
        f"--learning-rate-multiplier {lower:g} to {upper:g} (a quarter to a half) forgets less"
    )


def check_no_overlap(train: Iterable[tuple[str, str]], validation: Iterable[tuple[str, str]], file: str) -> None:
    """Check that no row of validation is trained on; a row is (what it is made of, how it is named to a person).

    Raises InputError naming the first that are.
    """
    known = {key for key, _ in train}
    both = [name for key, name in validation if key in known]
    if both:
        more = f" and {len(both) - _NAMED} more" if len(both) > _NAMED else ""
        raise InputError(
            f"{len(both)} validation row{'s are' if len(both) > 1 else ' is'} among the training rows",
            f"{file}: {'; '.join(both[:_NAMED])}{more}", "take them out of one of the two",
        )  # fmt: skip
