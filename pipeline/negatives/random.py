"""Kind `random`: any section of another page. Easy; it teaches that the topic has to fit at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from pipeline.negatives.pool import Asked, Pool
    from pipeline.records import Section

TRIES = 20


def contexts(asked: Asked, pool: Pool, rng: random.Random) -> Iterator[Section]:
    """Yield sections of other pages, in random order, a bounded number."""
    if len(pool.by_page) < 2:  # noqa: PLR2004 (another page is needed)
        return
    for _ in range(TRIES):
        section = pool.sections[rng.randrange(len(pool.sections))]
        if section.page_id != asked.section.page_id:
            yield section
