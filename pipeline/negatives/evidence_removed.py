"""Kind `evidence_removed`: the true context without the sentences that carry the answer. Same words, no answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.negatives.align import align
from pipeline.negatives.pool import Offer
from pipeline.negatives.reading import read
from pipeline.negatives.verify import by_meaning, says_the_answer, telling_words
from pipeline.records import Rejected
from pipeline.text.lexical import content_words

if TYPE_CHECKING:
    from pipeline.negatives.align import Aligned
    from pipeline.negatives.pool import Asked
    from pipeline.negatives.verify import Embed
    from pipeline.records import Section
    from pipeline.text.lexical import Idf

LEAST_WORDS = 20
"""words that must be left: a stump gives itself away"""
LEAST_OVERLAP = 0.65
"""share of the question's overlap with the true context that what is left must keep: else counting words is enough to tell it"""


def offer(asked: Asked, idf: Idf, too_near: frozenset[str] = frozenset()) -> Offer | Rejected:
    """Return the true context without every sentence, row or item that has the answer or a form of it, or why that is not possible.

    Sentences in `too_near` go too.
    """
    aligned = align(asked)
    if isinstance(aligned, Rejected):
        return aligned
    section = asked.section
    if says_the_answer(asked.row.answer, read(f"{section.title}\n{section.heading}")):
        return Rejected("answer_in_the_title")
    left = replace(section, content=_without(asked, aligned, too_near).strip())
    if len(left.content.split()) < LEAST_WORDS:
        return Rejected("too_little_left", f"{len(left.content.split())} words")
    question = content_words(asked.row.question)
    before, after = (idf.overlap(question, content_words(s.context)) for s in (section, left))
    if after < LEAST_OVERLAP * before:
        return Rejected("gives_itself_away", f"overlap {before:.2f} → {after:.2f}")
    return Offer(left, asked.row.question, f"evidence aligned {aligned.score:.2f}")


def _without(asked: Asked, aligned: Aligned, too_near: frozenset[str]) -> str:
    reading = read(asked.section.content)
    wanted = telling_words(asked)
    kept = [
        sentence
        for at, (sentence, words) in enumerate(zip(reading.sentences, reading.words, strict=True))
        if at not in aligned.sentences
        and sentence not in too_near
        and not says_the_answer(asked.row.answer, read(sentence))
        and not (wanted and wanted <= words)
    ]
    return "".join(kept)


def paraphrases(asked: Asked, left: Section, embed: Embed) -> frozenset[str]:
    """Return the sentences of what is left that are too near to the evidence in meaning."""
    cut = read(left.content).sentences
    return frozenset(s for s in cut if isinstance(by_meaning(asked, replace(left, title="", heading="", content=s), embed), Rejected))
