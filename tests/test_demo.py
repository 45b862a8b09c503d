"""The README's promise: `make demo` goes from wiki pages to a measured discriminator, with the real embedded model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, environment, run

from pipeline.llm.embedded import FETCH_COMMAND
from pipeline.records import QA, RejectedQA
from pipeline.run_folder import RunFolder
from pipeline.store import read_rows

DEMO_SECONDS = 1200
EXEMPT = {f"{name}.sqlite{end}" for name in ("ledger", "crawl", "vectors") for end in ("", "-wal", "-shm")} | {"manifest.json"}


def demo(folder: Path) -> str:
    """Run the Makefile's demo into a folder, with the interpreter that runs the tests."""
    plan = subprocess.run(["make", "-n", "demo", f"RUN={folder}", "-o", "install"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    commands = [line for line in plan.splitlines() if "-m pipeline." in line]
    said = ""
    for line in commands:
        command = line.replace(line.split(" -m ", 1)[0], sys.executable, 1)
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=DEMO_SECONDS, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
        said += done.stdout
    return said


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in EXEMPT}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("demo") / "run"
    return folder, demo(folder)


@pytest.mark.timeout(DEMO_SECONDS)
def test_the_demo_ends_with_the_path_of_the_report(finished: tuple[Path, str]) -> None:
    folder, said = finished
    assert said.splitlines()[-1] == f"report: {folder / 'report.html'}"
    assert (folder / "report.html").is_file()


def test_the_embedded_model_keeps_some_rows_and_every_other_candidate_has_a_reason(finished: tuple[Path, str]) -> None:
    folder = RunFolder(finished[0])
    kept = [row for row in read_rows(folder.qa, QA) if row.source == "generated"]
    rejected = [row for row in read_rows(folder.rejected, RejectedQA) if row.source == "generated"]
    assert len(kept) + len(rejected) >= 20 * 3
    assert kept
    assert all(row.reason and row.title for row in rejected)
    assert all((row.round_trip_f1 or 0) >= 0.6 for row in kept)


def test_written_and_generated_rows_are_counted_apart(finished: tuple[Path, str]) -> None:
    counts = json.loads((finished[0] / "manifest.json").read_text("utf-8"))["create_qa"]["counts"]
    assert counts["kept_by_source"].keys() == {"generated", "written"}
    assert counts["kept_by_source"]["written"] == 150


@pytest.mark.timeout(DEMO_SECONDS)
def test_the_demo_again_gives_the_same_bytes_and_asks_the_model_nothing(finished: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = finished
    before = contents(folder)
    demo(folder)
    assert contents(folder) == before
    anew = tmp_path / "run"
    anew.mkdir()
    shutil.copy(folder / "ledger.sqlite", anew)
    demo(anew)
    # the report shows what the stages took, in seconds and calls: in another folder that is another figure
    assert {name: text for name, text in contents(anew).items() if name != "report.html"} == {n: t for n, t in before.items() if n != "report.html"}
    assert json.loads((anew / "manifest.json").read_text("utf-8"))["create_qa"]["cost"]["calls"] == 0


def test_without_the_weights_the_one_command_that_fetches_them_is_named(collected: Path, tmp_path: Path) -> None:
    result = run("create_qa", "--data", collected, XDG_CACHE_HOME=str(tmp_path))
    assert result.code == 1
    assert FETCH_COMMAND in result.errors[0]
