"""Texts made comparable: SQuAD's normalisation, token F1, word shingles, verbatim spans."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from typing import Any

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "ʼ": "'", "–": "-", "—": "-", "−": "-"})
_AROUND = "\"'“”„«»‘’ʼ" + string.whitespace
_WORD = re.compile(r"\w+")
SPACELESS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
"""a character of a script that sets no spaces between words (Thai, Lao, Burmese, Khmer, kana, Han)"""
_SPACELESS_OR_WORD = re.compile(f"{SPACELESS.pattern}|{SPACELESS.pattern.replace('[', '[^', 1)}+")


def normalise_answer(text: str) -> str:
    """Return an answer as SQuAD's official script compares it: lower case, no punctuation, no articles."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def token_f1(predicted: str, gold: str) -> float:
    """Return the token F1 of two answers after SQuAD's normalisation (Rajpurkar et al. 2016)."""
    p, g = normalise_answer(predicted).split(), normalise_answer(gold).split()
    if not p or not g:
        return float(p == g)
    common = sum((Counter(p) & Counter(g)).values())
    return 2 * common / (len(p) + len(g))


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, accents as they are."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def shingles(text: str, n: int = 5) -> frozenset[tuple[str, ...]]:
    """Return the set of word n-grams of a text; of a shorter text, the whole as one. A character counts as a word where no spaces are set."""
    w = words(text)
    if SPACELESS.search(text):
        w = [piece for word in w for piece in _SPACELESS_OR_WORD.findall(word)]
    return frozenset(tuple(w[i : i + n]) for i in range(max(1, len(w) - n + 1))) if w else frozenset()


def jaccard(a: frozenset[Any], b: frozenset[Any]) -> float:
    """Return the share of common members in two sets, 0 for two empty ones."""
    return len(a & b) / len(a | b) if a or b else 0.0


def plain(text: str) -> str:
    """Return a text with white space folded and quotes and dashes in their plain forms."""
    return " ".join(text.translate(_QUOTES).split())


def mentions(text: str, phrase: str) -> bool:
    """Tell whether a text holds a phrase, whole words, after SQuAD's normalisation."""
    wanted = normalise_answer(phrase)
    return bool(wanted) and f" {wanted} " in f" {normalise_answer(text)} "


def find_verbatim(quote: str, text: str) -> str | None:
    """Return the span of `text` that `quote` repeats, or None.

    White space and the forms of quotes and dashes may differ, nothing else; a span begins and ends where
    words do. What is returned is `text`'s own wording.
    """
    exact = quote.strip(_AROUND)
    at = _find_whole(exact, text) if exact else -1
    if at >= 0:
        return text[at : at + len(exact)]
    wanted = plain(quote).strip("\"' ")
    folded, origin = _folded(text) if wanted else ("", [])
    at = _find_whole(wanted, folded) if wanted else -1
    return text[origin[at] : origin[at + len(wanted) - 1] + 1] if at >= 0 else None


def _find_whole(wanted: str, text: str) -> int:
    """Return where a span stands in a text, its ends at ends of words, or -1."""
    at = text.find(wanted)
    while at >= 0 and not _whole_words(text, at, at + len(wanted)):
        at = text.find(wanted, at + 1)
    return at


def _whole_words(text: str, start: int, end: int) -> bool:
    """Tell whether a span cuts no word; scripts that set no spaces between words have no such ends."""
    edges = (text[max(0, start - 1) : start + 1], text[end - 1 : end + 1])
    return not any(len(edge) > 1 and edge.isalnum() and not SPACELESS.search(edge) for edge in edges)


def size(text: str) -> int:
    """Return how many words a text has; in scripts that set no spaces, two characters count as one."""
    spaceless = len(SPACELESS.findall(text))
    return len(SPACELESS.sub(" ", text).split()) + -(-spaceless // 2)


def _folded(text: str) -> tuple[str, list[int]]:
    """Return `plain(text)` and, for each of its characters, where it stands in `text`."""
    characters: list[str] = []
    origin: list[int] = []
    for index, character in enumerate(text.translate(_QUOTES)):
        if character.isspace():
            if not characters or characters[-1] == " ":
                continue
            character = " "  # noqa: PLW2901
        characters.append(character)
        origin.append(index)
    return "".join(characters), origin
