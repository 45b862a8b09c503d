"""A page of a real report in the distribution's Chromium, with nothing to download and no network."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from conftest import ROOT, run

from pipeline.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, started once."""
    from playwright.sync_api import sync_playwright  # of the extra `browser`, which the other tests do without

    found = subprocess.run([ROOT / "scripts" / "chromium.sh"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found.stdout.strip(), args=list(QUIET))
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open a report in a fresh profile. What its console says wrong, what it asks of the network and any dialog fail the test (or go to `told`)."""
    unexpected: list[str] = []
    contexts = []

    def opened(report: Path, *, width: int = 1400, height: int = 900, scheme: str = "light", told: list[str] | None = None) -> Any:
        wrong = unexpected if told is None else told

        def dismissed(dialog: Any) -> None:
            wrong.append(f"dialog {dialog.message}")
            dialog.dismiss()

        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", dismissed)
        page.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
        page.goto(report.as_uri())
        page.wait_for_selector("#browser:not([hidden])")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert unexpected == []


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> RunFolder:
    """A finished run with its report, to be written to."""
    shutil.copytree(trained, tmp_path / "run")
    made = run("report", "--audit", "0.2", "--data", tmp_path / "run")
    assert made.code == 0, made.err
    return RunFolder(tmp_path / "run")
