"""Kind `altered_question`: a year, number, name or place of the question exchanged for another of its type, so that the
true context no longer answers ("… at the 2048 Summer Olympics?"). SQuAD 2.0's "entity swap" (Rajpurkar, Jia and Liang 2018, table 1).

The value that goes stands in the context, and the one that comes does not, in no form: so the context speaks of something else than the
question, for certain. What comes is taken from the corpus, before the same word if possible (a Summer Olympics for a Summer
Olympics), common rather than rare: a rare word would give the row away.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pipeline.negatives.pool import Offer
from pipeline.negatives.reading import holds, read
from pipeline.negatives.variants import forms
from pipeline.records import Rejected
from pipeline.text.compare import normalise_answer
from pipeline.text.lexical import content_words

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from pipeline.negatives.pool import Asked
    from pipeline.negatives.values import Value, Values
    from pipeline.text.lexical import Idf

_ENOUGH = 200  # values looked at
_TRIES = 4  # values put in the place of one
COMMONEST = 12  # how many of the commonest values one is drawn from
LEAST_OVERLAP = 0.8
"""share of the question's overlap with the context that the altered one must keep: else counting words is enough to tell it"""


def offers(asked: Asked, values: Values, idf: Idf, rng: random.Random) -> Iterator[Offer | Rejected]:
    """Yield altered questions for the true context: for each value that can go one, in random order."""
    context = read(asked.section.context)
    found = [value for value in values.found_in(asked.row.question) if holds(context, forms(value.text))]
    for value in rng.sample(found, len(found)):
        others = _others(asked, value, values)
        if not others:
            yield Rejected("nothing_to_exchange_for", f"{value.type}: {value.text}")
            continue
        for other in rng.sample(others, min(_TRIES, len(others))):
            yield _exchanged(asked, value, other, idf)


def _exchanged(asked: Asked, value: Value, other: str, idf: Idf) -> Offer | Rejected:
    question = asked.row.question
    altered = question[: value.start] + _cased(other, value.text) + question[value.start + len(value.text) :]
    context = content_words(asked.section.context)
    before, after = (idf.overlap(content_words(q), context) for q in (question, altered))
    if after < LEAST_OVERLAP * before:
        return Rejected("gives_itself_away", f"overlap {before:.2f} → {after:.2f}")
    return Offer(asked.section, altered, f"{value.type} {value.text} → {other}", asked.row.answer)


def _others(asked: Asked, value: Value, values: Values) -> list[str]:
    """Return the commonest values of the type that the context lacks in every form: before the same word, if there are any."""
    nothing: Counter[str] = Counter()
    near = values.before.get((value.type, value.follows), nothing) if value.type in ("year", "number") else nothing
    for counted in (near, values.by_type.get(value.type, nothing)):
        ranked = sorted(counted, key=lambda text: (-counted[text], text))
        fit = [text for text in ranked[:_ENOUGH] if _fits(asked, value, text)]
        if fit:
            return fit[:COMMONEST]
    return []


def _fits(asked: Asked, value: Value, other: str) -> bool:
    """Tell whether a value may take the place: nothing in common with what goes, with the answer, with the question or the context."""
    context = read(asked.section.context)
    common = set(normalise_answer(other).split()) & set(normalise_answer(value.text).split())
    if value.type.startswith("name: "):
        common.discard(normalise_answer(other.rsplit(maxsplit=1)[-1]))
    elsewhere = f" {normalise_answer(asked.row.question)} {normalise_answer(asked.row.answer)} "
    if common or f" {normalise_answer(other)} " in elsewhere or holds(context, forms(other)):
        return False
    if value.type == "year" and abs(int(value.text) - int(other)) <= 1:
        return False  # what is called 2020 may have been held in 2021
    if value.type == "number" and not _like(value.text, other):
        return False
    return other.casefold() not in context.folded


def _like(number: str, other: str) -> bool:
    """Tell whether two numbers are of one size and form: one or many, about as long, with a comma or without."""
    return (number == "1") == (other == "1") and abs(len(number) - len(other)) <= 1 and ("," in number) == ("," in other) and other[0] != "0"


def _cased(other: str, like: str) -> str:
    """Return a value in lower or upper case at its start, as the one that it replaces."""
    if like[:1].islower() and other[1:].islower():
        return other[:1].lower() + other[1:]
    return other[:1].upper() + other[1:]
