"""A model's calls from one command: which model, where, how many at once, at what price; and how Ctrl-C ends them."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import settings
from pipeline.errors import InputError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.ledger import Ledger
    from pipeline.llm.budget import Budget
    from pipeline.llm.client import ChatClient

EMBEDDED_TIMEOUT = 600.0


@dataclass(frozen=True, slots=True)
class Calls:
    """Where calls go, how many at once, how long each may take, and what they may cost."""

    base_url: str | None
    embedded: bool
    batch: bool
    at_once: int
    timeout: float
    budget: Budget


def which_model(model: str | None, base_url: str | None, *, paid: bool, flag: str = "--model") -> tuple[str, bool]:
    """Return the model's name and whether it is the embedded one. Nobody's money is spent unasked."""
    from pipeline.llm.embedded import MODEL_NAME, require_weights

    costs = "--base-url" if base_url else next((name for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL") if os.environ.get(name)), "")
    if model is None and costs:
        raise InputError("which model?", f"{costs} is set, and no {flag}", f"add {flag} NAME, or {flag} embedded")
    if model is None or model == settings.EMBEDDED_MODEL:
        require_weights()
        return MODEL_NAME, True
    if paid and not base_url and not os.environ.get("OPENAI_API_KEY") and not os.environ.get("OPENAI_BASE_URL"):
        raise InputError("there is no key", "OPENAI_API_KEY is not set", "set it, or name an endpoint with --base-url")
    return model, False


def budget_for(
    model: str, prices: Path | None, max_cost: float | None, max_total_tokens: int | None, *, embedded: bool, batch: bool = False
) -> Budget:  # fmt: skip
    """Return the caps on a model's calls.

    Raises InputError if money is capped and no price is known.
    """
    from pipeline.llm.budget import Budget, price_of

    price = None if embedded else price_of(model, prices, batch=batch)
    if max_cost is not None and price is None and not embedded:
        raise InputError("no price is known for this model", model, "name a table that has it with --prices, or use --max-total-tokens")
    return Budget(price, max_cost, max_total_tokens)


def progress_of(budget: Budget) -> dict[str, str]:
    """Return what progress shows of tokens and money."""
    return {"tokens": f"{budget.spent.tokens:,}", **({} if budget.cost is None else {"usd": f"{budget.cost:,.4f}"})}


@contextmanager
def connected(ledger: Ledger, model: str, calls: Calls, say: Callable[[str], None]) -> Iterator[ChatClient]:
    """Yield a client for a model's endpoint; the embedded model is served while the block runs."""
    from pipeline.llm.client import ChatClient, key_from_environment
    from pipeline.llm.embedded import SLOTS

    at_once = min(calls.at_once, SLOTS) if calls.embedded else calls.at_once
    timeout = EMBEDDED_TIMEOUT if calls.embedded else calls.timeout
    with _endpoint(calls) as (url, key):
        yield ChatClient(ledger, model, url, key or key_from_environment(), at_once, timeout, calls.budget, steady=calls.embedded, say=say)


@contextmanager
def _endpoint(calls: Calls) -> Iterator[tuple[str | None, str]]:
    if not calls.embedded:
        yield calls.base_url, ""
        return
    from pipeline.llm.embedded import serve

    with serve() as endpoint:
        yield endpoint.base_url, endpoint.api_key


@contextmanager
def heeding_interrupts(client: ChatClient, say: Callable[[str], None]) -> Iterator[None]:
    """At the first Ctrl-C send nothing any more and let what is in flight arrive: it is paid for. The second one drops it."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        say(f"\nstopping: {client.slots.in_flight} calls are in flight and waited for – Ctrl-C again drops them")
        client.halt(Interrupted("interrupted", "Ctrl-C", "run the same command again"))

    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
