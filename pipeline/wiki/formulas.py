r"""A formula on a wiki page → its TeX, said once.

MediaWiki writes a formula twice or three times: as MathML that is hidden, with the TeX in an `<annotation>` and in `alttext`, and as
a picture with the TeX in `alt`; always as `{\displaystyle …}`, which says how large it is drawn and nothing of what it means.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_STYLE = re.compile(r"\{\\(?:display|text|script|scriptscript)style(?![A-Za-z])\s*")


_PICTURES = frozenset({"tex", "mwe-math-fallback-image-inline", "mwe-math-fallback-image-display"})


def is_formula(name: str, classes: Collection[str]) -> bool:
    """Say whether an element is a formula: MediaWiki's element, MathML by itself, or a picture by itself."""
    return name == "math" or "mwe-math-element" in classes or (name == "img" and not _PICTURES.isdisjoint(classes))


class Formula:
    """A formula that is being read: told of each element and text inside it, then asked for its TeX."""

    def __init__(self) -> None:
        """Begin a formula of which nothing is known."""
        self._annotation: list[str] = []
        self._alternatives: list[str] = []  # alttext of MathML, alt of a picture
        self._shown: list[str] = []
        self._open: list[str] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """Take the beginning of an element."""
        tex = name == "annotation" and attributes.get("encoding", "").endswith("tex")
        self._open.append("annotation tex" if tex else name)
        self._alternatives.append(attributes.get({"math": "alttext", "img": "alt"}.get(name, ""), ""))

    def end(self) -> None:
        """Take the end of the element that began last."""
        if self._open:
            self._open.pop()

    def data(self, text: str) -> None:
        """Take a text."""
        inside = self._open[-1] if self._open else ""
        if inside == "annotation tex":
            self._annotation.append(text)
        elif not inside.startswith("annotation"):
            self._shown.append(text)

    def tex(self) -> str:
        """Return the formula's TeX without its wrapper; of a formula that has none, what it shows."""
        for source in ("".join(self._annotation), *self._alternatives):
            bare = unwrapped(" ".join(source.split()))
            if bare:
                return bare
        return "".join(self._shown)


def unwrapped(tex: str) -> str:
    r"""Return TeX without the `{\displaystyle …}` around the whole of it."""
    wrapper = _STYLE.match(tex)
    if wrapper and _closing_brace(tex) == len(tex) - 1:
        return tex[wrapper.end() : -1].strip()
    return tex


def _closing_brace(tex: str) -> int:
    r"""Return where the brace that opens the text is closed, -1 if nowhere; `\{` and `\}` are signs to be drawn."""
    depth = 0
    for brace in re.finditer(r"\\.|[{}]", tex, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if not depth and brace[0] == "}":
            return brace.start()
    return -1
