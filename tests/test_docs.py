"""The pages are true: what they show is printed, their commands exist, what is generated is current, their links lead somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import build_docs
import documents
import pytest
import reference
from conftest import ROOT, environment

README = (ROOT / "README.md").read_text("utf-8")
PAGES = {str(path.relative_to(ROOT)): path for path in documents.pages()}
TUTORIAL_SECONDS = 1200
NEXT = "run `make docs`"


def disagreements(page: str, outputs: list[str]) -> list[str]:
    """What a page shows and what came, for each output that is not as shown."""
    pairs = [(step.shown, came) for step, came in zip(documents.steps(page), outputs, strict=True) if step.shown]
    assert pairs
    wrong = [(shown, came) for shown, came in pairs if not documents.agrees(shown.text, came, shown.varies)]
    return [f"line {shown.lines[0] + 1} shows\n{shown.text}\nprinted was\n{came}" for shown, came in wrong]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the sample, as a checkout has it."""
    shutil.copytree(ROOT / "data" / "sample", tmp_path / "data" / "sample")
    return tmp_path


@pytest.mark.timeout(TUTORIAL_SECONDS)
def test_the_tutorials_notebook_runs_top_to_bottom_and_prints_what_the_page_shows(checkout: Path) -> None:
    page = build_docs.TUTORIAL.read_text("utf-8")
    printed = documents.execute(documents.notebook_of(page), checkout, environment())
    assert not disagreements(page, printed), NEXT


@pytest.mark.parametrize("path", [path for path in build_docs.HOW_TO if any(step.shown for step in documents.steps(path.read_text("utf-8")))], ids=lambda p: p.stem)  # fmt: skip
def test_what_a_how_to_page_shows_is_printed(path: Path, checkout: Path, trained: Path) -> None:
    shutil.copytree(trained, checkout / "data" / "run")
    page = path.read_text("utf-8")
    assert not disagreements(page, documents.run_shown(page, checkout, environment())), NEXT


def test_what_is_generated_is_current() -> None:
    for path, text in build_docs.build().items():
        assert path.read_text("utf-8") == text, f"{path}: {NEXT}"


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES.keys())
def test_links_lead_to_files_and_headings(path: Path) -> None:
    assert documents.broken_links(path) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A *b*: `c`\n\n[1](gone.md) [2](#a-b-c) [3](page.md#d) ![4](gone.svg) <https://example.org>\n", "utf-8")
    assert documents.broken_links(page) == ["gone.md", "page.md#d", "gone.svg"]


def test_every_command_line_of_the_pages_is_one_that_its_command_takes() -> None:
    lines = [line for path in PAGES.values() for line in documents.commands_of(path.read_text("utf-8"))]
    assert len(lines) > 50
    assert {line: why for line in lines if (why := documents.refused(line))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "python -m pipeline.collect --nowhere",
        "python -m pipeline.collect --source paper",
        "python -m pipeline.report now",
        "python -m pipeline.train --seed x",
    ],
)
def test_a_command_line_with_a_fault_is_refused(line: str) -> None:
    assert documents.refused(line)


def test_every_column_and_every_key_says_what_it_is() -> None:
    for page in (reference.tables_page(), reference.topic_page()):
        rows = [line for line in page.splitlines() if line.startswith("| `")]
        assert rows
        assert all(len(line.replace("\\|", "").split("|")[3].strip()) > 3 for line in rows)


def test_every_page_is_reached_from_the_index() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "docs" / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md" or not path.is_file():
            continue
        reached.add(path)
        waiting += [(path.parent / link.split("#")[0]).resolve() for link in documents.links(path.read_text("utf-8")) if "://" not in link]
    assert {path for path in PAGES.values() if "docs" in path.parts} <= reached


@pytest.mark.parametrize(
    ("shown", "came", "varies", "agrees"),
    [
        ("a 1\nb", "a 1\nb\n", "", True),
        ("a 1", "a 2", "", False),
        ("to …/report.html", "to /x/report.html", "", True),
        ("a", "a\nb", "", False),
        ("AUROC 0.95, 63 rows", "AUROC  0.91, 60 rows", "figures", True),
        ("AUROC 0.95", "AUROC 0.55", "figures", False),
        ("answered 120 of 300", "answered 12 of 300", "figures", False),
        ("random 0.1", "same_page 0.1", "figures", False),
        ("kept: 3 rows\n    any words", "kept: 7\n    others\n    and more", "words", True),
        ("kept: 3 rows", "error: no model", "words", False),
        ("kept: 3 rows", "", "words", False),
    ],
)  # fmt: skip
def test_what_is_shown_may_vary_only_as_its_page_says(shown: str, came: str, varies: str, agrees: bool) -> None:
    assert documents.agrees(shown, came, varies) is agrees


def test_a_page_that_is_refreshed_shows_what_came_and_keeps_what_was_left_out_on_purpose() -> None:
    page = "# A\n\n```sh\nx\n```\n\n```text\nold 1\nlong … line\n```\n\nend\n"
    assert documents.refreshed(page, ["new 2\nlong and winding line\n"]) == page.replace("old 1", "new 2")


def test_a_pages_steps_run_in_one_session_and_each_has_its_own_output(checkout: Path) -> None:
    page = "# A\n\n```sh\nexport PIPELINE_DATA=data/x\n```\n\n```python\nn = 2\nprint(n)\n```\n\n```sh\necho $PIPELINE_DATA; pwd\n```\n\n```python\nprint(n + 1)\n```\n"
    assert documents.execute(documents.notebook_of(page), checkout, environment()) == ["", "2\n", "data/x\n…\n", "3\n"]


def test_a_step_that_fails_ends_the_run(checkout: Path) -> None:
    from nbclient.exceptions import CellExecutionError

    with pytest.raises(CellExecutionError, match="exit status 1"):
        documents.execute(documents.notebook_of("```sh\nfalse\necho after\n```\n"), checkout, environment())


def test_the_readmes_offline_commands_run_as_they_stand(tmp_path: Path) -> None:
    offline = [
        line
        for line in documents.commands_of(README)
        if ("--source sample" in line or "--import data/sample" in line or "pipeline.train" in line or "pipeline.ask" in line)
        and not ("--target qa" in line or "./" in line)  # half an hour, or a model of one's own: test_finetune
        and "OPENAI_API_KEY" not in line  # a paid model
    ]
    assert [re.search(r"pipeline\.(\w+)", line)[1] for line in offline][:4] == ["collect", "create_qa", "train", "ask"]  # type: ignore[index]
    for line in offline:
        command = line.replace("python -m", f"{sys.executable} -m") + f" --data {tmp_path / 'run'}"
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr


def test_the_readme_names_the_two_commands_that_set_everything_up() -> None:
    assert "make demo" in README
    assert "make test" in README
