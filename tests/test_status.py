"""Status tells what a folder holds, whatever lies in it, touches nothing, and names a command that works as it stands."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Result, environment, run

from pipeline.ledger import Entry, Ledger
from pipeline.llm.jobbook import BEGUN, ENDED, JobBook
from pipeline.sources.fetched import FetchedPages
from pipeline.standing.following import Next
from pipeline.standing.replies import read_replies
from pipeline.standing.told import age, disk_lines, reply_lines, size

if TYPE_CHECKING:
    from collections.abc import Callable

HOLD = (
    "import fcntl, os, sys, time; fd = os.open(sys.argv[1], os.O_RDONLY); fcntl.flock(fd, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def status(folder: Path, **env: str) -> dict[str, Any]:
    result = run("status", "--data", folder, "--json", **env)  # type: ignore[arg-type]
    assert result.code == 0, result.err
    assert result.err == ""
    assert len(result.out.splitlines()) == 1
    return result.json


def states(found: dict[str, Any]) -> dict[str, str]:
    return {stage["name"]: stage["state"] for stage in found["stages"]}


def why(found: dict[str, Any], name: str) -> str:
    return str(next(stage["why"] for stage in found["stages"] if stage["name"] == name))


def typed(command: str) -> Result:
    words = shlex.split(command)
    assert words[:2] == ["python", "-m"]
    return run(words[2].removeprefix("pipeline."), *words[3:])


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


def change_rows(path: Path) -> None:
    pq.write_table(pq.read_table(path).slice(1), path)


def change_manifest(folder: Path, stage: str, part: str, name: str, value: object) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest[stage][part][name] = value
    path.write_text(json.dumps(manifest), "utf-8")


@pytest.mark.parametrize("there", [True, False])
def test_of_an_empty_folder_it_names_a_command_that_works_as_it_stands(there: bool, tmp_path: Path) -> None:
    folder = tmp_path / "a run"
    if there:
        folder.mkdir()
    found = status(folder)
    assert set(states(found).values()) == {"absent"}
    assert folder.exists() == there
    assert typed(found["next"]["command"]).code == 0
    assert states(status(folder))["collect"] == "complete"


def test_the_default_folder_is_not_named_in_the_next_command() -> None:
    result = run("status", PIPELINE_DATA="data/run", OPENAI_API_KEY="")
    assert result.code == 0
    assert "--data" not in result.out.rpartition("next: ")[2]


@pytest.mark.timeout(900)  # it evaluates and reports
def test_who_follows_it_comes_from_questions_to_an_answer(folder: Path, tmp_path: Path) -> None:
    for name in ("evaluate", "report"):
        command = status(folder)["next"]["command"]
        assert f"pipeline.{name} " in command
        assert typed(command).code == 0
    found = status(folder)
    assert set(states(found).values()) == {"complete"}
    (tmp_path / "context.txt").write_text("Anna Kiesenhofer of Austria won the women's road race of the 2020 Summer Olympics.", "utf-8")
    assert 'pipeline.ask "YOUR QUESTION"' in found["next"]["command"]
    assert typed(f"{found['next']['command']} --context {tmp_path / 'context.txt'}").code == 0  # instead of a search, which has vectors made first


def test_counts_models_and_bytes_are_those_of_the_run(folder: Path) -> None:
    found = status(folder)
    by_name = {stage["name"]: stage for stage in found["stages"]}
    collected = by_name["collect"]["counts"]
    assert collected["sections_met"] == collected["sections"] + collected["sections_dropped"]
    assert by_name["create_qa"]["counts"]["kept"] == pq.read_metadata(folder / "qa.parquet").num_rows
    metrics = json.loads((folder / "models/discriminator/metrics.json").read_text("utf-8"))
    assert f"AUROC {metrics['test']['discriminator']['all']['auroc']:.3f} on test" in found["models"][0]["headline"]
    assert sum(found["bytes"].values()) == sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def test_changed_sections_make_what_follows_stale_and_the_next_command_mends_it(folder: Path) -> None:
    change_rows(folder / "sections.parquet")
    found = status(folder)
    assert {name: states(found)[name] for name in ("collect", "create_qa", "train")} == {"collect": "edited", "create_qa": "stale", "train": "stale"}
    assert "sections.parquet" in why(found, "create_qa")
    assert "--import data/sample/qa.csv" in found["next"]["command"]
    assert typed(found["next"]["command"]).code == 0
    found = status(folder)
    assert states(found)["create_qa"] == "complete"
    assert "pipeline.train " in found["next"]["command"]


def test_edited_questions_are_gone_on_from(folder: Path) -> None:
    change_rows(folder / "qa.parquet")
    found = status(folder)
    assert (states(found)["create_qa"], states(found)["train"]) == ("edited", "stale")
    assert "pipeline.train " in found["next"]["command"]


def test_a_file_that_is_gone_makes_its_stage_stale_and_the_flags_it_was_made_with_are_typed_again(folder: Path) -> None:
    (folder / "models/discriminator/model.json").unlink()
    change_manifest(folder, "train", "settings", "seed", 7)
    change_manifest(folder, "train", "settings", "negatives", {"random": 1.0, "similar": 0.5})
    found = status(folder)
    assert why(found, "train") == "models/discriminator/model.json is gone"
    assert found["next"]["command"] == f"python -m pipeline.train --negatives random=1,similar=0.5 --seed 7 --data {folder}"


def test_a_setting_in_the_environment_that_is_another_one_now_makes_a_stage_stale(folder: Path) -> None:
    assert states(status(folder, PIPELINE_SEED="0"))["train"] == "complete"
    found = status(folder, PIPELINE_SEED="7")
    assert states(found)["train"] == "stale"
    assert "PIPELINE_SEED" in why(found, "train")


def test_a_stage_that_ran_again_makes_the_later_one_stale(folder: Path) -> None:
    assert run("collect", "--source", "sample", "--max-pages", "20", "--data", folder).code == 0
    found = status(folder)
    assert (states(found)["collect"], states(found)["create_qa"], states(found)["train"]) == ("complete", "stale", "stale")
    assert why(found, "create_qa") == "sections.parquet is newer"


def test_an_evaluation_of_a_model_by_name_is_complete(folder: Path) -> None:
    """Its input `qa` is what the model is called, and no hash of qa.parquet."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    entry = {"inputs": {"qa": "smollm2-135m-tasks-1"}, "outputs": {}, "settings": {}, "counts": {}, "seconds": 1.0}
    (folder / "manifest.json").write_text(json.dumps({**manifest, "evaluate mine": entry}), "utf-8")
    (stage,) = [one for one in status(folder)["stages"] if one["name"] == "evaluate mine"]
    assert "qa.parquet is not what it was made of" not in json.dumps(stage)


