"""A table of a run as a folder for `datasets.load_dataset`: parquet, a dataset card, and the sources to publish with it."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.dataset.card import header_of, languages_of
from pipeline.errors import InputError
from pipeline.records import SPLITS, Page
from pipeline.store import read_columns, storage_error, write_rows, write_text
from pipeline.text.markdown import linked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from pipeline.exporting.tables import Table
    from pipeline.run_folder import RunFolder

CARD, SOURCES = "README.md", "ATTRIBUTION.md"
_OURS = {CARD, SOURCES, "data", *(f"data/{split}.parquet" for split in SPLITS)}


@contextmanager
def whole_folder(path: Path, *, force: bool) -> Iterator[Path]:
    """Lend a new folder beside `path`; it gets that name when the block ends well, else it is removed.

    Raises InputError if something is there already and `force` is not given, or if that is no folder of an earlier export.
    """
    check_place(path, force=force)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as place:
            made = Path(place) / path.name
            made.mkdir()
            yield made
            if path.exists():
                path.rename(Path(place) / "before")
            made.rename(path)
    except OSError as error:
        raise storage_error(error, path) from error


def check_place(path: Path, *, force: bool) -> None:
    """Raise InputError if a folder can't take this name: it is taken, or holds what no export wrote (`force` or not)."""
    if path.is_file() or (path.is_dir() and {p.relative_to(path).as_posix() for p in path.rglob("*")} - _OURS):
        raise InputError("what is there is no dataset that was exported", path, "name another folder with --output")
    if path.is_dir() and any(path.iterdir()) and not force:
        raise InputError("there is such a folder already", path, "add --force to replace it, or name another with --output")


def copy_examples(folder: RunFolder, size: int, into: Path) -> int:
    """Copy the folder that `train` made of the examples; return how many rows it has, which must be `size`.

    Raises InputError if it is not there, not whole, or of other examples.
    """
    from pipeline.store import rows_in

    made = folder.training / "hf"
    parts = [made / "data" / f"{split}.parquet" for split in SPLITS]
    lacking = next((path for path in (made / CARD, made / SOURCES, *parts) if not path.is_file()), None)
    if lacking:
        raise InputError("the datasets folder of these examples is not whole", lacking, f"run `{folder.command('train')} --force` first")
    found = sum(map(rows_in, parts))
    if found != size:
        what = f"{made} has {found} rows, {folder.examples.name} {size}"
        raise InputError("the datasets folder is of other examples", what, f"run `{folder.command('train')} --force` first")
    for path in (made / CARD, made / SOURCES, *parts):
        copied = into / path.relative_to(made)
        copied.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, copied)
    return found


def write_table(table: Table, rows: Iterable[Any], size: int, folder: RunFolder, sources: Iterable[str], into: Path) -> None:
    """Write a table as one split, called train as `datasets` calls what is not split, with a card and the sources."""
    write_rows(into / "data" / "train.parquet", table.exported, rows)
    write_text(into / CARD, _card(table, size, folder))
    write_text(into / SOURCES, "\n".join(sources) + "\n")


def _card(table: Table, size: int, folder: RunFolder) -> str:
    pages = _of_each_licence(folder)
    title = f"{table.name.capitalize() if table.name != 'qa' else 'Questions and answers'} of wiki pages"
    header = header_of(title, pages, languages_of(pages), size, {"train": size}, tasks=(), tags=())
    licence = "; ".join(linked(licence) for licence in sorted({page.licence for page in pages if page.licence})) or "not known"
    return f"""{header}
# {title}

{table.about[0].upper()}{table.about[1:]}: {size} rows, written by the program `abstention-pipeline`. Licence of the pages' text, as
their wiki states it: {licence}. {SOURCES} names each page with its revision and must go wherever this data goes.

```python
from datasets import load_dataset

rows = load_dataset("path/to/this/folder", split="train")
```
"""


def _of_each_licence(folder: RunFolder) -> list[Page]:
    """Return a kept page of each licence and wiki: all that a card's header needs, however many pages there are."""
    from dataclasses import fields
    from urllib.parse import urlsplit

    found: dict[tuple[str, str], Page] = {}
    if folder.pages.is_file():
        for row in read_columns(folder.pages, Page, [column.name for column in fields(Page)]):
            if row["status"] == "kept":
                host = "" if "[" in row["url"] else urlsplit(row["url"]).netloc
                found.setdefault((row["licence"], host), Page(**row))
    return list(found.values())
