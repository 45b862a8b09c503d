"""What kind of thing a question asks for, and whether a sentence has one that the question did not bring along."""

from __future__ import annotations

import re

from pipeline.text.numbers import number_forms

_MONTHS = r"January|February|March|April|May|June|July|August|September|October|November|December"
_ASKED = (
    ("number", re.compile(r"\bhow (?:many|much|long|tall|high|far|old|fast|often|large)\b|\b(?:what|which) (?:\w+ ){0,3}(?:time|number|score|distance|appearance)\b", re.IGNORECASE)),
    ("date", re.compile(r"\b(?:when|(?:what|which) (?:day|dates?|year|month|days)|until when|since when)\b", re.IGNORECASE)),
    ("name", re.compile(r"\b(?:who|whom|whose|where|which|what)\b", re.IGNORECASE)),
)  # fmt: skip
_NUMBER = re.compile(r"\d[\d.,:]*")
_DATE = re.compile(rf"\b(?:1[89]|20)\d\d\b|\b(?:{_MONTHS})\b")
_NAME = re.compile(r"\b[A-ZÀ-ÖØ-Þ][\w'’-]+")


def asked_for(question: str) -> str:
    """Return number, date or name: what a question asks for; empty where that can't be told (why, how)."""
    return next((kind for kind, pattern in _ASKED if pattern.search(question)), "")


def has_one(kind: str, sentence: str, question: str) -> bool:
    """Tell whether a sentence has a thing of a kind that does not stand in the question already; any sentence has what can't be told."""
    known = question.casefold()
    if kind == "number":
        words = (word for word in sentence.split() if number_forms(word))
        return any(found.casefold() not in known for found in (*_NUMBER.findall(sentence), *words))
    if kind in ("date", "name"):
        return any(found.casefold() not in known for found in (_DATE if kind == "date" else _NAME).findall(sentence))
    return True