def test_without_a_test_split_it_says_what_is_missing_and_names_no_evaluation_that_must_fail(folder: Path) -> None:
    examples = pq.read_table(folder / "examples.parquet")
    pq.write_table(examples.filter(pc.not_equal(examples["split"], "test")), folder / "examples.parquet")
    found = status(folder)
    assert "the test split has no row" in why(found, "evaluate")
    assert "pipeline.report" in found["next"]["command"]


def test_a_new_evaluation_makes_the_report_stale(folder: Path) -> None:
    assert run("report", "--data", folder).code == 0
    assert states(status(folder))["report"] == "complete"
    (folder / "evaluation/mine").mkdir(parents=True)
    (folder / "evaluation/mine/metrics.json").write_text("{}")
    found = status(folder)
    assert states(found)["report"] == "stale"
    assert "evaluation/mine/metrics.json" in why(found, "report")
    assert states(found)["evaluate mine"] == "interrupted"


def test_it_writes_nothing_and_takes_no_lock_while_a_command_works_there(folder: Path) -> None:
    with Ledger(folder / "ledger.sqlite") as ledger:
        ledger.put("k", "chat", '{"model": "gpt-5-mini"}', Entry("{}", 1000, 100))
        assert (folder / "ledger.sqlite-wal").stat().st_size > 0
        held = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            before = contents(folder)
            found = status(folder)
            assert contents(folder) == before
        finally:
            os.close(held)
        ledger.put("k2", "chat", '{"model": "gpt-5-mini"}', Entry("{}", 1, 1))
    assert found["replies"]["count"] == 1
    assert found["worker"]["process"] == os.getpid()
    assert found["next"] is None


def test_a_command_at_work_is_named(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder), "-m", "pipeline.train"], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            assert states(status(folder))["train"] == "running"
            assert "train works here now" in run("status", "--data", folder).out
        finally:
            holder.kill()
    assert states(status(folder))["train"] == "complete"


