"""Numbered questions and answers of a notebook's CSV → rows.

The notebooks kept, for a section, one text "1. …\\n2. …" of questions and one of answers; the prompt
had already said "1.", so the first number is missing or doubled in many. `source` and `evidence`
are columns of our own.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.qa.drafts import Draft, Outcome, Plan, checked
from pipeline.records import Page, Rejected, Section, derived_page_id
from pipeline.sources.sectioning import RawSection, Sectioner
from pipeline.text.compare import find_verbatim, mentions, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.settings import Topic
    from pipeline.text.duplicates import NearDuplicates

_PLAN = Plan("", "imported", 0, 0.0)
_NUMBER = re.compile(r"^\s*(?:\*\*|__)?(?:[QA](?:uestion|nswer)?\s*)?\(?(\d{1,3})\s*[.):](?:\*\*|__)?(?!\d)\s*", re.IGNORECASE)
"""1. or 1) or (1) or 1: or Q1: or **1.** – "22.01" and "10:30" are no item numbers"""
_BULLET = re.compile(r"^\s*[-*•–]\s+")
_FEWEST_ON_ONE_LINE = 3  # two numbers may be a date and a league
_ON_ONE_LINE = re.compile(r"\s+(?=\(?\d{1,3}[.)]\s)")


def numbered(text: str) -> dict[int, str]:
    """Read a numbered list as {number: text}: lines without a number go on with the one before.

    A text that begins without a number begins with 1 (the notebooks' prompt had said it already); a
    doubled number (`1. 1. …`) is read once; of a number that comes twice the first counts. Bullets are
    numbers in their order, and a list may stand on one line.
    """
    found: dict[int, str] = {}
    number, skipping = 1, False
    for line in _lines(text):
        rest, match = line, _NUMBER.match(line)
        if match:
            number, rest = int(match[1]), rest[match.end() :]
            again = _NUMBER.match(rest)
            rest = rest[again.end() :] if again and int(again[1]) == number else rest
        if not rest.strip():
            continue
        if match:
            skipping = number in found  # a number that came before, with all that goes on with it
        if skipping:
            continue
        found[number] = f"{found[number]} {rest.strip()}" if number in found else rest.strip()
    return found


def _lines(text: str) -> list[str]:
    """Return a list's lines, a number at the beginning of each item if that can be had."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if len(lines) > 1 and all(map(_BULLET.match, lines)):
        return [_BULLET.sub(f"{at}. ", line) for at, line in enumerate(lines, 1)]
    items = _ON_ONE_LINE.split(lines[0]) if len(lines) == 1 else []
    numbers = [int(match[1]) if (match := _NUMBER.match(item)) else 1 for item in items]
    return items if len(items) >= _FEWEST_ON_ONE_LINE and numbers == list(range(1, len(items) + 1)) else lines


def pairs(questions: str, answers: str, evidence: str) -> list[tuple[int, str, str, str]]:
    """Return (number, question, answer, evidence) for every number that any of the lists has, in order."""
    q, a, e = numbered(questions), numbered(answers), numbered(evidence)
    return [(n, q.get(n, ""), a.get(n, ""), e.get(n, "")) for n in sorted(q.keys() | a.keys() | e.keys())]


class Places:
    """Where a notebook's rows belong: sections of the run, and those that come with the rows."""

    def __init__(self, sections: Sequence[Section], topic: Topic, count: Callable[[str], int], duplicates: NearDuplicates) -> None:
        """Know the run's sections; what comes with the rows is cut by a topic's rules, tokens counted by `count`.

        `duplicates` is an empty index; a section that comes and nearly repeats another is marked as one that was collected is.
        """
        self.adopted: list[Section] = []
        self._by_place: dict[tuple[str, str], list[Section]] = {}
        self._pages: dict[str, tuple[int, int]] = {}
        self._sectioner = Sectioner(topic, count, duplicates)
        self._duplicates, self._unread = duplicates, [section for section in reversed(sections) if not section.duplicate_of]
        for section in sections:
            self._know(section)

    def _know(self, section: Section) -> None:
        self._by_place.setdefault((section.title, section.heading), []).append(section)
        _, after = self._pages.get(section.title, (0, 0))
        self._pages[section.title] = (section.page_id, max(after, section.position + 1))

    def rows(self, row: dict[str, str]) -> list[Outcome]:
        """Return the outcomes of one line of the CSV: a row or a rejected row for each number in its lists."""
        places, missing = self._places(row)
        made: list[Outcome] = []
        for number, question, answer, evidence in pairs(row["questions"], row["answers"], row.get("evidence", "")):
            section = place_of(places, row.get("content", ""), evidence, answer)
            stub = section or Section("", 0, 0, 0, row["title"], row["heading"], "", 0, "", 0, None, "", "")
            source = "written" if row.get("source") == "written" else "imported"  # never "generated": those are replaced
            draft, why = Draft(stub, _PLAN, number, question, answer, evidence, source=source), missing
            if section:
                draft, why = checked(draft, brought=True)
            made.append(draft.rejected(why) if why else draft.kept())
        return made

    def _places(self, row: dict[str, str]) -> tuple[list[Section], Rejected | None]:
        """Return the sections that a line may be about, or why there are none; one that the run lacks is taken in with its text."""
        places = self._by_place.get((row["title"], row["heading"]), [])
        content = row.get("content", "")
        if places or not content.strip():
            return places, Rejected("section_not_in_run")
        while self._unread:  # only now: most imports bring no section
            section = self._unread.pop()
            self._duplicates.first_like(section.section_id, section.content)
        page_id, after = self._pages.get(row["title"], (derived_page_id(row["title"]), 0))
        page = Page(page_id, row["title"], "", None, "", "", "", 1, "kept", "")
        kept, dropped = self._sectioner.sections(page, [RawSection(row["heading"], (row["heading"],), 2, "", content)])
        new = [replace(section, position=after) for section in kept]
        for section in new:
            self._know(section)
        self.adopted += new
        return new, Rejected(f"section_{dropped[0].reason}" if dropped else "section_not_in_run")


def place_of(places: list[Section], content: str, evidence: str, answer: str) -> Section | None:
    """Return the section that an imported row is about: of several with one heading, the one that holds its text."""
    same = [s for s in places if content and plain(s.content) == plain(content)]
    if same or len(places) == 1:
        return (same or places)[0]
    # several sections of one heading, or parts of a long one: the one that holds the evidence, or else the answer
    holding = [s for s in places if (find_verbatim(evidence, s.content) if evidence else mentions(s.content, answer))]
    return holding[0] if holding else next(iter(places), None)
