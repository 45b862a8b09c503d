"""The years, numbers, nations, topics and names of a corpus, typed by rules, with what follows them: what an altered question is made of.

Types are shallow on purpose, for a rule can be read: a year is four digits, a nation is in a list, a topic is what titles say before
"at the …", a name is a run of capitalised words inside a sentence, typed by its last word where many names end so (… Arena,
… Committee) or else a person's. Words that are common, or that the corpus has in lower case too ("Summer", "World", "Games"), make no
name: two such names may mean the same thing.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.text.nations import nation_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.records import Section

_YEAR = re.compile(r"\b(?:18|19|20)\d\d\b(?![-–,.:]\d)")
_NUMBER = re.compile(r"(?<![\d.,:–-])\b\d{1,3}(?:,\d{3})+\b(?![\d.:–-])|(?<![\d.,:–-])\b\d{1,5}\b(?![.,:–-]?\d)(?!(?:st|nd|rd|th)\b)")
_WORD = r"[A-ZÀ-ÖØ-Þ][\w'’]*[a-zß-ÿ][\w'’]*"
_NAME = re.compile(rf"(?<![.!?:]\s)(?<!^)(?<!\n)(?<!\| )\b{_WORD}(?:[ -](?:(?:of|de|van|von|da|del)\s)?{_WORD}){{1,3}}")
_TOPIC = re.compile(r"^(?P<topic>[^–:(]{3,40}?) at the (?:\d{4}|[A-Z])")
_ANY_WORD = re.compile(r"[^\W\d_][\w'’]*")
_COMMON, _COMMON_AT_LEAST = 0.02, 5  # share and number of sections
_ENDS_NAMES = 3  # names with one last word that make it a type
_NEXT = re.compile(r"[\s-]*([\w'’]+)?")
MONTHS = frozenset("January February March April May June July August September October November December".split())
_ASKING = frozenset("who whom whose what when where which why how in on at the a did was were is are after before during for by of".split())


@dataclass(frozen=True, slots=True)
class Value:
    """A value in a text: its type, the words themselves, where they stand, and the word that follows (in lower case)."""

    type: str
    text: str
    start: int
    follows: str


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a corpus by type, with how often each stands there; and how often before which word."""

    by_type: Mapping[str, Counter[str]]
    before: Mapping[tuple[str, str], Counter[str]]
    endings: frozenset[str]
    topics: frozenset[str]
    ordinary: frozenset[str]
    """words that make no name, in lower case"""

    @classmethod
    def of(cls, sections: Iterable[Section]) -> Values:
        """Read a corpus."""
        sections = list(sections)
        topics = frozenset(found["topic"] for title in {s.title for s in sections} if (found := _TOPIC.match(title)))
        topics = frozenset(topic for topic in topics if not nation_of(topic))
        names = Counter(name for s in sections for name in _NAME.findall(s.content))
        last = Counter(name.split()[-1] for name in names)
        endings = frozenset(word for word, n in last.items() if n >= _ENDS_NAMES and not word.endswith("s"))
        empty = cls({}, {}, endings, topics, _ordinary(sections))
        by_type: dict[str, Counter[str]] = {"topic": Counter(dict.fromkeys(sorted(topics), 1))}
        before: dict[tuple[str, str], Counter[str]] = {}
        for section in sections:
            for value in empty.found_in(section.content):
                by_type.setdefault(value.type, Counter())[value.text] += 1
                before.setdefault((value.type, value.follows), Counter())[value.text] += 1
        return cls(by_type, before, endings, topics, empty.ordinary)

    def found_in(self, text: str) -> list[Value]:
        """Return the values of a text, in its order, none inside another."""
        folded = text.casefold()
        topics = [topic for topic in self.topics if topic.casefold() in folded]  # most are not there, and this is quick to see
        found = [
            *(("topic", m.start(), m.group()) for topic in topics for m in re.finditer(rf"\b{re.escape(topic)}\b", text, re.IGNORECASE)),
            *(("year", m.start(), m.group()) for m in _YEAR.finditer(text)),
            *(("number", m.start(), m.group()) for m in _NUMBER.finditer(text) if not _YEAR.fullmatch(m.group())),
            *((self._type_of(m.group()), m.start(), m.group()) for m in _NAME.finditer(text)),
            *(("nation", m.start(), m.group()) for m in re.finditer(rf"(?<!\w){_WORD}(?: {_WORD})?", text) if _is_country(m.group())),
            *(("nation", m.start(), m.group()) for m in re.finditer(rf"(?<!\w){_WORD}", text) if _is_country(m.group())),
        ]
        kept: list[Value] = []
        end = 0
        for kind, start, word in sorted(found, key=lambda v: (v[1], -len(v[2]), v[0])):
            if start < end or not kind:
                continue
            after = _NEXT.match(text, start + len(word))
            kept.append(Value(kind, word, start, (after[1] or "").casefold() if after else ""))
            end = start + len(word)
        return kept

    def _type_of(self, name: str) -> str:
        words = re.split(r"[ -]", name)
        if words[0].casefold() in _ASKING or any(w in MONTHS for w in words) or any(nation_of(w) for w in (name, *words)):
            return ""
        ending = words[-1]
        if any(word.casefold() in self.ordinary for word in (words[:-1] if ending in self.endings else words)):
            return ""
        if ending in self.endings:
            return f"name: … {ending}"
        return "name" if 2 <= len(words) <= 3 else ""  # noqa: PLR2004 (persons have two or three)


def _ordinary(sections: Iterable[Section]) -> frozenset[str]:
    """Return the words that stand somewhere in lower case, or in more than a fiftieth of the sections."""
    seen: Counter[str] = Counter()
    lower: set[str] = set()
    size = 0
    for section in sections:
        found = set(_ANY_WORD.findall(section.content))
        lower |= {word for word in found if word.islower()}
        seen.update({word.casefold() for word in found})
        size += 1
    return frozenset(lower | {word for word, n in seen.items() if n > max(_COMMON_AT_LEAST, size * _COMMON)})


def _is_country(name: str) -> bool:
    """Tell whether a word is a country's name; adjectives ("French") are left, for they must fit their noun."""
    forms = nation_of(name)
    return bool(forms) and name == forms[0] and name not in ("Jordan", "Georgia", "Chad")  # names of persons too
