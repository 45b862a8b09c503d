"""A wiki's table as lines a person and a model can read: `Rank: 1; Athlete: …; Nation: …`.

Row and column spans are expanded as the HTML standard says (section 4.9.12, "Forming a table"), so that
each line stands alone. A table that only arranges other things has its cells' text, one line a row.
Work and memory grow with the table's text and no faster, whatever its spans and headers are: a row is the cells that begin in it and
those that hang down into it, each with the columns from and to, and what would be repeated without measure is said once.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from bs4 import Tag

from pipeline.wiki.visible import one_line, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_COLUMNS = 1000  # how far a colspan reaches, as in browsers; a rowspan reaches to the table's end
MAX_HEADER_ROWS = 6  # more rows of headers are data that someone has set in bold
MAX_HEADER = 100  # characters: what is longer is a text, and stands once, not before each cell below
MAX_HEADERS = 8  # above one cell: what spans more of them belongs to none
MAX_REPEATED_CELL = 300  # characters of a cell that are said again in each row that it hangs down into
MAX_REPEATED = 5_000_000  # characters, and as many cells by ten, that a table repeats in all
_ROW_GROUPS = frozenset({"thead", "tbody", "tfoot"})
_CELLS = frozenset({"td", "th"})


class Cell(NamedTuple):
    """A cell in a row of the grid: its text, its columns from `start` to before `stop`, and how many rows more it reaches down."""

    text: str
    header: bool
    start: int
    stop: int
    down: int


def table_lines(table: Tag) -> list[str]:
    """Return a table as lines: the caption, then a line a row with its column headers.

    Never raises for odd HTML: spans that are no numbers count as 1, missing cells are left out.
    """
    rows = [row for row in _grid(list(own_rows(table))) if row]
    titles = next((at for at, row in enumerate(rows) if len(row) != 1), len(rows))  # rows of one cell above the headers
    n_headers = _header_rows(rows[titles:])
    top, body = rows[titles : titles + n_headers], rows[titles + n_headers :]
    headers = _Headers(top)
    below = [headers.line(row) for row in body]
    captions = (text_of(child) for child in _tags(table) if child.name == "caption")
    lines = [*captions, *beside_cells(table), *(_plain(row) for row in rows[:titles])]
    if not headers.all_said():
        lines += (_plain(row) for row in top)  # a header that stands beside no cell is text like any other
    return [line for line in lines + below if line]


def own_rows(table: Tag) -> Iterator[Tag]:
    """Yield the table's own rows, not those of tables inside its cells."""
    for child in _tags(table):
        if child.name == "tr":
            yield child
        elif child.name in _ROW_GROUPS:
            yield from (row for row in _tags(child) if row.name == "tr")


def cells_of(row: Tag) -> list[Tag]:
    """Return a row's own cells."""
    return [cell for cell in _tags(row) if cell.name in _CELLS]


def _tags(parent: Tag) -> Iterator[Tag]:
    return (child for child in parent.contents if isinstance(child, Tag))


def beside_cells(table: Tag) -> Iterator[str]:
    """Yield what stands in a table and neither in a cell nor in its caption; browsers show it above the table."""
    yield from _others(table, _ROW_GROUPS | {"caption", "tr"})
    for group in _tags(table):
        if group.name in _ROW_GROUPS:
            yield from _others(group, frozenset({"tr"}))
    for row in own_rows(table):
        yield from _others(row, _CELLS)


def _others(parent: Tag, parts: frozenset[str]) -> Iterator[str]:
    for child in parent.contents:
        if not isinstance(child, Tag):
            yield one_line(str(child))
        elif child.name not in parts:
            yield text_of(child)


def _span(cell: Tag, name: str, limit: int) -> int:
    value = str(cell.attrs.get(name, "1")).strip()
    if not (value.isascii() and value.isdigit()):
        return 1
    number = int(value[:9])
    return limit if number == 0 and name == "rowspan" else max(1, min(number, limit))  # rowspan=0: to the end


def _grid(rows: Sequence[Tag]) -> Iterator[list[Cell]]:
    """Yield each row with all cells that stand in it, in the order of their columns."""
    hanging: list[Cell] = []
    left = MAX_REPEATED
    for index, row in enumerate(rows):
        line = list(_placed(row, hanging, len(rows) - index))
        yield line
        hanging = [_hung(cell) for cell in line if cell.down > 1]
        left -= sum(len(cell.text) + 10 for cell in hanging)
        if left < 0:
            hanging = []


def _hung(cell: Cell) -> Cell:
    return cell._replace(down=cell.down - 1, text=cell.text if len(cell.text) <= MAX_REPEATED_CELL else "")


def _placed(row: Tag, hanging: Iterable[Cell], n_rows: int) -> Iterator[Cell]:
    """Yield the cells of a row, each in the first columns that no cell from above hangs down into."""
    above = deque(hanging)
    column = 0
    for cell in cells_of(row):
        while above and above[0].start <= column:
            column = above[0].stop
            yield above.popleft()
        stop = column + _span(cell, "colspan", max(1, MAX_COLUMNS - column))
        if above:  # two cells want this place: the standard lets them overlap
            stop = min(stop, above[0].start)
        yield Cell(text_of(cell), cell.name == "th", column, stop, _span(cell, "rowspan", n_rows))
        column = stop
    yield from above


def _header_rows(rows: Sequence[Sequence[Cell]]) -> int:
    """Count the rows at the top that are headers alone: more than one cell, and no data cell but an empty one in the corner."""
    count = 0
    for row in rows:
        cells = row if count or row[0].text else row[1:]
        if len(row) == 1 or not all(cell.header for cell in cells):
            break
        count += 1
    return count if count <= MAX_HEADER_ROWS else 1


class _Headers:
    """The headers of a table's columns, and which of them have been said."""

    def __init__(self, rows: Sequence[Sequence[Cell]]) -> None:
        columns: list[dict[str, None]] = []  # of each column, the texts above it; a cell that hangs down is said once
        for row in rows:
            for cell in row:
                columns += ({} for _ in range(cell.stop - len(columns)))
                for column in columns[cell.start : cell.stop]:
                    column[cell.text] = None
        self._texts = [" ".join(text for text in column if text) for column in columns]
        self._unsaid = {at for at, text in enumerate(self._texts) if text}
        self._labels: dict[tuple[int, int], str] = {}

    def all_said(self) -> bool:
        """Say whether each header has stood before a cell's text."""
        return not self._unsaid

    def line(self, row: Sequence[Cell]) -> str:
        """Return a row as a line, each cell once under all its headers; one cell across the table is a heading of the rows below."""
        if len(row) == 1:
            return _plain(row)
        return "; ".join(self._label(cell.start, cell.stop) + cell.text for cell in row if cell.text)

    def _label(self, start: int, stop: int) -> str:
        """Return `header: ` of a cell in these columns."""
        if (start, stop) not in self._labels:
            above = list(dict.fromkeys(text for text in self._texts[start:stop] if text))
            fit = len(above) <= MAX_HEADERS and all(len(text) <= MAX_HEADER for text in above)
            self._labels[start, stop] = f"{' / '.join(above).rstrip(': ')}: " if above and fit else ""
            if fit:
                self._unsaid.difference_update(range(start, stop))
        return self._labels[start, stop]


def _plain(row: Sequence[Cell]) -> str:
    return "; ".join(cell.text for cell in row if cell.text)
