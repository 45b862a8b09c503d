"""Train, validation, test: by page, near-duplicate pages and questions together, so that nothing of one is in another.

Pages that have a near-duplicate section (5-gram Jaccard of 0.8 or more) or a near-duplicate question are one component, and a hash of
the seed and the component's smallest title gives it a place between 0 and 1; below 0.70 is train, below 0.85 validation.

A hash is stable and not balanced; what balances moves things. The compromise: pages with questions are sorted by length (how many words
the sections have that are asked about: `STRATA`), and in each such stratum the two bounds give way, by as few pages as it takes to bring
the shares of its questions to within `TOLERANCE` of what they should be. So each split has its share of the questions on short, middling
and long sections, and kinds match because each question asks for the same negatives everywhere.

Stable: a page far from a bound – and most are – whatever pages or questions are added; a page without questions, always. Not stable:
pages whose place is near a bound may move when questions come to their stratum; a page that joins a component with a smaller title than
any in it, or joins two, renames it, and its pages may move; how large a component may grow depends on the number of pages, so that a much
larger run may join what a smaller one kept apart. On 100 real pages with questions, of which a fifth was added later, see CONTRIBUTING for
how many moved; statistics.md says how well the splits match.

What many pages share (the rules of every swimming event, "When was the final?") would join everything to everything: on the
notebooks' 731 pages one component of most of them. A link is taken while the component stays small. Where it is not, what
repeats stays in the split that has most questions on it; elsewhere those sections are no contexts, and the questions on them are
dropped, and counted.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.records import SPLITS, Rejected
from pipeline.text.compare import normalise_answer, size
from pipeline.text.groups import Groups, near_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.records import QA, Section

SHARES = (("train", 0.70), ("validation", 0.15), ("test", 0.15))
NEAR_DUPLICATE = 0.8
LARGEST_SHARE = 0.02
"""of the pages, that links may join in one component"""
LARGEST_AT_LEAST = 4
STRATA = (60, 120)
"""words of the sections that are asked about, on the average of a component's questions: short, middling, long"""
TOLERANCE = 0.05
"""of a stratum's questions, that a split may have too many or too few before a bound gives way"""


@dataclass(frozen=True, slots=True)
class Splits:
    """Where each page is (by title), what had to go so that nothing repeats in another split, and how large the components are."""

    by_title: Mapping[str, str]
    dropped: Mapping[str, Rejected]
    """questions, by qa_id"""
    unused: frozenset[str]
    """sections, by id, that repeat one of another split: no contexts"""
    pages_in_components: int
    """pages that are not alone in theirs"""
    largest_component: int


