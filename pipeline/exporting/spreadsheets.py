"""Records as an Excel workbook: text stays text, numbers stay numbers, and what a cell cannot hold is cut and named."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from pipeline.errors import StorageError
from pipeline.store import clean, whole_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LONGEST_CELL = 32_767  # in units of UTF-16: https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3
MOST_ROWS = 1_048_576  # of a sheet, the same page
CUT = "cut"
"""the last column: which cells of its row are longer than a cell may be and end early"""
_KINDS = {"str": "string", "int": "number", "float": "number", "bool": "boolean"}


@dataclass(slots=True)
class Written:
    """What went into a workbook."""

    rows: int = 0
    cut: int = 0
    """rows of which a cell was cut"""
    sheets: int = 0


@dataclass(slots=True)
class _Table:
    """A table that is being written: it goes on in another sheet when one is full."""

    book: Any
    name: str
    columns: list[tuple[str, str]]
    most_rows: int
    written: Written = field(default_factory=Written)
    _sheet: Any = None
    _at: int = 0

    def add(self, values: Iterable[object]) -> None:
        if self._sheet is None or self._at == self.most_rows:
            self._begin()
        long = []
        for column, ((name, kind), value) in enumerate(zip(self.columns, values, strict=False)):
            if value is None or value == "":
                continue
            shown, whole = _fitting(value) if kind == "string" else (value, True)
            long += [] if whole else [name]
            getattr(self._sheet, f"write_{kind}")(self._at, column, shown)
        if long:
            self._sheet.write_string(self._at, len(self.columns) - 1, ", ".join(long))
        self._at += 1
        self.written.rows += 1
        self.written.cut += bool(long)

    def _begin(self) -> None:
        """Open the next sheet, its head frozen."""
        self.written.sheets += 1
        number = f" {self.written.sheets}" if self.written.sheets > 1 else ""
        self._sheet = self.book.add_worksheet(f"{self.name}{number}")
        self._sheet.freeze_panes(1, 0)
        for column, (name, _) in enumerate(self.columns):
            self._sheet.write_string(0, column, name)
        self._at = 1


def write_workbook(path: Path, name: str, record: type, rows: Iterable[Any], sources: Iterable[str], most_rows: int = MOST_ROWS) -> Written:
    """Write records as a sheet `name` (and more of them, each of `most_rows` with its head, where they are too many), then a sheet of their sources.

    Rows lie on disk while they are written, in the folder for temporary files.

    Raises StorageError if the disk refuses.
    """
    columns = [(column.name, _KINDS[str(column.type).removesuffix(" | None")]) for column in fields(record)]
    with whole_file(path, "wb") as file, _book(file, path) as book:
        table = _Table(book, name, [*columns, (CUT, "string")], most_rows)
        for row in rows:
            table.add(getattr(row, column) for column, _ in columns)
        if not table.written.sheets:
            table._begin()  # noqa: SLF001 (its own: a table without rows has its head)
        credit = _Table(book, "sources", [("licence and sources", "string"), (CUT, "string")], most_rows)
        for line in sources:
            credit.add([line])
        return table.written


@contextmanager
def _book(file: Any, path: Path) -> Iterator[Any]:
    import xlsxwriter
    from xlsxwriter.exceptions import XlsxFileError

    with tempfile.TemporaryDirectory(prefix="export-") as scratch:
        kept = {"constant_memory": True, "tmpdir": scratch, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
        book = xlsxwriter.Workbook(file, {**kept, "use_zip64": True})
        try:
            yield book
            book.close()
        except XlsxFileError as error:
            raise StorageError("the workbook cannot be written", f"{path}: {error}", "free some space there and in TMPDIR") from error


def _fitting(value: object) -> tuple[str, bool]:
    """Return as much of a text as a cell holds, and whether that is all of it; no character is cut in two."""
    text = str(clean(value))
    if len(text) <= LONGEST_CELL // 2:
        return text, True
    units = text.encode("utf-16-le")
    if len(units) <= 2 * LONGEST_CELL:
        return text, True
    return units[: 2 * LONGEST_CELL].decode("utf-16-le", "ignore"), False
