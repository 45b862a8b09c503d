"""Files: how they are written (whole or not at all), and how tables of records are read.

A file is written to a temporary name beside its place and renamed. Parquet schemas come from the records' annotations.
"""

from __future__ import annotations

import csv
import errno
import glob
import gzip
import hashlib
import json
import os
import re
import tempfile
import zlib
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from pipeline.errors import InputError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    import pyarrow as pa

T = TypeVar("T")

ROWS_AT_ONCE = 2000
"""Rows that wait in memory until they are written to a parquet file together."""
_FORMULA = re.compile(r"'*(?!-\d+(?:[.,]\d+)?\Z)[=+\-@\t\r\n＝＋－＠]")
_GZIP_MAGIC = b"\x1f\x8b"
_DISK_REMEDIES = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some space and run the same command again",
    errno.EROFS: "name a writable folder with --data",
    errno.EACCES: "name a writable folder with --data",
    errno.EPERM: "name a writable folder with --data",
}


def storage_error(error: OSError, path: Path | str) -> StorageError:
    """Return the sentence for an error of the operating system on `path`."""
    do = _DISK_REMEDIES.get(error.errno or 0, "check the path (--data names the run folder) and run the same command again")
    return StorageError("a file cannot be written or read", f"{path}: {error.strerror or error}", do)


@contextmanager
def text_file(path: Path) -> Iterator[IO[str]]:
    """Open a text file, plain or gzipped, while the block runs.

    Raises InputError, in the block too, if it is missing, damaged or not UTF-8.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        with gzip.open(path, "rt", encoding="utf-8-sig") if packed else path.open(encoding="utf-8-sig") as file:
            yield file
    except FileNotFoundError as error:
        raise InputError("there is no such file", path, "check the path") from error
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8", f"{path}: {error.reason} at byte {error.start}", "save it as UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError("the gzip file is damaged or cut off", f"{path}: {error}", "fetch or pack it again") from error
    except OSError as error:
        raise InputError("the file cannot be read", f"{path}: {error.strerror or error}", "check the path and its permissions") from error


@contextmanager
def whole_file(path: Path, mode: str = "w") -> Iterator[Any]:
    """Open a temporary file beside `path`; rename it to `path` when the block ends well, else remove it."""
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{glob.escape(path.name)}.*"):  # by a process that was killed
            left.unlink(missing_ok=True)
        text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "errors": "replace", "newline": "\n"}
        with tempfile.NamedTemporaryFile(mode, dir=path.parent, prefix=f".{path.name}.", delete=False, **text) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with whole_file(path) as file:
        file.write(text)


def write_json(path: Path, value: object) -> None:
    """Write a JSON file whole, keys in the order given."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write JSON lines whole; return how many."""
    n = 0
    with whole_file(path) as file:
        for n, row in enumerate(rows, 1):  # noqa: B007 (n is the count)
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return n


def _schema(record: type) -> pa.Schema:
    import pyarrow as pa

    kinds = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
    columns = []
    for column in fields(record):
        name = str(column.type)
        columns.append(pa.field(column.name, kinds[name.removesuffix(" | None")], nullable="None" in name))
    return pa.schema(columns)


def write_rows(path: Path, record: type[T], rows: Iterable[T]) -> None:
    """Write records as parquet, whole, in the order given; they need not fit into memory together."""
    with rows_file(path, record) as add:
        for row in rows:
            add(row)


