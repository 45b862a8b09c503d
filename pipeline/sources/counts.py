"""What a collect met, kept and dropped, and what is different since the last time: as figures, and as sentences."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.sources.sectioning import LEFT_OUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipeline.records import DroppedSection, Page, Section
    from pipeline.sources.fetched import Known

_SHOWN = 3


@dataclass(slots=True)
class Counts:
    """What went in and what came out: sections met = sections kept (parts of a split one counted once) + sections dropped."""

    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    whole: int = 0
    sections: int = 0
    duplicates: int = 0
    tokens: int = 0

    def add(self, page: Page, kept: Sequence[Section], dropped: Sequence[DroppedSection]) -> None:
        """Count a page with its sections."""
        self.statuses[page.status] += 1
        self.reasons.update(gone.reason for gone in dropped)
        self.whole += sum(section.part == 0 for section in kept)
        self.sections += len(kept)
        self.duplicates += sum(bool(section.duplicate_of) for section in kept)
        self.tokens += sum(section.tokens for section in kept)

    def named(self) -> dict[str, Any]:
        """Return the counts by name, for the manifest."""
        gone = self.reasons.total() - self.reasons[LEFT_OUT]
        return {
            "pages": self.statuses.total(), "pages_by_status": dict(sorted(self.statuses.items())), "sections_met": self.whole + gone,
            "sections": self.sections, "sections_split_further": self.sections - self.whole, "sections_dropped": gone,
            "dropped_by_reason": dict(sorted((+self.reasons).items())), "near_duplicates": self.duplicates, "tokens": self.tokens,
        }  # fmt: skip


def sentence_of(counts: Mapping[str, Any]) -> str:
    """Return the counts as a sentence."""
    statuses = ", ".join(f"{n} {name}" for name, n in counts["pages_by_status"].items())
    reasons = ", ".join(f"{n} {name}" for name, n in counts["dropped_by_reason"].items())
    alike = f" ({counts['near_duplicates']} repeat another)" if counts["near_duplicates"] else ""
    gone = f"; {counts['sections_dropped']} dropped ({reasons})" if reasons else ""
    return f"{counts['pages']} pages met ({statuses}) → {counts['sections']} sections{alike}, {counts['tokens']} tokens{gone}"


def changes(earlier: Iterable[Known], pages: Iterable[Page], *, whole: bool) -> dict[str, list[str]]:
    """Return the titles of pages that came, whose revision or title is another, and that are gone, since the last collect from this wiki.

    Of a crawl that stops early (not `whole`) nothing is gone.
    """
    old = {page_id: (title, revision) for page_id, title, revision in earlier}
    new = {page.page_id: (page.title, page.revision_id) for page in pages if page.status == "kept"}
    return {
        "added": sorted(new[i][0] for i in new.keys() - old.keys()),
        "changed": sorted(new[i][0] for i in new.keys() & old.keys() if new[i] != old[i]),
        "removed": sorted(old[i][0] for i in old.keys() - new.keys()) if whole else [],
    }


def told_of(different: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield a line for each way in which pages are different."""
    for name, titles in different.items():
        if titles:
            more = f" and {len(titles) - _SHOWN} more" if len(titles) > _SHOWN else ""
            yield f"  {len(titles)} {name} since the last time: {', '.join(titles[:_SHOWN])}{more}"
