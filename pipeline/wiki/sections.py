"""A page's HTML → its sections, as text: paragraphs, lists and tables, in reading order.

Takes both markups of headings that MediaWiki has had, `<h2><span class="mw-headline" id=…>` (up to
1.43) and `<div class="mw-heading"><h2 id=…>` (Wikipedia's today), Parsoid's HTML, and broken HTML as lxml mends it.
What is no text of the article is dropped by `pipeline.wiki.visible`, legends and lone labels are set apart by
`pipeline.wiki.legends`; all other visible text of the page is in some section.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bs4 import Tag

from pipeline.wiki.infobox import fact_lines
from pipeline.wiki.legends import set_apart
from pipeline.wiki.lists import list_lines
from pipeline.wiki.tables import table_lines
from pipeline.wiki.visible import HEADINGS, LISTS, PARAGRAPH_END, Line, is_block, is_legend, one_line, text_of, visible_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LEAD = "Summary"
"""The heading of the text before the first heading, as in the notebooks."""

FACTS = "Facts"
"""The heading of the section that holds the infobox."""


@dataclass(slots=True)
class HtmlSection:
    """One section: its heading, the headings above it, its level (1: the lead), its anchor and its text.

    `left_out` are the legends and lone labels that stood in it and are not in its text.
    """

    heading: str
    path: tuple[str, ...]
    level: int
    anchor: str
    lines: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def content(self) -> str:
        """The text: one line a paragraph, list item or table row."""
        return "\n".join(self.lines)


class _Heading(NamedTuple):
    level: int
    anchor: str
    text: str


def split_sections(html: str, *, facts: bool = False) -> list[HtmlSection]:
    """Split a page's HTML (the `text` of `action=parse`) at its headings, the lead first.

    With `facts`, what the page's infoboxes say follows the lead as a section of its own, if there is any.
    Sections without text are in the list too. Never raises for any text.
    """
    tree, builder = visible_tree(html, keep_infoboxes=facts)
    boxes = [box.extract() for box in builder.infoboxes]
    sections = [HtmlSection(LEAD, (LEAD,), 1, "")]
    above: list[_Heading] = []
    lines: list[Line] = []
    for found in _read(tree, _ancestors(builder.headings)):
        if isinstance(found, Line):
            lines.append(found)
            continue
        sections[-1].lines, sections[-1].left_out = set_apart(lines)
        lines = []
        above = [heading for heading in above if heading.level < found.level] + [found]
        sections.append(HtmlSection(found.text, tuple(heading.text for heading in above), found.level, found.anchor))
    sections[-1].lines, sections[-1].left_out = set_apart(lines)
    box_lines = [line for box in boxes for line in fact_lines(box)]
    sections[1:1] = [HtmlSection(FACTS, (FACTS,), 2, "", box_lines)] if box_lines else []
    return sections


def _read(root: Tag, above_headings: set[int]) -> Iterator[_Heading | Line]:
    """Yield headings and lines in reading order.

    An explicit stack, since HTML of strangers nests deeper than Python's own; loose text gathers until
    a block begins or ends.
    """
    loose: list[str] = []
    stack: list[object] = [*reversed(root.contents)]
    while stack:
        node = stack.pop()
        if isinstance(node, str):  # a text of the page is a str too
            loose.append(node)
            continue
        if node is None or is_block(node):
            yield from _paragraphs(loose)
        if isinstance(node, Tag):
            whole = None if id(node) in above_headings else _whole(node)  # a heading inside a list or table is still a heading
            if whole is None:
                stack += (None, *node.contents[::-1])  # None: a block ends here
            else:
                yield from whole
    yield from _paragraphs(loose)


def _whole(node: Tag) -> Iterable[_Heading | Line] | None:
    """Return the lines of an element that is read as one thing (legend, heading, list, table), else nothing."""
    if is_legend(node):
        return [Line("legend", text_of(node))]
    if node.name in HEADINGS:
        text = text_of(node)
        return [_Heading(int(node.name[1]), str(node.attrs.get("id", "")), text)] if text else []
    if node.name in LISTS:
        return list_lines(node)
    if node.name == "table":
        return [Line("row", line) for line in table_lines(node)]
    return None


def _ancestors(tags: Iterable[Tag]) -> set[int]:
    """Return the ids of all elements above the given ones, each visited once: pages nest deeper than one thinks."""
    above: set[int] = set()
    for tag in tags:
        parent = tag.parent
        while parent is not None and id(parent) not in above:
            above.add(id(parent))
            parent = parent.parent
    return above


def _paragraphs(loose: list[str]) -> Iterator[Line]:
    text = "".join(loose)
    loose.clear()
    for block in text.split(PARAGRAPH_END):
        for paragraph in block.split("\n\n"):
            line = one_line(paragraph)
            if line:
                yield Line("text", line)
