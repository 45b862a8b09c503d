"""Train, validation, test: by page, so that no page, and so no section of it, is in two of them."""

from __future__ import annotations

import hashlib

SHARES = (("train", 0.70), ("validation", 0.15), ("test", 0.15))


def split_of(page_title: str, seed: int) -> str:
    """Return a page's split: a hash of seed and title decides, so that added pages move no other."""
    digest = hashlib.sha256(f"split\x1f{seed}\x1f{page_title}".encode("utf-8", "surrogatepass")).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    bound = 0.0
    for name, share in SHARES:
        bound += share
        if place < bound:
            return name
    return SHARES[-1][0]
