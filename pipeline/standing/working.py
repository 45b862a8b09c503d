"""Whether a command works in a run folder now, told without touching its lock (a second one, however short, would turn it away).

Linux shows who holds which lock: /proc/PID/fd names the folder, /proc/PID/fdinfo the lock (proc_pid_fdinfo(5)). Of other people's processes
/proc/locks tells the file alone. Where there is no /proc nothing is known.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_COMMAND = re.compile(r"pipeline[./](\w+)")


@dataclass(frozen=True, slots=True)
class Worker:
    """A command at work: its name and process, empty and 0 where they are not known, and since when, in seconds since 1970."""

    command: str = ""
    process: int = 0
    since: float | None = None


def worker_in(folder: Path) -> Worker | None:
    """Return who works in a folder; None: nobody, as far as can be told."""
    try:
        wanted = folder.stat()
    except OSError:
        return None
    for process in _PROC.glob("[0-9]*"):
        if _holds(process, wanted):
            return Worker(_command_of(process), int(process.name), _since(process))
    return Worker() if _is_locked(wanted) else None


def _holds(process: Path, wanted: os.stat_result) -> bool:
    try:
        opened = list((process / "fd").iterdir())
    except OSError:  # somebody else's, or gone
        return False
    return any(_is_same(link, wanted) and "FLOCK" in _text(process / "fdinfo" / link.name) for link in opened)


def _is_same(link: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(link.stat(), wanted)
    except OSError:
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _command_of(process: Path) -> str:
    words = _text(process / "cmdline").split("\0")
    return next((match[1] for word in words if (match := _COMMAND.search(word))), "")


def _since(process: Path) -> float | None:
    try:
        return process.stat().st_mtime
    except OSError:
        return None


def _is_locked(wanted: os.stat_result) -> bool:
    """Tell whether /proc/locks has an flock on this file (proc_locks(5): MAJOR:MINOR:INODE, the first two in hexadecimal)."""
    place = f"{os.major(wanted.st_dev):02x}:{os.minor(wanted.st_dev):02x}:{wanted.st_ino}"
    return any("FLOCK" in line and place in line.split() for line in _text(_PROC / "locks").splitlines())
