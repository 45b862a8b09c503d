"""python -m pipeline.export sections|qa|examples|rejected|pages [--format csv|excel|jsonl|datasets] [--output FILE_OR_DIR] [--split SPLIT] [--data DIR]

A table of the run for other programs, with its licence and sources beside it.

Examples
  python -m pipeline.export qa
      export/qa.csv in the run folder, for any spreadsheet; --bom for Excel, which takes UTF-8 for something else without it
  python -m pipeline.export examples --format excel --split test
      a workbook: text is text and never a formula, numbers are numbers; a second sheet has licence and sources
  python -m pipeline.export rejected --format jsonl --output rejected.jsonl
      JSON lines, numbers, true and null as such
  python -m pipeline.export examples --format datasets --output my-dataset
      a folder for datasets.load_dataset with its card: ready to be published

What becomes of a row
  qa, rejected and examples have their section's title, heading, url and revision_id beside its id; those are empty where the run has no such
  section (a rejected row has title and heading of its own). The rest is as the run's own table has it.
  csv       a text that a spreadsheet would run (it begins with = + - @, a tab or a line end) gets a leading apostrophe, and so does one that
            has apostrophes before such a sign; take one away from those and you have the text back. A negative number is left alone. Nothing
            (null) and an empty text are both an empty cell.
  excel     a cell holds 32,767 characters: a longer text is cut, and the column `cut` of its row names what was; past 1,048,575
            rows the table goes on in another sheet. Nothing and an empty text are both an empty cell.
  jsonl     as it is
  datasets  as it is; of examples it is the folder that `train` made

Writes
  the file, and NAME.ATTRIBUTION.md beside it (of a datasets folder ATTRIBUTION.md in it): to be passed on with the data.
  A file that is there is only replaced with --force; it is there whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from pipeline import cli, settings
from pipeline.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pipeline.cli import Run
    from pipeline.exporting.tables import Table

_ENDINGS = {"csv": ".csv", "excel": ".xlsx", "jsonl": ".jsonl", "datasets": ""}


@dataclass(slots=True)
class Taken:
    """How many rows were read so far, and how many of them are wanted."""

    read: int = 0
    rows: int = 0


@cli.stage("export", force=settings.overwrite)
@settings.exported
@settings.export_format
@settings.output
@settings.split
@settings.bom
def main(run: Run, what: str, form: str, output: Path | None, split: str | None, bom: bool) -> cli.Outcome:
    """A table of the run for other programs, with its licence and sources beside it."""
    from pipeline.exporting.tables import check_split, size_of, table_named

    check_split(what, split)
    _check_flags(form, split, bom=bom)
    table = table_named(run.folder, what)
    run.require(table.stage)
    path = _place(run, table, form, output, split)
    if form == "datasets":
        return _as_folder(run, table, path)
    credit = path.with_name(f"{path.name}.ATTRIBUTION.md")
    _check_free(path, force=run.force)
    _check_credit(run, credit)
    taken, size = Taken(), size_of(table)
    _write_credit(run, credit)  # first: no moment has the data without it
    with run.progress(size, "export", "row") as bar:
        counts = _write(run, table, form, path, _wanted(table, split, taken, bar), bom=bom)
    counts = {"rows": taken.rows, "rows_read": taken.read, "other_splits": taken.read - taken.rows, **counts}
    return _outcome(what, counts, (path, credit), form)


def _check_flags(form: str, split: str | None, *, bom: bool) -> None:
    if bom and form != "csv":
        raise InputError("--bom is for a CSV", f"--format {form}", "leave --bom out")
    if split and form == "datasets":
        raise InputError("a datasets folder holds all splits", f"--split {split}", f'leave --split out; load_dataset(…, split="{split}") reads one')


def _place(run: Run, table: Table, form: str, output: Path | None, split: str | None) -> Path:
    """Return where to write.

    Raises InputError if that is among the run's own files.
    """
    name = f"{table.name}{f'.{split}' if split else ''}{_ENDINGS[form]}"
    own = run.folder.root / "export"
    if output is None:
        return own / name
    path = output / name if output.is_dir() and form != "datasets" else output
    root, full = run.folder.root.resolve(), path.resolve()
    if full == root or full in root.parents or (full.is_relative_to(root) and not full.is_relative_to(own.resolve())):
        raise InputError("that is a place of the run itself", path, "name one outside the run folder, or leave --output out")
    return path


def _check_free(path: Path, *, force: bool) -> None:
    """Raise InputError if something is there already and may not be replaced."""
    if path.is_dir():
        raise InputError("there is a folder of that name", path, "name another file with --output")
    if path.exists() and not path.is_file():
        raise InputError("that is no file but a device or a pipe", path, "name a file with --output")
    if path.exists() and not force:
        raise InputError("there is such a file already", path, "add --force to replace it, or name another with --output")


def _wanted(table: Table, split: str | None, taken: Taken, bar: cli.Progress) -> Iterator[Any]:
    from pipeline.exporting.tables import rows_of

    for row in rows_of(table):
        taken.read += 1
        bar.step()
        if split is None or row.split == split:
            taken.rows += 1
            yield row


def _write(run: Run, table: Table, form: str, path: Path, rows: Iterable[Any], *, bom: bool) -> dict[str, int]:
    """Write the rows; return what else is to be counted."""
    from dataclasses import asdict

    from pipeline.store import write_csv, write_jsonl

    if form == "excel":
        from pipeline.exporting.spreadsheets import write_workbook

        made = write_workbook(path, table.name, table.exported, rows, _sources(run))
        return {"rows_cut": made.cut, "sheets": made.sheets}
    if form == "csv":
        write_csv(path, table.exported, rows, bom=bom)
    else:
        write_jsonl(path, map(asdict, rows))
    return {}


def _as_folder(run: Run, table: Table, path: Path) -> cli.Outcome:
    from pipeline.exporting.folders import copy_examples, whole_folder, write_table
    from pipeline.exporting.tables import size_of

    taken, size = Taken(), size_of(table)
    with whole_folder(path, force=run.force) as made, run.progress(size, "export", "row") as bar:
        if table.name == "examples":
            taken.read = taken.rows = copy_examples(run.folder, size, made)
            bar.step(size)
        else:
            write_table(table, _wanted(table, None, taken, bar), size, run.folder, _sources(run), made)
    return _outcome(table.name, {"rows": taken.rows, "rows_read": taken.read}, (path,), "datasets")


def _sources(run: Run) -> Iterator[str]:
    """Yield the lines of ATTRIBUTION.md; where sections came without one, a line that says so."""
    if not run.folder.attribution.is_file():
        yield "The text came without a list of its pages: neither its source nor its licence is known. Find out before you publish it."
        return
    with run.folder.attribution.open(encoding="utf-8", errors="replace") as file:
        yield from (line.rstrip("\n") for line in file)


def _check_credit(run: Run, path: Path) -> None:
    """Raise InputError if licence and sources would replace something else; those of a killed export are the same."""
    if not path.exists():
        return
    _check_free(path, force=True)
    with path.open(encoding="utf-8", errors="replace") as file:
        same = all(there == ours for there, ours in zip_longest((line.rstrip("\n") for line in file), _sources(run)))
    _check_free(path, force=run.force or same)


def _write_credit(run: Run, path: Path) -> None:
    """Write licence and sources beside an exported file."""
    from pipeline.store import whole_file

    with whole_file(path) as file:
        file.writelines(f"{line}\n" for line in _sources(run))


def _outcome(what: str, counts: dict[str, int], paths: tuple[Path, ...], form: str) -> cli.Outcome:
    of = f" of {counts['rows_read']}" if counts.get("other_splits") else ""
    cut = f"; {counts['rows_cut']} have a text that no cell holds, see the column cut" if counts.get("rows_cut") else ""
    sheets = f" in {counts['sheets']} sheets" if counts.get("sheets", 1) > 1 else ""
    line = f"export: {counts['rows']}{of} rows of {what}{sheets} → {paths[0]}{cut}"
    credit = f"  licence and sources → {paths[1]}" if len(paths) > 1 else ""
    return cli.Outcome({**counts, "format": form}, paths[0], paths, tuple(filter(None, (line, credit))))


if __name__ == "__main__":
    main()
