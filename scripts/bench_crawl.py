"""A whole `collect` of a live MediaWiki against wikipedia-api's own sequential loop over the same pages.

    python scripts/bench_crawl.py API_URL [--topic FILE] [--rounds N] [--rate N] [--kills N]

Whole processes, side by side on the same server: seconds, CPU milliseconds a page beyond what a run of one page
costs, requests a page, peak memory; the same again with nothing changed. With --kills, a run is killed (SIGKILL) so many times at
random moments and then brought to its end: are the bytes the same? `scripts/mediawiki/wiki.sh` starts a wiki to measure against.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.records import Page
from pipeline.store import RunFolder, read_rows

ROOT = Path(__file__).resolve().parent.parent
CONTACT = "bench@example.org"
SEQUENTIAL = """
import json, sys
import wikipediaapi
url, titles = sys.argv[1], json.load(open(sys.argv[2]))
wikipediaapi.Wikipedia._build_url = staticmethod(lambda language: url)
requests = []
wiki = wikipediaapi.Wikipedia("bench/1 (bench@example.org)", "en", event_hooks={"request": [requests.append]})
pages = [wiki.page(title) for title in titles]
for page in pages:
    len(page.text), len(page.sections), len(page.links)
print(json.dumps({"requests": len(requests)}))
"""


@dataclass(frozen=True)
class Measured:
    """One process: wall seconds, CPU seconds, peak megabytes, and the JSON line it ended with."""

    wall: float
    cpu: float
    memory: float
    said: dict[str, Any]


def measured(command: list[str]) -> Measured:
    """Run a process to its end."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:  # noqa: S603 (our own commands)
        out = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"error: {' '.join(command[:4])} ended with {process.returncode}")
    return Measured(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, json.loads(out.splitlines()[-1]))


def collect(arguments: argparse.Namespace, folder: Path, *more: str) -> list[str]:
    """Return the command line of a collect into `folder`."""
    command = [sys.executable, "-m", "pipeline.collect", "--api-url", arguments.api_url, "--contact", CONTACT, "--data", str(folder), "--quiet", "--json"]
    return command + (["--topic", arguments.topic] if arguments.topic else []) + (["--rate", arguments.rate] if arguments.rate else []) + list(more)


def digests(folder: Path) -> dict[str, str]:
    """Return the hashes of what must be the same each time."""
    run = RunFolder(folder)
    files = (run.sections, run.sections.with_suffix(".csv"), run.dropped_sections, run.attribution)
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def side_by_side(arguments: argparse.Namespace, work: Path) -> Path:
    """Measure both ways in turn; return the folder of the last run."""
    one = measured(collect(arguments, work / "one", "--max-pages", "1"))
    first = measured(collect(arguments, work / "run-0"))
    titles = work / "titles.json"
    kept = [page.title for page in read_rows(RunFolder(work / "run-0").pages, Page) if page.status == "kept"]
    titles.write_text(json.dumps(kept))
    n = len(kept)
    ratios = []
    for number in range(1, 1 + arguments.rounds):
        loop = measured([sys.executable, "-c", SEQUENTIAL, arguments.api_url, str(titles)])
        first = measured(collect(arguments, work / f"run-{number}"))
        ratios.append(first.wall / loop.wall)
        print(
            f"{n} pages: loop {loop.wall:.1f} s, {loop.said['requests'] / n:.2f} requests a page; collect {first.wall:.1f} s, "
            f"{first.said['requests'] / n:.3f} requests a page, {1000 * (first.cpu - one.cpu) / n:.1f} CPU ms a page, {first.memory:.0f} MB; "
            f"ratio {ratios[-1]:.2f}",
            flush=True,
        )
    folder = work / f"run-{arguments.rounds}" if arguments.rounds else work / "run-0"
    again = measured(collect(arguments, folder))
    print(f"again, unchanged: {again.wall:.1f} s, {again.said['requests']} requests, {again.said['pages_fetched']} pages fetched")
    if ratios:
        print(f"collect takes {median(ratios):.2f} of the sequential loop's time (median of {len(ratios)}); a run of one page takes {one.wall:.1f} s, {one.memory:.0f} MB")
    return folder


def killed(arguments: argparse.Namespace, work: Path, reference: Path, seconds: float) -> None:
    """Kill a run again and again at random moments, bring it to its end, compare."""
    rng = random.Random(0)
    folder, kills, fetched = work / "killed", 0, 0
    while kills < arguments.kills:
        process = subprocess.Popen(collect(arguments, folder), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
        try:
            process.wait(timeout=rng.uniform(0.2, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        process.wait()
        if process.returncode == 0:  # done before it could be killed: begin anew
            fetched += compared(folder, reference)
            folder = work / f"killed-{kills}"
    measured(collect(arguments, folder))
    print(f"killed {kills} times: {fetched + compared(folder, reference)} runs came to their end, all with the same bytes")


def compared(folder: Path, reference: Path) -> int:
    """Compare a finished run with the one that was never killed."""
    if digests(folder) != digests(reference):
        sys.exit(f"error: {folder} and {reference} differ")
    return 1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("api_url")
    parser.add_argument("--topic")
    parser.add_argument("--rate")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folder = side_by_side(arguments, work)
        if arguments.kills:
            killed(arguments, work, folder, 6.0)


if __name__ == "__main__":
    main()
