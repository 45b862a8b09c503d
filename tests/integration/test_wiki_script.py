"""The wiki that these tests start is clean: once a folder, and gone when it should be."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from integration.rig import WikiScriptError, free_port, script

pytestmark = pytest.mark.integration


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def processes(folder: Path) -> list[str]:
    """Return the command lines of processes that work for the wiki in a folder."""
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return [line.decode(errors="replace") for line in lines if str(folder).encode() in line]


@pytest.mark.timeout(120)
def test_a_second_start_finds_the_wiki_running_and_stop_leaves_nothing_behind(tmp_path: Path) -> None:
    port = free_port()
    first = script("start", tmp_path, port)
    server = (tmp_path / "server.pid").read_text()
    assert script("start", tmp_path, port) == first
    assert (tmp_path / "server.pid").read_text() == server
    with pytest.raises(WikiScriptError, match=f"the port is taken by another server – {port}"):
        script("start", tmp_path / "other", port)
    script("stop", tmp_path)
    assert not is_open(port)
    assert processes(tmp_path) == []
    script("stop", tmp_path)  # and again


@pytest.mark.timeout(120)
def test_the_wiki_ends_with_the_process_that_it_was_started_for(tmp_path: Path) -> None:
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as owner:
        script("start", tmp_path, port, STOP_WITH=str(owner.pid))
        assert is_open(port)
        owner.kill()
    deadline = time.monotonic() + 30
    while (is_open(port) or processes(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_open(port)
    assert processes(tmp_path) == []
