"""A wiki's list as lines: `* item`, `1. item`, `term` and `: definition`, nested ones indented."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bs4 import Tag

from pipeline.wiki.tables import table_lines
from pipeline.wiki.visible import LISTS, Line, is_legend, one_line, text_and_inner, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_DEPTH = 50  # nobody reads deeper: the text stays, a line an item
_INNER = LISTS | {"table"}


def list_lines(node: Tag, depth: int = 0) -> Iterator[Line]:
    """Yield a list's lines in reading order; tables and legends in an item come after it.

    Terms are text, like the small headings that they often stand for; numbers are those the page shows.
    """
    number = _number(node, "start", 1) - 1
    for item in node.contents:
        if not isinstance(item, Tag):
            loose = one_line(str(item))
            if loose:
                yield Line("text", loose)
        elif item.name in LISTS:  # directly in a list, as broken HTML has it
            yield from _inner_lines(item, depth)
        elif is_legend(item):
            yield Line("legend", text_of(item))
        else:
            number = _number(item, "value", number + 1) if item.name == "li" else number
            yield from _item_lines(item, _mark(node, item, number), depth)


def _mark(node: Tag, item: Tag, number: int) -> str:
    if item.name == "li":
        return {"ol": f"{number}. ", "ul": "* "}.get(node.name, "")
    return ": " if item.name == "dd" else ""


def _number(tag: Tag, attribute: str, otherwise: int) -> int:
    value = str(tag.attrs.get(attribute, "")).strip()
    digits = value.removeprefix("-")
    return int(value[:9]) if digits.isascii() and digits.isdigit() else otherwise


def _item_lines(item: Tag, mark: str, depth: int) -> Iterator[Line]:
    text, inner = text_and_inner(item, _INNER)
    if text:
        yield Line("text" if item.name == "dt" else "item", f"{'  ' * depth}{mark}{text}")
    for inside in inner:
        yield from _inner_lines(inside, depth)


def _inner_lines(inside: Tag, depth: int) -> Iterator[Line]:
    if is_legend(inside) or depth >= _MAX_DEPTH:
        yield Line("legend" if is_legend(inside) else "item", text_of(inside))
    elif inside.name == "table":
        yield from (Line("row", line) for line in table_lines(inside))
    else:
        yield from list_lines(inside, depth + 1)
