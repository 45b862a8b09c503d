"""Measure how fast the embedded model makes rows: slots side by side, and the order in which a section's questions are asked.

    python scripts/bench_embedded.py --sections 12

What is asked of a section begins with the section, and a slot of the server remembers what it has read: asked one after another, the section is read
once. Compared are 1, 2 and 4 slots so, and 4 slots with the candidates of all sections mixed, as a queue that knows nothing of sections would send
them. Seconds a section; the ratio is to one slot.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from embedded_rows import own_material

from pipeline.ledger import Ledger
from pipeline.llm import prompts
from pipeline.llm.chat import ChatRequest
from pipeline.llm.client import ChatClient
from pipeline.llm.embedded import MODEL_NAME, serve
from pipeline.qa.answer_first import QUESTION_TOKENS, TRIES
from pipeline.qa.candidates import candidates

if TYPE_CHECKING:
    from pipeline.records import Section

QUESTIONS = 3


def requests_of(section: Section) -> list[ChatRequest]:
    """Return the requests that write a question for each candidate of a section."""
    turns = [prompts.turn_write(one.evidence, one.answer) for one in candidates(section, TRIES * QUESTIONS)]
    return [ChatRequest(MODEL_NAME, tuple(prompts.small(section.context, turn)), QUESTION_TOKENS, stop=("\n",)) for turn in turns]


async def timed(client: ChatClient, queues: list[list[ChatRequest]], slots: int) -> float:
    """Return how many seconds it takes to have all queues answered, each in its order, `slots` of them side by side."""
    free = asyncio.Semaphore(slots)

    async def one(queue: list[ChatRequest]) -> None:
        async with free:
            for request in queue:
                await client.complete(request)

    began = time.perf_counter()
    async with client:
        await asyncio.gather(*map(one, queues))
    return time.perf_counter() - began


def seconds(queues: list[list[ChatRequest]], slots: int) -> float:
    """Return the same for a server of its own and an empty ledger."""
    with tempfile.TemporaryDirectory() as place, Ledger(Path(place) / "ledger.sqlite") as ledger, serve(slots=slots) as endpoint:
        client = ChatClient(ledger, MODEL_NAME, endpoint.base_url, endpoint.api_key, slots, 600.0, steady=True)
        return asyncio.run(timed(client, queues, slots))


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", type=int, default=12)
    given = parser.parse_args()
    by_section = [requests_of(section) for section in own_material().sections[: given.sections]]
    mixed = [request for queue in by_section for request in queue]
    random.Random(0).shuffle(mixed)
    print(f"{len(by_section)} sections, {len(mixed)} questions to write")
    alone = 0.0
    for name, queues, slots in (
        ("1 slot, section by section", by_section, 1), ("2 slots, section by section", by_section, 2),
        ("4 slots, section by section", by_section, 4), ("4 slots, mixed", [[request] for request in mixed], 4),
    ):  # fmt: skip
        took = seconds(queues, slots)
        alone = alone or took
        print(f"  {name:<30} {took / len(by_section):6.2f} s a section   {took / alone:5.2f}")


if __name__ == "__main__":
    main()
