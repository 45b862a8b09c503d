"""What of one split can be seen in another: pages, contexts, questions, equal or nearly so.

Nearly equal means a Jaccard similarity of 0.8 or more of word 5-grams. The candidates are texts that share a band of their MinHash
(`text.duplicates`), and each is compared exactly. A bucket of them stands for at most eight texts of a split, so that time and memory grow
with the number of texts, not of pairs; where more texts than that are alike, one of the eight is found.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from pipeline.records import SPLITS
from pipeline.text.compare import jaccard, normalise_answer, shingles
from pipeline.text.duplicates import buckets

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from pipeline.records import Example

THRESHOLD = 0.8  # a pair at it is missed in (1 - 0.8 ** 4) ** 30 = 1 of 7 million
_OF_A_SPLIT = 8
_SHOWN = 5
_SHINGLES_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Leak:
    """How many of how many things are in more than one split, and a few of them."""

    what: str
    found: int
    of: int
    shown: tuple[str, ...]


def leaks(examples: Sequence[Example], page_of: Mapping[str, str], home: Mapping[str, str]) -> list[Leak]:
    """Look for whatever is in two splits.

    `page_of` is the page (its title) by section id, `home` the id of the section that answers by qa_id; what they lack stands for itself.
    """
    ordered = sorted(examples, key=lambda e: SPLITS.index(e.split))
    return [
        _shared("pages in two splits", ((page_of.get(section, section), e.split) for e in ordered for section in (e.context_section_id, home.get(e.qa_id, e.qa_id)))),
        _shared("contexts in two splits", ((e.context, e.split) for e in ordered)),
        _nearly_shared("contexts that nearly repeat one of another split", {e.context: (_content(e.context), e.split) for e in reversed(ordered)}),
        _shared("questions in two splits", ((normalise_answer(e.question), e.split) for e in ordered)),
        _nearly_shared("questions that nearly repeat one of another split", {normalise_answer(e.question): (e.question, e.split) for e in reversed(ordered)}),
        _positive_elsewhere(ordered),
    ]  # fmt: skip


def _content(context: str) -> str:
    """Return a context without title and heading, which are short and differ where the text is the same."""
    return context.partition("\n\n")[2] or context


def _shared(what: str, things: Iterable[tuple[str, str]]) -> Leak:
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for thing, split in things:
        splits[thing].add(split)
    found = [thing for thing, where in splits.items() if len(where) > 1]
    return Leak(what, len(found), len(splits), tuple(thing[:100] for thing in found[:_SHOWN]))


def _positive_elsewhere(examples: Iterable[Example]) -> Leak:
    """Look for sections that answer in one split and are said not to answer in another."""
    positive: defaultdict[str, set[str]] = defaultdict(set)
    negative: defaultdict[str, set[str]] = defaultdict(set)
    for example in examples:
        (positive if example.answerable else negative)[example.context_section_id].add(example.split)
    found = [section for section, where in positive.items() if section in negative and len(where | negative[section]) > 1]
    return Leak("positives that are negative contexts in another split", len(found), len(positive), tuple(found[:_SHOWN]))


def _nearly_shared(what: str, texts: Mapping[str, tuple[str, str]]) -> Leak:
    """Count texts that nearly repeat one of an earlier split (train, validation, test); equal ones have one place among `texts`."""
    placed = sorted(texts.values(), key=lambda placed: SPLITS.index(placed[1]))
    found = list(near_repeats([text for text, _ in placed], [split for _, split in placed]))
    return Leak(what, len(found), len(placed), tuple(placed[later][0][:100] for later, _ in found[:_SHOWN]))


def near_repeats(texts: Sequence[str], labels: Sequence[Hashable]) -> Iterator[tuple[int, int]]:
    """Yield places (later, earlier) of texts that nearly repeat an earlier one with another label, each later one once."""

    @lru_cache(_SHINGLES_KEPT)
    def grams(place: int) -> frozenset[tuple[str, ...]]:
        return shingles(texts[place])

    compared: set[tuple[int, int]] = set()
    found: dict[int, int] = {}
    for members in buckets(map(shingles, texts)):
        for later, earlier in _pairs(members, labels):
            if later not in found and (later, earlier) not in compared:
                compared.add((later, earlier))
                if jaccard(grams(later), grams(earlier)) >= THRESHOLD:
                    found[later] = earlier
    yield from sorted(found.items())


def _pairs(members: Sequence[int], labels: Sequence[Hashable]) -> Iterator[tuple[int, int]]:
    kept: defaultdict[Hashable, list[int]] = defaultdict(list)
    for member in members:
        for label, earlier in kept.items():
            if label != labels[member]:
                yield from ((member, one) for one in earlier)
        if len(kept[labels[member]]) < _OF_A_SPLIT:
            kept[labels[member]].append(member)
