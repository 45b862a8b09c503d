"""Where the integration tests' wiki can't be had, its script says what is missing and what to do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

SCRIPT = ROOT / "scripts" / "mediawiki" / "wiki.sh"
NEEDED = ("bash", "dirname", "grep", "head", "id", "mkdir", "mktemp", "rm", "sed", "tail")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder for PATH with what every machine has, and neither PHP nor apt-get."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return folder


def said(bare: Path, *args: object) -> tuple[int, str]:
    done = subprocess.run(
        [str(bare / "bash"), str(SCRIPT), *map(str, args)], env={"PATH": str(bare)}, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("args", [("packages",), ("start", "wiki", "8080")])
def test_without_apt_get_the_missing_packages_are_named(bare: Path, tmp_path: Path, args: tuple[str, ...]) -> None:
    code, error = said(bare, *[tmp_path / arg if arg == "wiki" else arg for arg in args])
    assert code == 1
    assert error.startswith("error: the wiki for the integration tests lacks packages – ")
    assert "php-cli php-sqlite3 php-mbstring php-xml php-intl php-apcu" in error
    assert "there is no apt-get here: run this on Debian" in error


def test_without_root_the_command_to_run_is_named(bare: Path) -> None:
    program(bare, "id", "echo 1000")
    program(bare, "apt-get", "exit 0")
    code, error = said(bare, "packages")
    assert code == 1
    assert "run as root: apt-get install --no-install-recommends" in error
    assert "php-cli" in error


def test_when_apt_get_fails_its_words_and_the_packages_are_said(bare: Path) -> None:
    program(bare, "id", "echo 0")
    program(bare, "apt-get", "echo 'E: Unable to locate package mediawiki'; exit 100")
    code, error = said(bare, "packages")
    assert code == 1
    assert "E: Unable to locate package mediawiki" in error
    assert "could not be installed – " in error
    assert "php-cli" in error


def test_when_something_is_still_missing_after_apt_get_it_is_named(bare: Path) -> None:
    program(bare, "id", "echo 0")
    program(bare, "apt-get", "exit 0")
    code, error = said(bare, "packages")
    assert code == 1
    assert "apt-get ended well, but something is still missing – " in error
    assert "php-cli" in error


def program(folder: Path, name: str, body: str) -> None:
    """Put a program into the folder: another machine's apt-get, another user's id."""
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_text(f"#!{folder / 'bash'}\n{body}\n", "utf-8")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize("args", [(), ("start",), ("start", "x"), ("stop",), ("maintain", "x"), ("dance",)])
def test_a_call_that_is_not_understood_shows_how_to_call_it(bare: Path, args: tuple[str, ...]) -> None:
    code, error = said(bare, *args)
    assert code == 2
    assert "wiki.sh start WORKDIR PORT [DUMP.xml…]" in error


def test_maintenance_of_no_wiki_is_an_error_that_names_the_folder(bare: Path, tmp_path: Path) -> None:
    code, error = said(bare, "maintain", tmp_path / "none", "edit.php")
    assert code == 1
    assert f"there is no wiki – {tmp_path / 'none'}" in error