@contextmanager
def rows_file(path: Path, record: type[T]) -> Iterator[Callable[[T], None]]:
    """Open a parquet file to which records are added one by one; it is there, whole, when the block ends well."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(record)
    names = schema.names
    waiting: list[T] = []

    with whole_file(path, "wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:

        def write() -> None:
            columns = {name: [clean(getattr(row, name)) for row in waiting] for name in names}
            writer.write_table(pa.table(columns, schema=schema))
            waiting.clear()

        def add(row: T) -> None:
            waiting.append(row)
            if len(waiting) >= ROWS_AT_ONCE:
                write()

        yield add
        write()


def clean(value: object) -> object:
    """Return a value as a file can hold it: lone surrogates (from escapes in JSON) are no text, and become question marks."""
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value


def read_rows(path: Path, record: type[T]) -> list[T]:
    """Read a parquet file that this program wrote, as records.

    A column that the record has and the file lacks is an error, as is an empty value where the record
    allows none; further columns are ignored.

    Raises InputError naming file, row and column; StorageError if the file is damaged.
    """
    names = [column.name for column in fields(record)]  # type: ignore[arg-type]
    return [record(*(row[name] for name in names)) for row in read_columns(path, record, names)]


def read_columns(path: Path, record: type[T], required: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield a parquet file's rows, a few at a time in memory, with those of the record's columns that the file has.

    Those `required` must be there and filled.

    Raises InputError naming file, row and column; StorageError if the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            there = _columns_of(path, file.schema_arrow, record, required)
            at = 0
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=[column.name for column in there]):
                values = [_values(path, at, batch.column(c.name), c, empty_allowed=c.nullable or c.name not in required) for c in there]
                yield from (dict(zip([c.name for c in there], row, strict=True)) for row in zip(*values, strict=True))
                at += batch.num_rows
    except OSError as error:
        raise storage_error(error, path) from error
    except pa.ArrowInvalid as error:
        raise StorageError("a file is damaged", f"{path}: {error}", "run the stage that writes it again with --force") from error


def rows_in(path: Path) -> int:
    """Return how many rows a parquet file has, from its end alone.

    Raises StorageError if it cannot be read or is no parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except OSError as error:
        raise storage_error(error, path) from error
    except pa.ArrowException as error:
        raise StorageError("a file is damaged", f"{path}: {error}", "run the stage that writes it again with --force") from error


def _columns_of(path: Path, found: pa.Schema, record: type, required: Collection[str]) -> list[pa.Field]:
    """Return those of a record's columns that a file has; a required one that it lacks, or one of another type, is an error."""
    missing = [name for name in required if name not in found.names]
    if missing:
        what = "a column is missing" if len(missing) == 1 else "columns are missing"
        raise InputError(what, f"{path}: {', '.join(missing)}", "run the stage that writes it again with --force")
    there = []
    for column in _schema(record):
        if column.name in found.names:
            kind = found.field(column.name).type
            if not _fits(kind, column.type):
                raise InputError("a column has the wrong type", f"{path}: {column.name} is {kind}", f"make it {column.type}")
            there.append(column)
    return there


def _values(path: Path, at: int, found: pa.Array, column: pa.Field, *, empty_allowed: bool) -> list[Any]:
    values: list[Any] = found.to_pylist()
    if not empty_allowed and None in values:
        raise InputError("a value is missing", f"{path}, row {at + values.index(None)}, column {column.name}", "mend that row")
    return values


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Tell whether a column's type holds the same kind of thing: files of other programs have other widths."""
    from pyarrow import types

    kinds = (types.is_boolean, types.is_integer, lambda t: types.is_string(t) or types.is_large_string(t), types.is_floating)
    widened = types.is_floating(wanted) and types.is_integer(found)
    return types.is_null(found) or widened or any(kind(found) and kind(wanted) for kind in kinds)


def write_csv(path: Path, record: type[T], rows: Iterable[T], *, bom: bool = False) -> int:
    """Write records as CSV, whole, in the order given; return how many."""
    n = 0
    with csv_file(path, record, bom=bom) as add:
        for n, row in enumerate(rows, 1):  # noqa: B007 (n is the count)
            add(row)
    return n


@contextmanager
def csv_file(path: Path, record: type[T], *, bom: bool = False) -> Iterator[Callable[[T], None]]:
    """Open a CSV file to which records are added one by one: for people and spreadsheets; the parquet file is the one that is read.

    `bom`: begin with a byte-order mark, without which Excel takes UTF-8 for another encoding.
    """
    names = [column.name for column in fields(record)]  # type: ignore[arg-type]
    with whole_file(path) as file:
        if bom:
            file.write("\ufeff")
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(names)
        yield lambda row: writer.writerow([_formula_safe(clean(getattr(row, name))) for name in names])


def _formula_safe(value: object) -> object:
    """A text that a spreadsheet would run as a formula gets a leading apostrophe (https://owasp.org/www-community/attacks/CSV_Injection).

    So does one that has such apostrophes already: whoever takes one away where `'`, any number of times, is followed by one of those
    characters has the text back. A negative number is none.
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
