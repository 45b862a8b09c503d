"""Text of pages and models inside Markdown and YAML: it stays text, whatever characters are in it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MARKS = re.compile(r"([\\`*\[\]<>#|&~!]|(?<![^\W_])_|_(?![^\W_]))")  # an underscore within a word marks nothing
_AUTOMATIC_LINK = re.compile(r"(?<=[A-Za-z])(:)(?=//)|(?<=[Ww]{3})(\.)|(?<=\w)(@)(?=\w)")  # GitHub makes links of bare addresses
LINK = re.compile(r"https?://[^\s<>()\[\]\"']+")
"""a web address that needs no escaping between < and >"""
_NOT_PRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029\x85]")


def escaped(text: str) -> str:
    r"""Return text for one line of Markdown: its marks, links and HTML are shown, not obeyed (CommonMark 0.31, section 2.4)."""
    line = " ".join(text.replace("\0", "\ufffd").split())
    return _AUTOMATIC_LINK.sub(lambda m: f"\\{m[0]}", _MARKS.sub(r"\\\1", line))


def linked(text: str) -> str:
    """Return text for one line of Markdown; its last word is a link if it is a web address."""
    words, _, address = text.rpartition(" ")
    return f"{escaped(words)} <{address}>".strip() if LINK.fullmatch(address) else escaped(text)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table, its cells escaped; the first column is text, the others are figures and stand right."""
    first, *others = [[escaped(str(cell)) for cell in row] for row in (heads, *rows)]
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (first, rule, *others))


def quoted(text: str) -> str:
    r"""Return text as a double-quoted scalar of YAML (1.2, section 5.7); what YAML forbids is escaped, half a surrogate pair is U+FFFD."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _NOT_PRINTABLE.sub(_yaml_escape, json.dumps(whole, ensure_ascii=False))


def _yaml_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
