"""Numbers and dates in the forms that texts give them: 46 and forty-six, 3 August 2016 and August 3."""

from __future__ import annotations

import re

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORDS = [*_ONES, *(f"{tens}-{unit}" if unit else tens for tens in _TENS for unit in ("", *_ONES[1:10]))]  # 0 to 99
_SMALL = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
_NOUNS = {2: "pair", 12: "dozen"}


def _ordinal(number: int) -> str:
    """Return an ordinal from 0 to 99 in words."""
    if number < len(_SMALL):
        return _SMALL[number]
    tens, _, unit = _WORDS[number].partition("-")
    return f"{tens}-{_SMALL[_ONES.index(unit)]}" if unit else tens.removesuffix("y") + "ieth" if tens.endswith("y") else f"{tens}th"


_ORDINALS = {_ordinal(n): n for n in range(100)} | {_ordinal(n).replace("-", ""): n for n in range(100)}
_VALUES = (
    {word: n for n, word in enumerate(_WORDS)} | {word.replace("-", ""): n for n, word in enumerate(_WORDS)} | {noun: n for n, noun in _NOUNS.items()}
)
OTHER_FORM = {str(n): word.replace("-", "") for n, word in enumerate(_WORDS)} | {word.replace("-", ""): str(n) for n, word in enumerate(_WORDS)}
"""0 to 99: the word for a figure, the figure for a word, without hyphens, as SQuAD's normalisation leaves them"""
_MONTHS = "January February March April May June July August September October November December".split()
_MONTH = "|".join(_MONTHS)
_DATE = re.compile(
    rf"\b(?:(?P<d1>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<m1>{_MONTH})|(?P<m2>{_MONTH})\s+(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?)\b(?:,?\s+(?P<y>\d{{4}}))?"
)
_FIGURES = re.compile(r"\d{1,3}(?:,\d{3})+|\d+")


def number_forms(token: str) -> set[str]:
    """Return the other forms of one number: in words, in figures, with and without commas; nothing if it is none."""
    plain = token.strip(".,;:()").casefold()
    if plain in _VALUES:
        return _small_forms(_VALUES[plain])
    if not _FIGURES.fullmatch(plain) or len(plain) > 15:  # noqa: PLR2004 (what is longer is a code)
        return {str(_ORDINALS[plain]), f"{_ORDINALS[plain]}{_suffix(_ORDINALS[plain])}"} if plain in _ORDINALS else _of_ordinal(plain)
    value = int(plain.replace(",", ""))
    forms = {str(value), f"{value:,}"}
    if value < len(_WORDS):
        forms |= _small_forms(value)
    if value >= 1_000_000 and value % 100_000 == 0:  # noqa: PLR2004
        forms.add(f"{value / 1_000_000:g} million")
    return forms


def _small_forms(value: int) -> set[str]:
    return {str(value), _WORDS[value]} | ({_NOUNS[value]} if value in _NOUNS else set())


def _of_ordinal(text: str) -> set[str]:
    found = re.fullmatch(r"(\d+)(?:st|nd|rd|th)", text)
    words = {word for word, n in _ORDINALS.items() if found and int(found[1]) == n}
    return {text} | words if found else set()


def _suffix(number: int) -> str:
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 not in (11, 12, 13) else 0, "th")


def date_forms(text: str) -> set[str]:
    """Return the forms of the one date that is all of a text's figures (day and month, with or without year); nothing if there is none."""
    found = _DATE.search(text)
    if not found:
        return set()
    day, month = int(found["d1"] or found["d2"]), found["m1"] or found["m2"]
    number = _MONTHS.index(month) + 1
    nth = f"{day}{_suffix(day)}"
    forms = {f"{day} {month}", f"{month} {day}", f"{month} {nth}", f"{nth} {month}", f"{nth} of {month}", f"{day} {month[:3]}", f"{month[:3]} {day}"}
    return forms | {f"{found['y']}-{number:02}-{day:02}"} if found["y"] else forms
