"""Sections that count: by heading, by tokens, split where they are too long, near-duplicates marked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from pipeline.records import DroppedSection, Page, Section, context_of, stable_id
from pipeline.text.sentences import split_at_sentences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pipeline.settings import Topic
    from pipeline.text.duplicates import NearDuplicates

LEFT_OUT = "legend_or_label"
"""The reason of a row that holds lines which are no text of their section; the section itself may be kept."""
_MARGIN = 16  # tokens by which a sum over parts may miss the count of the whole


@dataclass(frozen=True, slots=True)
class RawSection:
    """A section as a source gives it, before any rule."""

    heading: str
    path: tuple[str, ...]
    level: int
    anchor: str
    content: str
    left_out: str = ""
    """lines that are no text of the section: legends, lone labels"""


class Sectioner:
    """Applies a topic's rules to the sections of page after page, and marks texts that repeat one met before."""

    def __init__(self, topic: Topic, count: Callable[[str], int], duplicates: NearDuplicates) -> None:
        """Prepare for a topic, with a function that counts a text's tokens and an index of texts met."""
        self._topic, self._count, self._duplicates = topic, count, duplicates
        self._low = {heading.casefold() for heading in topic.low_information}

    def sections(self, page: Page, raw: Iterable[RawSection]) -> tuple[list[Section], list[DroppedSection]]:
        """Return the sections that count and those that don't, with the reason; together they are all of `raw`.

        Lines that a section left out stand beside the second as rows of their own, with the reason `LEFT_OUT`.
        """
        kept: list[Section] = []
        dropped: list[DroppedSection] = []
        times: Counter[tuple[str, ...]] = Counter()
        for position, section in enumerate(raw):
            times[section.path] += 1
            if section.left_out:
                gone = (self._count(section.left_out), LEFT_OUT, section.left_out)
                dropped.append(DroppedSection(page.page_id, position, page.title, section.heading, *gone))
            tokens = self._count(context_of(page.title, section.heading, section.content))
            reason = self._reason(section, tokens)
            if reason:
                dropped.append(DroppedSection(page.page_id, position, page.title, section.heading, tokens, reason, section.content))
            else:
                kept += self._parts(page, section, position, times[section.path], tokens)
        return kept, dropped

    def _reason(self, section: RawSection, tokens: int) -> str:
        if not section.content.strip():
            return "empty"
        if {heading.casefold() for heading in section.path} & self._low:
            return "low_information"
        return "short" if tokens < self._topic.min_tokens else ""

    def _parts(self, page: Page, section: RawSection, position: int, time: int, tokens: int) -> list[Section]:
        room = self._topic.max_tokens - self._count(context_of(page.title, section.heading, "")) - _MARGIN
        whole = tokens <= self._topic.max_tokens
        texts: Sequence[str] = [section.content]
        if not whole:
            texts = split_at_sentences(section.content, self._count, max(room, _MARGIN), self._topic.language)
        path = " > ".join(section.path)
        parts = []
        for part, text in enumerate(texts):
            made_of = (page.page_id, path, time, part, text)
            built = Section(
                stable_id("sec", *made_of), page.page_id, position, part, page.title, section.heading, path, section.level, text,
                tokens if whole else self._count(context_of(page.title, section.heading, text)), page.revision_id, _url(page.url, section.anchor), "",
            )  # fmt: skip
            parts.append(self._marked(built))
        return parts

    def _marked(self, section: Section) -> Section:
        first = self._duplicates.first_like(section.section_id, section.content)
        return replace(section, duplicate_of=first) if first else section


def _url(page_url: str, anchor: str) -> str:
    return f"{page_url}#{quote(anchor, safe='/:@!$&()*+,;=~')}" if page_url and anchor else page_url
