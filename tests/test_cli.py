"""Manners of the commands: exit codes, sentences, help, settings, and what happens to bad input."""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, environment, run

from pipeline.records import Page, Section
from pipeline.run_folder import RunFolder
from pipeline.sources.given import read_qa, read_sections
from pipeline.store import read_rows

COMMANDS = ("collect", "create_qa", "train", "evaluate", "ask", "report", "status", "export", "fetch_weights")
HEAVY = (
    "xlsxwriter",
    "pandas",
    "pyarrow",
    "numpy",
    "openai",
    "sklearn",
    "onnxruntime",
    "wikipediaapi",
    "httpx",
    "tiktoken",
    "bs4",
    "xllamacpp",
    "torch",
    "transformers",
    "peft",
    "matplotlib",
)
LONG = "The judges at the Budokan gave their verdict on this bout after a long delay, and nobody in the hall was surprised. " * 3


def sections_csv(path: Path, rows: int = 3) -> Path:
    lines = [f'Page {n} at the 2020 Olympics,Results,"{LONG} Number {n}."' for n in range(rows)]
    path.write_text("\n".join(["title,heading,content", *lines]) + "\n", "utf-8")
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_and_loads_nothing_heavy(command: str) -> None:
    line = [sys.executable, "-X", "importtime", "-m", f"pipeline.{command}", "--help"]
    done = subprocess.run(line, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60, check=True)
    loaded = {row.rpartition("|")[2].strip().partition(".")[0] for row in done.stderr.splitlines()}
    assert not loaded & set(HEAVY)
    assert "--data DIR" in done.stdout
    if command != "fetch_weights":
        assert f"python -m pipeline.{command}" in done.stdout


def test_usage_errors_exit_with_2() -> None:
    assert run("collect", "--source", "nowhere").code == 2
    assert run("train", "--seed", "many").code == 2


