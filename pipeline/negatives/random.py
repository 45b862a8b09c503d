"""Kind `random`: any section of another page. Easy; it teaches that the topic has to fit at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.negatives.pool import Offer

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from pipeline.negatives.pool import Asked, Pool

TRIES = 20


def offers(asked: Asked, pool: Pool, rng: random.Random) -> Iterator[Offer]:
    """Yield sections of other pages, in random order, a bounded number."""
    if not any(page != asked.section.page_id for page in pool.by_page):
        return
    for _ in range(TRIES):
        section = pool.sections[rng.randrange(len(pool.sections))]
        if section.page_id != asked.section.page_id:
            yield Offer(section, asked.row.question)
