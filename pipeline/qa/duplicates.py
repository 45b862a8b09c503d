"""Questions that were asked before, in the same words or nearly.

Candidates come from MinHash signatures (Broder 1997) cut into bands; what is a duplicate is then
decided on the words themselves. "Who won the men's race?" and "Who won the women's race?" share
nine words of ten and are two questions: where two differ in a number, a name or a telling word, or their
answers differ, they are not the same.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from pipeline.text.compare import normalise_answer, token_f1, words
from pipeline.text.duplicates import signature
from pipeline.text.lexical import STOP_WORDS

if TYPE_CHECKING:
    from pipeline.records import QA

ALIKE = 0.7  # Jaccard of the questions' content words
SAME_ANSWER = 0.6  # token F1
_PERMUTATIONS, _BANDS = 32, 8  # finds 0.89 of the pairs at 0.7, 0.99 at 0.8
_ANSWER_WORDS = 2
_REMEMBERED = 4096
_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"(?<=\w )[A-Z]\b(?!')")
_PLURAL_FROM = 4
_TELLING = frozenset(
    "men man women woman boy girl male female gold silver bronze first second third fourth fifth last final semi team individual single double"
    " mixed pair north south east west most least more less highest lowest best worst win won lose lost winner loser not never before after".split()
)


def marks(row: QA) -> list[int]:
    """Return numbers (signed, 64 bits): two rows that share one may ask the same.

    A band alone would bring together all questions of one pattern; with their telling words and a word of
    the answer it brings together those that may be the same.
    """
    stems, said = _stems(row.question), sorted(normalise_answer(row.answer).split(), key=lambda word: (-len(word), word))
    telling = sorted(filter(_tells, stems))
    rows = _PERMUTATIONS // _BANDS
    values = signature(stems, _PERMUTATIONS) if stems else []
    bands = [("band", at, *values[at : at + rows], *telling) for at in range(0, len(values), rows)]
    return [_number(("words", *_sequence(row.question))), *(_number((*band, word)) for band in bands for word in said[:_ANSWER_WORDS])]


def same_question(one: QA, other: QA) -> bool:
    """Tell whether two rows ask the same."""
    if _sequence(one.question) == _sequence(other.question):
        return True
    a, b = _stems(one.question), _stems(other.question)
    differing = a ^ b
    if len(a & b) < ALIKE * len(a | b) or any(map(_tells, differing)):
        return False
    if token_f1(one.answer, other.answer) < SAME_ANSWER:
        return False
    return not differing & (_names(one.question) | _names(other.question))


def _tells(word: str) -> bool:
    """Tell whether two questions that differ in this word are two."""
    return word in _TELLING or len(word) == 1 or bool(_DIGIT.search(word))


@lru_cache(maxsize=_REMEMBERED)
def _sequence(question: str) -> tuple[str, ...]:
    return tuple(words(question))


@lru_cache(maxsize=_REMEMBERED)
def _stems(question: str) -> frozenset[str]:
    letters = _LETTER.findall(question)  # group A and group B: the first of them is no article
    return frozenset((*(_stem(word) for word in _sequence(question) if word not in STOP_WORDS and len(word) > 1), *letters))


def _stem(word: str) -> str:
    return word.rstrip("s") if len(word) >= _PLURAL_FROM else word


@lru_cache(maxsize=_REMEMBERED)
def _names(question: str) -> frozenset[str]:
    """Return the words that are written with a capital, the first word of the question aside."""
    return frozenset(_stem(word) for part in question.split()[1:] if part[:1].isupper() or part[1:2].isupper() for word in words(part))


def _number(parts: tuple[object, ...]) -> int:
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
