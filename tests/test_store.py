"""The run folder and the ledger: nothing is half written, nothing paid for is lost, and a fault is a sentence."""

from __future__ import annotations

import csv
import errno
import re
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, environment
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.database import scratch_database
from pipeline.errors import InputError, LedgerError, StageMissing, StorageError
from pipeline.ledger import Entry, Ledger
from pipeline.records import QA, DroppedExample, DroppedSection, Example, Page, RejectedQA, Section
from pipeline.run_folder import RunFolder
from pipeline.store import (
    ROWS_AT_ONCE,
    csv_file,
    read_rows,
    rows_file,
    sha256_of,
    storage_error,
    whole_file,
    write_json,
    write_jsonl,
    write_rows,
    write_text,
)

TEXT = st.text(st.characters(exclude_categories=()), max_size=12)  # lone surrogates, NUL, line ends and all
WHOLE = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats(allow_nan=False)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT, int: WHOLE, bool: st.booleans(), float: FLOAT, int | None: st.none() | WHOLE, float | None: st.none() | FLOAT,
}  # fmt: skip
RECORDS: tuple[type[Any], ...] = (Page, Section, DroppedSection, QA, RejectedQA, Example, DroppedExample)
DROPPED = DroppedExample("qa-1", "similar", "sec-1", "no_near_miss")


