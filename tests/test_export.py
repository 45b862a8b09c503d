"""Exports: every row comes out, as it was, in what other programs read; beside it the licence; nothing is overwritten unasked."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, environment, run
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape

from pipeline.exporting.spreadsheets import CUT, LONGEST_CELL, write_workbook
from pipeline.records import DroppedExample, DroppedSection, Example
from pipeline.run_folder import RunFolder
from pipeline.store import read_rows, write_csv

PLACE = ("title", "heading", "url", "revision_id")
TABLES = ("sections", "pages", "qa", "rejected", "examples")
ODD_TEXT = st.text(st.sampled_from("=+-@\t\r\n'\"; ,\0\x1b_x0041_ﬀ＝－a1.🏅\ufffe\uffff"), max_size=12) | st.text(max_size=8)


def exported(folder: Path, what: str, form: str, *flags: object) -> tuple[dict[str, Any], Path]:
    result = run("export", what, "--format", form, "--data", folder, "--json", *flags)
    assert result.code == 0, result.err
    return result.json["counts"], Path(result.json["path"])


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def sheet_of(path: Path, name: str) -> list[tuple[Any, ...]]:
    book = openpyxl.load_workbook(path, read_only=True)
    try:
        return list(book[name].iter_rows(values_only=True))
    finally:
        book.close()


def without_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def plain(cell: str) -> str:
    """A CSV's text without the apostrophe that keeps spreadsheets from running it: the rule in `export --help`."""
    return cell[1:] if re.match(r"'+[=+\-@\t\r\n＝＋－＠]", cell) and not re.fullmatch(r"'+-\d+([.,]\d+)?", cell) else cell


def rows_with_places(folder: Path, what: str) -> list[dict[str, Any]]:
    """A table's rows, and beside each what sections.parquet says of its section."""
    rows: list[dict[str, Any]] = pq.read_table(folder / f"{what}.parquet").to_pylist()
    if what in ("sections", "pages"):
        return rows
    sections = {section["section_id"]: section for section in pq.read_table(folder / "sections.parquet").to_pylist()}
    of = [sections[row["context_section_id" if what == "examples" else "section_id"]] for row in rows]
    return [{**row, **{name: section[name] for name in PLACE}} for row, section in zip(rows, of, strict=True)]


@pytest.mark.parametrize("what", TABLES)
def test_every_row_comes_out_in_every_format_as_other_programs_read_it(what: str, folder: Path) -> None:
    rows = rows_with_places(folder, what)
    counts, path = exported(folder, what, "csv")
    assert counts["rows"] == counts["rows_read"] == len(rows)
    with path.open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert [{k: plain(v) for k, v in row.items()} for row in read] == [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows]
    _, path = exported(folder, what, "jsonl")
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == rows
    counts, path = exported(folder, what, "excel")
    assert counts["rows_cut"] == 0
    head, *cells = sheet_of(path, what)
    assert [dict(zip(head, line, strict=True)) for line in cells] == [
        {**{k: None if v == "" else v for k, v in row.items()}, CUT: None} for row in rows
    ]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_the_place_of_a_section_that_the_run_does_not_have_is_empty(form: str, folder: Path) -> None:
    sections = pq.read_table(folder / "sections.parquet")
    gone = pq.read_table(folder / "qa.parquet")["section_id"][0].as_py()
    pq.write_table(sections.filter(pc.not_equal(sections["section_id"], gone)), folder / "sections.parquet")
    _, path = exported(folder, "qa", form)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file)) if form == "csv" else [json.loads(line) for line in file]
    without = [row for row in rows if not row["title"]]
    assert {row["section_id"] for row in without} == {gone}
    assert {row[name] for row in without for name in PLACE} == ({""} if form == "csv" else {"", None})
    (folder / "sections.parquet").unlink()
    _, path = exported(folder, "qa", "jsonl", "--force")
    assert {json.loads(line)["url"] for line in path.read_text("utf-8").splitlines()} == {""}


