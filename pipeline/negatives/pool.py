"""What negatives are drawn from: the sections of one split, and the question that needs one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.records import QA, Section


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with the section that answers it."""

    row: QA
    section: Section


@dataclass(frozen=True, slots=True)
class Pool:
    """The sections of one split; a negative's context is always one of these."""

    sections: Sequence[Section]
    by_page: Mapping[int, Sequence[Section]]

    @classmethod
    def of(cls, sections: Sequence[Section]) -> Pool:
        """Group sections by their page."""
        by_page: dict[int, list[Section]] = {}
        for section in sections:
            by_page.setdefault(section.page_id, []).append(section)
        return cls(sections, by_page)
