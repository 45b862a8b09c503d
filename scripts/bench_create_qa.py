"""What create_qa's engine costs and bears, beside a bare aiohttp loop on the same endpoint in the same minute.

python scripts/bench_create_qa.py [--passes 5] [--endpoint URL] [--sections FILE.csv[.gz]] [--sizes 500,2000] [--kills 20] [--long N]

speed    calls/s and CPU a call as the slope between the two sizes (what it takes to begin and to end is not in it), the calls/s
         against the loop's; start to first request; peak memory; --long adds a run of N sections for the memory
kills    kill -9 at random moments: requests sent again, paid again, and whether the files are those of a run without kills
faults   the table's (10 % 429, 5 % 500, 3 % malformed, 2 % hang, 2 % drop) with shipped settings, three seeds
refusals a wrong key, an address where nobody answers
Without --endpoint the loopback endpoint of this folder is started; one like it is configured with POST /_config, asked with GET /_stats.
Without --sections the sections are made up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.ledger import Ledger
from pipeline.llm.chat import wire
from pipeline.qa.drafts import Plan
from pipeline.qa.question_first import questions_request
from pipeline.records import QA, RejectedQA
from pipeline.run_folder import RunFolder
from pipeline.sources.given import each_section
from pipeline.sources.notebook import read_csv_rows
from pipeline.store import read_rows

AT_ONCE, LATENCY = 64, 0.1
FAULTS = {"p429": 0.1, "p500": 0.05, "pbad": 0.03, "phang": 0.02, "pdrop": 0.02}
WORDS = "harbour lantern meadow copper violin glacier orchard saddle thunder willow anchor beacon canyon dagger ember falcon".split()


@dataclass(frozen=True)
class Made:
    """One run: how it ended, and what it took."""

    code: int
    wall: float
    cpu: float
    memory: float
    first: float
    span: float


class Endpoint:
    """An endpoint that can be configured and asked what it saw."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._root = url.removesuffix("/v1")

    def configure(self, **config: object) -> None:
        """Set what it does; it forgets what it saw."""
        request = urllib.request.Request(f"{self._root}/_config", data=json.dumps({"latency": LATENCY, **config}).encode())  # noqa: S310 (loopback)
        urllib.request.urlopen(request).close()  # noqa: S310 (loopback)

    def stats(self) -> dict[str, Any]:
        """Return what it saw."""
        with urllib.request.urlopen(f"{self._root}/_stats") as answer:  # noqa: S310 (loopback)
            found: dict[str, Any] = json.load(answer)
        return found


def made_up(n: int) -> list[tuple[str, str, str]]:
    """Return sections of four sentences, each one another."""
    draw = random.Random(0)
    rows = []
    for at in range(n):
        said = [f"The {draw.choice(WORDS)} {k} of entry {at} was {' '.join(draw.sample(WORDS, 12))} in {1900 + at % 120}." for k in range(4)]
        rows.append((f"Page {at // 5}", f"Section {at}", " ".join(said)))
    return rows


def real(path: Path, n: int) -> list[tuple[str, str, str]]:
    """Return sections of a CSV with three sentences or more, again and again under other titles if there are too few."""
    found = [(row["title"], row["heading"], row["content"]) for row in read_csv_rows(path, ("title", "heading", "content"))]
    usable = [
        row
        for row in dict.fromkeys(found)
        if len([s for s in row[2].replace("\n", " ").split(". ") if len(s.split()) > 5]) >= 3 and len(row[2]) < 5000
    ]
    return [(title if at < len(usable) else f"{title} ({at // len(usable)})", f"{heading} {at}", text) for at, (title, heading, text) in
            ((at, usable[at % len(usable)]) for at in range(n))]  # fmt: skip


def collected(folder: Path, rows: list[tuple[str, str, str]]) -> Path:
    """Make a run folder of these sections, each marked so that the endpoint can tell them apart."""
    import csv

    table = folder.with_suffix(".csv")
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("title", "heading", "content"))
        writer.writerows((title, heading, f"ROW-{at:05d}. {content}") for at, (title, heading, content) in enumerate(rows))
    subprocess.run([sys.executable, "-m", "pipeline.collect", "--source", "csv", "--file", table, "--data", folder, "--quiet"], check=True)  # noqa: S603 (ours)
    return folder


