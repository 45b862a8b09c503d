"""The forms in which an answer may stand in a text: numbers in words and figures, dates in other orders, names by surname, nations by people."""

from __future__ import annotations

import functools
import re

from pipeline.text.compare import normalise_answer
from pipeline.text.nations import NATIONS, nation_of
from pipeline.text.numbers import date_forms, number_forms

SHORTEST = 3
"""characters; a shorter part of a name is no name"""
_DASHES = str.maketrans({"–": " ", "—": " ", "−": " ", "/": " ", "’": "'", "‘": "'", "“": '"', "”": '"'})
_DIGIT_HYPHEN = re.compile(r"(?<=\d)-(?=\d)")
_PARTS = re.compile(r"\s*(?:;|,(?!\d)|\band\b|&|\bor\b)\s*")
_LONG_NUMBER = re.compile(r"\d+(?:[.,:]\d+)+")
_LISTED = 6
_PARTICLES = frozenset("van von der den de da di del della la le el al bin ibn dos du ter ten zu".split())
"""of names: "Annemiek van Vleuten" is "Vleuten", too"""
_GENERIC = frozenset(
    "olympics olympic games team tournament event events championship championships federation committee stadium arena park center centre".split()
)


def normal(text: str) -> str:
    """Return a text as forms are looked for in it: SQuAD's normalisation, dashes as spaces, a space at both ends."""
    return f" {normalise_answer(_DIGIT_HYPHEN.sub(' ', text.translate(_DASHES)))} "


@functools.lru_cache(maxsize=20_000)
def forms(answer: str) -> frozenset[str]:
    """Return the forms an answer may take, normalised; any of them in a text is reason enough to doubt that the text lacks the answer."""
    found = {answer, *date_forms(answer), *_number_alone(answer), *_measure(answer), *_names(answer), *_nations(answer), _swapped(answer)}
    found |= {form.replace("-", " ") for form in found}  # "twenty four" is twenty-four too
    return frozenset(form for form in (normal(form).strip() for form in found) if form)


@functools.lru_cache(maxsize=20_000)
def parts(answer: str) -> tuple[str, ...]:
    """Return the members of an answer that is a list ("Spain, Portugal and Italy"), or the answer alone."""
    cut = [part for part in _PARTS.split(answer) if part]
    listed = 1 < len(cut) <= _LISTED and all(_telling(part) for part in cut)
    return tuple(cut) if listed else (answer,)


def _telling(part: str) -> bool:
    """Tell whether a part of a list says something by itself: a name or a number."""
    return bool(re.search(r"\d", part) or re.match(r"[A-ZÀ-ÖØ-Þ]\w", part))


def _swapped(answer: str) -> str:
    """Return an answer with each number in its other form (words for figures, figures for words)."""
    return " ".join(next(iter(sorted(number_forms(token) - {token.casefold()})), token) for token in answer.split())


def _number_alone(answer: str) -> set[str]:
    """Return the number that an answer opens with, without its unit: "46 countries" is 46 wherever it stands."""
    tokens = answer.split()
    numbers = [token for token in tokens if number_forms(token)]
    return number_forms(numbers[0]) | {numbers[0]} if len(numbers) == 1 and not date_forms(answer) and tokens.index(numbers[0]) <= 1 else set()


def _measure(answer: str) -> set[str]:
    """Return the long number of a measure, without its unit: "21.53 secs" is 21.53 wherever it stands."""
    found = _LONG_NUMBER.findall(answer)
    return {found[0]} if len(found) == 1 and not date_forms(answer) and len(answer.split()) <= 2 else set()  # noqa: PLR2004 (number and unit)


def _names(answer: str) -> set[str]:
    """Return a name's last part and its initial form: "Simone Biles" is "Biles" further down, or "S. Biles"."""
    words = [word for at, word in enumerate(answer.split()) if not (at and word in _PARTICLES)]
    if not 2 <= len(words) <= 4 or not all(word[:1].isupper() for word in words) or words[-1].casefold() in _GENERIC:  # noqa: PLR2004
        return set()
    last = words[-1] if len(words[-1]) >= SHORTEST else ""
    return {last, f"{words[0][0]}. {words[-1]}", " ".join([*words[1:], words[0]])} | (
        {words[0]} if len(words[0]) >= SHORTEST and words[0].isupper() else set()
    )


def _nations(answer: str) -> set[str]:
    """Return the other forms of the nation that an answer is, or of the one it names."""
    whole = nation_of(answer)
    if whole:
        return set(whole)
    spoken = normal(answer)
    named = [nation for nation in NATIONS if f" {normal(nation[0]).strip()} " in spoken]
    alone = len(named) == 1 and answer[:1].isupper() and len(answer.split()) <= len(named[0][0].split()) + 1
    return set(named[0]) if alone else set()
