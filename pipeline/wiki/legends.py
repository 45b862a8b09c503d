"""Legends and lone labels: what explains or names a table, and says nothing by itself.

Pages about sport are full of both: "Qualification Legend: FA=Final A (medal); …" under a table, and "Men" alone above one. A label stays
where something stands directly under it that it names; all else here is set apart, never thrown away. The words are English.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.wiki.visible import Line

_LABEL = r"(?:Men|Women|Mixed|Boys|Girls|Open)(?:['’]s?)?"
_LABELS = re.compile(rf"{_LABEL}(?:\s*(?P<more>{_LABEL}))*:?|(?:Qualification |Colou?r |Table )?[Ll]egend:?|Key:?")
_OPENING = re.compile(
    rf"(?:{_LABEL}\s*)*"
    r"(?:[A-Z][\w ,=–-]{0,60}?(?<=[a-z]))?"  # other labels, glued to the legend as extracts of a page have them
    r"(?:(?P<legend>(?:Qualification |Colou?r |Table )?[Ll]egend\s*:)|(?P<key>Key(?:\s*:|(?=\s+[*†‡§#^]))))\s*(?P<rest>.*)",
    re.DOTALL,
)
_DEFINITION = re.compile(r"(?:^|[;,(]\s*|\s)[^\s;,=]{1,12}\s*=\s*\S|(?:^|;\s*)\S{0,6}\s*[–—:-]\s|(?:^|;\s*)\S{1,4},\s|^[*†‡§#^]\s")
_ENDS_A_SENTENCE = re.compile(r"[.!?:…][\"'”’»)\]]*$")
_LONGEST_LABEL = 60


def set_apart(lines: Iterable[Line]) -> tuple[list[str], list[str]]:
    """Part a section's lines into its text and what is left out of it, both in order.

    Left out are: elements that the page marks as legends; lines that open like one and define something ("Legend: Q = Qualified"), or
    say "Legend:" and are no sentence; lone labels ("Men", "Women's", "MenWomenMixed"), unless table rows, list items or a sentence stand
    directly under them: "Men" above a table is its title, and above a paragraph it says of whom that paragraph speaks.
    """
    kept: list[str] = []
    left_out: list[str] = []
    below: Line | None = None
    for line in reversed(list(lines)):
        if line.kind == "legend" or (line.kind != "row" and reads_as_legend(line.text)) or (line.kind == "text" and _names_nothing(line.text, below)):
            left_out.append(line.text)
        else:
            kept.append(line.text)
            below = line
    return kept[::-1], left_out[::-1]


def reads_as_legend(text: str) -> bool:
    """Say whether a line is a legend: it opens like one, and is no sentence that merely begins so."""
    if "egend" not in text and "Key" not in text:
        return False
    opening = _OPENING.fullmatch(text.removeprefix(": "))
    if opening is None or not opening["rest"]:
        return False
    if _DEFINITION.search(opening["rest"]):
        return True
    return opening["key"] is None and _ENDS_A_SENTENCE.search(text) is None


def _names_nothing(text: str, below: Line | None) -> bool:
    """Say whether a text is a label, or several in a row, with nothing directly under it that it could name."""
    label = _LABELS.fullmatch(text) if len(text) <= _LONGEST_LABEL else None
    if label is None:
        return False
    return bool(label["more"]) or below is None or (below.kind == "text" and _ENDS_A_SENTENCE.search(below.text) is None)