def command(folder: Path, endpoint: Endpoint, *more: str) -> list[str]:
    """Return the command line of a run."""
    line = [sys.executable, "-m", "pipeline.create_qa", "--data", str(folder), "--base-url", endpoint.url, "--model", "bench", "--quiet"]
    return [*line, "--concurrency", str(AT_ONCE), *more]


def create(folder: Path, endpoint: Endpoint, **environment: str) -> Made:
    """Run create_qa on a folder and measure it."""
    began = time.time()
    with subprocess.Popen(command(folder, endpoint), env={**os.environ, **environment}, stderr=subprocess.DEVNULL) as process:  # noqa: S603 (ours)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall, seen = time.time() - began, endpoint.stats()
    first, last = seen["first"] or began, seen["last"] or began
    return Made(process.returncode, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, first - began, last - first)


def bare_loop(folder: Path, endpoint: Endpoint) -> float:
    """Send the same bodies in a bare aiohttp loop; return the seconds between its first and its last request, as the endpoint saw them."""
    import aiohttp

    plan = Plan("bench", "question-first", 3, 0.0)
    bodies = [wire(questions_request(section, plan).body()) for section in islice(each_section(RunFolder(folder).sections), 20_000)]

    async def run() -> None:
        left = iter(bodies)
        headers = {"content-type": "application/json", "authorization": "Bearer none"}
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:

            async def worker() -> None:
                for body in left:
                    async with session.post(f"{endpoint.url}/chat/completions", data=body) as response:
                        json.loads(await response.read())

            await asyncio.gather(*(worker() for _ in range(AT_ONCE)))

    endpoint.configure()
    asyncio.run(run())
    seen = endpoint.stats()
    return float(seen["last"] - seen["first"])


def fresh(folder: Path, into: Path) -> Path:
    """Return a copy of a run folder, anew."""
    shutil.rmtree(into, ignore_errors=True)
    return Path(shutil.copytree(folder, into))


