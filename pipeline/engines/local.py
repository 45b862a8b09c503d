"""Many jobs at once on this machine: a fixed number side by side, a new one as soon as one ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

J = TypeVar("J")
R = TypeVar("R")


async def run_jobs(jobs: Iterable[J], work: Callable[[J], Awaitable[R]], at_once: int, done: Callable[[R], None]) -> None:
    """Do `work` on each job, `at_once` side by side, and hand each result to `done` as it comes.

    Jobs are taken one by one: they need not fit into memory together. An exception ends the others and
    is raised; what `done` was given stays.
    """
    queue = iter(jobs)

    async def worker() -> None:
        for job in queue:  # a plain iterator is shared safely: nothing awaits inside next()
            done(await work(job))

    workers = [asyncio.create_task(worker()) for _ in range(at_once)]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
