"""A wiki's table as lines a person and a model can read: `Rank: 1; Athlete: …; Nation: …`.

Row and column spans are expanded as the HTML standard says (section 4.9.12, "Forming a table"), so that
each line stands alone. A table that only arranges other things has its cells' text, one line a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bs4 import Tag
from bs4.element import NavigableString

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


MAX_COLUMNS = 1000  # how far a colspan reaches, as in browsers; a rowspan reaches to the table's end
_ROW_GROUPS = ["thead", "tbody", "tfoot"]
_TABLE_PARTS = (*_ROW_GROUPS, "caption", "colgroup", "col", "tr")


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the grid; a cell that spans stands in several places as the same object."""

    text: str
    header: bool


def table_lines(table: Tag, text_of: Callable[[Tag], str]) -> list[str]:
    """Return a table as lines: the caption, then a line a row with its column headers.

    `text_of` turns a cell or caption into one line of text. Never raises for odd HTML: spans that are
    no numbers count as 1, missing cells are left out.
    """
    lines = [text_of(caption) for caption in table.find_all("caption", recursive=False)] + _stray(table, text_of)
    grid = _grid(list(_rows(table)), text_of)
    titles = next((at for at, row in enumerate(grid) if len(_distinct(row)) != 1), len(grid))  # rows of one cell above the headers
    lines += (_plain(row) for row in grid[:titles])
    grid = grid[titles:]
    n_header_rows = _header_rows(grid)
    top, body = grid[:n_header_rows], grid[n_header_rows:]
    headers = _column_headers(top)
    used = {index for row in body if len(_distinct(row)) > 1 for index, cell in enumerate(row) if cell and cell.text}
    if any(header and index not in used for index, header in enumerate(headers)):
        lines += (_plain(row) for row in top)  # a header that stands beside no cell is text like any other
    lines += (_line(row, headers) for row in body)
    return [line for line in lines if line]


def _stray(table: Tag, text_of: Callable[[Tag], str]) -> list[str]:
    """Return what stands in a table and in no cell; browsers show it above the table."""
    found = []
    for part, cells in (
        (table, _TABLE_PARTS),
        *((p, ("tr",)) for p in table.find_all(_ROW_GROUPS, recursive=False)),
        *((r, ("td", "th")) for r in _rows(table)),
    ):
        for child in part.children:
            if isinstance(child, Tag):
                found += [text_of(child)] if child.name not in cells else []
            elif isinstance(child, NavigableString):
                found.append(" ".join(child.split()))
    return found


def _rows(table: Tag) -> Iterator[Tag]:
    """Yield the table's own rows, not those of tables inside its cells; loose cells are given a row."""
    for child in table.find_all(["thead", "tbody", "tfoot", "tr"], recursive=False):
        if child.name == "tr":
            yield child
        else:
            yield from child.find_all("tr", recursive=False)


def _span(cell: Tag, name: str, limit: int) -> int:
    value = str(cell.get(name) or "1").strip()
    if not (value.isascii() and value.isdigit()):
        return 1
    number = int(value[:9])
    return limit if number == 0 and name == "rowspan" else max(1, min(number, limit))  # rowspan=0: to the end


def _grid(rows: list[Tag], text_of: Callable[[Tag], str]) -> list[list[Cell | None]]:
    grid: list[list[Cell | None]] = []
    pending: dict[int, tuple[Cell, int]] = {}  # column → the cell that hangs down into it, for how many rows more
    for index, row in enumerate(rows):
        line: list[Cell | None] = []
        hanging, pending = pending, {}
        cells = iter(row.find_all(["td", "th"], recursive=False))
        cell = next(cells, None)
        while cell is not None or any(column >= len(line) for column in hanging):
            column = len(line)
            if column in hanging:
                placed, left = hanging[column]
                line.append(placed)
                if left > 1:
                    pending[column] = (placed, left - 1)
            elif cell is None:
                line.append(None)
            else:
                placed = Cell(text_of(cell), cell.name == "th")
                down = _span(cell, "rowspan", len(rows) - index)
                for offset in range(_span(cell, "colspan", max(1, MAX_COLUMNS - column))):
                    if column + offset in hanging:  # two cells want this place: the standard lets them overlap
                        break
                    line.append(placed)
                    if down > 1:
                        pending[column + offset] = (placed, down - 1)
                cell = next(cells, None)
        grid.append(line)
    return grid


def _header_rows(grid: list[list[Cell | None]]) -> int:
    """Count the rows at the top that are headers alone: more than one cell, and no data cell."""
    for index, row in enumerate(grid):
        cells = [cell for cell in row if cell]
        if not cells or not all(cell.header for cell in cells) or len(_distinct(row)) < 2:  # noqa: PLR2004
            return index
    return len(grid)


def _column_headers(rows: list[list[Cell | None]]) -> list[str]:
    width = max((len(row) for row in rows), default=0)
    columns = [_distinct([row[i] for row in rows if i < len(row)]) for i in range(width)]
    return [" ".join(cell.text for cell in cells if cell.text) for cells in columns]


def _distinct(cells: list[Cell | None]) -> list[Cell]:
    """Return the cells in order, each spanning cell once."""
    return list({id(cell): cell for cell in cells if cell}.values())


def _plain(row: list[Cell | None]) -> str:
    return "; ".join(cell.text for cell in _distinct(row) if cell.text)


def _line(row: list[Cell | None], headers: list[str]) -> str:
    if len(_distinct(row)) == 1:  # one cell across the table: a heading of the rows below
        return _plain(row)
    columns: dict[int, list[int]] = {}  # a cell that spans is said once, under all its headers
    for index, cell in enumerate(row):
        if cell and cell.text:
            columns.setdefault(id(cell), []).append(index)
    parts = []
    for cell in _distinct(row):
        above = dict.fromkeys(headers[i] for i in columns.get(id(cell), []) if i < len(headers) and headers[i])
        parts.append(f"{' / '.join(above)}: {cell.text}" if above else cell.text)
    return "; ".join(part for part in parts if part)