def speed(folders: dict[int, Path], endpoint: Endpoint, passes: int, work: Path) -> None:
    """Measure calls/s, CPU, first request and memory."""
    small, large = min(folders), max(folders)
    runs: dict[int, list[Made]] = {size: [] for size in folders}
    ratios, rates = [], []
    for _ in range(passes):
        bare = (large - small) / (bare_loop(folders[large], endpoint) - bare_loop(folders[small], endpoint))
        for size, folder in folders.items():
            endpoint.configure()
            runs[size].append(create(fresh(folder, work / "speed"), endpoint))
        rates.append(bare)
        ratios.append((large - small) / (runs[large][-1].span - runs[small][-1].span) / bare)
    for size, made in runs.items():
        wall, cpu, first, memory = (median(getattr(m, name) for m in made) for name in ("wall", "cpu", "first", "memory"))
        print(f"{size} sections: wall {wall:.2f} s, CPU {cpu:.2f} s, first request after {first:.2f} s, memory {memory:.0f} MB")
    slope = [(b.cpu - a.cpu) / (large - small) * 1000 for a, b in zip(runs[small], runs[large], strict=True)]
    print(f"steady calls/s against the loop ({median(rates):.0f}/s): {median(ratios):.2f} of it ({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"CPU {median(slope):.2f} ms a call (slope, {min(slope):.2f} to {max(slope):.2f})")


def kills(folder: Path, endpoint: Endpoint, n: int, work: Path) -> None:
    """Kill a run n times at random moments, and compare its end with a run that was left alone."""
    endpoint.configure()
    calm = fresh(folder, work / "calm")
    create(calm, endpoint)
    endpoint.configure()
    killed, draw, flying = fresh(folder, work / "killed"), random.Random(4), []
    for _ in range(n):
        before = unstored(killed, endpoint)
        with subprocess.Popen(command(killed, endpoint)) as process:  # noqa: S603 (ours)
            time.sleep(draw.uniform(0.5, 2.5))
            process.send_signal(signal.SIGSTOP)
            flying.append(unstored(killed, endpoint) - before)
            process.kill()
        time.sleep(2 * LATENCY)
    create(killed, endpoint)
    same = [(killed / name).read_bytes() == (calm / name).read_bytes() for name in ("qa.parquet", "rejected.parquet")]
    told = f"{sent_again(endpoint.stats())} requests sent again, {sum(flying)} were in flight at the kills (at most {max(flying)} at one)"
    print(f"{n} kills: {told}, {stored(killed)} replies in the ledger; files the same: {all(same)}")


def sent_again(seen: dict[str, Any]) -> int:
    """Return how many requests the endpoint got more than once."""
    return int(seen.get("sent_again", seen.get("dup_bodies", 0)))


def stored(folder: Path) -> int:
    """Return how many replies a run's ledger holds."""
    with Ledger(RunFolder(folder).ledger) as ledger:
        return ledger.count("chat")


def unstored(folder: Path, endpoint: Endpoint) -> int:
    """Return how many more requests the endpoint got than a run's ledger holds replies: what is in flight, and what was at earlier kills."""
    return int(endpoint.stats()["requests"]) - stored(folder)


def faults(folder: Path, endpoint: Endpoint, work: Path) -> None:
    """Run with the table's faults, three seeds."""
    for seed in (1, 2, 3):
        endpoint.configure(**FAULTS, seed=seed)
        made = create(fresh(folder, work / "faults"), endpoint)
        kept, rejected = read_rows(work / "faults" / "qa.parquet", QA), read_rows(work / "faults" / "rejected.parquet", RejectedQA)
        reasons = sorted({row.reason for row in rejected})
        sections = {row.section_id for row in kept}
        lost = {row.section_id for row in rejected if row.reason in ("endpoint_error", "not_asked", "malformed_reply", "empty_reply")}
        print(f"faults, seed {seed}: exit {made.code}, {made.wall:.1f} s, {len(sections)} sections with rows, {len(kept)} rows, "
              f"{len(lost)} sections lost to the endpoint, rejected for {', '.join(reasons) or 'nothing'}; {endpoint.stats()['outcomes']}")  # fmt: skip


def refusals(folder: Path, endpoint: Endpoint, work: Path) -> None:
    """A wrong key, and nobody there."""
    endpoint.configure(auth="sk-right")
    made = create(fresh(folder, work / "refused"), endpoint, OPENAI_API_KEY="sk-wrong")
    print(f"wrong key: {endpoint.stats()['requests']} request, exit {made.code}, {made.wall:.2f} s")
    for name, url in (("nobody listens", "http://127.0.0.1:9/v1"), ("nobody answers", "http://10.255.255.1:81/v1")):
        began = time.time()
        done = subprocess.run(command(fresh(folder, work / "refused"), Endpoint(url)), capture_output=True, check=False)  # noqa: S603 (ours)
        print(f"{name}: exit {done.returncode}, {time.time() - began:.2f} s")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--endpoint")
    parser.add_argument("--sections", type=Path)
    parser.add_argument("--sizes", default="500,2000")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--long", type=int, default=0)
    asked = parser.parse_args()
    sizes = [int(size) for size in asked.sizes.split(",")]
    with tempfile.TemporaryDirectory() as held:
        work = Path(held)
        server = None
        if not asked.endpoint:
            server = subprocess.Popen([sys.executable, Path(__file__).with_name("loopback.py")], stdout=subprocess.PIPE, text=True)  # noqa: S603 (ours)
            assert server.stdout
            asked.endpoint = server.stdout.readline().strip()
        try:
            endpoint = Endpoint(asked.endpoint)
            most = max(*sizes, asked.long, 500)
            rows = real(asked.sections, most) if asked.sections else made_up(most)
            folders = {size: collected(work / f"s{size}", rows[:size]) for size in {500, *sizes}}
            speed({size: folders[size] for size in sizes}, endpoint, asked.passes, work)
            if asked.long:
                endpoint.configure(latency=0.01)
                long = create(collected(work / "long", rows[: asked.long]), endpoint)
                print(f"{asked.long} sections: memory {long.memory:.0f} MB, CPU {long.cpu:.1f} s, wall {long.wall:.1f} s")
            kills(folders[max(sizes)], endpoint, asked.kills, work)
            faults(folders[500], endpoint, work)
            refusals(folders[500], endpoint, work)
        finally:
            if server:
                server.terminate()
                server.wait()


if __name__ == "__main__":
    main()