def test_sections_and_questions_load_as_datasets_with_their_licence(folder: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    for what in ("sections", "qa", "pages"):
        _, path = exported(folder, what, "datasets")
        loaded = load_dataset(str(path), cache_dir=str(tmp_path / "cache"))
        assert loaded["train"].to_list() == rows_with_places(folder, what)
        assert 'license: "cc0-1.0"' in (path / "README.md").read_text("utf-8")
        assert (path / "ATTRIBUTION.md").read_bytes() == (folder / "ATTRIBUTION.md").read_bytes()


def test_examples_load_as_the_datasets_folder_that_train_made(folder: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    counts, path = exported(folder, "examples", "datasets", "--output", tmp_path / "mine")
    loaded = load_dataset(str(path), cache_dir=str(tmp_path / "cache"))
    assert sum(split.num_rows for split in loaded.values()) == counts["rows"] == pq.read_metadata(folder / "examples.parquet").num_rows


def test_a_datasets_folder_of_other_examples_is_not_passed_off_as_these(folder: Path) -> None:
    table = pq.read_table(folder / "examples.parquet")
    pq.write_table(table.slice(0, 10), folder / "examples.parquet")
    result = run("export", "examples", "--format", "datasets", "--data", folder)
    assert result.code == 1
    assert "of other examples" in result.errors[0]
    assert not (folder / "export" / "examples").exists()


def test_splits_together_are_all_examples(folder: Path) -> None:
    total = pq.read_metadata(folder / "examples.parquet").num_rows
    found = {}
    for split in ("train", "validation", "test"):
        counts, path = exported(folder, "examples", "jsonl", "--split", split)
        assert counts["rows"] + counts["other_splits"] == counts["rows_read"] == total
        assert {json.loads(line)["split"] for line in path.read_text("utf-8").splitlines()} == {split}
        found[split] = counts["rows"]
    assert sum(found.values()) == total


def test_licence_and_sources_go_with_each_file(folder: Path) -> None:
    attribution = (folder / "ATTRIBUTION.md").read_text("utf-8")
    _, path = exported(folder, "qa", "csv")
    assert (path.parent / "qa.csv.ATTRIBUTION.md").read_text("utf-8") == attribution
    _, path = exported(folder, "qa", "excel")
    _head, *lines = sheet_of(path, "sources")
    assert [line[0] or "" for line in lines] == attribution.splitlines()


def test_text_of_unknown_origin_says_so_instead_of_a_licence(tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["A"], "heading": ["B"], "content": ["=cmd()"]}), tmp_path / "sections.parquet")
    result = run("export", "sections", "--data", tmp_path)
    assert result.code == 0
    assert "taken as it is" in result.err
    (row,) = csv.DictReader((tmp_path / "export" / "sections.csv").read_text("utf-8").splitlines())
    assert row["content"] == "'=cmd()"
    assert row["section_id"].startswith("sec-")
    assert "nor its licence is known" in (tmp_path / "export" / "sections.csv.ATTRIBUTION.md").read_text("utf-8")


