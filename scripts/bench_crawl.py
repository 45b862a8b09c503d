"""A whole `collect` of a live MediaWiki against wikipedia-api's own sequential loop over the same pages.

    python scripts/bench_crawl.py [DUMP.xml] [--topic FILE] [--rounds N] [--rate N] [--kills N] [--faults SHARE]

Starts a MediaWiki (scripts/mediawiki/wiki.sh) with the sample's pages, or those of a MediaWiki export, and measures whole processes,
side by side: seconds, CPU milliseconds a page beyond what a run of one page costs, requests a page, peak memory; the same
again with nothing changed. With --kills, runs are killed (SIGKILL) so many times at random moments and brought to their end, with
--faults, that share of the pages is first answered with a 429, as many with a 503, cut off, with no JSON, late, and with `maxlag`:
are the bytes the same, and how often did the server give a page whole?
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from build_sample import export, sources

from pipeline.records import Page
from pipeline.run_folder import RunFolder
from pipeline.store import read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

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


LATE, LAG = 2.0, 6.0  # seconds


@contextmanager
def wiki(dump: Path | None, work: Path) -> Iterator[str]:
    """Serve a wiki while the block runs; yield its API's address."""
    script = ROOT / "scripts" / "mediawiki" / "wiki.sh"
    if dump is None:
        dump = work / "sample.xml"
        dump.write_text(export(sources()), "utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = subprocess.run(  # noqa: S603 (our own script)
        [script, "start", work / "wiki", str(port), dump],
        env={**os.environ, "STOP_WITH": str(os.getpid())},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    yield started.stdout.strip()
    subprocess.run([script, "stop", work / "wiki"], check=True)  # noqa: S603


def given(work: Path) -> Counter[str]:
    """Return how often the wiki has given each revision whole since the log began, and begin a new log."""
    log = work / "wiki" / "requests.jsonl"
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    log.write_text("")
    whole = (line for line in lines if line["params"].get("action") == "parse" and line["real"] and line["status"] == 200 and not line["error"])
    return Counter(line["params"]["oldid"] for line in whole)


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
    command = [
        sys.executable,
        "-m",
        "pipeline.collect",
        "--api-url",
        arguments.api_url,
        "--contact",
        CONTACT,
        "--data",
        str(folder),
        "--quiet",
        "--json",
    ]
    return command + (["--topic", arguments.topic] if arguments.topic else []) + (["--rate", arguments.rate] if arguments.rate else []) + list(more)


def digests(folder: Path) -> dict[str, str]:
    """Return the hashes of what must be the same each time."""
    run = RunFolder(folder)
    files = (run.sections, run.sections.with_suffix(".csv"), run.dropped_sections, run.attribution)
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def side_by_side(arguments: argparse.Namespace, work: Path) -> tuple[Path, float]:
    """Measure both ways in turn; return the folder of the last run, and its seconds."""
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
        print(
            f"collect takes {median(ratios):.2f} of the sequential loop's time (median of {len(ratios)}); a run of one page takes {one.wall:.1f} s, {one.memory:.0f} MB"
        )
    return folder, first.wall


def killed(arguments: argparse.Namespace, work: Path, reference: Path, seconds: float) -> None:
    """Kill runs at random moments, one after the other, bring each to its end, compare; say what was fetched more than once."""
    rng = random.Random(0)
    given(work)
    for number in range(arguments.kills):
        folder = work / f"killed-{number}"
        process = subprocess.Popen(collect(arguments, folder), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
        moment = rng.uniform(0.3, seconds)
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        measured(collect(arguments, folder))
        compare(folder, reference)
        twice = sum(n - 1 for n in given(work).values())
        print(f"killed after {moment:.1f} s (exit {process.returncode}), then to its end: the same bytes, {twice} pages fetched twice", flush=True)


def faulty(arguments: argparse.Namespace, work: Path, reference: Path) -> None:
    """Let the wiki answer with faults, compare."""
    revisions = [str(page.revision_id) for page in read_rows(RunFolder(reference).pages, Page) if page.status == "kept"]
    rng = random.Random(0)
    kinds: list[dict[str, Any]] = [
        {"status": 429, "retry_after": "1"}, {"status": 503, "retry_after_date": 2}, {"body": '{"parse": {"te', "length": 5000},
        {"body": "<html>a proxy</html>"}, {"sleep": LATE}, {"lag": LAG},
    ]  # fmt: skip
    each = max(1, round(arguments.faults * len(revisions)))
    faults = [
        {"match": f"action=parse.*oldid={oldid}( |$)|oldid={oldid} .*action=parse", **kind} for kind in kinds for oldid in rng.sample(revisions, each)
    ]
    (work / "wiki" / "faults.json").write_text(json.dumps(faults))
    given(work)
    done = measured(collect(arguments, work / "faulty"))
    compare(work / "faulty", reference)
    left = sum(fault.get("times", 1) for fault in json.loads((work / "wiki" / "faults.json").read_text()))
    twice = sum(n - 1 for n in given(work).values())
    print(f"{len(faults)} faults of {len(kinds)} kinds ({left} not met): {done.wall:.1f} s, the same bytes, {twice} pages fetched twice")


def compare(folder: Path, reference: Path) -> None:
    """End with an error if a finished run differs from the one that nothing disturbed."""
    if digests(folder) != digests(reference):
        sys.exit(f"error: {folder} and {reference} differ")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dump", nargs="?", type=Path)
    parser.add_argument("--topic")
    parser.add_argument("--rate")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--faults", type=float, default=0.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        with wiki(arguments.dump, work) as arguments.api_url:
            folder, seconds = side_by_side(arguments, work)
            if arguments.faults:
                faulty(arguments, work, folder)
            if arguments.kills:
                killed(arguments, work, folder, seconds)


if __name__ == "__main__":
    main()
