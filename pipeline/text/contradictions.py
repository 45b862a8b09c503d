"""Where a context speaks of something else than the question: another year, other games, men for women.

A rule each, for a rule can be read, and the user is told which one it was. On 1,540 examples of 102 pages (731 of Wikipedia's, 49 of the
sample's) they hold for 4 of 589 pairs that do answer, and for 20 of the 75 wrong ones that the light discriminator alone lets through
(sentences cut out apart). Missing names were tried too: they hold for 20 of 150 answers of the sample, for a text says "he" and "the Briton".
"""

from __future__ import annotations

import re

_YEAR = re.compile(r"(?<![\d–-])(?:1[5-9]|20)\d\d(?!\d)")
_EVENT = re.compile(r"\b((?:1[89]|20)\d\d)((?: [A-Z]\w+)+)")
_WORD = re.compile(r"[a-z]+")
_SIDES = (("men", "women"), ("women", "men"))


def contradiction(question: str, context: str) -> str:
    """Return in which respect a context (title first) speaks of something else than the question; empty if none was found.

    A year of the question that the context lacks; an event ("2024 Summer Olympics") that the context names only with the other year of
    its title; "men's" where the context has women alone, or the other way round.
    """
    question, context = (text.replace("’", "'") for text in (question, context))
    absent = next((year for year in _YEAR.findall(question) if year not in context), "")
    if absent:
        return f"{absent} is not in it"
    return _other_event(question, context) or _other_side(question, context)


def _other_event(question: str, context: str) -> str:
    title = context.partition("\n")[0]
    for year, name in _EVENT.findall(question):
        for other, other_name in _EVENT.findall(title):
            same = name.split()[-1] == other_name.split()[-1]
            if same and other != year and other not in question and f"{year}{name}" not in context:
                return f"it is about {other}, not {year}"
    return ""


def _other_side(question: str, context: str) -> str:
    asked, there = (set(_WORD.findall(text.lower())) for text in (question, context))
    for side, other in _SIDES:
        if side in asked and other not in asked and other in there and side not in there:
            return f"it is about {other}, not {side}"
    return ""
