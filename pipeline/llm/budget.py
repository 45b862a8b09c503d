"""Money: what a model's tokens cost, what a run has spent, and when it may spend no more."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

from pipeline.errors import CapReached, InputError

if TYPE_CHECKING:
    from pathlib import Path

_MILLION = 1e6
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
    shipped = resources.files("pipeline.llm").joinpath("prices.toml").read_text("utf-8")
    tables = ([_table(path, _read(path))] if path else []) + [tomllib.loads(shipped)]
    for table in tables:
        entry = table["models"].get(model) or table["models"].get(_RELEASE.sub("", model))
        if entry:
            share = float(table.get("batch_share", 0.5)) if batch else 1.0
            return Price(entry["input"] * share, entry["output"] * share, str(table.get("as_of", "")))
    return None


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
    models = table.get("models")
    if not isinstance(models, dict):
        raise InputError("the table of prices has no models", path, 'write [models."NAME"] with input and output below')
    for name, entry in models.items():
        numbers = [entry.get(side) for side in ("input", "output")] if isinstance(entry, dict) else [None]
        if not all(isinstance(n, int | float) and not isinstance(n, bool) and n >= 0 for n in numbers):
            raise InputError("a price is no number", f"{path}: {name}", "write input = and output =, US dollars for a million tokens")
    share = table.get("batch_share", 0.5)
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
        raise InputError("a share is none", f"{path}: batch_share = {share!r}", "write a number from 0 to 1")
    return table


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
