"""Files of OpenAI's notebooks: `olympics_sections.csv` and `olympics_qa.csv`, plain or gzipped."""

from __future__ import annotations

import io
import warnings
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.sources.sectioning import RawSection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS_AT_ONCE = 1000
_GZIP_MAGIC, _GZIP_WBITS = b"\x1f\x8b", 31


def sections(path: Path) -> Iterator[tuple[str, RawSection]]:
    """Yield the sections of a notebook's CSV with their page's title, in the file's order.

    Raises InputError, after what came before the fault.
    """
    for row in read_csv_rows(path, ("title", "heading", "content")):
        yield row["title"], RawSection(row["heading"], (row["heading"],), 1 if row["heading"] == "Summary" else 2, "", row["content"])


def read_csv_rows(path: Path, required: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV as texts; empty and missing cells are empty texts. Every row before a fault comes before the error.

    Raises InputError if the file is missing, empty, cut off, no CSV, or lacks a required column.
    """
    content, cut_off = _content(path)
    done = 0
    try:
        for row in _rows(path, content, required, 0, ROWS_AT_ONCE):
            done += 1
            yield row
    except InputError:
        try:  # pandas drops the whole chunk in which the fault is: once more, row by row, up to the fault
            yield from _rows(path, content, required, done, 1)
        except InputError as error:
            raise cut_off or error from error
    if cut_off:
        raise cut_off


def _content(path: Path) -> tuple[bytes, InputError | None]:
    """Return a file's bytes, unpacked; of a gzip file that is cut off what there is, up to a line's end, and the error to raise later."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError("there is no such file", path, "check the path") from error
    except OSError as error:
        raise InputError("the file cannot be read", f"{path}: {error.strerror}", "check the path and its permissions") from error
    if not raw.startswith(_GZIP_MAGIC):
        return raw, None
    content, rest, fault = b"", raw, "the end is missing"
    try:
        while rest:
            member = zlib.decompressobj(_GZIP_WBITS)
            content += member.decompress(rest)
            if not member.eof:
                break
            rest = member.unused_data if member.unused_data.startswith(_GZIP_MAGIC) else b""
        else:
            return content, None
    except zlib.error as error:
        fault = str(error)
    damaged = InputError("the gzip file is damaged or cut off", f"{path}: {fault}", "fetch or pack it again")
    whole_lines = content[: content.rfind(b"\n") + 1]
    if not whole_lines.count(b"\n") > 1:
        raise damaged
    return whole_lines, damaged


def _rows(path: Path, content: bytes, required: tuple[str, ...], skip: int, at_once: int) -> Iterator[dict[str, str]]:
    import pandas as pd

    options: dict[str, Any] = {
        "dtype": str, "keep_default_na": False, "index_col": False, "encoding": "utf-8", "chunksize": at_once, "skiprows": range(1, 1 + skip),
    }  # fmt: skip
    with _wrapped(path), warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # a row with more cells than the header would lose them
        with pd.read_csv(io.BytesIO(content), **options) as chunks:
            for chunk in chunks:
                missing = [name for name in required if name not in chunk.columns]
                if missing:
                    found = ", ".join(map(str, chunk.columns))[:200]
                    what, do = ("a column is missing", "it") if len(missing) == 1 else ("columns are missing", "them")
                    raise InputError(what, f"{path}: {', '.join(missing)} (found: {found})", f"rename or add {do}")
                yield from chunk.fillna("").to_dict("records")


@contextmanager
def _wrapped(path: Path) -> Iterator[None]:
    import pandas as pd

    try:
        yield
    except pd.errors.EmptyDataError as error:
        raise InputError("the file is empty", path, "name one with a header line and rows") from error
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8", f"{path}: {error.reason} at byte {error.start}", "save it as UTF-8") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise InputError("the file is not a well-formed CSV", f"{path}: {error}", "mend that line") from error