def some(record: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(record)
    return st.builds(record, **{column.name: VALUES[hints[column.name]] for column in fields(record)})


def without_surrogates(value: object) -> object:
    return re.sub("[\ud800-\udfff]", "?", value) if isinstance(value, str) else value


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_rows_of_every_record_come_back_from_parquet(record: type[Any], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = data.draw(st.lists(some(record), max_size=4))
    path = tmp_path_factory.getbasetemp() / f"{record.__name__}.parquet"
    write_rows(path, record, rows)
    wanted = [record(*(without_surrogates(getattr(row, c.name)) for c in fields(record))) for row in rows]
    assert read_rows(path, record) == wanted


def test_an_empty_file_of_rows_still_has_every_column_with_its_type(tmp_path: Path) -> None:
    write_rows(tmp_path / "sections.parquet", Section, [])
    schema = pq.read_schema(tmp_path / "sections.parquet")
    assert schema.names == [column.name for column in fields(Section)]
    assert (schema.field("tokens").type, schema.field("tokens").nullable) == (pa.int64(), False)
    assert (schema.field("revision_id").type, schema.field("revision_id").nullable) == (pa.int64(), True)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_rows(tmp_path / name, DroppedExample, [DROPPED])
    assert sha256_of(tmp_path / "a") == sha256_of(tmp_path / "b")


def test_a_missing_column_is_an_error_that_names_file_and_column(tmp_path: Path) -> None:
    path = tmp_path / "dropped.parquet"
    pq.write_table(pa.table({"qa_id": ["a"], "kind": ["b"], "reason": ["c"]}), path)
    with pytest.raises(InputError) as error:
        read_rows(path, DroppedExample)
    assert str(path) in str(error.value)
    assert "context_section_id" in str(error.value)


def test_columns_that_are_missing_are_named_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "dropped.parquet"
    pq.write_table(pa.table({"kind": ["b"], "reason": ["c"]}), path)
    with pytest.raises(InputError, match="qa_id, context_section_id"):
        read_rows(path, DroppedExample)


def test_a_missing_value_is_an_error_that_names_file_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "dropped.parquet"
    columns = {"qa_id": ["a"] * 3, "kind": ["b", "b", None], "context_section_id": [""] * 3, "reason": ["c"] * 3}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(InputError, match="row 2, column kind") as error:
        read_rows(path, DroppedExample)
    assert str(path) in str(error.value)


def test_a_column_of_the_wrong_type_is_an_error_that_names_file_and_column(tmp_path: Path) -> None:
    path = tmp_path / "dropped.parquet"
    pq.write_table(pa.table({"qa_id": ["a"], "kind": [7], "context_section_id": [""], "reason": ["c"]}), path)
    with pytest.raises(InputError, match="kind") as error:
        read_rows(path, DroppedExample)
    assert str(path) in str(error.value)


def test_further_columns_and_another_order_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "dropped.parquet"
    columns = {"mine": [1], "reason": ["no_near_miss"], "context_section_id": ["sec-1"], "kind": ["similar"], "qa_id": ["qa-1"]}
    pq.write_table(pa.table(columns), path)
    assert read_rows(path, DroppedExample) == [DROPPED]


@pytest.mark.parametrize("kept", [0, 4, 200])
def test_a_cut_off_parquet_file_is_a_sentence_that_names_it(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "dropped.parquet"
    write_rows(path, DroppedExample, [DROPPED])
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(StorageError, match="damaged") as error:
        read_rows(path, DroppedExample)
    assert str(path) in str(error.value)


def test_a_file_that_is_not_there_is_a_sentence_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"nowhere\.parquet"):
        read_rows(tmp_path / "nowhere.parquet", DroppedExample)


def broken(path: Path, mode: str, error: BaseException) -> None:
    with whole_file(path, mode) as file:
        file.write("half" if mode == "w" else b"half")
        raise error


@pytest.mark.parametrize("mode", ["w", "wb"])
@pytest.mark.parametrize(("thrown", "seen"), [
    (ValueError("no"), ValueError), (KeyboardInterrupt(), KeyboardInterrupt), (OSError(errno.ENOSPC, "full"), StorageError),
])  # fmt: skip
def test_a_write_that_breaks_off_leaves_the_old_file_alone(mode: str, thrown: BaseException, seen: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write_text(path, "old")
    with pytest.raises(seen):
        broken(path, mode, thrown)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_does_not_show_before_it_is_whole(tmp_path: Path) -> None:
    with whole_file(tmp_path / "deep" / "rows") as file:
        file.write("all")
        file.flush()
        assert not (tmp_path / "deep" / "rows").exists()
    assert (tmp_path / "deep" / "rows").read_text() == "all"


@pytest.mark.parametrize(("number", "do"), [
    (errno.ENOSPC, "free some space"), (errno.EROFS, "--data"), (errno.EACCES, "--data"), (None, "check the path"),
])  # fmt: skip
def test_an_error_of_the_disk_says_what_to_do(number: int | None, do: str) -> None:
    error = storage_error(OSError(number, "what the system says") if number else OSError("odd"), Path("/some/file"))
    assert do in error.do
    assert "/some/file" in error.value


def test_json_lines_are_counted_and_keep_odd_text(tmp_path: Path) -> None:
    assert write_jsonl(tmp_path / "a", [{"q": "東京"}, {"q": "line\nend\u2028"}]) == 2
    assert (tmp_path / "a").read_bytes() == '{"q": "東京"}\n{"q": "line\\nend\u2028"}\n'.encode()
    assert write_jsonl(tmp_path / "b", []) == 0


def test_rows_added_one_by_one_are_there_in_their_order_whatever_their_number(tmp_path: Path) -> None:
    rows = [DroppedExample(f"qa-{n}", "similar", "sec-1", "no_near_miss") for n in range(2 * ROWS_AT_ONCE + 1)]
    write_rows(tmp_path / "many.parquet", DroppedExample, iter(rows))
    assert read_rows(tmp_path / "many.parquet", DroppedExample) == rows


def test_a_fault_while_rows_are_added_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_rows(path, DroppedExample, [DROPPED])
    with suppress(KeyError), rows_file(path, DroppedExample) as add:
        add(replace(DROPPED, qa_id="qa-2"))
        raise KeyError
    assert read_rows(path, DroppedExample) == [DROPPED]
    assert [file.name for file in tmp_path.iterdir()] == ["rows.parquet"]


def test_a_fault_of_the_scratch_database_is_a_sentence() -> None:
    with pytest.raises(StorageError, match="TMPDIR"), scratch_database() as database:
        database.execute("INSERT INTO none VALUES (1)")


def test_a_lone_surrogate_does_not_break_a_json_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"model": "m\udc80"})
    assert write_jsonl(tmp_path / "a.jsonl", [{"q": "m\udc80"}]) == 1
    assert (tmp_path / "a.json").is_file()


def csv_of(path: Path, *reasons: str) -> list[str]:
    with csv_file(path, DroppedExample) as add:
        for reason in reasons:
            add(DroppedExample("qa-1", "similar", "sec-1", reason))
    with path.open(encoding="utf-8", newline="") as file:
        return [row["reason"] for row in csv.DictReader(file)]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-2+3+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(cell: str, tmp_path: Path) -> None:
    assert csv_of(tmp_path / "a.csv", cell) == ["'" + cell]


def test_numbers_and_harmless_text_stand_in_a_csv_as_they_are(tmp_path: Path) -> None:
    assert csv_of(tmp_path / "a.csv", "a=b", "1 – 2", 'she said "no", twice') == ["a=b", "1 – 2", 'she said "no", twice']
    with csv_file(tmp_path / "b.csv", DroppedSection) as add:
        add(DroppedSection(7, -1, "T", "H", 3, "empty", ""))
    assert (tmp_path / "b.csv").read_text() == "page_id,position,title,heading,tokens,reason,content\n7,-1,T,H,3,empty,\n"


@given(
    reasons=st.lists(
        st.text(st.sampled_from(",;\"' \r\n\0a東\ud800"), max_size=6).filter(lambda text: text.lstrip("'")[:1] not in ("\r", "\n")), max_size=5
    )
)
@settings(max_examples=50, deadline=None)
def test_whatever_text_stands_in_a_csv_is_read_back(reasons: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    assert csv_of(tmp_path_factory.getbasetemp() / "round.csv", *reasons) == [without_surrogates(reason) for reason in reasons]


def test_a_reply_is_found_again_after_the_ledger_was_closed_and_opened(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.get("k") is None
        ledger.put("k", "chat", "request", Entry('{"a": "東京\\u0000"}', 5, 7, 2))
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.get("k") == Entry('{"a": "東京\\u0000"}', 5, 7, 2)
        assert (ledger.count("chat"), ledger.count("batch")) == (1, 0)


def test_an_earlier_reply_is_never_overwritten(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put("k", "chat", "request", Entry("first", 1))
        ledger.put("k", "chat", "request", Entry("second", 2))
        assert ledger.get("k") == Entry("first", 1)
        assert ledger.count("chat") == 1


def test_a_reply_outlives_a_process_that_ends_without_closing_the_ledger(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from pipeline.ledger import *;"
        "Ledger(Path(sys.argv[1])).put('k', 'chat', 'r', Entry('paid')); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "l")], cwd=ROOT, env=environment(), check=False)
    assert done.returncode == -9
    with Ledger(tmp_path / "l") as ledger:
        assert ledger.get("k") == Entry("paid")


def test_a_request_with_a_lone_surrogate_can_be_stored(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put("k", "chat", "m\ud800", Entry("paid"))
        assert ledger.get("k") == Entry("paid")


@pytest.mark.parametrize("held", [b"this is no database, and long enough to be sure of it" * 20, b"SQLite format 3\x00" + b"\x07" * 4096])
def test_a_file_that_is_no_database_is_a_sentence_and_stays_as_it_was(held: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(held)
    with pytest.raises(LedgerError, match="move it away") as error:
        Ledger(path)
    assert str(path) in str(error.value)
    assert path.read_bytes() == held


def test_a_database_of_another_kind_is_a_sentence(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "l")) as other:
        other.execute("CREATE TABLE replies (something TEXT)")
    with Ledger(tmp_path / "l") as ledger, pytest.raises(LedgerError):
        ledger.get("k")


def test_a_ledger_in_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="nowhere"):
        Ledger(tmp_path / "nowhere" / "ledger.sqlite")


def test_a_stage_is_required_until_it_is_finished_and_again_when_it_is_unfinished(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(StageMissing, match=f"python -m pipeline.collect --data {re.escape(str(tmp_path))}"):
        folder.require("collect")
    for path in (folder.sections, folder.qa, folder.examples):
        path.touch()
    folder.finish("collect", {"counts": 1})
    folder.finish("create_qa", {"counts": 2})
    folder.finish("train", {"counts": 3})
    assert folder.require("collect") == {"counts": 1}
    folder.unfinish("create_qa", "train", "report")
    assert folder.stages() == {"collect": {"counts": 1}}
    assert folder.require("create_qa") == {}  # the file is there and nobody vouches for it
    folder.qa.unlink()
    with pytest.raises(StageMissing, match="create_qa"):
        folder.require("create_qa")


def test_a_finished_stage_whose_file_was_deleted_is_missing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.finish("collect", {"counts": 1})
    with pytest.raises(StageMissing, match="collect"):
        folder.require("collect")


def test_unfinishing_what_was_never_finished_writes_nothing(tmp_path: Path) -> None:
    RunFolder(tmp_path).unfinish("train")
    assert list(tmp_path.iterdir()) == []


def test_finishing_a_stage_again_replaces_what_was_said_of_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.finish("collect", {"counts": 1, "old": True})
    folder.finish("collect", {"counts": 2})
    assert folder.stages() == {"collect": {"counts": 2}}


@pytest.mark.parametrize("held", [b"", b'{"collect": {"cou', b"[]", b"7", b"\xff\xfe{}", b'{"collect": "done"}', b'{"collect": null}'])
def test_a_damaged_manifest_is_a_sentence_that_names_it(held: bytes, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(held)
    with pytest.raises(StorageError, match="manifest is damaged") as error:
        RunFolder(tmp_path).require("collect")
    assert "manifest.json" in str(error.value)


def test_a_run_folder_is_made_with_its_parents_and_left_empty(tmp_path: Path) -> None:
    RunFolder(tmp_path / "a" / "b").prepare()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_run_folder_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(StorageError, match="run"):
        RunFolder(tmp_path / "run").prepare()
