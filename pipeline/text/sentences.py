"""Sentences, by sentencex (Wikimedia's own segmenter), without losing a character."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@cache
def _segment() -> Callable[[str, str], list[str]]:
    from sentencex import segment

    return lambda language, text: list(segment(language, text))


def pieces(text: str, language: str = "en") -> list[str]:
    """Cut a text after each sentence and each line; joined, the pieces are the text again."""
    cut: list[str] = []
    for line in text.splitlines(keepends=True):
        segments = _segment()(language, line)
        cut += segments if "".join(segments) == line else [line]  # rather an uncut line than a lost character
    return cut


def sentences(text: str, language: str = "en") -> list[str]:
    """Return the sentences of a text, stripped; a table row or list item counts as one."""
    return [sentence for sentence in (piece.strip() for piece in pieces(text, language)) if sentence]


def split_at_sentences(text: str, count: Callable[[str], int], limit: int, language: str = "en") -> list[str]:
    """Split a text into parts of about equal length with at most `limit` tokens, at sentence ends.

    Joined, the parts are the text again. A sentence that is longer than `limit` alone is cut between
    words, and a word that is, between characters.
    """
    total = count(text)
    if total <= limit:
        return [text]
    small = [bit for piece in pieces(text, language) for bit in _cut_long(piece, count, limit)]
    target = total / -(-total // limit)  # equal parts leave no tail too short to count
    parts: list[str] = []
    current, size, before = "", 0, 0
    for bit in small:
        more = count(bit)
        due = before + size + more / 2 > target * (len(parts) + 1)
        # tokens don't add up exactly over a cut: what nears the limit is counted anew, as a whole
        full = current and (due or (size + more > 0.9 * limit and count(current + bit) > limit))
        if full:
            parts.append(current)
            current, size, before = "", 0, before + size
        current, size = current + bit, size + more
    return [*parts, current]


def _cut_long(piece: str, count: Callable[[str], int], limit: int) -> list[str]:
    if count(piece) <= limit or len(piece) == 1:  # one character can be more tokens than an odd limit
        return [piece]
    middle = len(piece) // 2
    space = piece.rfind(" ", 1, middle) + 1 or piece.find(" ", middle) + 1
    at = space if 0 < space < len(piece) else middle
    return _cut_long(piece[:at], count, limit) + _cut_long(piece[at:], count, limit)
