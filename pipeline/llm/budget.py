"""Money: what a model's tokens cost, what a run has spent, and when it may spend no more."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

from pipeline.errors import CapReached, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MILLION = 1e6
_TUNED = "ft:"
_PARTS = {"models": ("input", "output"), "tuned": ("training", "input", "output")}
_RELEASE = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{4})$")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens, and since when that is known."""

    input: float
    output: float
    as_of: str

    def cost(self, tokens_in: float, tokens_out: float) -> float:
        """Return what so many tokens cost, in US dollars."""
        return (tokens_in * self.input + tokens_out * self.output) / _MILLION


def price_of(model: str, path: Path | None, *, batch: bool = False) -> Price | None:
    """Return a model's price from the table at `path` or else the shipped one; None where neither knows it.

    Raises InputError naming file and entry if the table at `path` cannot be read.
    """
    for table, entry in _entries("tuned" if model.startswith(_TUNED) else "models", base_of(model), path):
        share = float(table.get("batch_share", 0.5)) if batch else 1.0
        return Price(entry["input"] * share, entry["output"] * share, str(table.get("as_of", "")))
    return None


def training_price_of(model: str, path: Path | None) -> tuple[float, str] | None:
    """Return the US dollars for a million tokens that a model is trained on, and since when that is known; None where no table knows it.

    Raises InputError as `price_of` does.
    """
    for table, entry in _entries("tuned", base_of(model), path):
        return float(entry["training"]), str(table.get("tuned_as_of") or table.get("as_of", ""))
    return None


def base_of(model: str) -> str:
    """Return what a fine-tuned model was made of, as its name says (ft:BASE:ORGANISATION:SUFFIX:ID); another name as it is."""
    return model.removeprefix(_TUNED).partition(":")[0] if model.startswith(_TUNED) else model


def _entries(part: str, model: str, path: Path | None) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
    """Yield what the tables say of a model, with the table: the one at `path` first, then the shipped one."""
    shipped = resources.files("pipeline.llm").joinpath("prices.toml").read_text("utf-8")
    for table in ([_table(path, _read(path))] if path else []) + [tomllib.loads(shipped)]:
        named = table.get(part, {})
        entry = named.get(model) or named.get(_RELEASE.sub("", model))
        if entry:
            yield table, entry


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("the table of prices cannot be read", f"{path}: {error}", "check --prices") from error


def _table(path: Path, text: str) -> dict[str, Any]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError("the table of prices is not TOML", f"{path}: {error}", "mend that line") from error
    parts = {part: table[part] for part in _PARTS if part in table}
    if not parts or not all(isinstance(named, dict) for named in parts.values()):
        raise InputError("the table of prices has no models", path, 'write [models."NAME"] with input and output below')
    for part, named in parts.items():
        for name, entry in named.items():
            _check_entry(entry, _PARTS[part], f"{path}: {name}")
    share = table.get("batch_share", 0.5)
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
        raise InputError("a share is none", f"{path}: batch_share = {share!r}", "write a number from 0 to 1")
    return table


def _check_entry(entry: Any, sides: tuple[str, ...], where: str) -> None:
    numbers = [entry.get(side) for side in sides] if isinstance(entry, dict) else [None]
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and n >= 0 for n in numbers):
        wanted = " and ".join(f"{side} =" for side in sides)
        raise InputError("a price is no number", where, f"write {wanted}, US dollars for a million tokens")


@dataclass(slots=True)
class Spent:
    """What went through a client so far."""

    calls: int = 0
    from_ledger: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    @property
    def tokens(self) -> int:
        """Tokens both ways."""
        return self.tokens_in + self.tokens_out


@dataclass(slots=True)
class Budget:
    """What has been spent, and the caps on it; without a price money is not counted."""

    price: Price | None = None
    max_cost: float | None = None
    max_tokens: int | None = None
    spent: Spent = field(default_factory=Spent)

    @property
    def cost(self) -> float | None:
        """US dollars spent; None where the model's price is not known."""
        return self.price.cost(self.spent.tokens_in, self.spent.tokens_out) if self.price else None

    def paid(self, tokens_in: int, tokens_out: int) -> None:
        """Count a reply that was paid for."""
        self.spent.calls += 1
        self.spent.tokens_in += tokens_in
        self.spent.tokens_out += tokens_out

    def refuses(self, in_flight: int, tokens_in: float, tokens_out: float) -> CapReached | None:
        """Return why one more call may not be sent, or None.

        The calls in flight are counted as what calls cost on the average so far, the first ones as the
        estimate that is handed in (tokens in and out of the next call).
        """
        if self.max_cost is None and self.max_tokens is None:
            return None
        if self.spent.calls:
            tokens_in, tokens_out = self.spent.tokens_in / self.spent.calls, self.spent.tokens_out / self.spent.calls
        tokens = self.spent.tokens + (in_flight + 1) * (tokens_in + tokens_out)
        if self.max_tokens is not None and tokens > self.max_tokens:
            return _reached(
                f"--max-total-tokens {self.max_tokens:,}: {self.spent.tokens:,} spent when another call would have gone over it, those in flight counted"
            )
        cost = self.price.cost(tokens_in, tokens_out) * (in_flight + 1) + (self.cost or 0.0) if self.price else 0.0
        if self.max_cost is not None and cost > self.max_cost:
            return _reached(
                f"--max-cost {self.max_cost:g}: {self.cost or 0.0:.4f} USD spent when another call would have gone over it, those in flight counted"
            )
        return None


def _reached(value: str) -> CapReached:
    return CapReached("the cap is reached", value, "raise it and run the same command again: what has been paid is not paid again")