def place_of(name: str, seed: int) -> float:
    """Return the place of a page or component between 0 and 1: a hash of seed and name."""
    digest = hashlib.sha256(f"split\x1f{seed}\x1f{name}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64


def split_of(name: str, seed: int) -> str:
    """Return the split of a page or component where nothing has to be balanced."""
    place = place_of(name, seed)
    bound = 0.0
    for split, share in SHARES:
        bound += share
        if place < bound:
            return split
    return SHARES[-1][0]


def balanced(weights: Mapping[str, int], seed: int) -> dict[str, str]:
    """Return the split of each component of one stratum, by name; `weights` are their numbers of questions.

    In the order of their places they are cut twice; each cut is where the shares say, or, if the questions before it are too many or too
    few by more than the tolerance, at the nearest place where they are not (or least so).
    """
    order = sorted(weights, key=lambda name: (place_of(name, seed), name))
    total, before = sum(weights.values()), [0]
    for name in order:
        before.append(before[-1] + weights[name])
    cuts, bound = [0], 0.0
    for _, share in SHARES[:-1]:
        bound += share
        cuts.append(max(cuts[-1], _cut(bound, sum(place_of(name, seed) < bound for name in order), before, total)))
    cuts.append(len(order))
    return {name: split for (split, _), start, end in zip(SHARES, cuts, cuts[1:], strict=False) for name in order[start:end]}


def _cut(bound: float, by_hash: int, before: Sequence[int], total: int) -> int:
    """Return after how many components to cut; `by_hash` is where the hash alone would."""
    off = [abs(n - bound * total) for n in before]
    least = max(TOLERANCE * total, min(off))
    return min((at for at in range(len(before)) if off[at] <= least), key=lambda at: (abs(at - by_hash), off[at], at))


def assign(sections: Sequence[Section], rows: Sequence[QA], seed: int) -> Splits:
    """Split the pages of a run; rows of sections that are not in it are not looked at."""
    title_of = {section.section_id: section.title for section in sections}
    rows = [row for row in rows if row.section_id in title_of]
    sections_alike = _alike([s.section_id for s in sections], [s.content for s in sections])
    questions_alike = _alike([row.qa_id for row in rows], [normalise_answer(row.question) for row in rows])
    title_of_row = {row.qa_id: title_of[row.section_id] for row in rows}
    repeats = [*([title_of[i] for i in group] for group in sections_alike), *([title_of_row[i] for i in group] for group in questions_alike)]
    pages = _components(set(title_of.values()), repeats)
    by_title = _by_title(pages, title_of, {s.section_id: size(s.content) for s in sections}, rows, seed)
    asked = Counter(row.section_id for row in rows)
    unused = frozenset(_elsewhere(sections_alike, {i: by_title[t] for i, t in title_of.items()}, asked))
    dropped = {row.qa_id: Rejected("section_in_another_split") for row in rows if row.section_id in unused}
    left = {i: by_title[t] for i, t in title_of_row.items() if i not in dropped}
    questions_left = [[i for i in group if i in left] for group in questions_alike]
    dropped |= dict.fromkeys(_elsewhere(questions_left, left, Counter(dict.fromkeys(left, 1))), Rejected("question_in_another_split"))
    sizes = [pages.size(title) for title in by_title]
    return Splits(by_title, dropped, unused, sum(size > 1 for size in sizes), max(sizes, default=0))


def _by_title(pages: Groups, title_of: Mapping[str, str], words: Mapping[str, int], rows: Sequence[QA], seed: int) -> dict[str, str]:
    """Return the split of each page: of those with questions stratum by stratum, of the others by the hash alone."""
    lengths: dict[str, list[int]] = {}
    for row in rows:
        lengths.setdefault(pages.root(title_of[row.section_id]), []).append(words[row.section_id])
    strata: dict[int, dict[str, int]] = {}
    for root, found in lengths.items():
        stratum = sum(sum(found) / len(found) >= bound for bound in STRATA)
        strata.setdefault(stratum, {})[root] = len(found)
    by_root = {root: split for weights in strata.values() for root, split in balanced(weights, seed).items()}
    return {title: by_root.get(pages.root(title)) or split_of(pages.root(title), seed) for title in sorted(set(title_of.values()))}


def _alike(names: Sequence[str], texts: Sequence[str]) -> list[list[str]]:
    """Return the groups of more than one thing whose texts are near-duplicates, by name; small ones first, so that those are joined."""
    groups = Groups(map(str, range(len(names))))
    for one, other in near_pairs(texts, NEAR_DUPLICATE):
        groups.join((str(one), str(other)))
    found: dict[str, list[str]] = {}
    for at, name in enumerate(names):
        found.setdefault(groups.root(str(at)), []).append(name)
    return sorted((group for group in found.values() if len(group) > 1), key=lambda group: (len(group), min(group)))


def _components(titles: set[str], links: Sequence[Sequence[str]]) -> Groups:
    """Join the pages of each link, unless that makes a component of more than a fiftieth of all pages (or of four, if that is more)."""
    pages = Groups(titles)
    limit = max(LARGEST_AT_LEAST, int(LARGEST_SHARE * len(titles)))
    for link in links:
        roots = {pages.root(title) for title in link}
        if sum(map(pages.size, roots)) <= limit:
            pages.join(roots)
    return pages


def _elsewhere(groups: Sequence[Sequence[str]], split_of_name: Mapping[str, str], weight: Counter[str]) -> list[str]:
    """Return the members of each group that are in another split than the one that keeps it: the one with most weight in it."""
    gone = []
    for group in groups:
        weights: Counter[str] = Counter()
        for name in group:
            weights[split_of_name[name]] += 1000 * weight[name] + 1  # questions first, then sections
        keeps = max(SPLITS, key=lambda split: (weights[split], -SPLITS.index(split)))
        gone += [name for name in group if split_of_name[name] != keeps]
    return gone
