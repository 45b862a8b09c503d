"""Numbered questions and answers of a notebook's CSV → rows.

The notebooks kept, for a section, one text "1. …\\n2. …" of questions and one of answers; the prompt
had already said "1.", so the first number is missing or doubled in many. `source` and `evidence`
are columns of our own.
"""

from __future__ import annotations

import re

_NUMBER = re.compile(r"^\s*(\d{1,3})\s*[.)](?!\d)\s*")  # "22.01" is no item number


def numbered(text: str) -> dict[int, str]:
    """Read a numbered list as {number: text}: lines without a number go on with the one before.

    A text that begins without a number begins with 1 (the notebooks' prompt had said it already); a
    doubled number (`1. 1. …`) is read once; of a number that comes twice the first counts.
    """
    found: dict[int, str] = {}
    number, skipping = 1, False
    for line in text.strip().splitlines():
        rest, match = line, _NUMBER.match(line)
        if match:
            number, rest = int(match[1]), rest[match.end() :]
            again = _NUMBER.match(rest)
            rest = rest[again.end() :] if again and int(again[1]) == number else rest
        if not rest.strip():
            continue
        if match:
            skipping = number in found  # a number that came before, with all that goes on with it
        if skipping:
            continue
        found[number] = f"{found[number]} {rest.strip()}" if number in found else rest.strip()
    return found


def pairs(questions: str, answers: str, evidence: str) -> list[tuple[int, str, str, str]]:
    """Return (number, question, answer, evidence) for every number that any of the lists has, in order."""
    q, a, e = numbered(questions), numbered(answers), numbered(evidence)
    return [(n, q.get(n, ""), a.get(n, ""), e.get(n, "")) for n in sorted(q.keys() | a.keys() | e.keys())]
