"""What is sent to a fine-tuning service: rows as chat lines, checked by its rules, counted in tokens; and what that will cost. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.dataset.chat_rules import FEWEST_ROWS, faults, tokens_of
from pipeline.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MILLION = 1e6
_NAMED = 3


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file to train or to validate on."""

    split: str
    lines: tuple[bytes, ...]
    tokens: int
    """of all rows together, prompts and completions"""
    n_long: int
    """rows that were left out, for they are longer than the model takes"""
    sha256: str
    """of the bytes"""

    @property
    def content(self) -> bytes:
        """The bytes to send."""
        return b"".join(self.lines)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job will take: tokens, and US dollars where prices are known."""

    tokens: int
    """that are paid for: those of the training rows, once an epoch"""
    training: float | None
    """US dollars for them"""
    asking: float | None
    """US dollars for asking the model afterwards, to measure it"""
    a_million: float | None
    """US dollars for a million tokens of training"""
    as_of: str
    """since when the price is known"""

    @property
    def usd(self) -> float | None:
        """All together; None where the price of training is not known."""
        return None if self.training is None else self.training + (self.asking or 0.0)


def job_file(
    split: str, rows: Iterable[dict[str, Any]], count: Callable[[str], int], limit: int, instead: str, fewest: int = FEWEST_ROWS
) -> JobFile:  # fmt: skip
    """Return rows as a file that a service takes; `count` counts tokens, `limit` is how many a row may have.

    A longer row is left out and counted: cut, a right answer would become a wrong one.

    Raises InputError naming the first rows that are not as documented, or if too few are left; `instead` says what to do then.
    """
    lines, tokens, n_long = [], 0, 0
    for row in rows:
        n = tokens_of(row["messages"], count)
        if n > limit:
            n_long += 1
            continue
        tokens += n
        lines.append(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
    found = faults(f"{split} rows", lines, count, limit, fewest)
    if found:
        more = f" (and {len(found) - _NAMED} more)" if len(found) > _NAMED else ""
        left_out = f"; {n_long} longer than {limit:,} tokens were left out" if n_long else ""
        said = "; ".join(f"{fault.what}{f' (row {fault.row})' if fault.row else ''}" for fault in found[:_NAMED])
        raise InputError("a service would not take these files", f"the {split} rows: {said}{more}{left_out}", instead)
    return JobFile(split, tuple(lines), tokens, n_long, hashlib.sha256(b"".join(lines)).hexdigest())


def estimate(tokens: int, epochs: int, price: tuple[float, str] | None, asking: float | None) -> Estimate:
    """Return what a job on rows of so many tokens takes; `price`: US dollars a million tokens of training, and since when that is known."""
    paid = tokens * epochs
    if price is None:
        return Estimate(paid, None, asking, None, "")
    return Estimate(paid, paid * price[0] / _MILLION, asking, *price)