def test_what_a_killed_command_left_in_the_ledger_is_seen_and_left_as_it_is(folder: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    with Ledger(folder / "ledger.sqlite") as ledger:
        ledger.put("k", "chat", '{"model": "gpt-5-mini"}', Entry("{}", 1_000_000, 1_000_000))
        shutil.copytree(folder, killed)
    (killed / "qa.parquet").unlink()
    (killed / "manifest.json").unlink()
    before = contents(killed)
    found = status(killed)
    assert contents(killed) == before
    assert states(found)["create_qa"] == "interrupted"
    (model,) = found["replies"]["models"]
    assert (model["model"], model["replies"], model["tokens_in"]) == ("gpt-5-mini", 1, 1_000_000)
    assert model["usd"] > 0
    for end in ("-shm", "-wal"):
        (killed / f"ledger.sqlite{end}").unlink()
    assert run("status", "--data", killed).code == 0


def test_replies_that_came_after_the_rows_are_counted(folder: Path) -> None:
    with Ledger(folder / "ledger.sqlite") as ledger:
        ledger.put("k", "chat", '{"model": "m"}', Entry("{}", 1, 1))
    past = time.time() - 3600
    os.utime(folder / "qa.parquet", (past, past))
    found = status(folder)
    assert found["replies"]["later"] == 1
    assert found["replies"]["models"][0]["usd"] is None


def test_a_ledger_too_large_to_be_summed_up_at_a_look_is_counted(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put("k", "chat", '{"model": "m"}', Entry("{}", 1, 1))
    found = read_replies(tmp_path / "ledger.sqlite", None, most_summed=1)
    assert (found.count, found.models) == (1, ())
    assert "too many to be summed up" in next(reply_lines(found))[0][0]


def test_an_interrupted_crawl_is_told_by_its_pages(tmp_path: Path) -> None:
    with FetchedPages(tmp_path / "crawl.sqlite", "https://w.example/api.php") as store:
        store.put("A", 1, "2026-01-01", [], "<p>a</p>")
    found = status(tmp_path)
    assert states(found)["collect"] == "interrupted"
    assert "1 pages are fetched" in why(found, "collect")
    assert "pipeline.collect" in found["next"]["command"]


def test_sections_from_elsewhere_are_gone_on_from(tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["A", "B"], "heading": ["x", "y"], "content": ["c", "d"]}), tmp_path / "sections.parquet")
    found = status(tmp_path)
    assert states(found)["collect"] == "foreign"
    assert found["stages"][0]["counts"]["sections"] == 2
    assert "create_qa" in found["next"]["command"] or "fetch_weights" in found["next"]["command"]


def test_a_folder_that_is_no_run_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x" * 10)
    found = status(tmp_path)
    assert "nothing here is of a run" in found["notices"][0]
    assert found["bytes"] == {"other files": 10}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("manifest.json", b"{half", "the manifest is damaged"),
        ("manifest.json", b'{"collect": 3}', "the manifest is damaged"),
        ("manifest.json", b"[" * 100_000, "the manifest is damaged"),
        ("manifest.json", b'{"collect": {"versions": {"pipeline": "' + b"9" * 5000 + b'"}}}', "newer than this one"),
        ("models/discriminator/metrics.json", b'{"test": {"discriminator": {"all": {"auroc": 0.5, "n_positive": "x"}}}}', "(0 examples)"),
        ("manifest.json", b'{"version": 2, "stages": []}', "newer form (version 2)"),
        ("manifest.json", b'{"collect": {"versions": {"pipeline": "9.1.0"}, "counts": [], "inputs": {"sections": 3}}}', "written by version 9.1.0"),
        (".sections.parquet.x1y2", b"half", "half-written by a command that was killed"),
        ("ledger.sqlite", b"no database at all, but long enough to be taken for one" * 99, "ledger.sqlite cannot be read"),
        ("ledger.sqlite", b"", "ledger.sqlite cannot be read"),
        ("sections.parquet", b"PAR1 half a file", ""),
        ("rejected.parquet", b"PAR1 half a file", ""),
        ("crawl.sqlite", b"no database", ""),
        ("models/discriminator/metrics.json", b"[", "metrics.json says nothing of it"),
        ("models/.unfinished-1/name.txt", b"m:ft-x", "not finished"),
        ("evaluation/test/metrics.json", b"null", ""),
        ("report.html", b"", ""),
    ],
)
def test_whatever_is_damaged_is_told_and_the_rest_with_it(name: str, content: bytes, said: str, folder: Path) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    result = run("status", "--data", folder)
    assert result.code == 0
    assert said in result.out
    assert "next: python -m pipeline." in result.out


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
@pytest.mark.parametrize(
    ("name", "said"),
    [("manifest.json", "the manifest is no file"), ("examples.parquet", "examples.parquet is no file"), ("models/discriminator/metrics.json", "metrics.json")],
)  # fmt: skip
def test_a_pipe_or_a_folder_in_place_of_a_file_neither_holds_it_up_nor_ends_it(
    name: str, said: str, make: Callable[[Path], None], folder: Path
) -> None:
    (folder / name).unlink()
    make(folder / name)
    result = run("status", "--data", folder, timeout=120)
    assert (result.code, result.err) == (0, "")
    assert said in result.out
    assert "next: python -m pipeline." in result.out


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("name", "stage"), [("sections", "collect"), ("qa", "create_qa"), ("rejected", "create_qa"), ("examples", "train")])
def test_a_table_that_cannot_be_read_is_named_with_the_reason_in_its_stages_line(name: str, stage: str, known: bool, folder: Path) -> None:
    """A link to a process's own memory stands in for a bad disk: it opens, and reading it is an error, for root too."""
    (folder / f"{name}.parquet").unlink()
    (folder / f"{name}.parquet").symlink_to("/proc/self/mem")
    if not known:
        (folder / "manifest.json").unlink()
    found = status(folder)
    assert f"{name}.parquet cannot be read: " in why(found, stage)
    assert len(found["stages"]) == 5


