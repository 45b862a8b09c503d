"""What belongs together: near-duplicate pairs among many texts, and the groups that links make."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, TypeVar

from pipeline.text.compare import jaccard, shingles
from pipeline.text.duplicates import buckets

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

    T = TypeVar("T", bound=Hashable)
else:
    T = TypeVar("T")

_REMEMBERED = 20_000  # texts, some 8 KB each


class Groups:
    """Disjoint sets of things that links join (union-find, Tarjan 1975); a group is named after its smallest member."""

    def __init__(self, members: Iterable[str]) -> None:
        """Begin with each member in a group of its own."""
        self._parent = {member: member for member in members}
        self._size = dict.fromkeys(self._parent, 1)

    def root(self, member: str) -> str:
        """Return the smallest member of a member's group."""
        root = member
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[member] != root:
            self._parent[member], member = root, self._parent[member]
        return root

    def size(self, member: str) -> int:
        """Return how many members the group of this one has."""
        return self._size[self.root(member)]

    def join(self, members: Iterable[str]) -> None:
        """Make one group of the groups of these members."""
        roots = sorted({self.root(member) for member in members})
        for other in roots[1:]:
            self._parent[other] = roots[0]
            self._size[roots[0]] += self._size.pop(other)


def near_pairs(texts: Sequence[str], threshold: float) -> Iterator[tuple[int, int]]:
    """Yield pairs of places whose texts have a 5-gram Jaccard of `threshold` (0.65 to 1) or more: enough pairs to join what belongs together.

    Texts that share a band of their MinHash are compared exactly (`text.duplicates`); two that are joined already are not compared
    again, so that a thousand copies are a thousand pairs and not a million.
    """
    first: dict[str, int] = {}
    for at, text in enumerate(texts):
        earlier = first.setdefault(text, at)
        if earlier != at:
            yield earlier, at
    places = [at for text, at in first.items() if shingles(text)]
    groups = Groups(map(str, places))
    grams = functools.lru_cache(_REMEMBERED)(lambda at: frozenset(map(hash, shingles(texts[at]))))  # numbers: a tenth of the memory, as exact
    for members in buckets(shingles(texts[at]) for at in places):
        yield from _compared([places[n] for n in members], grams, threshold, groups)


def _compared(places: list[int], grams: Callable[[int], frozenset[int]], threshold: float, groups: Groups) -> Iterator[tuple[int, int]]:
    for n, one in enumerate(places):
        for other in places[n + 1 :]:
            if groups.root(str(one)) != groups.root(str(other)) and jaccard(grams(one), grams(other)) >= threshold:
                groups.join((str(one), str(other)))
                yield one, other
