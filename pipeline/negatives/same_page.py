"""Kind `same_page`: another section of the page that answers. The names fit, the fact is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.negatives.pool import Offer

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from pipeline.negatives.pool import Asked, Pool


def offers(asked: Asked, pool: Pool, rng: random.Random) -> Iterator[Offer]:
    """Yield the page's other sections in random order; parts of the split true section are not others."""
    others = [s for s in pool.by_page.get(asked.section.page_id, ()) if s.position != asked.section.position]
    for section in rng.sample(others, len(others)):
        yield Offer(section, asked.row.question)
