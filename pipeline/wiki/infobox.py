"""The box of facts beside an article as lines: `Label: value`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bs4 import Tag

from pipeline.wiki.tables import beside_cells, cells_of, own_rows
from pipeline.wiki.visible import LISTS, is_block, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_ITEMS = LISTS | {"li", "dt", "dd"}
_APART = object()  # on a stack: what comes before and after are two values
_MAX_DEPTH = 20  # boxes in boxes; what is deeper is read as text


def fact_lines(box: Tag) -> list[str]:
    """Return an infobox's facts in order: `Label: value` for a row of a header and cells, else the row's text.

    Lists in a value are joined by semicolons; the rows of a box inside the box are rows like any other. Its caption, which repeats
    the page's title, and pictures are left out.
    """
    return [line for line in _lines(box, 0) if line]


def _lines(box: Tag, depth: int) -> Iterator[str]:
    if box.name == "table":
        yield from beside_cells(box)
    for cells in map(cells_of, own_rows(box)) if box.name == "table" else [[box]]:
        inner = [table for cell in cells for table in _taken_tables(cell)] if depth < _MAX_DEPTH else []
        yield _row(cells)
        for table in inner:
            yield from _lines(table, depth + 1)


def _row(cells: list[Tag]) -> str:
    values = [_value(cell) for cell in cells]
    label = values[0].rstrip(": ") if len(cells) > 1 and cells[0].name == "th" else ""
    rest = "; ".join(value for value in (values[1:] if label else values) if value)
    return f"{label}: {rest}" if label and rest else label or rest


def _taken_tables(cell: Tag) -> list[Tag]:
    """Take the outermost tables out of a cell."""
    if not any(isinstance(child, Tag) for child in cell.contents):
        return []
    outermost = [table for table in cell.find_all("table") if not any(parent.name == "table" for parent in _above(table, cell))]
    return [table.extract() for table in outermost]


def _above(inside: Tag, outside: Tag) -> Iterator[Tag]:
    parent = inside.parent
    while parent is not None and parent is not outside:
        yield parent
        parent = parent.parent


def _value(cell: Tag) -> str:
    """Return a cell's text as one line, list items set apart by semicolons."""
    values: list[list[str]] = [[]]
    stack: list[object] = [*reversed(cell.contents)]
    while stack:
        node = stack.pop()
        if isinstance(node, Tag):
            apart = _APART if node.name in _ITEMS else " " if is_block(node) else ""
            stack += (apart, *node.contents[::-1], apart)
        elif node is _APART:
            values.append([])
        else:
            values[-1].append(str(node))
    return "; ".join(filter(None, (one_line("".join(parts)) for parts in values)))