@given(reasons=st.lists(ODD_TEXT, max_size=6))
@settings(max_examples=100)
def test_whatever_text_stands_in_a_workbook_is_read_back_as_text(reasons: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "odd.xlsx"
    rows = [DroppedExample("qa-1", "similar", "sec-1", reason) for reason in reasons]
    assert write_workbook(path, "t", DroppedExample, rows, []).rows == len(rows)
    book = openpyxl.load_workbook(path)
    cells = [row[3] for row in book["t"].iter_rows(min_row=2)]
    # openpyxl undoes the format's escape of control characters, _xHHHH_, in shared strings alone
    assert [unescape(cell.value or "") for cell in cells] == [without_surrogates(reason) for reason in reasons]
    assert not [cell for cell in cells if cell.data_type == "f" or cell.hyperlink]


@given(reasons=st.lists(ODD_TEXT, max_size=6))
@settings(max_examples=100)
def test_whatever_text_stands_in_a_csv_is_read_back_and_none_is_a_formula(reasons: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "odd.csv"
    write_csv(path, DroppedExample, (DroppedExample("qa-1", "similar", "sec-1", reason) for reason in reasons))
    with path.open(encoding="utf-8", newline="") as file:
        cells = [row["reason"] for row in csv.DictReader(file)]
    assert [plain(cell) for cell in cells] == [without_surrogates(reason) for reason in reasons]
    assert not [cell for cell in cells if re.match(r"[=+\-@\t\r\n＝＋－＠]", cell) and not re.fullmatch(r"-\d+([.,]\d+)?", cell)]


@given(numbers=st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=5))
@settings(max_examples=50)
def test_numbers_are_numbers_negative_ones_too(numbers: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp()
    rows = [DroppedSection(n, -1, "T", "-5", 3, "-1,5", "") for n in numbers]
    write_csv(base / "n.csv", DroppedSection, rows)
    assert pd.read_csv(base / "n.csv")["page_id"].tolist() == numbers
    assert pd.read_csv(base / "n.csv", dtype=str)["heading"].tolist() == ["-5"] * len(numbers)
    write_workbook(base / "n.xlsx", "t", DroppedSection, rows, [])
    assert [line[0] for line in sheet_of(base / "n.xlsx", "t")[1:]] == numbers


def test_a_text_too_long_for_a_cell_is_cut_between_characters_and_named(tmp_path: Path) -> None:
    rows = [DroppedExample("qa-1", "k", "s", "🏅" * LONGEST_CELL), DroppedExample("qa-2", "k", "s", "a" * LONGEST_CELL)]
    made = write_workbook(tmp_path / "a.xlsx", "t", DroppedExample, rows, [])
    _, first, second = sheet_of(tmp_path / "a.xlsx", "t")
    assert (made.rows, made.cut) == (2, 1)
    assert first[3] == "🏅" * (LONGEST_CELL // 2)
    assert first[4] == "reason"
    assert second[3:] == ("a" * LONGEST_CELL, None)


def test_more_rows_than_a_sheet_holds_go_on_in_another(tmp_path: Path) -> None:
    rows = [DroppedExample(f"qa-{n}", "k", "s", "r") for n in range(7)]
    made = write_workbook(tmp_path / "a.xlsx", "t", DroppedExample, rows, ["licence"], most_rows=4)
    assert (made.rows, made.sheets) == (7, 3)
    names = ("t", "t 2", "t 3")
    assert [line[0] for name in names for line in sheet_of(tmp_path / "a.xlsx", name)[1:]] == [f"qa-{n}" for n in range(7)]
    assert all(sheet_of(tmp_path / "a.xlsx", name)[0] == (*(f.name for f in fields(DroppedExample)), CUT) for name in names)


def test_a_byte_order_mark_stands_in_a_csv_only_where_it_is_asked_for(folder: Path, tmp_path: Path) -> None:
    _, path = exported(folder, "qa", "csv")
    assert not path.read_bytes().startswith(b"\xef\xbb\xbf")
    _, marked = exported(folder, "qa", "csv", "--bom", "--output", tmp_path / "b.csv")
    assert marked.read_bytes() == b"\xef\xbb\xbf" + path.read_bytes()


@pytest.mark.parametrize("form", ["csv", "datasets"])
def test_what_is_there_is_replaced_only_with_force(form: str, folder: Path) -> None:
    _, path = exported(folder, "qa", form)
    again = run("export", "qa", "--format", form, "--data", folder)
    assert again.code == 1
    assert "--force" in again.errors[0]
    assert exported(folder, "qa", form, "--force")[1] == path


def test_a_folder_that_no_export_wrote_is_not_removed_even_with_force(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("years of work")
    result = run("export", "qa", "--format", "datasets", "--output", home, "--force", "--data", folder)
    assert result.code == 1
    assert (home / "thesis.txt").read_text() == "years of work"
    assert [p.name for p in home.iterdir()] == ["thesis.txt"]


def test_what_stands_where_the_licence_goes_is_replaced_only_with_force_but_for_that_of_a_killed_export(folder: Path, tmp_path: Path) -> None:
    credit = tmp_path / "mine.csv.ATTRIBUTION.md"
    credit.write_text("my notes")
    flags = ("export", "qa", "--output", tmp_path / "mine.csv", "--data", folder)
    refused = run(*flags)
    assert refused.code == 1
    assert "--force" in refused.errors[0]
    assert credit.read_text() == "my notes"
    assert not (tmp_path / "mine.csv").exists()
    shutil.copyfile(folder / "ATTRIBUTION.md", credit)  # the licence comes first: this is what a kill leaves
    assert run(*flags).code == 0
    credit.write_text("my notes")
    assert run(*flags, "--force").code == 0
    assert credit.read_bytes() == (folder / "ATTRIBUTION.md").read_bytes()


def test_a_pipe_or_a_device_is_not_replaced_by_a_file(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused = run("export", "qa", "--output", tmp_path / "pipe", "--force", "--data", folder)
    assert refused.code == 1
    assert "a device or a pipe" in refused.errors[0]
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("place", ["qa.parquet", "train/qa.train.jsonl", "."])
def test_a_file_of_the_run_itself_is_never_written_over(place: str, folder: Path) -> None:
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    result = run("export", "qa", "--output", folder / place, "--force", "--data", folder)
    assert result.code == 1
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_an_existing_folder_takes_the_file_under_the_tables_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert exported(folder, "qa", "jsonl", "--output", tmp_path / "out")[1] == tmp_path / "out" / "qa.jsonl"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("qa", "--split", "test"), "--split is for examples"),
        (("examples", "--format", "datasets", "--split", "test"), "holds all splits"),
        (("qa", "--format", "excel", "--bom"), "--bom is for a CSV"),
    ],
)
def test_flags_that_do_not_go_together_are_named(flags: tuple[str, ...], said: str, folder: Path) -> None:
    result = run("export", *flags, "--data", folder)
    assert result.code == 1
    assert said in result.errors[0]


@pytest.mark.parametrize(("what", "command"), [("sections", "collect"), ("qa", "create_qa"), ("rejected", "create_qa"), ("examples", "train")])
def test_a_table_that_is_not_there_names_the_command_that_makes_it(what: str, command: str, tmp_path: Path) -> None:
    result = run("export", what, "--data", tmp_path)
    assert result.code == 1
    assert f"python -m pipeline.{command} --data {tmp_path}" in result.errors[0]
    assert not list(tmp_path.iterdir())


def test_a_damaged_table_is_a_sentence_and_leaves_no_half_export(folder: Path) -> None:
    (folder / "qa.parquet").write_bytes(b"PAR1 half a file")
    result = run("export", "qa", "--data", folder)
    assert result.code == 1
    assert "qa.parquet" in result.errors[0]
    assert not (folder / "export" / "qa.csv").exists()


@pytest.mark.parametrize("form", ["csv", "excel", "jsonl", "datasets"])
def test_a_full_disk_is_a_sentence_and_leaves_no_half_written_file(form: str, folder: Path) -> None:
    """A limit on the size of files stands in for the disk: the same error reaches the same places."""
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        f"sys.argv = {['export', 'examples', '--format', form, '--data', str(folder)]!r}\n"
        "from pipeline.export import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error: " in done.stderr
    left = [p.name for p in (folder / "export").iterdir()]
    assert not [name for name in left if name.startswith(".") or (name.startswith("examples") and not name.endswith("ATTRIBUTION.md"))]


def test_an_export_goes_on_while_a_command_works_in_the_folder_and_waits_for_nobody(folder: Path) -> None:
    import fcntl

    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert exported(folder, "qa", "csv")[0]["rows"] == 150
    finally:
        os.close(held)


def test_what_is_exported_is_what_the_program_itself_reads(folder: Path) -> None:
    _, path = exported(folder, "examples", "jsonl")
    names = [column.name for column in fields(Example)]
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [list(row) for row in rows] == [[*names, *PLACE]] * len(rows)
    read = [Example(**{name: row[name] for name in names}) for row in rows]
    assert read == read_rows(RunFolder(folder).examples, Example)
