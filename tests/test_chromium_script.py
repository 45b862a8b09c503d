"""Where the browser tests' Chromium can't be had, its script says what is missing and what to do."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = ROOT / "scripts" / "chromium.sh"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder for PATH with what every machine has, and neither Chromium nor apt-get."""
    for name in ("bash", "id", "mktemp", "rm", "tail"):
        found = shutil.which(name)
        assert found, name
        (tmp_path / name).symlink_to(found)
    return tmp_path


def program(folder: Path, name: str, body: str) -> None:
    """Put a program into the folder: another machine's apt-get, another user's id."""
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_text(f"#!{folder / 'bash'}\n{body}\n", "utf-8")
    (folder / name).chmod(0o755)


def said(bare: Path) -> tuple[int, str, str]:
    done = subprocess.run([bare / "bash", SCRIPT], env={"PATH": str(bare)}, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_chromium_that_is_there_is_named(bare: Path) -> None:
    program(bare, "chromium", "exit 0")
    assert said(bare) == (0, f"{bare / 'chromium'}\n", "")


def test_without_apt_get_the_browser_is_named(bare: Path) -> None:
    code, _, error = said(bare)
    assert (code, error[: error.index(" – there")]) == (1, "error: the browser tests lack a browser – chromium")


def test_without_root_the_command_to_run_is_named(bare: Path) -> None:
    program(bare, "id", "echo 1000")
    program(bare, "apt-get", "exit 0")
    code, _, error = said(bare)
    assert code == 1
    assert "run as root: apt-get install --no-install-recommends chromium" in error


def test_when_apt_get_fails_its_words_are_said(bare: Path) -> None:
    program(bare, "id", "echo 0")
    program(bare, "apt-get", "echo 'E: Unable to locate package chromium'; exit 100")
    code, _, error = said(bare)
    assert code == 1
    assert "E: Unable to locate package chromium" in error
    assert "could not be installed – chromium" in error


def test_when_it_is_still_missing_after_apt_get_that_is_said(bare: Path) -> None:
    program(bare, "id", "echo 0")
    program(bare, "apt-get", "exit 0")
    code, _, error = said(bare)
    assert code == 1
    assert "something is still missing – chromium" in error
