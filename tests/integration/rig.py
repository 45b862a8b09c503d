"""The real wiki that these tests ask, and the command that asks it: a black box with a log on the other side."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from conftest import ROOT, Result, environment, run

SCRIPT = ROOT / "scripts" / "mediawiki" / "wiki.sh"
CONTACT = "nobody@example.org"
ALWAYS = 10**9  # a fault's "times"
START_SECONDS = 600  # packages may have to be installed
Row = dict[str, Any]
Fault = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """A line of the server's log (scripts/mediawiki/router.php)."""

    began: float
    ended: float
    method: str
    uri: str
    params: dict[str, str]
    status: int
    error: str | None
    real: bool
    agent: str
    encoding: str

    page: str
    """the title of the page that was given whole, or nothing"""


class WikiScriptError(Exception):
    """What wiki.sh said when it failed."""


def script(*args: object, given: str = "", **env: str) -> str:
    """Run wiki.sh and return what it said."""
    line = [str(SCRIPT), *map(str, args)]
    done = subprocess.run(line, input=given, env={**os.environ, **env}, capture_output=True, text=True, timeout=START_SECONDS, check=False)
    if done.returncode:
        raise WikiScriptError(done.stderr.strip() or f"{line} ended with {done.returncode}")
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class RealWiki:
    """A MediaWiki that runs in a folder of its own."""

    folder: Path
    api_url: str
    since: float = 0.0

    def faults(self, *faults: Fault) -> None:
        """From now on answer with these faults (none: as it should)."""
        (self.folder / "faults.json").write_text(json.dumps(faults), "utf-8")

    def forget(self) -> None:
        """Begin a new log, without faults. What an earlier client left under way is not of it."""
        self.faults()
        self.since = time.time()
        (self.folder / "requests.jsonl").write_text("")

    def requests(self) -> list[Request]:
        """Return what was asked since `forget`, in the order of the answers' ends."""
        text = (self.folder / "requests.jsonl").read_text("utf-8")
        whole = text[: text.rfind("\n") + 1]  # the last line may be in the making
        logged: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
        return [Request(**line, page=self._given(line)) for line in logged if line["began"] >= self.since]

    def _given(self, line: dict[str, Any]) -> str:
        """Return the title of the page that an answer gave whole; a client may ask by title, page or revision."""
        params = line["params"]
        if params.get("action") != "parse" or line["status"] != 200 or line["error"] or not line["real"]:
            return ""
        if "page" in params:
            title: str = params["page"].replace("_", " ")
            return title
        by = "page_id = :id" if "pageid" in params else "page_id = (SELECT rev_page FROM revision WHERE rev_id = :id)"
        with closing(sqlite3.connect(f"file:{self.folder / 'db' / 'wiki.sqlite'}?mode=ro", uri=True)) as database:
            found = database.execute(f"SELECT page_title FROM page WHERE {by}", {"id": params.get("pageid") or params["oldid"]}).fetchone()
        return str(found[0]).replace("_", " ") if found else f"none with {params}"

    def fetched(self) -> Counter[str]:
        """Return how often each page was given whole."""
        return Counter(request.page for request in self.requests() if request.page)

    def edit(self, title: str, text: str) -> None:
        """Write a page, new or not."""
        self._maintain("edit.php", title, given=text)

    def delete(self, title: str) -> None:
        """Delete a page."""
        self._maintain("deleteBatch.php", self._list(title))

    def move(self, title: str, to: str) -> None:
        """Give a page another title; a redirect stays."""
        self._maintain("moveBatch.php", self._list(f"{title}|{to}"))

    def _list(self, line: str) -> Path:
        path = self.folder / "batch.txt"
        path.write_text(line + "\n", "utf-8")
        return path

    def _maintain(self, name: str, *args: object, given: str = "") -> None:
        script("maintain", self.folder, name, *args, given=given)
        script("maintain", self.folder, "runJobs.php", "--quiet")


@dataclass(frozen=True)
class Crawl:
    """A finished run folder and what the wiki was asked for it."""

    folder: Path
    requests: list[Request]


def write_topic(path: Path, **keys: object) -> Path:
    """Write a topic file that admits every title and counts every section, but for the keys given."""
    every: dict[str, object] = {
        "name": "test", "language": "en", "seeds": [], "title_contains": [], "title_excludes": [], "low_information": [],
        "min_tokens": 1, "max_tokens": 1500,
    }  # fmt: skip
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in {**every, **keys}.items()]  # such JSON is TOML
    path.write_text("".join(lines), "utf-8")
    return path


def arguments(wiki: RealWiki, folder: Path, topic: Path | None, *more: object) -> list[str]:
    named = ["--topic", topic] if topic else []
    asked = ["--api-url", wiki.api_url, "--contact", CONTACT, "--rate", "60000", "--data", folder, "--json", *named, *more]
    return [str(part) for part in asked]


def collect(wiki: RealWiki, folder: Path, topic: Path | None = None, *more: object) -> Result:
    """Run the command to its end; without a topic file, for the shipped topic."""
    return run("collect", *arguments(wiki, folder, topic, *more))


def crawl(wiki: RealWiki, folder: Path, topic: Path | None = None, *more: object) -> Path:
    """Run the command, see that it ends well, and return the folder."""
    result = collect(wiki, folder, topic, *more)
    assert result.code == 0, result.err
    return folder


def _heeding_interrupts() -> None:
    """Who runs the tests in the background of a script has Ctrl-C ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupted(wiki: RealWiki, folder: Path, topic: Path | None, sign: signal.Signals, now: Callable[[], bool]) -> tuple[int, str]:
    """Run the command, send it a signal as soon as `now`, and return its exit code (negative: the signal) and stderr."""
    line = [sys.executable, "-W", "error", "-m", "pipeline.collect", *arguments(wiki, folder, topic)]
    started: dict[str, Any] = {"cwd": ROOT, "env": environment(), "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, **started, preexec_fn=_heeding_interrupts) as process:  # noqa: PLW1509 (no threads here)
        while process.poll() is None and not now():
            time.sleep(0.005)
        process.send_signal(sign)
        _, said = process.communicate(timeout=120)
        return process.returncode, said


def rows(folder: Path, name: str) -> list[Row]:
    """Return the rows of a parquet file of the run folder."""
    found: list[Row] = pq.read_table(folder / f"{name}.parquet").to_pylist()
    return found


def pages(folder: Path) -> dict[str, Row]:
    """Return {title: row} of every page met; a title stands there once."""
    found = rows(folder, "pages")
    by_title = {row["title"]: row for row in found}
    assert len(by_title) == len(found)
    return by_title


def titles(folder: Path, status: str = "kept") -> set[str]:
    return {title for title, page in pages(folder).items() if page["status"] == status}


def sections(folder: Path) -> dict[str, list[Row]]:
    """Return {page's title: its sections in reading order}."""
    found: dict[str, list[Row]] = {}
    for row in rows(folder, "sections"):
        found.setdefault(row["title"], []).append(row)
    return found


def sections_bytes(folder: Path) -> tuple[bytes, bytes]:
    """Return the two files of sections as they stand."""
    return (folder / "sections.parquet").read_bytes(), (folder / "sections.csv").read_bytes()
