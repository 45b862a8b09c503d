"""A model asked on each negative that passed the rules: many calls at once, each reply in the ledger before it is read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.engines.calls import Calls, budget_for, connected, heeding_interrupts, which_model
from pipeline.engines.local import run_jobs
from pipeline.errors import CapReached, EndpointError, Interrupted, PipelineError, RequestRefused
from pipeline.ledger import Ledger
from pipeline.llm import answering
from pipeline.llm.chat import reply_of
from pipeline.records import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from pipeline.llm.answering import Said
    from pipeline.llm.chat import ChatRequest
    from pipeline.llm.client import ChatClient
    from pipeline.records import Example

SAMPLES = 3  # how often a reply is asked for that can't be read
JOBS_A_CALL = 8


@dataclass(frozen=True, slots=True)
class Reader:
    """The model that is asked on negatives, and where its calls go."""

    model: str
    calls: Calls

    @property
    def settings(self) -> dict[str, str]:
        """What the manifest says of it."""
        from pipeline.llm.prompts import VERSION

        return {"verifier": self.model, "prompts": VERSION}

    @property
    def cost(self) -> dict[str, float]:
        """What it took."""
        spent, usd = self.calls.budget.spent, self.calls.budget.cost
        took = {"calls": spent.calls, "from_ledger": spent.from_ledger, "tokens_in": spent.tokens_in, "tokens_out": spent.tokens_out}
        return {**took, **({} if usd is None else {"usd": round(usd, 6)})}


def reader_for(
    model: str | None, base_url: str | None, concurrency: int, timeout: float, max_cost: float | None, max_total_tokens: int | None, prices: Path | None
) -> Reader:  # fmt: skip
    """Return the model that the flags name.

    Raises InputError where it is not clear which one, or what it costs.
    """
    name, embedded = which_model(model, base_url, paid=True, flag="--verifier")
    budget = budget_for(name, prices, max_cost, max_total_tokens, embedded=embedded)
    return Reader(name, Calls(base_url, embedded, batch=False, at_once=concurrency, timeout=timeout, budget=budget))


def read_all(
    examples: Sequence[Example], model: str, calls: Calls, ledger_path: Path, say: Callable[[str], None], done: Callable[[ChatClient], None]
) -> dict[str, Said | Rejected]:  # fmt: skip
    """Return what the model says of each example's question and context, by example id.

    What refuses to be read or asked is a Rejected; the run's end before all are asked is an error, and the replies that came are paid
    and kept: the same command goes on from there. `done` is called after each.

    Raises EndpointError, CapReached, or KeyboardInterrupt after Ctrl-C.
    """
    said: dict[str, Said | Rejected] = {}
    failures: list[PipelineError] = []

    async def everything(client: ChatClient) -> None:
        async def work(example: Example) -> None:
            try:
                said[example.example_id] = await _said(example, model, client, embedded=calls.embedded)
            except EndpointError as error:
                failures.append(error)
            done(client)

        async with client:
            with heeding_interrupts(client, say):
                await run_jobs(examples, work, client.concurrency * JOBS_A_CALL, lambda _: None)

    with Ledger(ledger_path) as ledger, connected(ledger, model, calls, say) as client:
        asyncio.run(everything(client))
    if isinstance(client.stopped, Interrupted):
        raise KeyboardInterrupt
    if client.stopped or failures:
        raise _unfinished(client.stopped or failures[0], len(examples) - len(said))
    return said


def _unfinished(error: PipelineError, missing: int) -> PipelineError:
    """Return why the negatives are not verified to the end, with how many are missing."""
    kind = CapReached if isinstance(error, CapReached) else EndpointError
    return kind(error.what, f"{error.value}; {missing} negatives have no reply yet", error.do or "run the same command again")


async def _said(example: Example, model: str, client: ChatClient, *, embedded: bool) -> Said | Rejected:
    """Ask on one example, again where the reply can't be read."""
    for sample in range(SAMPLES):
        try:
            reply = await client.complete(_request(example, model, sample, embedded=embedded))
        except RequestRefused as error:
            return Rejected("request_refused", str(error))
        if reply.refusal:
            return Rejected("model_refused", reply.refusal)
        said = answering.read(reply)
        if said is not None:
            return said
    return Rejected("model_says_nothing")


def _request(example: Example, model: str, sample: int, *, embedded: bool) -> ChatRequest:
    return (answering.small_request if embedded else answering.request)(model, example.context, example.question, sample)


def known_of(examples: Iterable[Example], model: str, ledger_path: Path, *, embedded: bool) -> list[Said]:
    """Return what a model has said of examples already (create_qa's round trips ask the same thing): nothing is sent."""
    found = []
    with Ledger(ledger_path) as ledger:
        for example in examples:
            entry = ledger.get(_request(example, model, 0, embedded=embedded).key())
            said = answering.read(reply_of(entry, from_ledger=True)) if entry else None
            found += [said] if said else []
    return found
