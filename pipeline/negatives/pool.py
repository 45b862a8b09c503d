"""What negatives are drawn from: the sections of one split, the question that needs one, and what a kind offers for it."""

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
class Offer:
    """A pair that a kind offers as a negative, not verified yet: a section (its content perhaps cut) and a question (perhaps altered)."""

    section: Section
    question: str
    note: str = ""
    """what was done to make it, for the row"""
    plausible: str = ""
    """what one might wrongly answer"""


@dataclass(frozen=True, slots=True)
class Pool:
    """The sections of one split; a negative's context is always one of these."""

    sections: Sequence[Section]
    by_page: Mapping[int, Sequence[Section]]

    @classmethod
    def of(cls, sections: Sequence[Section]) -> Pool:
        """Group sections by their page; what has no text is no context."""
        by_page: dict[int, list[Section]] = {}
        with_text = [section for section in sections if section.content.strip()]
        for section in with_text:
            by_page.setdefault(section.page_id, []).append(section)
        return cls(with_text, by_page)
