"""Kind `similar`: what a search for the question finds on other pages. Hard; many candidates do answer, so verify."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.negatives.pool import Asked, Pool
    from pipeline.records import Section

DEPTH = 20  # how far down the list a candidate still counts as similar


def contexts(asked: Asked, pool: Pool, found: Sequence[int]) -> Iterator[Section]:
    """Yield sections of other pages, best first; `found` are their places in the pool, as the search ranked them."""
    for at in found[:DEPTH]:
        section = pool.sections[at]
        if section.page_id != asked.section.page_id:
            yield section
