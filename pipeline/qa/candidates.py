"""Candidate answers in a section: dates, numbers with their unit, and names, each with its sentence.

For answer-first generation: the answer is there before the question, so that it can't be made up.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.text.compare import normalise_answer
from pipeline.text.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.records import Section

_MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
_UNITS = (
    "metres|kilometres|centimetres|km|kg|kilograms|seconds|minutes|hours|days|weeks|points|goals|rounds|laps|athletes|competitors|"
    "riders|players|teams|countries|nations|events|medals|golds|matches|spectators|volunteers|places|yen|tonnes|years|per cent"
)
_PATTERNS = (
    ("date", rf"\b\d{{1,2}} (?:{_MONTH})(?: \d{{4}})?\b|\b(?:{_MONTH}) \d{{1,2}}(?:, \d{{4}})?\b|\b(?:{_MONTH}) (?:19|20)\d\d\b"),
    ("number", rf"(?<![\d.,:–-])\d[\d,]*(?:\.\d+)?(?![:–-]\d)(?: (?:{_UNITS})\b| %|\b)"),
    (
        "name",
        r"\b[A-ZÀ-ÖØ-Þ][\w’-]+(?:(?: (?:de|da|dos|del|van|von|der|of|the|bin|al)){0,2} [A-ZÀ-ÖØ-Þ][\w’-]+)+",
    ),
)
_NOT_A_NAME = re.compile(
    r"^(?:The|In|At|On|It|He|She|They|This|That|A|An|Its|His|Her|Their|For|From|After|Before|When|While|With|As|By|Of|Both|Only|Because|Since|Although|Though|Earlier|Later|Shortly|Besides|Among|Until|Once|If|Where|Nobody|Some|Most|Many)\b"
)
_MAX_TIMES = 2
_SENTENCE_WORDS = range(6, 60)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A span of a section that could be an answer, the sentence it stands in, and what kind of thing it is."""

    answer: str
    evidence: str
    kind: str

    @property
    def opening(self) -> str:
        """The words that a question for this answer begins with; a name may be anybody's or anything's."""
        if self.kind == "date":
            return "When"
        unit = self.answer.partition(" ")[2]
        return f"How many{f' {unit}' if unit and unit != '%' else ''}" if self.kind == "number" else ""


def candidates(section: Section, n: int) -> list[Candidate]:
    """Return up to `n` candidates: different kinds and sentences first, drawn by the section's id alone.

    What stands in the title or heading, or more than twice in the section, is left out: asked about
    it, nobody knows which of the places is meant.
    """
    found = list(_spans(section))
    random.Random(section.section_id).shuffle(found)
    chosen: list[Candidate] = []
    for same_sentence, same_kind in ((False, False), (False, True), (True, True)):
        for candidate in found:
            used = {c.evidence for c in chosen}
            kinds = Counter(c.kind for c in chosen)
            fresh = (same_sentence or candidate.evidence not in used) and (same_kind or kinds[candidate.kind] == 0)
            if len(chosen) < n and fresh and candidate not in chosen:
                chosen.append(candidate)
    return chosen


def _spans(section: Section) -> Iterator[Candidate]:
    above = f" {normalise_answer(section.title)} {normalise_answer(section.heading)} "
    seen: set[str] = set()
    for sentence in sentences(section.content):
        if len(sentence.split()) not in _SENTENCE_WORDS:
            continue
        for kind, pattern in _PATTERNS:
            for match in re.finditer(pattern, sentence):
                answer = match.group().strip()
                key = normalise_answer(answer)
                if not key or key in seen or f" {key} " in above or section.content.count(answer) > _MAX_TIMES:
                    continue
                if kind == "name" and _NOT_A_NAME.match(answer):
                    continue
                seen.add(key)
                yield Candidate(answer, sentence, kind)