@pytest.mark.parametrize(
    "arguments",
    [("evaluate", "--threshold", "nan"), ("create_qa", "--max-cost", "nan"), ("train", "--target", "qa", "--from", ""), ("evaluate", "--qa", " "), ("ask", "--classifier", ""), ("export", "qa", "--output", "")],
)  # fmt: skip
def test_no_number_and_no_name_are_usage_errors_not_the_default(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert f"Invalid value for '{arguments[-2]}'" in result.err


@pytest.mark.parametrize("command", [("create_qa",), ("train",), ("report",), ("ask", "Who won?")])
def test_a_run_folder_without_the_stage_before_says_which_command_is_missing(command: tuple[str, ...], tmp_path: Path) -> None:
    result = run(*command, "--data", tmp_path / "run")
    assert result.code == 1
    assert len(result.errors) == 1
    assert "python -m pipeline." in result.errors[0]


def test_flag_beats_environment_beats_topic_file(tmp_path: Path) -> None:
    topic = tmp_path / "topic.toml"
    shipped = (ROOT / "data" / "topics" / "olympics-2020.toml").read_text("utf-8")
    topic.write_text(shipped + "max-pages = 1\n", "utf-8")
    args = ("--source", "sample", "--topic", topic, "--quiet", "--json", "--data")
    assert run("collect", *args, tmp_path / "a").json["counts"]["pages_by_status"]["kept"] == 1
    assert run("collect", *args, tmp_path / "b", PIPELINE_MAX_PAGES="2").json["counts"]["pages_by_status"]["kept"] == 2
    assert run("collect", *args, tmp_path / "c", "--max-pages", "3", PIPELINE_MAX_PAGES="2").json["counts"]["pages_by_status"]["kept"] == 3


def test_the_live_wiki_asks_for_a_contact_before_anything_is_sent(tmp_path: Path) -> None:
    result = run("collect", "--data", tmp_path / "run")
    assert result.code == 1
    assert "--contact" in result.errors[0]


def test_a_csv_of_the_notebooks_keeps_every_section_and_derives_what_is_missing(tmp_path: Path) -> None:
    result = run("collect", "--source", "csv", "--file", sections_csv(tmp_path / "s.csv"), "--data", tmp_path / "run", "--json")
    assert result.code == 0
    assert result.json["counts"]["sections_met"] == result.json["counts"]["sections"] == 3
    sections = read_rows(RunFolder(tmp_path / "run").sections, Section)
    assert {s.title for s in sections} == {f"Page {n} at the 2020 Olympics" for n in range(3)}
    assert all(s.url == "" and s.revision_id is None and s.tokens >= 40 for s in sections)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"title,text\na,b\n", "heading"),
        (b"\x1f\x8b\x08\x00garbage", "gzip"),
        (b"title,heading,content\n\xff\xfe,x,y\n", "UTF-8"),
        (b'title,heading,content\n"never closed,x,y\n', "CSV"),
        (b"title,heading,content\na,b,c,d,e\n", "CSV"),
        (b"title,heading,content\n", "no section"),
    ],
)
def test_a_bad_csv_is_a_sentence(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    result = run("collect", "--source", "csv", "--file", tmp_path / "bad.csv", "--data", tmp_path / "run")
    assert result.code == 1
    assert len(result.errors) == 1
    assert said in result.errors[0]


def test_a_gzip_cut_off_in_the_middle_keeps_what_came_before(tmp_path: Path) -> None:
    whole = gzip.compress(sections_csv(tmp_path / "s.csv", 30_000).read_bytes(), mtime=0)
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    result = run("collect", "--source", "csv", "--file", tmp_path / "cut.csv.gz", "--data", tmp_path / "run")
    assert result.code == 1
    assert "cut off" in result.errors[0]
    assert len(read_rows(RunFolder(tmp_path / "run").sections, Section)) >= 1000
    assert "collect" not in RunFolder(tmp_path / "run").stages()


def test_a_page_without_sections_is_counted_and_harms_nothing(tmp_path: Path) -> None:
    path = sections_csv(tmp_path / "s.csv")
    path.write_text(path.read_text("utf-8") + "Empty at the 2020 Olympics,Summary,\n", "utf-8")
    result = run("collect", "--source", "csv", "--file", path, "--data", tmp_path / "run", "--json")
    assert result.json["counts"]["dropped_by_reason"] == {"empty": 1}
    pages = {p.title: p.n_sections for p in read_rows(RunFolder(tmp_path / "run").pages, Page)}
    assert pages["Empty at the 2020 Olympics"] == 0


def test_a_read_only_place_is_a_sentence() -> None:
    result = run("collect", "--source", "sample", "--data", "/proc/nothing/run")
    assert result.code == 1
    assert "--data" in result.errors[0]


@pytest.mark.parametrize("source", ["sample", "csv"])
def test_a_full_disk_is_a_sentence_and_leaves_no_half_written_file(source: str, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: the same error reaches the same places."""
    flags = {"sample": [], "csv": ["--file", str(sections_csv(tmp_path / "s.csv", 400))]}[source]
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        f"sys.argv = {['collect', '--source', source, *flags, '--data', str(tmp_path / 'run')]!r}\n"
        "from pipeline.collect import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    said = {"sample": "if the disk is full", "csv": os.strerror(errno.EFBIG)}[source]  # SQLite says what it makes of the error
    assert said in done.stderr
    assert [p.name for p in (tmp_path / "run").iterdir() if p.name.startswith(".")] == []
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_a_damaged_file_of_the_stage_before_is_a_sentence(collected: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(collected, folder)
    (folder / "sections.parquet").write_bytes(b"PAR1 half a file")
    result = run("create_qa", "--import", "data/sample/qa.csv", "--data", folder)
    assert result.code == 1
    assert "sections.parquet" in result.errors[0]


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(collected: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(collected, folder)
    line = [sys.executable, "-m", "pipeline.create_qa", "--data", str(folder), "--limit", "40"]

    def heed() -> None:
        """A shell starts background jobs deaf to Ctrl-C, and children inherit that: the tests may be such a job."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(line, cwd=ROOT, env=environment(), text=True, preexec_fn=heed, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: PLW1509 (no threads here)
        assert process.stderr is not None
        for row in process.stderr:
            if "section" in row:  # the bar is there: calls are in flight
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        code = process.wait(60)
    assert code == 130
    assert "run the same command again" in rest
    assert "Traceback" not in rest


def test_json_is_the_last_line_and_quiet_says_nothing_else(tmp_path: Path) -> None:
    result = run("collect", "--source", "sample", "--data", tmp_path / "run", "--json", "--quiet")
    assert result.err == ""
    assert len(result.out.splitlines()) == 1
    assert result.json["counts"]["sections_met"] == result.json["counts"]["sections"] + result.json["counts"]["sections_dropped"]
    assert Path(result.json["path"]).is_file()


def test_the_manifest_names_what_a_stage_was_made_of(trained: Path) -> None:
    stages = json.loads((trained / "manifest.json").read_text("utf-8"))
    assert list(stages) == ["collect", "create_qa", "train"]
    for entry in stages.values():
        assert entry.keys() == {"inputs", "settings", "outputs", "counts", "cost", "seconds", "versions"}
        assert all(len(digest) == 64 for digest in entry["outputs"].values())


def test_files_from_elsewhere_need_only_their_required_columns(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    sections = [
        Section(
            "",
            0,
            0,
            0,
            f"Page {n}",
            "Results",
            "",
            0,
            f"The winner of race {n} was Runner{n} Fast{n}. " + " ".join(f"Detail {n * 50 + k} stands here." for k in range(12)),
            0,
            None,
            "",
            "",
        )
        for n in range(40)
    ]
    table = pa.table({name: [getattr(s, name) for s in sections] for name in ("title", "heading", "content")})
    pq.write_table(table, folder / "sections.parquet")
    ids = [s.section_id for s in read_sections(folder / "sections.parquet")]
    assert len(set(ids)) == 40
    rows = {"section_id": ids, "question": [f"Who won race {n} in Tokyo?" for n in range(40)], "answer": [f"Runner{n} Fast{n}" for n in range(40)]}
    pq.write_table(pa.table(rows), folder / "qa.parquet")
    result = run("train", "--data", folder, "--json")
    assert result.code == 0, result.err
    assert "taken as it is" in result.err
    assert result.json["counts"]["by_kind"]["positive"] == 40
    assert run("report", "--data", folder).code == 0


def test_a_file_from_elsewhere_without_a_required_column_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    pq.write_table(pa.table({"title": ["A"], "content": ["B"]}), folder / "sections.parquet")
    result = run("create_qa", "--import", "data/sample/qa.csv", "--data", folder)
    assert result.code == 1
    assert "heading" in result.errors[0]


def test_an_import_that_says_the_same_twice_keeps_it_once_and_counts_the_other(collected: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(collected, folder)
    rows = (ROOT / "data" / "sample" / "qa.csv").read_text("utf-8").splitlines()
    bad = "No such page,Summary,1. Who won the race in Tokyo?,1. Nobody,,written"
    (tmp_path / "twice.csv").write_text("\n".join([rows[0], rows[1], rows[1], bad, bad]) + "\n", "utf-8")
    counts = run("create_qa", "--import", tmp_path / "twice.csv", "--data", folder, "--json").json["counts"]
    assert counts["kept"] + counts["rejected"] == counts["asked_for_now"] == 4
    assert counts["rejected_by_reason"] == {"duplicate_question": 1, "section_not_in_run": 2}
    again = run("create_qa", "--import", tmp_path / "twice.csv", "--data", folder, "--json", "--force").json["counts"]
    assert again == counts


def test_a_call_that_brings_nothing_leaves_finished_rows_finished(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    before = (folder / "manifest.json").read_bytes()
    assert run("create_qa", "--import", "README.md", "--data", folder).code == 1
    assert run("create_qa", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--data", folder).code == 1
    assert (folder / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(("variable", "value"), [("PIPELINE_IMPORT", "data/sample/qa.csv"), ("PIPELINE_JSON", "1")])
def test_the_environment_knows_a_flag_by_its_own_name(variable: str, value: str, collected: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(collected, folder)
    flags = ("--json",) if variable == "PIPELINE_IMPORT" else ("--import", "data/sample/qa.csv")
    assert run("create_qa", *flags, "--data", folder, **{variable: value}).json["counts"]["kept"] == 150  # type: ignore[arg-type]


def test_imported_answers_with_numbers_that_the_section_lacks_are_rejected(tmp_path: Path) -> None:
    run("collect", "--source", "csv", "--file", sections_csv(tmp_path / "s.csv"), "--data", tmp_path / "run")
    lines = [
        "title,heading,questions,answers",
        'Page 1 at the 2020 Olympics,Results,"1. Where did the judges give their verdict?\n2. Who won in Tokyo?","1. at the Budokan\n2. in 1850"',
    ]
    (tmp_path / "q.csv").write_text("\n".join(lines) + "\n", "utf-8")
    counts = run("create_qa", "--import", tmp_path / "q.csv", "--data", tmp_path / "run", "--json").json["counts"]
    assert counts["kept"] == counts["kept_without_evidence"] == 1
    assert counts["rejected_by_reason"] == {"number_not_in_evidence": 1}


def test_an_error_is_json_too_where_json_is_asked_for(tmp_path: Path) -> None:
    result = run("train", "--json", "--data", tmp_path / "run")
    assert result.code == 1
    assert result.json["error"] == result.errors[0].removeprefix("error: ")


def test_the_next_command_can_be_pasted_from_a_folder_with_spaces(tmp_path: Path) -> None:
    result = run("collect", "--source", "sample", "--data", tmp_path / "Lauf mit Ümläuten")
    assert f"--data '{tmp_path / 'Lauf mit Ümläuten'}'" in result.out


def test_the_package_itself_lists_the_commands() -> None:
    done = subprocess.run([sys.executable, "-m", "pipeline"], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    assert all(f"python -m pipeline.{command}" in done.stdout for command in COMMANDS)


def test_an_imported_row_finds_the_part_of_a_long_section_that_holds_its_answer(tmp_path: Path) -> None:
    long = " ".join(f"Athlete number {n} of the 2020 Games came in as number {n + 500} at Tokyo Stadium." for n in range(200))
    (tmp_path / "s.csv").write_text(f'title,heading,content\nLong,Results,"{long}"\n', "utf-8")
    question = "1. As which number did athlete number 150 of the 2020 Games come in?"
    (tmp_path / "q.csv").write_text(f'title,heading,content,questions,answers,source\nLong,Results,"{long}",{question},1. 650,generated\n', "utf-8")
    run("collect", "--source", "csv", "--file", tmp_path / "s.csv", "--data", tmp_path / "run")
    assert run("create_qa", "--import", tmp_path / "q.csv", "--data", tmp_path / "run", "--json").json["counts"]["kept_by_source"] == {"imported": 1}
    (row,) = read_qa(tmp_path / "run" / "qa.parquet")
    part = next(s for s in read_sections(tmp_path / "run" / "sections.parquet") if s.section_id == row.section_id)
    assert "650" in part.content
    assert part.part > 0


def test_a_second_command_in_the_same_run_folder_says_so_and_stops(collected: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(collected, folder)
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = run("create_qa", "--import", "data/sample/qa.csv", "--data", folder)
    finally:
        os.close(held)
    assert result.code == 1
    assert "another command works in this run folder" in result.errors[0]
    assert run("create_qa", "--import", "data/sample/qa.csv", "--data", folder).code == 0


def test_a_failed_collect_leaves_an_earlier_one_as_it_was(collected: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(collected, folder)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    (tmp_path / "cut.csv").write_text(f'title,heading,content\nA,B,"{LONG}"\nA,B,c,d,e\n', "utf-8")
    assert run("collect", "--source", "csv", "--file", tmp_path / "cut.csv", "--data", folder).code == 1
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_of_two_collects_that_begin_in_a_new_folder_one_goes_on(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "pipeline.collect", "--source", "sample", "--quiet", "--data", str(tmp_path / "run")]
    both = [subprocess.Popen(line, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert sorted(process.returncode for process in both) in ([0, 1], [0, 0])  # 0, 0: one had ended when the other began
    assert "Traceback" not in "".join(said)
    assert all("another command works in this run folder" in text for text, process in zip(said, both, strict=True) if process.returncode)


@pytest.mark.parametrize("closed", ["<&-", "2>&-", ">&-"])
def test_a_stream_that_the_caller_closed_is_no_traceback(closed: str, tmp_path: Path) -> None:
    line = f"{sys.executable} -m pipeline.collect --source sample --data {tmp_path / 'run'} {closed}"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_without_an_answer_on_standard_input_a_missing_contact_is_a_sentence(tmp_path: Path) -> None:
    line = f"{sys.executable} -m pipeline.collect --data {tmp_path / 'run'} <&-"
    env = environment(XDG_CONFIG_HOME=str(tmp_path))
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the wiki's rules ask for your contact")


def test_what_a_killed_process_left_half_written_is_removed(collected: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(collected, folder)
    (folder / ".sections.parquet.abc123").write_bytes(b"half")
    assert run("collect", "--source", "sample", "--data", folder, "--force").code == 0
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []


def test_an_error_with_the_words_of_strangers_is_one_line_that_no_terminal_obeys(tmp_path: Path) -> None:
    result = run("collect", "--source", "csv", "--file", tmp_path / "a\x1b]0;owned\x07\nerror: forged.csv", "--data", tmp_path / "run")
    assert result.code == 1
    assert len(result.errors) == 1
    assert "\x1b" not in result.err


def test_a_collect_that_leaves_questions_without_their_sections_warns(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    result = run("collect", "--source", "sample", "--max-pages", "5", "--data", folder)
    assert result.code == 0
    assert re.search(r"^warning: \d+ of the 150 questions in .*qa\.parquet belong to sections that are no longer here$", result.out, re.MULTILINE)


def test_a_topic_whose_only_seed_is_missing_names_it(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text('name = "t"\nseeds = ["2020 nowhere"]\n', "utf-8")
    result = run("collect", "--source", "sample", "--topic", tmp_path / "t.toml", "--data", tmp_path / "run")
    assert result.code == 1
    assert "2020 nowhere: no such page" in result.errors[0]
