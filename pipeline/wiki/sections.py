"""A page's HTML → its sections, as text: paragraphs, lists and tables, in reading order.

Takes both markups of headings that MediaWiki has had, `<h2><span class="mw-headline" id=…>` (up to
1.43) and `<div class="mw-heading"><h2 id=…>` (Wikipedia's today), and broken HTML as lxml mends it.
What is dropped on purpose stands in `DROPPED_ELEMENTS` and `DROPPED_CLASSES`; all other visible text of the page is in some section.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning, Tag, XMLParsedAsHTMLWarning
from bs4.element import Comment, Declaration, Doctype, NavigableString, ProcessingInstruction

from pipeline.wiki.tables import table_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LEAD = "Summary"
"""The heading of the text before the first heading, as in the notebooks."""

DROPPED_ELEMENTS = frozenset({
    "style", "script", "noscript", "template", "head", "link", "meta", "input", "audio", "video", "img", "map", "figure",
})  # fmt: skip
DROPPED_CLASSES = frozenset({
    "toc", "mw-editsection", "mw-cite-backlink", "mw-references-wrap", "references", "reference", "reflist", "navbox", "navbox-styles",
    "vertical-navbox", "sidebar", "infobox", "metadata", "ambox", "hatnote", "shortdescription", "noprint", "mw-empty-elt", "gallery",
    "thumb", "catlinks", "printfooter", "mw-jump-link", "navigation-not-searchable", "mw-hidden",
})  # fmt: skip
"""What is no text of the article: references, navigation, boxes, edit links, pictures' captions, hidden parts."""

_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_HEADINGS = ["h1", "h2", "h3", "h4", "h5", "h6"]
_HEADING = re.compile(r"h([1-6])")
_BLOCKS = {
    "address", "article", "aside", "blockquote", "center", "dd", "details", "div", "dl", "dt", "fieldset", "figure", "footer",
    "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "summary",
    "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul", "html", "body", "caption",
}  # fmt: skip
_SPACE = re.compile(r"[\s\u200b\ufeff]+")
_NOT_TEXT = (Comment, Declaration, Doctype, ProcessingInstruction)


@dataclass(slots=True)
class HtmlSection:
    """One section: its heading, the headings above it, its level (1: the lead), its anchor and its text."""

    heading: str
    path: tuple[str, ...]
    level: int
    anchor: str
    lines: list[str] = field(default_factory=list)

    @property
    def content(self) -> str:
        """The text: one line a paragraph, list item or table row."""
        return "\n".join(self.lines)


def split_sections(html: str) -> list[HtmlSection]:
    """Split a page's HTML (the `text` of `action=parse`) at its headings, the lead first.

    Sections without text are in the list too. Never raises for any text.
    """
    soup = _parsed(html)
    _drop(soup)
    sections = [HtmlSection(LEAD, (LEAD,), 1, "")]
    above: list[tuple[int, str]] = []
    for level, anchor, text in _blocks(soup):
        if level:
            above = [item for item in above if item[0] < level] + [(level, text)]
            sections.append(HtmlSection(text, tuple(item[1] for item in above), level, anchor))
        else:
            sections[-1].lines.append(text)
    return sections


def _parsed(html: str) -> BeautifulSoup:
    """Parse with lxml, which mends what is broken; NUL and lone surrogates are what it would stop at."""
    clean = html.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    with warnings.catch_warnings():  # a page that is just "a.html", or XHTML, is a page all the same
        warnings.simplefilter("ignore", MarkupResemblesLocatorWarning)
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        return BeautifulSoup(clean, "lxml")


def _drop(soup: BeautifulSoup) -> None:
    for tag in soup.find_all(_is_dropped):
        if not tag.decomposed:
            tag.decompose()
    for text in soup.find_all(string=lambda s: isinstance(s, _NOT_TEXT)):
        text.extract()


def _is_dropped(tag: Tag) -> bool:
    attributes = tag.attrs
    if tag.name in DROPPED_ELEMENTS or "hidden" in attributes or attributes.get("id") == "toc":
        return True
    classes = attributes.get("class")
    if classes and not DROPPED_CLASSES.isdisjoint(classes):
        return True
    style = attributes.get("style")
    return isinstance(style, str) and _HIDDEN.search(style) is not None


