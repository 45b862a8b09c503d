"""Measures the report: seconds to make it, its size, and the time to its first paint in Chromium, for runs of several sizes.

    python scripts/bench_report.py [RUN_FOLDER] [EXAMPLES …]

A run's examples are repeated (with other words in their texts, so that they do not pack better than real ones) until there are as
many as wanted; sections grow along. Without a folder the bundled sample is collected, imported and paired first.
"""

from __future__ import annotations

import math
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.reporting.gathered import Gathered, gather
from pipeline.reporting.page import page
from pipeline.run_folder import RunFolder

if TYPE_CHECKING:
    from pipeline.records import QA, Section

ROOT = Path(__file__).resolve().parent.parent
SIZES = (400, 16_000)
TIMES = 3
EXAMPLES_A_SECTION = 4
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def main() -> None:
    """Print a line a size."""
    args = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        folder = Path(args.pop(0)) if args and not args[0].isdigit() else made(Path(work) / "run")
        base = gather(RunFolder(folder))
        print(f"{'examples':>9}{'sections':>10}{'rows shown':>12}{'of':>9}{'made, s':>9}{'size, MB':>10}{'first paint, s':>16}{'rows there, s':>15}")
        for size in [int(arg) for arg in args] or SIZES:
            grown = repeated(base, size)
            started = time.perf_counter()
            made_page = page(grown, 0, None, None)
            seconds = time.perf_counter() - started
            path = Path(work) / f"{size}.html"
            path.write_text(made_page.html, "utf-8")
            paint, ready = seen(path)
            print(
                f"{len(grown.examples):>9,}{len(grown.sections):>10,}{made_page.rows_shown:>12,}{made_page.rows_of:>9,}{seconds:>9.1f}"
                f"{path.stat().st_size / 1e6:>10.2f}{paint:>16.2f}{ready:>15.2f}"
            )


def made(folder: Path) -> Path:
    """Make a run of the bundled sample, without a model."""
    steps = (("collect", "--source", "sample"), ("create_qa", "--import", "data/sample/qa.csv"), ("train", "--trainer", "none"))
    for step in steps:
        subprocess.run([sys.executable, "-m", f"pipeline.{step[0]}", *step[1:], "--data", str(folder), "--quiet"], cwd=ROOT, check=True)  # noqa: S603 (our own commands)
    return folder


def repeated(base: Gathered, size: int) -> Gathered:
    """Return a run with as many examples, four of them to a section where there are many; each copy has its own ids and words."""
    copies = -(-size // len(base.examples))
    texts = [random.Random(copy) for copy in range(-(-copies // EXAMPLES_A_SECTION))]
    contents: list[dict[str, Section]] = [
        {s.section_id: replace(s, section_id=f"{s.section_id}-{copy}", content=reworded(s.content, draw)) for s in base.sections}
        for copy, draw in enumerate(texts)
    ]
    qa: list[QA] = []
    examples = []
    for copy in range(copies):
        here, home = contents[copy % len(contents)], copy % len(contents)
        draw = random.Random(f"questions {copy}")
        asked = {
            q.qa_id: replace(q, qa_id=f"{q.qa_id}-{copy}", section_id=f"{q.section_id}-{home}", question=reworded(q.question, draw)) for q in base.qa
        }
        qa += asked.values()
        for e in base.examples:
            context = reworded(e.context, draw) if e.kind == "evidence_removed" else here[e.context_section_id].context
            question = reworded(e.question, draw) if e.kind == "altered_question" else asked[e.qa_id].question
            examples.append(
                replace(
                    e, example_id=f"{e.example_id}-{copy}", qa_id=f"{e.qa_id}-{copy}", context_section_id=f"{e.context_section_id}-{home}",
                    context=context, question=question,
                )
            )  # fmt: skip
    return replace(base, sections=[section for copy in contents for section in copy.values()], qa=qa, examples=examples[:size])


def reworded(text: str, draw: random.Random) -> str:
    """Return a text of the same length in which half of the words are mixed from others: it packs worse than a real one."""
    words = text.split(" ")
    return " ".join(word if draw.random() < 0.5 else f"{word[: draw.randrange(1, 4)]}{draw.choice(words)[-5:]}" for word in words)


def seen(path: Path) -> tuple[float, float]:
    """Return the seconds from the beginning of navigation to the first contentful paint, and until the rows can be used; best of three.

    Without Playwright they are not measured (nan).
    """
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:  # `make browser-test` installs it; the other figures do without
        return math.nan, math.nan
    chromium = subprocess.run([ROOT / "scripts" / "chromium.sh"], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 (our own script)
    found = []
    with sync_playwright() as playwright:
        for _ in range(TIMES):
            browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
            opened = browser.new_page(viewport={"width": 1400, "height": 900})
            opened.goto(path.as_uri())
            opened.wait_for_selector("#browser:not([hidden]) .row")
            ready = opened.evaluate("performance.now() / 1000")
            paint = opened.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000")
            found.append((paint, ready))
            browser.close()
    return min(paint for paint, _ in found), min(ready for _, ready in found)


if __name__ == "__main__":
    main()
