"""Candidate answers in a section: dates, years, numbers with what they count, results, names, places, table cells, each with its sentence.

For answer-first generation: the answer is there before the question, so that it can't be made up. They are found by rules, which cost
nothing and can be read. The best come first, spread over the section: a name or a date in a sentence that says what it is about is
worth a question; a bare figure, or a sentence that leans on the one before ("He won …"), is asked about last.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.text.compare import normalise_answer
from pipeline.text.nations import nation_of
from pipeline.text.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.records import Section

_MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
_DAY = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_SPELT = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty"
_COUNTED = (
    "metres|meters|kilometres|kilometers|centimetres|km|kg|kilograms|seconds|minutes|hours|days|weeks|months|years|points|goals|rounds|laps|"
    "athletes|competitors|riders|players|teams|countries|nations|events|medals|medallists|golds|matches|spectators|volunteers|places|yen|"
    "dollars|euros|tonnes|tons|per cent|percent|votes|people|seats|sports|disciplines|boxers|swimmers|rowers|sailors|shooters|archers|"
    "wrestlers|judoka|karateka|cyclists|gymnasts|fencers|divers|quotas|quota places|entries|boats|horses|cities|venues|editions|members"
)
_CAPITAL = r"[A-ZÀ-ÖØ-Þ](?:[\w-]|[’'](?!s\b))*\w\b(?![’']s)"
_PATTERNS = (
    ("date", rf"\b\d{{1,2}} (?:{_MONTH})(?: \d{{4}})?\b|\b(?:{_MONTH}) \d{{1,2}}(?:, \d{{4}})?\b|\b(?:{_MONTH}) (?:19|20)\d\d\b"),
    ("result", r"(?<![\d:.,–-])(?:(?:\d{1,2}:)?\d{1,2}:\d\d(?:\.\d+)?|\d{1,3}[–-]\d{1,3})(?![\d:–-]|\.\d| " + rf"(?:{_MONTH}))"),
    ("number", rf"(?<![\w.,:–-])(?:\d(?:[\d,]*\d)?(?:\.\d+)?|{_SPELT})(?: (?:more |other |different |qualified )?(?:{_COUNTED})\b| ?%)"),
    ("name", rf"\b{_CAPITAL}(?:(?: (?:de|da|dos|del|van|von|der|of|the|bin|al)){{0,2}} {_CAPITAL})+"),
    ("year", r"(?<![\d.,:–-])(?:18|19|20)\d\d(?= *(?:[.,;)]|and\b|after\b|when\b|$))(?!,\d)"),
    ("place", rf"(?<=[a-z,] ){_CAPITAL}(?=[,.;)]| [a-z(]|$)"),
    ("number", r"(?<![\w.,:–-])(?!(?:18|19|20)\d\d\b)\d(?:[\d,]*\d)?(?:\.\d+)?(?![\w:%–-]|[.,]\d)"),
)
"""A span that overlaps one of an earlier pattern is left."""
_FORMS = tuple((kind, re.compile(pattern)) for kind, pattern in _PATTERNS)
_WORTH = {"name": 4, "date": 4, "number": 3, "result": 3, "cell": 3, "place": 2, "year": 2}
_BARE = 3  # taken from a number that says nothing of what it counts
_GENERIC_NAME = 3  # taken from a name that many a section has: a championship, a committee
_LEANING = 2  # taken from a span whose sentence begins with a pronoun
_CROWDED = 2  # taken for each span of the same sentence that is chosen already
_ALIKE = 1  # … of the same kind
_NOT_A_NAME = re.compile(
    r"^(?:The|In|At|On|It|He|She|They|This|That|These|Those|There|A|An|Its|His|Her|Their|For|From|After|Before|When|While|With|As|By|Of|Both|"
    r"Only|Because|Since|Although|Though|Earlier|Later|Shortly|Besides|Among|Until|Once|If|Where|Nobody|Some|Most|Many|Following|Due|However|"
    r"During|Under|Each|All|Other|Another|First|Finally|Originally|Despite|According)\b"
)
_SAYS_NOTHING = re.compile(
    rf"(?:{_MONTH}|{_DAY}|Games?|Olympics?|Olympians?|Olympic Games|(?:Summer|Winter) (?:Olympics|Games|Paralympics)|Paralympics?|NOCs?|Events?|"
    r"Rounds?|Groups?|Pools?|Heats?|Semifinals?|Finals?|Facts|Notes?|Positions?|COVID-19(?: pandemic)?)"
)
"""capitalised words that are no answer by themselves"""
_GENERIC = re.compile(
    r"\b(?:Championships?|Committees?|Federation|Congress|Rankings?|Games|Olympiad|Olympians?|Tournament|Qualif\w+|Union|Commission|IOC|NOC|Standings?|"
    r"World Cup|Series|Events?|Regatta|Association|Invitation|Americas|Oceania|Africa|Europe|Asia)\b"
)
_TITLES = re.compile(
    r"^(?:(?:(?:Prime|Deputy|Vice|Foreign|Sports?|Former|Chief|Head|Acting|Interim|World|Olympic|European|Asian|Defending|Reigning)[- ])*"
    r"(?:Presidents?|Minist(?:er|ry)|Governors?|Coach|Captain|Champions?|Medall?ists?|Mayor|Emperor|Empress|King|Queen|Princess|Prince|Sir|Dame|Dr|Prof|Professor|Mr|Mrs|Ms|"
    r"Chancellor|Secretary|Chairman|Chairwoman|Director|General|Executive|Ambassador|Legend|Sport)\b\.? ?)+"
)
"""what stands before a person's name and is none"""
_OFFICE = re.compile(r"^(?:of|for|and)\b")
_COMPOUND = re.compile(r"-(?:approved|born|based|qualified|winning|trained|led|time|ranked|seeded|style|wide|related|only)\b")
_LEANS = re.compile(r"^(?:He|She|They|It|This|That|These|Those|His|Her|Their|Its|There|Both|However|Instead|Also|Thus)\b")
_ROW = re.compile(r"[^:;]{1,40}: [^;]+(?:; [^:;]{1,40}: [^;]+)+")
_CELL = re.compile(r"(?:^|; )(?P<head>[^:;]{1,40}): (?P<value>[^;]{2,60})")
_COUNTING_HEADS = frozenset("rank place no number pos position seed lane bib order".split())
_MAX_TIMES = 2
_SENTENCE_WORDS = range(6, 60)
_ROW_WORDS = range(4, 60)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A span of a section that could be an answer, the sentence or table row it stands in, and what kind of thing it is."""

    answer: str
    evidence: str
    kind: str
    """date, year, number, result, name, place, or cell"""

    @property
    def opening(self) -> str:
        """The words that a question for this answer begins with; a name may be anybody's or anything's."""
        if self.kind in ("date", "year"):
            return "When" if self.kind == "date" else "In what year"
        unit = self.answer.partition(" ")[2]
        return f"How many{f' {unit}' if unit and unit != '%' else ''}" if self.kind == "number" else ""

    @property
    def worth(self) -> int:
        """How good a question it promises, before anything is known of the others."""
        bare = self.kind == "number" and " " not in self.answer
        generic = self.kind in ("name", "place") and bool(_GENERIC.search(self.answer))
        return _WORTH[self.kind] - _BARE * bare - _GENERIC_NAME * generic - _LEANING * bool(_LEANS.match(self.evidence))


def candidates(section: Section, n: int) -> list[Candidate]:
    """Return up to `n` candidates, the best first; each that is taken makes those of its sentence and of its kind worth less.

    What stands in the title or heading, or more than twice in the section, is left out: asked about
    it, nobody knows which of the places is meant.
    """
    left = list(_spans(section))
    chosen: list[Candidate] = []
    while left and len(chosen) < n:
        best = max(range(len(left)), key=lambda at: (left[at].worth - _crowd(left[at], chosen), -at))
        chosen.append(left.pop(best))
    return chosen


def _crowd(candidate: Candidate, chosen: Sequence[Candidate]) -> int:
    """Return what a candidate loses to those chosen already."""
    return sum(_CROWDED * (c.evidence == candidate.evidence) + _ALIKE * (c.kind == candidate.kind) for c in chosen)


def _spans(section: Section) -> Iterator[Candidate]:
    above = f" {normalise_answer(section.title)} {normalise_answer(section.heading)} "
    times = Counter[str]()
    seen: set[str] = set()
    for sentence in sentences(section.content):
        for candidate in _cells(sentence) if _ROW.fullmatch(sentence) else _in_prose(sentence):
            key = normalise_answer(candidate.answer)
            times[key] = times[key] or section.content.count(candidate.answer)
            if key and key not in seen and f" {key} " not in above and times[key] <= _MAX_TIMES:
                seen.add(key)
                yield candidate


def _in_prose(sentence: str) -> Iterator[Candidate]:
    """Yield the spans of a sentence, none inside another, in its order."""
    if len(sentence.split()) not in _SENTENCE_WORDS:
        return
    taken: list[tuple[int, int, str]] = []
    for kind, pattern in _FORMS:
        for match in pattern.finditer(sentence):
            start, end = _bare_name(match) if kind == "name" else match.span()
            free = all(end <= other_start or start >= other_end for other_start, other_end, _ in taken)
            if free and start < end and not (kind in ("name", "place") and _says_nothing(sentence[start:end])):
                taken.append((start, end, kind))
    yield from (Candidate(sentence[start:end], sentence, kind) for start, end, kind in sorted(taken))


def _bare_name(match: re.Match[str]) -> tuple[int, int]:
    """Return where a name stands without the title or the people before it and the nation behind it; nowhere, if an office is all that is there."""
    end = match.start() + len(_without_nation(match.group()))
    name = match.group()[: end - match.start()]
    title = _TITLES.match(name)
    start = match.start() + (title.end() if title else 0)
    if title and _OFFICE.match(match.string[start:end]):
        return end, end
    people, space, rest = match.string[start:end].partition(" ")
    is_people = len(nation_of(people)) > 1 and people != nation_of(people)[0] and not nation_of(match.string[start:end])
    return (start + len(people + space) if is_people and " " in rest else start), end


def _without_nation(name: str) -> str:
    """Return a person's name without the nation behind it ("Lisa Unruh of Germany"): two answers in one are asked for by no question."""
    person, of, nation = name.rpartition(" of ")
    return person if of and " " in person and nation_of(nation) else name


def _says_nothing(name: str) -> bool:
    """Tell whether a capitalised span is no name: an opening word, a month, a people's adjective."""
    nation = nation_of(name)
    people = nation_of(name.partition(" ")[0])
    described = " " in name and people and name.partition(" ")[0] != people[0] and not nation
    says_nothing = _NOT_A_NAME.match(name) or _SAYS_NOTHING.fullmatch(name) or _TITLES.fullmatch(name) or _COMPOUND.search(name)
    return bool(says_nothing or described or (nation and name != nation[0]))


def _cells(row: str) -> Iterator[Candidate]:
    """Yield the cells of a table row that say something beyond their place in it."""
    if len(row.split()) not in _ROW_WORDS:
        return
    for match in _CELL.finditer(row):
        value = match["value"].strip()
        if match["head"].strip(" .").casefold() not in _COUNTING_HEADS and re.search(r"\w\w", value):
            yield Candidate(value, row, "cell")