def _blocks(root: Tag) -> Iterator[tuple[int, str, str]]:
    """Yield (level, anchor, text): headings with their level, lines with level 0.

    An explicit stack, since HTML of strangers nests deeper than Python's own; inline text gathers until
    a block begins or ends.
    """
    above_headings = _ancestors(root.find_all(_HEADINGS))
    above_blocks = _ancestors(root.find_all(list(_BLOCKS)))
    inline: list[str] = []
    stack: list[Tag | NavigableString | None] = [root]  # None: a block ends here
    while stack:
        node = stack.pop()
        if node is None or isinstance(node, Tag):
            if node is not None and node.name not in _BLOCKS and id(node) not in above_blocks:
                inline.append(_raw_text(node))
                continue
            yield from _flush(inline)
            if node is None:
                continue
            ours = [] if id(node) in above_headings else _own(node)  # a heading inside a list or table is still a heading
            if ours:
                yield from ours
            else:
                stack.append(None)
                stack.extend(reversed([c for c in node.children if isinstance(c, Tag | NavigableString)]))
        else:
            inline.append(str(node))
    yield from _flush(inline)


def _ancestors(tags: Iterable[Tag]) -> set[int]:
    """Return the ids of all elements above the given ones, each visited once: pages nest deeper than one thinks."""
    above: set[int] = set()
    for tag in tags:
        parent = tag.parent
        while parent is not None and id(parent) not in above:
            above.add(id(parent))
            parent = parent.parent
    return above


def _own(node: Tag) -> list[tuple[int, str, str]]:
    """Return the lines of a block that is read as one thing (heading, list, table, pre), else nothing."""
    match = _HEADING.fullmatch(node.name or "")
    if match:
        text = text_of(node)
        return [(int(match[1]), _anchor(node), text)] if text else []
    if node.name in ("ul", "ol", "dl"):
        return [(0, "", line) for line in _list_lines(node, 0)]
    if node.name == "table":
        return [(0, "", line) for line in table_lines(node, text_of)]
    return []


def _anchor(heading: Tag) -> str:
    headline = heading.find(class_="mw-headline")
    return str((headline if headline is not None else heading).get("id") or "")


def _flush(inline: list[str]) -> Iterator[tuple[int, str, str]]:
    text = "".join(inline)
    inline.clear()
    for line in text.split("\n\n") if "\n\n" in text else [text]:
        tidy = _SPACE.sub(" ", line).strip()
        if tidy:
            yield 0, "", tidy


def text_of(tag: Tag) -> str:
    """Return the visible text of an element as one line, blocks and line breaks set apart by spaces."""
    return _SPACE.sub(" ", _raw_text(tag)).strip()


def _raw_text(tag: Tag) -> str:
    """Return an element's text with its white space, and a space wherever a block or line break sets words apart."""
    parts: list[str] = []
    stack: list[Tag | str] = [tag]
    while stack:
        node = stack.pop()
        if isinstance(node, str):  # a text of the page is a str too
            parts.append(node)
            continue
        if node.name == "br" or node.name in _BLOCKS:
            parts.append(" ")
            stack.append(" ")
        stack.extend(reversed([child for child in node.children if isinstance(child, Tag | NavigableString)]))
    return "".join(parts)


def _list_lines(node: Tag, depth: int) -> list[str]:
    """Return a list as lines: `* item`, `1. item`, `term` and `: definition`, nested ones indented."""
    lines: list[str] = []
    number = 0
    for item in list(node.children):
        if isinstance(item, NavigableString):
            text = _SPACE.sub(" ", str(item)).strip()
            lines += [text] if text else []
            continue
        if not isinstance(item, Tag):
            continue
        number += item.name == "li"
        mark = {"ol": f"{number}. ", "ul": "* "}.get(node.name or "", "") if item.name == "li" else ""
        if item.name == "dd":
            mark = ": "
        lines += _item_lines(item, mark, depth)
    return lines


def _item_lines(item: Tag, mark: str, depth: int) -> list[str]:
    if item.name in ("ul", "ol", "dl"):  # a list directly in a list, as broken HTML has it
        return _list_lines(item, depth + 1) if depth < 50 else [text_of(item)]  # noqa: PLR2004
    inner = [inside for inside in item.find_all(["ul", "ol", "dl", "table"]) if _outermost(inside, item)]
    if depth >= 50:  # noqa: PLR2004 (nobody reads deeper; keep the text, in one line)
        inner = []
    nested: list[str] = []
    for inside in inner:
        inside.extract()
        nested += table_lines(inside, text_of) if inside.name == "table" else _list_lines(inside, depth + 1)
    text = text_of(item)
    return ([f"{'  ' * depth}{mark}{text}"] if text else []) + nested


def _outermost(inside: Tag, item: Tag) -> bool:
    parent = inside.parent
    while parent is not None and parent is not item:
        if parent.name in ("ul", "ol", "dl", "table"):
            return False
        parent = parent.parent
    return True
