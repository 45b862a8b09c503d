"""Train, validation, test: by page, near-duplicate pages and questions together, so that nothing of one is in another.

Pages that have a near-duplicate section (5-gram Jaccard of 0.8 or more) or a near-duplicate question are one component; a hash
of the seed and the component's smallest title says where it goes. So added pages move no other, with one limit: a page that
joins a component and whose title is smaller than any in it gives the component a new name, and one that joins two makes them one; then
those pages, and no others, may move. Nothing is balanced after the fact, for that would move pages: kinds match because each
question asks for the same negatives in every split, lengths because the hash does not know them.

Questions that many pages share ("When was the final?") would join everything to everything. A link of
questions is taken while the component stays small; where it is not, the question stays in the split that has
most of its rows, and its rows elsewhere are dropped, and counted.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.records import SPLITS, Rejected
from pipeline.text.compare import normalise_answer
from pipeline.text.groups import Groups, near_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.records import QA, Section

SHARES = (("train", 0.70), ("validation", 0.15), ("test", 0.15))
NEAR_DUPLICATE = 0.8
LARGEST_SHARE = 0.02
"""of the pages, that links of questions may join (context links know no limit)"""
LARGEST_AT_LEAST = 4


@dataclass(frozen=True, slots=True)
class Splits:
    """Where each page is (by title), which questions had to go (by qa_id), and how large the components are."""

    by_title: Mapping[str, str]
    dropped: Mapping[str, Rejected]
    pages_in_components: int
    """pages that are not alone in theirs"""
    largest_component: int


def split_of(name: str, seed: int) -> str:
    """Return the split of a page or component: a hash of seed and name decides."""
    digest = hashlib.sha256(f"split\x1f{seed}\x1f{name}".encode("utf-8", "surrogatepass")).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    bound = 0.0
    for split, share in SHARES:
        bound += share
        if place < bound:
            return split
    return SHARES[-1][0]


def assign(sections: Sequence[Section], rows: Sequence[QA], seed: int) -> Splits:
    """Split the pages of a run; rows of sections that are not in it are not looked at."""
    titles = {section.section_id: section.title for section in sections}
    pages = Groups({section.title for section in sections})
    for one, other in near_pairs([section.content for section in sections], NEAR_DUPLICATE):
        pages.join((sections[one].title, sections[other].title))
    alike = _alike([row for row in rows if row.section_id in titles])
    limit = max(LARGEST_AT_LEAST, int(LARGEST_SHARE * len(set(titles.values()))))
    for group in alike:
        names = {pages.root(titles[row.section_id]) for row in group}
        if sum(map(pages.size, names)) <= limit:
            pages.join(names)
    by_title = {title: split_of(pages.root(title), seed) for title in sorted(set(titles.values()))}
    sizes = [pages.size(title) for title in by_title]
    return Splits(by_title, _elsewhere(alike, titles, by_title), sum(size > 1 for size in sizes), max(sizes, default=0))


def _alike(rows: Sequence[QA]) -> list[list[QA]]:
    """Return the groups of more than one row whose questions are near-duplicates; small ones first, so that those are joined."""
    questions = [normalise_answer(row.question) for row in rows]
    groups = Groups(map(str, range(len(rows))))
    for one, other in near_pairs(questions, NEAR_DUPLICATE):
        groups.join((str(one), str(other)))
    found: dict[str, list[QA]] = {}
    for at, row in enumerate(rows):
        found.setdefault(groups.root(str(at)), []).append(row)
    return sorted((group for group in found.values() if len(group) > 1), key=lambda group: (len(group), min(row.qa_id for row in group)))


def _elsewhere(alike: list[list[QA]], titles: Mapping[str, str], by_title: Mapping[str, str]) -> dict[str, Rejected]:
    """Return the rows that repeat a question of another split, which keeps it because it has more of them."""
    dropped = {}
    for group in alike:
        counts = Counter(by_title[titles[row.section_id]] for row in group)
        keeps = max(SPLITS, key=lambda split: (counts[split], -SPLITS.index(split)))
        for row in group:
            split = by_title[titles[row.section_id]]
            if split != keeps:
                dropped[row.qa_id] = Rejected("question_in_another_split", f"kept in {keeps}")
    return dropped
