"""A context read once for many questions: its sentences, their words, the whole as forms are looked for in it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from pipeline.negatives.variants import normal
from pipeline.text.compare import shingles
from pipeline.text.lexical import content_words
from pipeline.text.sentences import pieces

_REMEMBERED = 6_000  # some 30 KB each


@dataclass(frozen=True, slots=True)
class Reading:
    """A text and what the checks ask of it."""

    text: str
    folded: str
    normal: str
    """normalised, with a space at both ends"""
    grams: frozenset[tuple[str, ...]]
    sentences: tuple[str, ...]
    """joined, they are the text again"""
    words: tuple[frozenset[str], ...]
    """the content words of each sentence"""
    vocabulary: frozenset[str]
    """the content words of the whole"""


@functools.lru_cache(maxsize=_REMEMBERED)
def read(text: str) -> Reading:
    """Read a text; the same text is read once."""
    cut = tuple(pieces(text))
    words = tuple(frozenset(content_words(s)) for s in cut)
    return Reading(text, text.casefold(), normal(text), shingles(text), cut, words, frozenset().union(*words))


def holds(reading: Reading, forms: frozenset[str]) -> bool:
    """Tell whether a text holds one of these normalised forms, whole words."""
    return any(f" {form} " in reading.normal for form in forms)
