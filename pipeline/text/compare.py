"""Texts made comparable: SQuAD's normalisation, token F1, word shingles, verbatim spans."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "ʼ": "'", "–": "-", "—": "-", "−": "-"})
_WORD = re.compile(r"\w+")


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
    """Return the set of word n-grams of a text; of a shorter text, the whole as one."""
    w = words(text)
    return frozenset(tuple(w[i : i + n]) for i in range(max(1, len(w) - n + 1))) if w else frozenset()


def jaccard(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> float:
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

    White space and the forms of quotes and dashes may differ, nothing else; what is returned is
    `text`'s own wording.
    """
    wanted = plain(quote).strip("\"' ")
    if not wanted:
        return None
    folded, origin = _folded(text)
    at = folded.find(wanted)
    return text[origin[at] : origin[at + len(wanted) - 1] + 1] if at >= 0 else None


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
