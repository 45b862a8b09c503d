"""SQuAD 2.0 JSON (Rajpurkar, Jia and Liang 2018): articles → paragraphs → questions, answerable or not.

Its answers are verbatim spans of the context; ours are in free words. So each answer is aligned, and how is
said of every row that is not verbatim in aligned.jsonl, in this order of preference, the evidence before the rest
of the context:

    verbatim        the answer stands there as whole words
    spelt_otherwise … but for capitals, white space, or the form of quotes and dashes
    inside_a_word   … but as part of a longer word ("NBC" in "NBCUniversal"; figures are not looked for in figures)
    best_window     the words of the evidence that come nearest to the answer: token F1 of 0.5 or more, none of its figures missing
    evidence        the evidence itself

What can't be aligned is no row of SQuAD; it is listed with its reason: not_in_context (no evidence, and the
answer is not there), evidence_not_in_context, or nothing_to_compare (the official script would see no answer in
it: "The", "%"). A plausible answer of an unanswerable question must stand in the context in one of the first two ways;
else the question stays and plausible_not_in_context is noted.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.text.compare import find_verbatim, normalise_answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pipeline.records import Example

VERSION = "v2.0"
VERBATIM, SPELT, INSIDE, WINDOW, EVIDENCE = "verbatim", "spelt_otherwise", "inside_a_word", "best_window", "evidence"
NO_SPAN = "no_answer"
"""an unanswerable question without a plausible answer: there is nothing to align"""
ALIGNED = (VERBATIM, SPELT, INSIDE, WINDOW, EVIDENCE)
LEFT_OUT = ("not_in_context", "evidence_not_in_context", "nothing_to_compare")
_NEAR_ENOUGH = 0.5
_MOST_WORDS = 400  # of the evidence; a longer one is a table, and is searched in its beginning
_WORD = re.compile(r"\S+")
_FORMS = ('["“”„«»]', "['‘’ʼ]", "[-–—−]")
_VARIED = re.compile(rf"(\s+|{'|'.join(_FORMS)})")


@dataclass(frozen=True, slots=True)
class Span:
    """Where an answer stands in a context: its place in characters (-1: nowhere), and how that was found, or why not."""

    text: str
    start: int
    how: str


def span_of(example: Example) -> Span:
    """Return the span of the answer of a positive, of the plausible answer of a negative."""
    if not example.answerable:
        return _plausible(example)
    context, answer = example.context, example.answer.strip()
    if not normalise_answer(answer):
        return Span("", -1, "nothing_to_compare")
    evidence = find_verbatim(example.evidence, context) or ""
    base = context.find(evidence) if evidence else 0
    found = _first(answer, evidence, base, context)
    if found is None and evidence:
        found = _window(answer, evidence, base) or Span(evidence, base, EVIDENCE)
    if found is None:
        return Span("", -1, "evidence_not_in_context" if example.evidence.strip() else "not_in_context")
    return found if normalise_answer(found.text) else Span("", -1, "nothing_to_compare")


def _plausible(example: Example) -> Span:
    wanted = example.plausible_answer.strip()
    if not wanted:
        return Span("", -1, NO_SPAN)
    found = _literal(wanted, example.context, 0) or _otherwise(wanted, example.context, 0)
    return found if found and normalise_answer(found.text) else Span("", -1, "plausible_not_in_context")


def _first(answer: str, evidence: str, base: int, context: str) -> Span | None:
    places = ((evidence, base), (context, 0))
    for ways in ((_literal, _otherwise), (_inside,)):
        for text, offset in places:
            for way in ways:
                found = way(answer, text, offset) if text else None
                if found:
                    return found
    return None


def _literal(answer: str, text: str, offset: int) -> Span | None:
    match = re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text)
    return Span(match[0], offset + match.start(), VERBATIM) if match else None


def _otherwise(answer: str, text: str, offset: int) -> Span | None:
    match = re.search(rf"(?<!\w){_any_spelling(answer)}(?!\w)", text, re.IGNORECASE)
    return Span(match[0], offset + match.start(), SPELT) if match else None


def _any_spelling(answer: str) -> str:
    """Return a pattern for an answer with any white space, quotes and dashes in the place of its own."""
    pieces = []
    for piece in _VARIED.split(answer):
        forms = next((forms for forms in (*_FORMS, r"\s+") if piece and re.fullmatch(forms, piece)), None)
        pieces.append(forms or re.escape(piece))
    return "".join(pieces)


def _inside(answer: str, text: str, offset: int) -> Span | None:
    left, right = (r"(?<!\d)" if answer[0].isdigit() else ""), (r"(?!\d)" if answer[-1].isdigit() else "")
    match = re.search(left + re.escape(answer) + right, text)
    return Span(match[0], offset + match.start(), INSIDE) if match else None


def _window(answer: str, evidence: str, base: int) -> Span | None:
    """Return the evidence's words that come nearest to the answer by SQuAD's token F1; of equals the shortest, then the first."""
    wanted = Counter(normalise_answer(answer).split())
    figures = [token for token in wanted if any(c.isdigit() for c in token)]
    size = sum(wanted.values())
    words = list(_WORD.finditer(evidence))[:_MOST_WORDS]
    folded = [normalise_answer(word[0]).split() for word in words]
    best, place = (0.0, 0), (0, 0)
    for first in range(len(words)):
        left, common, seen = wanted.copy(), 0, 0
        for last in range(first, min(len(words), first + 2 * size + 1)):
            seen += len(folded[last])
            for token in folded[last]:
                common += left[token] > 0
                left[token] -= 1
            rank = (2 * common / (size + seen) if common else 0.0, first - last)
            if rank > best and all(left[figure] <= 0 for figure in figures):
                best, place = rank, (first, last)
    if best[0] < _NEAR_ENOUGH:
        return None
    start, end = words[place[0]].start(), words[place[1]].end()
    return Span(evidence[start:end], base + start, WINDOW)


def document(examples: Iterable[Example], spans: Mapping[str, Span], titles: Mapping[str, str]) -> dict[str, Any]:
    """Return the file of one split: grouped by page title and context, both in their order of first appearance.

    `spans` is by example id, `titles` by section id; a section without a title goes under its context's first line.
    """
    articles: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for example in examples:
        span = spans[example.example_id]
        if span.how not in LEFT_OUT:
            title = titles.get(example.context_section_id) or example.context.partition("\n")[0]
            articles.setdefault(title, {}).setdefault(example.context, []).append(_question(example, span))
    data = [
        {"title": title, "paragraphs": [{"qas": qas, "context": context} for context, qas in paragraphs.items()]}
        for title, paragraphs in articles.items()
    ]
    return {"version": VERSION, "data": data}


def _question(example: Example, span: Span) -> dict[str, Any]:
    found = [{"text": span.text, "answer_start": span.start}] if span.start >= 0 else []
    row = {"question": example.question, "id": example.example_id, "answers": found, "is_impossible": False}
    if example.answerable:
        return row
    plausible = {"plausible_answers": found} if found else {}
    return {**plausible, **row, "answers": [], "is_impossible": True}


def notes(examples: Iterable[Example], spans: Mapping[str, Span]) -> Iterator[dict[str, Any]]:
    """Yield a row of aligned.jsonl for every answer that is not verbatim in its context, whether it was aligned or left out."""
    for example in examples:
        span = spans[example.example_id]
        if span.how not in (VERBATIM, NO_SPAN):
            answer = example.answer if example.answerable else example.plausible_answer
            yield {"id": example.example_id, "split": example.split, "how": span.how, "answer": answer, "span": span.text, "start": span.start}
