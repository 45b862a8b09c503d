"""BM25 over contexts, by bm25s (Lù 2024): thousands of sections in under a second."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class Bm25:
    """An index over texts; searches give positions in the list it was made of."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Index the texts (English stop words left out)."""
        import bm25s

        self._tokenize: Any = functools.partial(bm25s.tokenize, stopwords="en", show_progress=False)
        self._index = bm25s.BM25()
        self._size = len(texts)
        if texts:
            self._index.index(self._tokenize(list(texts)), show_progress=False)

    def search(self, queries: Sequence[str], k: int) -> list[list[int]]:
        """Return, for each query, the positions of the best `k` texts, best first; texts without a common word are left out."""
        if not queries or not self._size:
            return [[] for _ in queries]
        found, scores = self._index.retrieve(self._tokenize(list(queries)), k=min(k, self._size), show_progress=False)
        return [[int(at) for at, score in zip(row, row_scores, strict=True) if score > 0] for row, row_scores in zip(found, scores, strict=True)]
