"""Many jobs through a Batch API: round after round, each with all requests that can be sent together."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from pipeline.errors import EndpointError
from pipeline.llm.batch import Collector, Desk, write_files
from pipeline.llm.batchbook import BatchBook
from pipeline.llm.client import address

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.errors import PipelineError
    from pipeline.llm.chat import ChatRequest
    from pipeline.llm.client import ChatClient
    from pipeline.qa.drafts import Ask


def ask_in_batches(probe: ChatClient, folder: Path, one_round: Callable[[Ask], None], say: Callable[[str], None]) -> PipelineError | None:
    """Do `one_round` of all jobs again and again, with batches in between, until it wants nothing that is not there; return why not, where it is so.

    Batches of a run that was stopped come first. `probe` sends the first request by itself; `folder` holds
    files on their way.
    """
    import openai

    book = BatchBook(probe.ledger)
    with openai.OpenAI(base_url=address(probe.base_url), api_key=probe.api_key, max_retries=5) as sdk:
        desk = Desk(book, sdk, folder, probe.budget, say)
        try:
            desk.finish_all()
            last, failure = _rounds(probe, desk, book, folder, one_round), None
            shutil.rmtree(folder, ignore_errors=True)
        except EndpointError as error:
            failure, last = error, Collector(probe.ledger, book, probe.budget)
            one_round(last.complete)
    probe.spent.from_ledger = max(0, last.found - probe.spent.calls)
    return failure or last.capped


def _rounds(probe: ChatClient, desk: Desk, book: BatchBook, folder: Path, one_round: Callable[[Ask], None]) -> Collector:
    """Return the round that wanted nothing any more."""
    probed = False
    while True:
        collector = Collector(probe.ledger, book, probe.budget)
        one_round(collector.complete)
        if collector.first is None:
            return collector
        if not probed:
            asyncio.run(_probed(probe, collector.first))
            probed = True
        write_files(book, folder, probe.refused, desk.most)
        desk.finish_all()


async def _probed(probe: ChatClient, request: ChatRequest) -> None:
    """Send one request by itself: a wrong key, an unknown model or parameters that are not taken show before a file is sent.

    Raises EndpointRefused if the endpoint would refuse every other one too.
    """
    async with probe:
        try:
            await probe.complete(request)
        except EndpointError:
            if isinstance(probe.stopped, EndpointError):
                raise probe.stopped from None
