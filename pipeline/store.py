"""The run folder: where each file lies, how it is written (whole or not at all), how it is read.

A file is written to a temporary name beside its place and renamed; manifest.json is written last, so
that a stage named there is complete. Parquet schemas come from the records' annotations.
"""

from __future__ import annotations

import csv
import errno
import glob
import hashlib
import json
import os
import re
import shlex
import shutil
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline import settings
from pipeline.errors import InputError, StageMissing, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    import pyarrow as pa

T = TypeVar("T")

ROWS_AT_ONCE = 2000
"""Rows that wait in memory until they are written to a parquet file together."""

_FORMULA = re.compile(r"'*(?!-\d+(?:[.,]\d+)?\Z)[=+\-@\t\r\n＝＋－＠]")
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
    there = []
    for column in _schema(record):
        if column.name in found.names:
            kind = found.field(column.name).type
            if not _fits(kind, column.type):
                raise InputError("a column has the wrong type", f"{path}: {column.name} is {kind}", f"make it {column.type}")
            there.append(column)
        elif column.name in required:
            raise InputError("a column is missing", f"{path}: {column.name}", "run the stage that writes it again with --force")
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


@contextmanager
def scratch_database() -> Iterator[sqlite3.Connection]:
    """Open an empty database that SQLite keeps in a temporary file of its own and removes when the block ends.

    Raises StorageError if the disk for temporary files is full.
    """
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        try:
            database.execute("PRAGMA journal_mode=OFF")
            yield database
        except sqlite3.DatabaseError as error:
            raise StorageError("a temporary file cannot be written", str(error), "free some space, or set TMPDIR to a folder that has it") from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_an_entry(entry: object) -> bool:
    """Tell whether a value of the manifest is what `finish` writes of a stage."""
    return isinstance(entry, dict) and all(isinstance(entry.get(part, {}), dict) for part in ("inputs", "settings", "outputs", "cost"))


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run, by name."""

    root: Path

    @property
    def flag(self) -> str:
        """The flag that names this folder, fit to be pasted into a shell."""
        return f"--data {shlex.quote(str(self.root))}"

    def command(self, name: str, *arguments: str) -> str:
        """Return a command on this folder as one types it; the folder is named unless it is the default one."""
        named = () if self.root == settings.RUN_FOLDER else (self.flag,)
        return " ".join((f"python -m pipeline.{name}", *arguments, *named))

    @property
    def pages(self) -> Path:
        """Every page met, kept or not."""
        return self.root / "pages.parquet"

    @property
    def sections(self) -> Path:
        """The sections that questions are asked about."""
        return self.root / "sections.parquet"

    @property
    def dropped_sections(self) -> Path:
        """The sections that did not count, with the reason."""
        return self.root / "dropped_sections.parquet"

    @property
    def qa(self) -> Path:
        """Questions and answers that passed every check."""
        return self.root / "qa.parquet"

    @property
    def rejected(self) -> Path:
        """Candidates and replies that did not become a question with an answer, with the reason."""
        return self.root / "rejected.parquet"

    @property
    def examples(self) -> Path:
        """Positives and negatives with their split."""
        return self.root / "examples.parquet"

    @property
    def dropped_examples(self) -> Path:
        """Negatives that could not be made or did not pass, with the reason."""
        return self.root / "dropped_examples.parquet"

    @property
    def reviewed_examples(self) -> Path:
        """What people said of examples, beside what the checks had made of them."""
        return self.root / "reviewed_examples.parquet"

    @property
    def training(self) -> Path:
        """The folder of training files."""
        return self.root / "train"

    @property
    def search(self) -> Path:
        """The folder of the search's vectors."""
        return self.root / "search"

    def evaluation(self, name: str) -> Path:
        """Return the folder of an evaluation."""
        return self.root / "evaluation" / name

    @property
    def discriminator(self) -> Path:
        """The folder of the light discriminator."""
        return self.root / "models" / "discriminator"

    @property
    def models(self) -> Path:
        """The folder of all models of this run."""
        return self.root / "models"

    def model(self, name: str) -> Path:
        """Return the folder of a model by its name in this run, or by its path."""
        own = self.models / name
        return own if own.is_dir() else Path(name)

    def require_model(self, name: str) -> Path:
        """Return the folder of a model that must be there.

        Raises InputError, naming those that are, if it is not.
        """
        folder = self.model(name)
        if folder.is_dir() and name.strip("./"):
            return folder
        there = sorted(path.name for path in self.models.iterdir() if path.is_dir()) if self.models.is_dir() else []
        do = f"run `{self.command('train')}` first (with --file where there are no questions)"
        do = f"here are: {', '.join(there)}; else {do}" if there else do
        raise InputError("there is no such model", name or repr(name), do)

    @property
    def crawl(self) -> Path:
        """The pages that a wiki sent, raw."""
        return self.root / "crawl.sqlite"

    @property
    def ledger(self) -> Path:
        """Every reply that was paid for."""
        return self.root / "ledger.sqlite"

    @property
    def attribution(self) -> Path:
        """Licence and sources, to be published with the data."""
        return self.root / "ATTRIBUTION.md"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.root / "report.html"

    @property
    def manifest(self) -> Path:
        """What each finished stage was made of."""
        return self.root / "manifest.json"

    def prepare(self) -> None:
        """Create the folder.

        Raises StorageError if it cannot be made or written to.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise storage_error(error, self.root) from error

    def stages(self) -> dict[str, dict[str, Any]]:
        """Return the manifest: what each finished stage was made of.

        Raises StorageError if manifest.json is not what this program wrote.
        """
        try:
            stages = json.loads(self.manifest.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise storage_error(error, self.manifest) from error
        except ValueError as error:
            raise StorageError("the manifest is damaged", self.manifest, "move it away and run the stages again") from error
        if not isinstance(stages, dict) or not all(map(_is_an_entry, stages.values())):
            raise StorageError("the manifest is damaged", self.manifest, "move it away and run the stages again")
        return stages

    def require(self, stage: str) -> dict[str, Any]:
        """Return what the manifest says of a stage; nothing, if its file is there without an entry (it came from elsewhere).

        Raises StageMissing if there is neither.
        """
        entry = self.stages().get(stage)
        if not self.main_file(stage).is_file():
            raise StageMissing(f"this run folder lacks a finished {stage}", self.root, f"run `{self.command(stage)}` first")
        return entry or {}

    def main_file(self, stage: str) -> Path:
        """Return the file that the stage after this one reads."""
        return {"collect": self.sections, "create_qa": self.qa, "train": self.examples}[stage]

    def unfinish(self, *stages: str) -> None:
        """Take stages out of the manifest: what follows from them is no longer known to be whole."""
        kept = {name: entry for name, entry in self.stages().items() if name not in stages}
        if kept != self.stages():
            write_json(self.manifest, kept)

    def remove_examples(self) -> None:
        """Remove what an earlier `train` wrote, so that nothing of it stands beside what comes; call `unfinish` first.

        Whatever ends a run after this, what lies in the folder is of one run, though perhaps not all of it.
        """
        try:
            for path in (self.examples, self.dropped_examples, self.reviewed_examples):
                path.unlink(missing_ok=True)
            for folder in (self.discriminator, self.training):
                if folder.is_dir():
                    shutil.rmtree(folder)
        except OSError as error:
            raise storage_error(error, self.root) from error

    def finish(self, stage: str, entry: dict[str, Any]) -> None:
        """Write a stage into the manifest; the last thing that a stage does."""
        write_json(self.manifest, {**self.stages(), stage: entry})