def test_a_fine_tuning_job_that_is_under_way_is_shown_as_it_was_last_heard_of(folder: Path) -> None:
    with Ledger(folder / "ledger.sqlite") as ledger:
        book = JobBook(ledger)
        running = book.intend("a", "https://service.example/v1", "gpt-4.1-mini")
        running = book.advance(running, BEGUN, job={"id": "ftjob-1", "status": "running"})
        book.note_events(running, [], 12)
        book.advance(book.intend("b", "https://service.example/v1", "gpt-4.1-mini"), ENDED, job={"id": "ftjob-2", "status": "succeeded"})
        book.intend("c", "https://service.example/v1", "gpt-4.1-nano")
    before = contents(folder)
    (line, meant) = [line for line in run("status", "--data", folder).out.splitlines() if "fine-tuning job" in line]
    assert "ftjob-1 of gpt-4.1-mini at https://service.example/v1: running, step 12" in line
    assert "of gpt-4.1-nano" in meant
    assert [job["job_id"] for job in status(folder)["replies"]["jobs"]] == ["ftjob-1", ""]
    assert contents(folder) == before


def test_only_a_terminal_gets_colours_and_names_of_strangers_command_none(folder: Path) -> None:
    (folder / "models" / "\x1b]0;owned\x07").mkdir()
    result = run("status", "--data", folder)
    assert "\x1b" not in result.out
    assert "\x1b[32m" in on_a_terminal(folder)
    assert "\x1b]0;" not in on_a_terminal(folder)
    assert "\x1b[" not in on_a_terminal(folder, NO_COLOR="1")


def on_a_terminal(folder: Path, **env: str) -> str:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline.status", "--data", str(folder)], cwd=ROOT, env=environment(**env), stdout=theirs
    ) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # the end of a terminal
            while read := os.read(ours, 65536):
                said += read
        assert process.wait(60) == 0
    os.close(ours)
    return said.decode("utf-8")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-60, "in the future"), (0, "just now"), (59, "59 seconds ago"), (60, "1 minute ago"), (7200, "2 hours ago"), (86_400, "1 day ago"),
        (20 * 86_400, "2 weeks ago"), (90 * 86_400, "2 months ago"),
    ],
)  # fmt: skip
def test_ages_are_words(seconds: float, said: str) -> None:
    assert age(seconds) == said


def test_too_little_disk_for_what_comes_next_is_said() -> None:
    (_, free) = disk_lines({"models": 10}, 1_000_000, Next("c", needs=5_000_000))
    assert free == (("  1.0 MB free; what comes next writes about 5.0 MB – that is too little", "red"),)
    assert size(999) == "999 B"
    assert size(65_400_000_000) == "65 GB"


def test_folders_in_folders_are_counted_however_deep_and_no_link_is_followed(folder: Path) -> None:
    deep = folder / "export" / "/".join("d" * 1200)
    subprocess.run(["mkdir", "-p", deep], check=True)
    (deep / "file").write_bytes(b"12345")
    (folder / "export" / "loop").symlink_to(folder)
    assert status(folder)["bytes"]["exports"] == 5
    subprocess.run(["rm", "-r", folder / "export"], check=True)  # Python's own way would be too deep for it
